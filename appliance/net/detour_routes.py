"""Routes in front of babeld's, in a table of their own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from appliance.net.numbers import DETOUR_TABLE
from appliance.protocol.detours import Hop

log = logging.getLogger(__name__)

WITHIN_S = 5.0


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
                if await _route("replace", prefix, *way):
                    self._set[prefix] = hop

    async def clear(self) -> None:
        """Remove all, also what an earlier helper has left."""
        self._set.clear()
        await _ip("-6", "route", "flush", "table", str(DETOUR_TABLE))


async def _route(verb: str, prefix: str, *way: str) -> bool:
    return await _ip("-6", "route", verb, prefix, *way, "table", str(DETOUR_TABLE))


async def _ip(*words: str) -> bool:
    """Run ip; false where the kernel does not take it, such as for a link that has just gone."""
    try:
        child = await asyncio.create_subprocess_exec(
            "ip",
            *words,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
    except FileNotFoundError:
        log.warning("ip is not installed")
        return False
    try:
        async with asyncio.timeout(WITHIN_S):
            _, said = await child.communicate()
    except TimeoutError:
        child.kill()
        await child.wait()
        return False
    if child.returncode:
        log.info("ip %s: %s", " ".join(words), said.decode("utf-8", "replace").strip()[:200])
    return child.returncode == 0
