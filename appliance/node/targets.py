"""Whom this station may want to dial, at which addresses, and when it is time to."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Final, TypeAlias

from appliance.model.identity import StationId
from appliance.node.dial_times import MAX_MEET_S, MEET_S
from appliance.node.fanout import choose

FIRST_RETRY_S: Final = 0.5
MAX_RETRY_S: Final = 60.0
MAX_CANDIDATES: Final = 8
SESSION_PORT: Final = 18950
"""Where stations take sessions over the mesh; no announcement reaches there that could name
another."""

MAX_KNOWN: Final = 1024
"""Stations that are sighted at a time; one that was dialled in vain makes room for another."""

MAX_MANUAL: Final = 64
"""Addresses that the operator has added."""

MAX_UNMET: Final = 64
"""Addresses of unknown stations that are looked into at a time."""

UNANSWERED: Final = 2
"""Dials in vain after which another route is tried."""

FAILING: Final = 3
"""Dials in vain after which somebody else takes its place for gossip."""

Host: TypeAlias = tuple[str, int]


@dataclass(frozen=True)
class Heard:
    """One announcement of a station."""

    candidates: tuple[Host, ...]
    """Where it says that it is."""

    links: tuple[str, ...]
    """On which interfaces it was heard."""


@dataclass
class Target:
    """Somebody to dial: a station, or an address at which somebody may be."""

    wanted: StationId | None
    """Whose key has to be proved; None: whoever answers."""

    fixed: tuple[Host, ...] = ()
    """An address that was given and not announced."""

    given: bool = False
    """By the operator: it does not wait for others."""

    unmet_since: float | None = None
    """It is an address in the mesh of whose station nothing is known, since then."""

    heard: dict[str, Heard] = field(default_factory=dict)
    """By instance, so that each can go by itself."""

    retry_at: float = 0.0
    failures: int = 0
    attempt: int | None = None
    """The dial that is under way."""

    dialled_at: float = -math.inf
    """When the last one began."""

    def announced(self) -> tuple[Host, ...]:
        """In turns, so that whoever announces false ones first does not keep us from the others."""
        turns = zip_longest(*(one.candidates for one in self.heard.values()))
        hosts = [host for turn in turns for host in turn if host]
        return (*self.fixed, *dict.fromkeys(hosts))[:MAX_CANDIDATES]

    def candidates(self, *, routed: bool, met: bool) -> tuple[Host, ...]:
        """Return where to dial it; `routed`: there is a route, `met`: a session stands."""
        if self.wanted is None or not routed:
            return self.announced()
        over_mesh = (self.wanted.host, SESSION_PORT)
        # A session that stands is dialled a second time only to move it.
        return (over_mesh,) if met else (over_mesh, *self.announced())[:MAX_CANDIDATES]

    def links(self) -> frozenset[str]:
        """Return the interfaces on which it was heard."""
        return frozenset(link for one in self.heard.values() for link in one.links)

    def backoff_s(self) -> float:
        """Return how long to wait after another failure."""
        return min(FIRST_RETRY_S * 2.0 ** min(self.failures, 16), MAX_RETRY_S)

    def failed(self, now: float, random: Callable[[], float]) -> None:
        """A dial was in vain."""
        self.attempt = None
        self.retry_at = now + self.backoff_s() * (0.5 + random())
        self.failures += 1


class Targets:
    """Everybody whom this station may want to dial."""

    def __init__(self, own: StationId) -> None:
        self._own = own
        self.known: dict[StationId, Target] = {}
        """Sighted, or wanted."""
        self.manual: dict[Host, Target] = {}
        """The operator's."""
        self.unmet: dict[str, Target] = {}
        """By address in the mesh, where nobody is known who has it."""
        self._chosen: frozenset[StationId] | None = None
        """For gossip; None: to be chosen anew."""

    def __iter__(self) -> Iterator[Target]:
        yield from self.known.values()
        yield from self.manual.values()
        yield from self.unmet.values()

    def links_of(self, station: StationId) -> frozenset[str]:
        """Return the links on which somebody says now that it is this station."""
        target = self.known.get(station)
        return target.links() if target is not None else frozenset()

    def take(self, station: StationId, spared: Callable[[StationId], bool]) -> Target | None:
        """Return a station's target, a new one if need be; None: there is no room.

        `spared` tells who must not be forgotten for it.
        """
        if station not in self.known:
            if len(self.known) >= MAX_KNOWN and not self._make_room(spared):
                return None
            self.known[station] = Target(wanted=station)
        return self.known[station]

    def give(self, host: Host) -> Target:
        """Return the target of an address of the operator, a new one if need be."""
        target = self.manual.get(host)
        if target is None:
            if len(self.manual) >= MAX_MANUAL:
                del self.manual[next(iter(self.manual))]
            target = self.manual[host] = Target(None, (host,), given=True)
        return target

    def is_heard(self, station: StationId) -> bool:
        """Tell whether somebody says now that it is this station."""
        target = self.known.get(station)
        return target is not None and bool(target.heard)

    def is_silent(self, station: StationId) -> bool:
        """Tell whether it was dialled in vain more than once."""
        target = self.known.get(station)
        return target is not None and target.failures >= UNANSWERED

    def look_into(self, address: str, now: float, due: float) -> Target | None:
        """Return the target of a new address in the mesh; None: it is not new, or they are many."""
        if address in self.unmet or len(self.unmet) >= MAX_UNMET:
            return None
        target = Target(None, ((address, SESSION_PORT),), unmet_since=now, retry_at=due)
        self.unmet[address] = target
        return target

    def met(self, address: str, now: float) -> None:
        """Somebody told us of the station at an address, and may soon tell us of others."""
        self.unmet.pop(address, None)
        for target in self.unmet.values():
            since = now if target.unmet_since is None else target.unmet_since
            target.retry_at = max(target.retry_at, min(now + MEET_S, since + MAX_MEET_S))

    def forget_unmet(self, target: Target) -> bool:
        """Somebody was met; tells whether the target was an address in the mesh."""
        found = [address for address, unmet in self.unmet.items() if unmet is target]
        for address in found:
            del self.unmet[address]
        return bool(found)

    def met_for_operator(self) -> frozenset[StationId]:
        """Return who was met at the operator's addresses."""
        met = (target.wanted for target in self.manual.values())
        return frozenset(station for station in met if station is not None)

    def _make_room(self, spared: Callable[[StationId], bool]) -> bool:
        """Forget somebody who is gone, or else who was dialled in vain most often."""
        idle = [
            (not target.heard, target.failures, station)
            for station, target in self.known.items()
            if (target.failures or not target.heard)
            and target.attempt is None
            and not spared(station)
        ]
        if not idle:
            return False
        del self.known[max(idle)[2]]
        return True

    def heard(self, target: Target, instance: str, heard: Heard) -> bool:
        """Note an announcement; returns whether it says something new."""
        before = target.links()
        fresh = target.heard.get(instance) != heard
        target.heard[instance] = heard
        if len(target.heard) > MAX_CANDIDATES:
            del target.heard[next(iter(target.heard))]
        if target.links() != before:
            self._chosen = None
        return fresh

    def answers(self, target: Target) -> None:
        """Somebody who did not answer is believed to do so again."""
        if target.failures >= FAILING:
            self._chosen = None
        target.failures = 0

    def connected(self, station: StationId) -> None:
        """A session stands, so that nobody needs to stand in for somebody who failed."""
        target = self.known.get(station)
        if target is not None and target.failures >= FAILING:
            self._chosen = None

    def silent(self, instance: str, station: StationId, *, wanted: bool) -> None:
        """An announcement was taken back; whoever is not `wanted` nor was dialled is forgotten."""
        target = self.known.get(station)
        if target is not None:
            self._chosen = None
            target.heard.pop(instance, None)
            # One that was dialled is remembered: it may be back in a moment, and again.
            if not target.heard and target.dialled_at == -math.inf and not wanted:
                del self.known[station]

    def may_work(self, now: float, random: Callable[[], float]) -> None:
        """Whoever could not be reached may be reached now."""
        for target in self:
            target.failures = 0
            target.retry_at = min(target.retry_at, now + 0.1 * random())
        self._chosen = None

    def lost(self, station: StationId, retry_at: float, *, lasted: bool) -> None:
        """A session ended; unless it `lasted`, that counts as a failure."""
        for target in self:
            if target.wanted == station:
                before = target.failures
                target.failures = 0 if lasted else target.failures + 1
                again_at = retry_at if lasted else retry_at + target.backoff_s()
                target.retry_at = max(target.retry_at, again_at)
                if max(before, target.failures) >= FAILING:
                    self._chosen = None

    def changed(self) -> None:
        """Somebody began or ceased to answer."""
        self._chosen = None

    def choice(self, sessions: Collection[StationId]) -> frozenset[StationId]:
        """Return those on our links with whom to gossip."""
        if self._chosen is None:
            working: dict[str, set[StationId]] = {}
            every: dict[str, set[StationId]] = {}
            for station, target in self.known.items():
                for link in target.links():
                    every.setdefault(link, set()).add(station)
                    if target.failures < FAILING or station in sessions:
                        working.setdefault(link, set()).add(station)
            # Those that do not answer are tried again, and others stand in for them.
            links = {frozenset(there) for there in (*working.values(), *every.values())}
            picked = [choose(self._own, there) for there in links]
            self._chosen = frozenset().union(*picked)
        return self._chosen
