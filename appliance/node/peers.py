"""With whom a session stands, whom to dial and when.

Sightings and addresses are hints from strangers; only a proved session counts.  Two stations that
dial each other at the same time end up with one session, and both keep the same one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Final

from appliance.model.identity import StationId
from appliance.node.effects import AlarmRaised, Dial, Effect, EndSession, StationChanged

FIRST_RETRY_S: Final = 0.5
MAX_RETRY_S: Final = 60.0
LASTING_S: Final = 5.0
"""A session that ends sooner counts as a failed dial, so that two stations can't spin."""

YIELD_S: Final = 0.3
"""The station with the higher id leaves the dialling to the other for this long."""

MAX_KNOWN: Final = 1024
"""Stations that are sighted at a time; one that was dialled in vain makes room for another."""

MAX_CANDIDATES: Final = 8
MAX_MANUAL: Final = 64
"""Addresses that the operator has added."""

CROSSED_S: Final = 8.0
"""Two sessions farther apart did not cross: no dial takes so long (`adapters.acceptor`)."""

DUPLICATE: Final = "duplicate"
"""Reason for ending the session that both sides agree is one too many."""


@dataclass(frozen=True)
class SessionInfo:
    """A proved session, as the node sees it."""

    handle: int
    """Names it in effects."""

    peer: StationId
    """Proved."""

    boot: bytes
    """Its start."""

    outgoing: bool
    """We dialled."""

    local_host: str
    """Our end."""

    remote_host: str
    """Their end."""

    opened_at: float
    """Monotonic seconds."""


@dataclass
class _Target:
    """Somebody to dial: a sighted station, or an address that the operator gave."""

    wanted: StationId | None
    candidates: dict[str, tuple[tuple[str, int], ...]] = field(default_factory=dict)
    """By sighted instance, so that each can go by itself."""

    retry_at: float = 0.0
    failures: int = 0
    attempt: int | None = None
    """The dial that is under way."""

    dialled_at: float = -math.inf
    """When the last one began."""

    def addresses(self) -> tuple[tuple[str, int], ...]:
        """In turns, so that whoever announces false ones first does not keep us from the others."""
        turns = [one for turn in zip_longest(*self.candidates.values()) for one in turn if one]
        return tuple(dict.fromkeys(turns))[:MAX_CANDIDATES]


class Peers:
    """Sessions and dialling."""

    def __init__(self, own: StationId, boot: bytes, random: Callable[[], float]) -> None:
        """`random` gives numbers from 0 to 1 for jitter."""
        self._own, self._boot, self._random = own, boot, random
        self._sighted: dict[StationId, _Target] = {}
        self._manual: dict[tuple[str, int], _Target] = {}
        self._sessions: dict[StationId, SessionInfo] = {}
        self._away_since: dict[StationId, float] = {}
        self._attempts: dict[int, _Target] = {}
        self._last_attempt = 0

    # -- What there is

    def session(self, peer: StationId) -> SessionInfo | None:
        """Return the session with a station, if one stands."""
        return self._sessions.get(peer)

    def sessions(self) -> tuple[SessionInfo, ...]:
        """Return all sessions that stand."""
        return tuple(self._sessions.values())

    def dialling(self, peer: StationId) -> bool:
        """Tell whether a session with a station is being attempted."""
        target = self._sighted.get(peer)
        return target is not None and target.attempt is not None

    def away_since(self, peer: StationId) -> float | None:
        """Say when the last session with a station ended, in monotonic seconds."""
        return self._away_since.get(peer)

    # -- Inputs

    def sighted(
        self,
        instance: str,
        station: StationId,
        candidates: tuple[tuple[str, int], ...],
        now: float,
    ) -> list[Effect]:
        """Somebody announced itself, or announced other addresses than before."""
        target = self._sighted.get(station)
        if target is None:
            if len(self._sighted) >= MAX_KNOWN and not self._make_room():
                return []
            target = self._sighted[station] = _Target(wanted=station)
        candidates = candidates[:MAX_CANDIDATES]
        fresh = target.candidates.get(instance) != candidates
        target.candidates[instance] = candidates
        if len(target.candidates) > MAX_CANDIDATES:
            del target.candidates[next(iter(target.candidates))]
        if fresh:
            target.failures = 0
            due = now if self._own < station else now + YIELD_S
            # Whoever announces something else all the time gets no more of our dials by it.
            target.retry_at = max(due, target.dialled_at + FIRST_RETRY_S)
        return self._dial_due(now)

    def gone(self, instance: str, station: StationId) -> None:
        """An announcement was taken back or has run out."""
        target = self._sighted.get(station)
        if target is not None:
            target.candidates.pop(instance, None)
            # One that was dialled is remembered: it may be back in a moment, and again.
            if not target.candidates and target.dialled_at == -math.inf:
                del self._sighted[station]

    def add_address(self, host: str, port: int, now: float) -> list[Effect]:
        """Dial an address that the operator gave, now and whenever nobody is met there."""
        target = self._manual.get((host, port))
        if target is None:
            if len(self._manual) >= MAX_MANUAL:
                del self._manual[next(iter(self._manual))]
            target = self._manual[host, port] = _Target(wanted=None)
            target.candidates["manual"] = ((host, port),)
        target.retry_at = now
        return self._dial_due(now)

    def at_address(self, host: str, port: int) -> tuple[int | None, StationId | None]:
        """Return the attempt under way at an address of the operator, and who was met there."""
        target = self._manual.get((host, port))
        return (target.attempt, target.wanted) if target is not None else (None, None)

    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Return what the operator has added, to be kept over restarts."""
        return tuple(self._manual)

    def links_changed(self, now: float) -> list[Effect]:
        """An interface came or changed: whoever could not be reached may be reached now."""
        for target in (*self._sighted.values(), *self._manual.values()):
            target.failures = 0
            target.retry_at = min(target.retry_at, now + 0.1 * self._random())
        return self._dial_due(now)

    def dial_failed(self, attempt: int, now: float) -> list[Effect]:
        """Nobody with the right key answered."""
        target = self._attempts.pop(attempt, None)
        if target is None:
            return []
        target.attempt = None
        target.retry_at = now + self._backoff(target) * (0.5 + self._random())
        target.failures += 1
        return self._changed(target)

    def dial_succeeded(self, attempt: int, peer: StationId, now: float) -> list[Effect]:
        """A dial led to a session; `opened` has been or will be told of it."""
        target = self._attempts.pop(attempt, None)
        if target is not None:
            target.attempt = None
            target.retry_at = now + (MAX_RETRY_S if peer == self._own else FIRST_RETRY_S)
            # Another board may have the address by now: it would be dialled for ever.
            target.wanted = peer
        return []

    def opened(self, info: SessionInfo) -> tuple[bool, list[Effect]]:
        """A session was proved.  Returns whether it is the one to use, and what to do."""
        if info.peer == self._own:
            return False, [EndSession(info.handle, "self"), *self._met_ourselves(info)]
        current = self._sessions.get(info.peer)
        if current is not None and not self._replaces(info, current):
            return False, [EndSession(info.handle, DUPLICATE)]
        self._sessions[info.peer] = info
        effects: list[Effect] = []
        if current is not None:
            effects.append(EndSession(current.handle, DUPLICATE))
        effects.append(StationChanged(info.peer))
        return True, effects

    def closed(self, handle: int, peer: StationId, now: float) -> tuple[bool, list[Effect]]:
        """A session ended.  Returns whether it was the one in use, and what to do."""
        current = self._sessions.get(peer)
        if current is None or current.handle != handle:
            return False, []
        del self._sessions[peer]
        lasted = now - current.opened_at >= LASTING_S
        self._away_since[peer] = now
        while len(self._away_since) > MAX_KNOWN:
            del self._away_since[next(iter(self._away_since))]
        for target in (*self._sighted.values(), *self._manual.values()):
            if target.wanted == peer:
                target.failures = 0 if lasted else target.failures + 1
                wait = 0.0 if self._own < peer else YIELD_S
                if not lasted:
                    wait += self._backoff(target)
                target.retry_at = max(target.retry_at, now + wait + 0.2 * self._random())
        return True, [StationChanged(peer)]

    def next_wakeup(self) -> float | None:
        """Say when to call `wakeup`."""
        waiting = [
            target.retry_at
            for target in (*self._sighted.values(), *self._manual.values())
            if self._wants_dial(target)
        ]
        return min(waiting, default=None)

    def wakeup(self, now: float) -> list[Effect]:
        """Dial whoever is due."""
        return self._dial_due(now)

    # -- Rules

    def _replaces(self, new: SessionInfo, current: SessionInfo) -> bool:
        """Tell whether a second session with the same peer takes the place of the first.

        Whoever dials has lost the earlier one, by a restart or with its address, though we may not
        have noticed.  Unless the two crossed: then the one that the lower id dialled stays.
        """
        if new.boot != current.boot or new.outgoing == current.outgoing:
            return True
        if new.opened_at - current.opened_at > CROSSED_S:
            return True
        return new.outgoing == (self._own < new.peer)

    def _met_ourselves(self, info: SessionInfo) -> list[Effect]:
        if info.boot == self._boot:
            return []
        return [
            AlarmRaised(
                code="copied-key",
                text=f"Another board ({info.remote_host}) runs with this station's key.",
                fix="Stop one of the two and delete its state directory: it then gets its own key.",
            )
        ]

    def _backoff(self, target: _Target) -> float:
        return min(FIRST_RETRY_S * 2.0 ** min(target.failures, 16), MAX_RETRY_S)

    def _wants_dial(self, target: _Target) -> bool:
        if target.attempt is not None or not target.candidates:
            return False
        return target.wanted is None or target.wanted not in self._sessions

    def _make_room(self) -> bool:
        """Forget somebody who is gone, or else who was dialled in vain most often."""
        idle = [
            (not target.candidates, target.failures, station)
            for station, target in self._sighted.items()
            if (target.failures or not target.candidates)
            and target.attempt is None
            and station not in self._sessions
        ]
        if not idle:
            return False
        del self._sighted[max(idle)[2]]
        return True

    def _dial_due(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for target in (*self._sighted.values(), *self._manual.values()):
            if target.retry_at <= now and self._wants_dial(target):
                self._last_attempt += 1
                target.attempt = self._last_attempt
                target.dialled_at = now
                self._attempts[target.attempt] = target
                # An address that the operator gave may belong to another board by tomorrow.
                sighted = target.wanted is not None and target is self._sighted.get(target.wanted)
                wanted = target.wanted if sighted else None
                effects.append(Dial(target.attempt, wanted, target.addresses()))
                effects += self._changed(target)
        return effects

    def _changed(self, target: _Target) -> list[Effect]:
        return [StationChanged(target.wanted)] if target.wanted is not None else []
