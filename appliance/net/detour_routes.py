"""Routes in front of babeld's, in a table of their own."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from appliance.net.ip_route import ip_route
from appliance.net.numbers import DETOUR_TABLE
from appliance.protocol.detours import Hop

log = logging.getLogger(__name__)


class DetourRoutes:
    """The kernel's side of `protocol.detours`."""

    def __init__(self) -> None:
        self._set: dict[str, Hop] = {}

    async def apply(self, wanted: Mapping[str, Hop], source: str) -> None:
        """Make the table so; `source` is our address."""
        for prefix in self._set.keys() - wanted.keys():
            await _route("delete", prefix)
            del self._set[prefix]
        for prefix, hop in wanted.items():
            if self._set.get(prefix) != hop:
                log.info("to %s over %s (%s)", prefix, hop.via, hop.interface)
                way = ["via", hop.via, "dev", hop.interface, "src", source]
                await _route("replace", prefix, *way)
                self._set[prefix] = hop  # Where it failed its link is gone, and soon the offer.

    async def clear(self) -> None:
        """Remove all, also what an earlier helper has left."""
        self._set.clear()
        await ip_route("flush", "table", str(DETOUR_TABLE))


async def _route(verb: str, prefix: str, *way: str) -> None:
    await ip_route(verb, prefix, *way, "table", str(DETOUR_TABLE))
