"""How many links away stations are, counted when the way to them changes.

The routing protocol knows costs, not hops.  Each count costs a datagram there and back, so they are
made one after another, and again only when a way is another or costs clearly more or less.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from appliance.model.identity import StationId
from appliance.model.net import NetRoute

COUNT_EVERY_S: Final = 0.1
"""All stations together."""

SETTLE_S: Final = 0.3
"""After a change, so that routes have found their shape."""

CHECKS_S: Final = (4.0, 8.0, 30.0)
"""After a count it is made again, since while routes change the answer may take another way; babeld
takes a better one after some 5 s."""

AGAIN_S: Final = 30.0
"""The same station, while its way stays with one neighbour and only costs change."""

SILENT_S: Final = 1.0
"""A station that did not answer is asked again after this; doubles each time."""

MAX_SILENT_S: Final = 600.0
OTHER_COST: Final = 0.25
"""By this share a metric has to change to mean another way, and not just other weather."""

MAX_STATIONS: Final = 1024
"""Whose ways are followed."""


@dataclass
class _Way:
    """To one station."""

    interface: str
    via: str
    metric: int
    hops: int | None = None
    counted_at: float = -math.inf
    failures: int = 0
    checks: int = 0
    due: float = math.inf


class HopCounts:
    """Which station to count next, and what was counted.

    A neighbour, which says that the station is there itself, is not asked.
    """

    def __init__(self) -> None:
        self._ways: dict[StationId, _Way] = {}
        self._due: set[StationId] = set()
        self._next_at = 0.0

    def hops(self, station: StationId) -> int | None:
        """Return over how many links a station is reached, where that is known."""
        way = self._ways.get(station)
        return way.hops if way is not None else None

    def most(self) -> int:
        """Return the greatest distance."""
        return max((way.hops or 0 for way in self._ways.values()), default=0)

    def routed(self, station: StationId, route: NetRoute | None, now: float) -> None:
        """The way to a station is this; None: there is none."""
        if route is None:
            self._ways.pop(station, None)
            self._due.discard(station)
            return
        way = self._ways.get(station)
        if way is None:
            if len(self._ways) >= MAX_STATIONS:
                return
            way = self._ways[station] = _Way("", "", 0)
        if route.refmetric == 0:
            way.hops, way.due = 1, math.inf
            self._due.discard(station)
        elif (way.interface, way.via) != (route.interface, route.via) or way.hops == 1:
            way.failures = way.checks = 0
            if way.hops == 1:
                way.hops = None
            self._want(station, way, now + SETTLE_S)
        elif abs(route.metric - way.metric) > OTHER_COST * way.metric:
            way.checks = 0
            self._want(station, way, max(now + SETTLE_S, way.counted_at + AGAIN_S))
        else:
            return  # the metric that was counted with stays the one to compare with
        way.interface, way.via, way.metric = route.interface, route.via, route.metric

    def _want(self, station: StationId, way: _Way, at: float) -> None:
        way.due = min(way.due, at) if station in self._due else at
        self._due.add(station)

    def counted(self, station: StationId, hops: int | None, now: float) -> bool:
        """A station answered from so far away, or not at all; returns whether that is new."""
        way = self._ways.get(station)
        if way is None:
            return False
        way.counted_at = now
        if hops is None:
            way.failures += 1
            again = min(SILENT_S * 2.0 ** min(way.failures - 1, 16), MAX_SILENT_S)
            self._want(station, way, now + again)
            return False
        way.failures = 0
        if way.checks < len(CHECKS_S):
            self._want(station, way, now + CHECKS_S[way.checks])
            way.checks += 1
        before, way.hops = way.hops, hops
        return before != hops

    def next_wakeup(self) -> float | None:
        """Say when to `take` the next."""
        if not self._due:
            return None
        return max(self._next_at, min(self._ways[station].due for station in self._due))

    def take(self, now: float) -> StationId | None:
        """Return the station to count now."""
        if now < self._next_at:
            return None
        ready = [station for station in self._due if self._ways[station].due <= now]
        if not ready:
            return None
        station = min(ready, key=lambda one: (self._ways[one].metric, one.key))
        self._due.discard(station)
        self._ways[station].due = math.inf
        self._next_at = now + COUNT_EVERY_S
        return station
