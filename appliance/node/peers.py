"""With whom a session stands, whom to dial and when.

A session is wanted with some of the stations on each link, for gossip; with whomever something is
to be said to, for as long as it takes; and with the addresses that the operator gave.  Sightings,
routes and addresses are hints from strangers; only a proved session counts.  Two stations that
dial each other at the same time end up with one session, and both keep the same one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

from appliance.model.identity import StationId
from appliance.node.dial_times import (
    CROWD_S,
    CROWD_YIELD_S,
    ENOUGH_S,
    FIRST_SESSIONS,
    LASTING_S,
    LOOK_EVERY_S,
    MAX_ATTEMPTS,
    MAX_CROWD_S,
    MEET_S,
    MOVE_S,
    YIELD_S,
    Settling,
)
from appliance.node.effects import Dial, Effect, EndSession, StationChanged
from appliance.node.fanout import MAX_SESSIONS
from appliance.node.targets import (
    FAILING,
    FIRST_RETRY_S,
    MAX_CANDIDATES,
    MAX_RETRY_S,
    Heard,
    Host,
    Target,
    Targets,
)
from appliance.node.usage import DUPLICATE, ENOUGH, HURRIED_S, IDLE, IDLE_S, SessionInfo, Usage


class Peers:
    """Sessions and dialling."""

    def __init__(
        self,
        own: StationId,
        random: Callable[[], float],
        *,
        in_use: Callable[[StationId], bool] = lambda _: False,
        busy: Callable[[StationId], bool] = lambda _: False,
    ) -> None:
        """`random` gives numbers from 0 to 1 for jitter; `in_use` and `busy`: see `Usage`."""
        self._own, self._random = own, random
        self._targets = Targets(own)
        self._sessions: dict[StationId, SessionInfo] = {}
        self._routed: dict[StationId, float] = {}
        """Since when there is a route."""
        self._usage = Usage(in_use, busy)
        self._settling = Settling(CROWD_S, MAX_CROWD_S)
        self._attempts: dict[int, Target] = {}
        self._last_attempt = 0
        self._look_at = math.inf
        """When to look for sessions that nobody needs."""
        self._next: float | None = None
        """When to wake up; None: to be computed anew."""

    # -- What there is

    def session(self, peer: StationId) -> SessionInfo | None:
        """Return the session with a station, if one stands."""
        return self._sessions.get(peer)

    def sessions(self) -> tuple[SessionInfo, ...]:
        """Return all sessions that stand."""
        return tuple(self._sessions.values())

    def dialling(self, peer: StationId) -> bool:
        """Tell whether a session with a station is being attempted."""
        target = self._targets.known.get(peer)
        return target is not None and target.attempt is not None

    def away_since(self, peer: StationId) -> float | None:
        """Say when the last session with a station ended, in monotonic seconds."""
        return self._usage.away_since.get(peer)

    def sighted_on(self, peer: StationId) -> frozenset[str]:
        """Return the links on which somebody says now that it is this station."""
        return self._targets.links_of(peer)

    def has_way(self, peer: StationId) -> bool:
        """Tell whether a session could probably be had: a route or an announcement that works."""
        target = self._targets.known.get(peer)
        works = target is not None and bool(target.heard) and target.failures < FAILING
        return works or peer in self._sessions or peer in self._routed

    def is_around(self, peer: StationId) -> bool:
        """Tell whether there is a route or an announcement, also one that did not work lately."""
        return peer in self._routed or self._targets.is_heard(peer) or peer in self._sessions

    def is_routed(self, peer: StationId) -> bool:
        """Tell whether we were told of a route to a station."""
        return peer in self._routed

    def attempted(self, attempt: int) -> StationId | None:
        """Return whom a dial that is under way wants to reach."""
        target = self._attempts.get(attempt)
        return target.wanted if target is not None else None

    def is_silent(self, station: StationId) -> bool:
        """Tell whether a station has a route and did not answer over it, more than once."""
        session = self._sessions.get(station)
        answers = session is not None and session.over_mesh
        return station in self._routed and not answers and self._targets.is_silent(station)

    def gossips_with(self, peer: StationId) -> bool:
        """Tell whether we or the peer have chosen each other for gossip."""
        return self.has_chosen(peer) or self._usage.gossips(peer)

    def has_chosen(self, peer: StationId) -> bool:
        """Tell whether we have chosen a station for gossip."""
        return peer in self._chosen()

    # -- Inputs: where others are

    def sighted(
        self,
        instance: str,
        station: StationId,
        candidates: tuple[Host, ...],
        now: float,
        *,
        links: tuple[str, ...] = ("",),
    ) -> list[Effect]:
        """Somebody announced itself, or announced other addresses or links than before."""
        target = self._targets.take(station, self._is_spared)
        if target is None:
            return []
        heard = Heard(candidates[:MAX_CANDIDATES], links)
        if self._targets.heard(target, instance, heard):
            self._targets.answers(target)
            due = now if self._own < station else now + YIELD_S
            if station not in self._sessions and len(self._targets.known) > MAX_SESSIONS:
                self._settling.heard(now)
                due += 0.0 if self._own < station else CROWD_YIELD_S
            # Whoever announces something else all the time gets no more of our dials by it.
            target.retry_at = max(due, target.dialled_at + FIRST_RETRY_S)
        return self._dial_soon(target, now)

    def gone(self, instance: str, station: StationId) -> None:
        """An announcement was taken back or has run out."""
        self._targets.silent(instance, station, wanted=self._usage.demanded(station))

    def routed(self, station: StationId, *, reachable: bool, now: float) -> list[Effect]:
        """A route to a station came or went."""
        target = self._targets.known.get(station)
        session = self._sessions.get(station)
        if not reachable:
            self._routed.pop(station, None)
            if session is not None and session.over_mesh:
                self._usage.route_lost(station, now)
                if target is not None:
                    target.retry_at = max(target.retry_at, now + MOVE_S + self._random())
            self._next = None
            return []
        self._routed.setdefault(station, now)
        self._usage.route_found(station)
        if target is None:
            return []
        moves = session is not None and not session.over_mesh
        self._targets.answers(target)
        soon = now + MOVE_S + self._random() if moves else now + 0.1 * self._random()
        target.retry_at = max(soon, target.dialled_at + FIRST_RETRY_S)
        return self._dial_soon(target, now)

    def add_address(self, host: str, port: int, now: float) -> list[Effect]:
        """Dial an address that the operator gave, now and whenever nobody is met there."""
        self._targets.give((host, port)).retry_at = now
        return self._dial_due(now)

    def meet(self, address: str, now: float) -> list[Effect]:
        """Dial an address in the mesh of whose station nothing is known."""
        # Somebody nearer tells us of it in the meantime: else all would dial all.
        due = now + MEET_S * (1.0 + self._random())
        target = self._targets.look_into(address, now, due)
        return [] if target is None else self._dial_soon(target, now)

    def another_way(self, station: StationId, now: float) -> list[Effect]:
        """A station is about to be reached over another neighbour."""
        target = self._targets.known.get(station)
        if target is None:
            return []
        target.retry_at = now + MOVE_S
        return self._dial_soon(target, now)

    def forget(self, station: StationId) -> None:
        """A station is of no interest any more: what becomes of its route, nobody tells."""
        self._routed.pop(station, None)
        self._next = None

    def met(self, address: str, now: float) -> None:
        """Somebody told us of the station at an address, or the address is no longer reached."""
        self._targets.met(address, now)

    def given(self) -> Mapping[Host, Target]:
        """Return what the operator has added, to be kept over restarts."""
        return self._targets.manual

    def links_changed(self, now: float) -> list[Effect]:
        """An interface came or changed: whoever could not be reached may be reached now."""
        self._targets.may_work(now, self._random)
        return self._dial_due(now)

    # -- Inputs: what is wanted

    def need(self, station: StationId, now: float, *, lasting: bool = False) -> list[Effect]:
        """Something is to be said to a station; `lasting`: for as long as there is no session."""
        if station == self._own:
            return []
        target = self._targets.take(station, self._is_spared if lasting else self._is_waited_for)
        if target is None:
            return []
        if self._look_at == math.inf:
            self._look_at, self._next = now + IDLE_S, None
        until = math.inf if lasting and station not in self._sessions else now + IDLE_S
        self._usage.demand(station, until)
        target.retry_at = min(target.retry_at, max(now, target.dialled_at + FIRST_RETRY_S))
        return self._dial_soon(target, now)

    def said_something(self, peer: StationId, now: float, *, gossip: bool = False) -> None:
        """Somebody with a session said something: it is not idle."""
        if peer in self._sessions:
            self._usage.heard(peer, now, gossip=gossip)

    # -- Inputs: dials and sessions

    def dial_failed(self, attempt: int, now: float) -> list[Effect]:
        """Nobody with the right key answered."""
        target = self._attempts.pop(attempt, None)
        if target is None:
            return []
        target.failed(now, self._random)
        if target.failures == FAILING:
            self._targets.changed()
        # Others may have waited for their turn.
        return [*self._changed(target), *self._dial_due(now)]

    def dial_succeeded(self, attempt: int, peer: StationId, now: float) -> list[Effect]:
        """A dial led to a session; `opened` has been or will be told of it."""
        target = self._attempts.pop(attempt, None)
        if target is not None:
            target.attempt = None
            target.retry_at = now + (MAX_RETRY_S if peer == self._own else FIRST_RETRY_S)
            # Another board may have the address by now: it would be dialled for ever.
            target.wanted = peer
            if self._targets.forget_unmet(target) and peer != self._own:
                self._usage.demand(peer, now + HURRIED_S)
        return self._dial_due(now)

    def opened(self, info: SessionInfo) -> tuple[bool, list[Effect]]:
        """A session was proved.  Returns whether it is the one to use, and what to do."""
        if info.peer == self._own:
            return False, [EndSession(info.handle, "self")]
        current = self._sessions.get(info.peer)
        if current is not None and not info.replaces(current, self._own):
            return False, [EndSession(info.handle, DUPLICATE)]
        self._sessions[info.peer] = info
        self._targets.connected(info.peer)
        self._usage.opened(info)
        self._look_at = min(self._look_at, info.opened_at + LOOK_EVERY_S)
        self._next = None
        ended = [EndSession(current.handle, DUPLICATE)] if current is not None else []
        return True, [*ended, StationChanged(info.peer)]

    def closed(
        self, handle: int, peer: StationId, now: float, reason: str = ""
    ) -> tuple[bool, list[Effect]]:
        """A session ended.  Returns whether it was the one in use, and what to do."""
        current = self._sessions.get(peer)
        if current is None or current.handle != handle:
            return False, []
        del self._sessions[peer]
        self._next = None
        self._usage.closed(peer, now)
        lasted = reason in {IDLE, ENOUGH} or now - current.opened_at >= LASTING_S
        pause_s = (0.0 if self._own < peer else YIELD_S) + (ENOUGH_S if reason == ENOUGH else 0.0)
        self._targets.lost(peer, now + pause_s + 0.2 * self._random(), lasted=lasted)
        return True, [StationChanged(peer)]

    # -- Time

    def next_wakeup(self) -> float | None:
        """Say when to call `wakeup`."""
        if self._next is None:
            times = [self._look_at]
            crowded = self._usage.crowded(self._sessions, self._chosen())
            wanted = (target for target in self._targets if self._wants_dial(target))
            times += [one.retry_at for one in wanted if self._has_turn(one, crowded=crowded)]
            self._next = min(times)
        return self._next if self._next < math.inf else None

    def wakeup(self, now: float) -> list[Effect]:
        """Dial whoever is due, and end what nobody needs."""
        self._next = None
        effects: list[Effect] = []
        if self._look_at <= now:
            goes_on = self._sessions or self._usage.expires()
            self._look_at = now + LOOK_EVERY_S if goes_on else math.inf
            ends = self._usage.unneeded(
                self._sessions,
                wanted=self._targets.met_for_operator() | self._chosen(),
                links_of=self.sighted_on,
                now=now,
            )
            effects += [EndSession(self._sessions[peer].handle, why) for peer, why in ends.items()]
        return [*effects, *self._dial_due(now)]

    # -- Rules

    def _chosen(self) -> frozenset[StationId]:
        return self._targets.choice(self._sessions)

    def _is_waited_for(self, peer: StationId) -> bool:
        return peer in self._sessions or self._usage.waited_for(peer)

    def _is_spared(self, peer: StationId) -> bool:
        works = not self._targets.known[peer].failures
        return self._is_waited_for(peer) or (self._usage.demanded(peer) and works)

    def _wants_dial(self, target: Target) -> bool:
        if target.attempt is not None:
            return False
        station = target.wanted
        if station is None or target.fixed:
            return station is None or station not in self._sessions
        if station == self._own:
            # Ourselves, or a copy of our key: only a session tells.
            return bool(target.heard)
        session = self._sessions.get(station)
        if session is not None:
            if session.over_mesh:
                return self._usage.without_route(station) and bool(target.heard)
            return station in self._routed and self._own < station
        if not target.heard and station not in self._routed:
            return False
        return self._usage.demanded(station) or station in self._chosen()

    def _dial_soon(self, target: Target, now: float) -> list[Effect]:
        """Dial somebody now or when it is time, without a look at all the others."""
        if target.retry_at <= now:
            return self._dial_due(now, (target,))
        if self._next is not None:
            self._next = min(self._next, target.retry_at)
        return []

    def _dial_due(self, now: float, targets: Iterable[Target] | None = None) -> list[Effect]:
        if targets is None:
            self._next = None
            targets = self._targets
        due = [one for one in targets if one.retry_at <= now and self._wants_dial(one)]
        effects: list[Effect] = []
        crowded = bool(due) and self._usage.crowded(self._sessions, self._chosen())
        # Those that never answer must not stand before the others.
        for target in sorted(due, key=lambda one: (one.failures, one.retry_at)):
            if not self._has_turn(target, crowded=crowded):
                continue
            urgent = target.wanted in self._sessions or self._usage.demanded(target.wanted)
            begins = len(self._sessions) + len(self._attempts) < FIRST_SESSIONS
            if now < self._settling.until and target.heard and not (urgent or begins):
                target.retry_at = self._settling.until
                continue
            self._last_attempt += 1
            target.attempt = self._last_attempt
            target.dialled_at = now
            self._attempts[target.attempt] = target
            # An address that was given may belong to another board by tomorrow.
            wanted = None if target.fixed else target.wanted
            hosts = target.candidates(routed=wanted in self._routed, met=wanted in self._sessions)
            effects.append(Dial(target.attempt, wanted, hosts))
            effects += self._changed(target)
        return effects

    def _has_turn(self, target: Target, *, crowded: bool) -> bool:
        """Tell whether it has not to wait for the end of other dials and sessions."""
        station, full = target.wanted, len(self._attempts) >= MAX_ATTEMPTS
        if target.unmet_since is not None:
            # One after another: whoever is met brings the cards of more.
            return not full and all(one.unmet_since is None for one in self._attempts.values())
        if not full and (not crowded or station in self._chosen()):
            return True
        # Others may have to wait, but not where somebody sits and does.
        return target.given or (station is not None and self._usage.in_use(station))

    def _changed(self, target: Target) -> list[Effect]:
        return [StationChanged(target.wanted)] if target.wanted is not None else []
