"""Ways around a neighbour behind which somebody pretends to be a station.

babeld takes the cheapest way that it is offered, and whoever lies about an address is cheap.  For a
station that could not prove itself over one neighbour, another neighbour's offer goes first for a
while.

An offer whose cost from the neighbour on is higher than what we ourselves announce may lead back
through us (RFC 8966 section 2.4), so it is tried last; packets that circle die of their hop limit,
and the next proof that fails moves on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from appliance.model.net import NetRoute

HOLDS_S: Final = 600.0
"""For how long a neighbour is avoided."""

MAX_DETOURS: Final = 256
MAX_AVOIDED: Final = 16
"""Neighbours for one address."""

INFINITY: Final = 0xFFFF


@dataclass(frozen=True)
class Hop:
    """A neighbour on a link."""

    interface: str
    """Our interface towards it."""

    via: str
    """Its link-local address."""


class Detours:
    """Whom to avoid for which address, and the way that is taken instead."""

    def __init__(self) -> None:
        self._avoided: dict[str, dict[Hop, float]] = {}
        """By prefix: until when."""

    def avoid(self, prefix: str, hop: Hop, now: float) -> None:
        """Do not go over this neighbour for a while."""
        hops = self._avoided.pop(prefix, {})
        hops.pop(hop, None)
        hops[hop] = now + HOLDS_S
        if len(hops) > MAX_AVOIDED:
            del hops[next(iter(hops))]
        self._avoided[prefix] = hops
        if len(self._avoided) > MAX_DETOURS:
            del self._avoided[next(iter(self._avoided))]

    def next_wakeup(self) -> float | None:
        """Say when something ends."""
        return min(
            (until for hops in self._avoided.values() for until in hops.values()), default=None
        )

    def choose(self, routes: Iterable[NetRoute], now: float) -> dict[str, Hop]:
        """Return the ways to take instead of babeld's, by prefix, where there is need and one."""
        for prefix, hops in list(self._avoided.items()):
            for hop in [hop for hop, until in hops.items() if until <= now]:
                del hops[hop]
            if not hops:
                del self._avoided[prefix]
        offers: dict[str, list[NetRoute]] = {}
        for route in routes:
            if route.prefix in self._avoided and route.metric < INFINITY:
                offers.setdefault(route.prefix, []).append(route)
        chosen = {}
        for prefix, there in offers.items():
            avoided = self._avoided[prefix]
            installed = next((route for route in there if route.installed), None)
            if installed is None or _hop(installed) not in avoided:
                continue
            others = [route for route in there if _hop(route) not in avoided]
            if others:
                best = min(others, key=lambda r: (r.refmetric >= installed.metric, r.metric))
                chosen[prefix] = _hop(best)
        return chosen


def _hop(route: NetRoute) -> Hop:
    return Hop(route.interface, route.via)
