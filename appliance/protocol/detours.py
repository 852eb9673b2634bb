"""Ways around a neighbour behind which somebody pretends to be a station.

babeld takes the cheapest way that it is offered, and whoever lies about an address is cheap.  For a
station that could not prove itself over one neighbour, another neighbour's offer goes first for a
while.

Nobody knows of our detour, so an offer that leads back through us would make packets circle.  What
comes back through us has the router id of the route that we announce, and costs more from the
neighbour on than what we announce, by one link at least.  Offers of which neither is true are taken
and no others, though among those are good ones: a longer way round can't be told from one through
us, if the liar copies the station's router id as well.
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
CHEAPEST_LINK: Final = 96
"""Cost of a cable to a babeld that has not been told otherwise; ours cost more."""


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
        self._announced: dict[str, int] = {}
        """Least metric that we have announced since, by prefix: somebody may not have heard of a
        higher one yet."""

    def avoid(self, prefix: str, hop: Hop, now: float) -> None:
        """Do not go over this neighbour for a while."""
        hops = self._avoided.pop(prefix, {})
        hops.pop(hop, None)
        hops[hop] = now + HOLDS_S
        if len(hops) > MAX_AVOIDED:
            del hops[next(iter(hops))]
        self._avoided[prefix] = hops
        if len(self._avoided) > MAX_DETOURS:
            self._forget(next(iter(self._avoided)))

    def _forget(self, prefix: str) -> None:
        del self._avoided[prefix]
        self._announced.pop(prefix, None)

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
                self._forget(prefix)
        offers: dict[str, list[NetRoute]] = {}
        for route in routes:
            if route.prefix in self._avoided and route.metric < INFINITY:
                offers.setdefault(route.prefix, []).append(route)
        chosen = {}
        for prefix, there in offers.items():
            avoided = self._avoided[prefix]
            installed = next((route for route in there if route.installed), None)
            if installed is None:
                continue
            announced = min(installed.metric, self._announced.get(prefix, INFINITY))
            self._announced[prefix] = announced
            if _hop(installed) not in avoided:
                continue
            others = [
                route
                for route in there
                if _hop(route) not in avoided
                and (
                    route.origin != installed.origin or route.refmetric < announced + CHEAPEST_LINK
                )
            ]
            if others:
                chosen[prefix] = _hop(min(others, key=lambda route: route.metric))
        return chosen


def _hop(route: NetRoute) -> Hop:
    return Hop(route.interface, route.via)
