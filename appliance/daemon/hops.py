"""Counts how far stations are and over whom packets go, by datagrams that die on the way.

What is counted when stands in `node.hop_counts`; what comes back are claims of those on the way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from appliance.adapters.trace import FAR, MAX_HOPS, TraceError, probe
from appliance.model.identity import StationId
from appliance.model.net import NetRoute
from appliance.node.hop_counts import HopCounts

if TYPE_CHECKING:
    from appliance.daemon.runtime import Runtime

ANSWER_WITHIN_S: Final = 1.0
MAX_COUNTING: Final = 4
"""Stations that are counted at a time."""

MAX_TRACED: Final = 64
"""Stations the way to whom is remembered."""

FRESH_S: Final = 30.0
"""A way that was found counts for so long, unless its first part changes before."""


@dataclass
class _Traced:
    """The way to a station, as it answered."""

    route: NetRoute
    """By which it went."""

    at: float
    """When it began to be looked for."""

    relays: dict[int, tuple[str, float]] = field(default_factory=dict)
    """Who answered and in how many milliseconds, by distance."""

    length: int | None = None
    """At which distance the station itself answered."""


class Hops:
    """Distances of stations in the mesh."""

    def __init__(self, runtime: Runtime, on_change: Callable[[StationId], None]) -> None:
        """`on_change` is told whose distance is another."""
        self._runtime, self._on_change = runtime, on_change
        self._source = runtime.station.id.host
        self._traced: dict[StationId, _Traced] = {}
        self._wake = asyncio.Event()
        self.counts = HopCounts()

    def look(self, station: StationId) -> None:
        """The way to a station may be another."""
        way = self._runtime.station.mesh.way_to(station)
        self.counts.routed(station, way, self._now())
        self._wake.set()

    def hops(self, station: StationId) -> int | None:
        """Return how many links away a station is, where that is known."""
        own = self._runtime.station
        if own.mesh.way_to(station) is not None:
            return self.counts.hops(station)
        info = own.peers.session(station)
        on_link = info is not None and info.remote_host.startswith("fe80:")
        return 1 if on_link or own.peers.sighted_on(station) else None

    async def run(self) -> None:
        """Count for ever."""
        gate = asyncio.Semaphore(MAX_COUNTING)
        while True:
            await self._due()
            station = self.counts.take(self._now())
            if station is not None:
                await gate.acquire()
                counting = self._runtime.spawn(self._count(station))
                counting.add_done_callback(lambda _: gate.release())

    async def _due(self) -> None:
        while (at := self.counts.next_wakeup()) is None or at > self._now():
            self._wake.clear()
            loop = asyncio.get_running_loop()
            timer = loop.call_at(at, self._wake.set) if at is not None else None
            try:
                await self._wake.wait()
            finally:
                if timer is not None:
                    timer.cancel()

    async def _count(self, station: StationId) -> None:
        try:
            replies = await probe(self._source, station.host, (FAR,), within_s=ANSWER_WITHIN_S)
        except TraceError:
            replies = ()  # our address has just gone, and with it the routes
        arrived = [one.links_back for one in replies if one.arrived]
        self._counted(station, arrived[0] if arrived else None)

    def _counted(self, station: StationId, hops: int | None) -> None:
        if self.counts.counted(station, hops, self._now()):
            self._on_change(station)
        self._wake.set()  # it may be asked again sooner than anybody else

    def _now(self) -> float:
        return self._runtime.time.now().monotonic

    # -- Over whom

    async def relays(self, station: StationId) -> tuple[list[tuple[str, float | None]], bool]:
        """Return addresses and round trips up to a station, and whether it was reached itself.

        An address is empty where nobody answered.  There has to be a route.
        """
        mesh = self._runtime.station.mesh
        way = mesh.way_to(station)
        if way is None:
            return [], False
        traced = self._remembered(station, way)
        await self._trace(station, traced)
        arrived = traced.length is not None
        length = traced.length or max(traced.relays, default=0)
        found: list[tuple[str, float | None]] = [
            traced.relays.get(distance, ("", None)) for distance in range(1, length + 1)
        ]
        first = mesh.neighbour_addresses().get((way.interface, way.via), "")
        if found and not found[0][0]:
            found[0] = (first, None)
        return found, arrived

    def _remembered(self, station: StationId, way: NetRoute) -> _Traced:
        traced, now = self._traced.get(station), self._now()
        if traced is None or traced.route != way or now - traced.at > FRESH_S:
            traced = self._traced[station] = _Traced(way, now)
            while len(self._traced) > MAX_TRACED:
                del self._traced[next(iter(self._traced))]
        return traced

    async def _trace(self, station: StationId, traced: _Traced) -> None:
        """Ask those who have not answered; a second time where the way is longer than thought."""
        likely = self.counts.hops(station) or MAX_HOPS
        for most in dict.fromkeys((min(likely, MAX_HOPS), MAX_HOPS)):
            last = traced.length or most
            missing = [one for one in range(1, last + 1) if one not in traced.relays]
            if not missing:
                return
            await self._ask(station, traced, missing)
            if traced.length is not None:
                break
        if traced.length is not None:
            self._counted(station, traced.length)

    async def _ask(self, station: StationId, traced: _Traced, distances: list[int]) -> None:
        target = station.host
        try:
            replies = await probe(self._source, target, distances, within_s=ANSWER_WITHIN_S)
        except TraceError:
            return
        for one in replies:
            if traced.length is None or one.hop_limit <= traced.length:
                traced.relays[one.hop_limit] = (one.address, one.rtt_ms)
            if one.arrived and traced.length is None:
                traced.length = one.hop_limit
