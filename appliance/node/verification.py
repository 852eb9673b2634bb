"""Comparisons with other stations: begun by us or by them, judged by the operators.

One attempt at a time with a station, and not many in a row: each is one guess for somebody in the
middle, so attempts are few and those that were given up stay visible.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from appliance.model.codec import FormatError
from appliance.model.identity import StationId
from appliance.node.effects import Effect, Send, VerificationChanged
from appliance.protocol.frames import Channel
from appliance.protocol.sas import (
    ATTEMPT_SIZE,
    NONCE_SIZE,
    SasKind,
    SasMessage,
    commitment,
    commitment_holds,
    digits,
)

EXCHANGE_S: Final = 10.0
"""For the three messages."""

COMPARE_S: Final = 600.0
"""For the operators to read six digits to each other."""

MIN_INTERVAL_S: Final = 5.0
MAX_PER_HOUR: Final = 12
"""Attempts with one station: 12 guesses in a million an hour."""

KEPT: Final = 50


class VerificationRefusedError(Exception):
    """No comparison can be begun or judged now: a code for programs and words."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class Stage(StrEnum):
    """Where a comparison is."""

    WAITING = "waiting"
    """The exchange is under way."""

    COMPARE = "compare"
    """Both operators should see the same digits."""

    VERIFIED = "verified"
    """Our operator said that they match."""

    MISMATCH = "mismatch"
    """Our operator said that they differ, or a reveal did not fit its commitment."""

    ABANDONED = "abandoned"
    """Given up by a side, or nobody said anything in time."""

    REFUSED = "refused"
    """The other side begins too often."""


_OPEN: Final = frozenset({Stage.WAITING, Stage.COMPARE})


@dataclass(frozen=True)
class Comparison:
    """One attempt."""

    id: str
    """Names it; hex of its 8 bytes."""

    station: StationId
    """With whom."""

    ours: bool
    """We began it."""

    stage: Stage
    """Where it is."""

    began_at: float
    """Monotonic seconds."""

    deadline: float
    """When it counts as abandoned."""

    digits: str | None = None
    """To compare aloud."""

    our_nonce: bytes = b""
    """rA or rB."""

    commitment: bytes = b""
    """What the initiator committed with, where that is not us."""

    wire_name: bytes = b""
    """What names it on the wire, where that is not its id: both sides began, theirs goes on."""

    @property
    def attempt(self) -> bytes:
        """The 8 bytes that name it on the wire."""
        return self.wire_name or bytes.fromhex(self.id)


class Verifier:
    """All comparisons of this station."""

    def __init__(self, own: StationId, random_bytes: Callable[[int], bytes]) -> None:
        """`random_bytes` gives secret random bytes."""
        self._own, self._random = own, random_bytes
        self._all: dict[str, Comparison] = {}
        self._begun: dict[StationId, list[float]] = {}

    def all(self) -> tuple[Comparison, ...]:
        """Return comparisons, latest first."""
        return tuple(reversed(self._all.values()))

    def get(self, comparison: str) -> Comparison | None:
        """Find one by its id."""
        return self._all.get(comparison)

    def running(self, station: StationId) -> Comparison | None:
        """Return the open comparison with a station."""
        for comparison in self._all.values():
            if comparison.station == station and comparison.stage in _OPEN:
                return comparison
        return None

    def begin(self, station: StationId, now: float) -> tuple[Comparison, list[Effect]]:
        """Begin a comparison with a station that has a session, or return the open one.

        Raises VerificationRefusedError when there were too many.
        """
        running = self.running(station)
        if running is not None:
            return running, []
        if not self._allowed(station, now):
            raise VerificationRefusedError(
                "too-often", "There were several comparisons just now. Wait a little."
            )
        nonce = self._random(NONCE_SIZE)
        comparison = Comparison(
            id=self._random(ATTEMPT_SIZE).hex(),
            station=station,
            ours=True,
            stage=Stage.WAITING,
            began_at=now,
            deadline=now + EXCHANGE_S,
            our_nonce=nonce,
        )
        committed = commitment(self._own, station, nonce)
        return comparison, [
            *self._put(comparison),
            _send(comparison, SasKind.COMMIT, committed),
        ]

    def received(self, peer: StationId, data: bytes, now: float) -> list[Effect]:
        """Take a message of a peer; raises FormatError."""
        message = SasMessage.decode(data)
        if message.kind is SasKind.COMMIT:
            return self._commit(peer, message, now)
        comparison = self.running(peer)
        if comparison is None or comparison.attempt != message.attempt:
            return []
        if message.kind is SasKind.ABANDON:
            return self._put(replace(comparison, stage=Stage.ABANDONED))
        if comparison.stage is not Stage.WAITING:
            raise FormatError("verify: a message out of turn")
        if message.kind is SasKind.NONCE and comparison.ours:
            shown = digits(
                self._own,
                peer,
                initiator_nonce=comparison.our_nonce,
                responder_nonce=message.value,
            )
            return [
                _send(comparison, SasKind.REVEAL, comparison.our_nonce),
                *self._compare(comparison, shown, now),
            ]
        if message.kind is SasKind.REVEAL and not comparison.ours:
            return self._reveal(comparison, message.value, now)
        raise FormatError("verify: a message from the wrong side")

    def judge(self, comparison_id: str, *, match: bool) -> tuple[Comparison, list[Effect]]:
        """Take our operator's word; raises VerificationRefusedError when none is asked for."""
        comparison = self._all.get(comparison_id)
        if comparison is None:
            raise VerificationRefusedError("unknown", "There is no such comparison.")
        if comparison.stage is not Stage.COMPARE:
            raise VerificationRefusedError("not-open", "There are no digits to compare any more.")
        judged = replace(comparison, stage=Stage.VERIFIED if match else Stage.MISMATCH)
        return judged, self._put(judged)

    def abandon(self, station: StationId) -> list[Effect]:
        """Give up what is open with a station: its session ended, or our operator left."""
        running = self.running(station)
        if running is None:
            return []
        return [
            *self._put(replace(running, stage=Stage.ABANDONED)),
            _send(running, SasKind.ABANDON, b""),
        ]

    def session_down(self, station: StationId) -> list[Effect]:
        """A session ended in which an exchange was under way; digits that are shown stay good."""
        running = self.running(station)
        if running is None or running.stage is not Stage.WAITING:
            return []
        return self._put(replace(running, stage=Stage.ABANDONED))

    def next_wakeup(self) -> float | None:
        """Say when to call `wakeup`."""
        return min((c.deadline for c in self._all.values() if c.stage in _OPEN), default=None)

    def wakeup(self, now: float) -> list[Effect]:
        """Give up what took too long."""
        late = [c for c in self._all.values() if c.stage in _OPEN and c.deadline <= now]
        return [effect for c in late for effect in self._put(replace(c, stage=Stage.ABANDONED))]

    def _commit(self, peer: StationId, message: SasMessage, now: float) -> list[Effect]:
        running = self.running(peer)
        if running is not None and running.ours and running.stage is Stage.WAITING:
            # Both began at once: the attempt of the lower id goes on, and both are one.
            if self._own < peer:
                return []
            # Under our id, which our operator's screen waits for.
            theirs = replace(
                running,
                ours=False,
                wire_name=message.attempt,
                commitment=message.value,
                our_nonce=self._random(NONCE_SIZE),
                deadline=now + EXCHANGE_S,
            )
            return [*self._put(theirs), _send(theirs, SasKind.NONCE, theirs.our_nonce)]
        allowed = self._allowed(peer, now)
        if running is not None:
            abandoned = self._put(replace(running, stage=Stage.ABANDONED))
            return abandoned + self._respond(peer, message, now, allowed=allowed)
        return self._respond(peer, message, now, allowed=allowed)

    def _respond(
        self, peer: StationId, message: SasMessage, now: float, *, allowed: bool
    ) -> list[Effect]:
        comparison = Comparison(
            id=message.attempt.hex(),
            station=peer,
            ours=False,
            stage=Stage.WAITING,
            began_at=now,
            deadline=now + EXCHANGE_S,
            our_nonce=self._random(NONCE_SIZE),
            commitment=message.value,
        )
        if comparison.id in self._all:
            return []
        if not allowed:
            return [*self._refuse(comparison), _send(comparison, SasKind.ABANDON, b"")]
        return [*self._put(comparison), _send(comparison, SasKind.NONCE, comparison.our_nonce)]

    def _refuse(self, comparison: Comparison) -> list[Effect]:
        # One entry says it, so that a flood pushes no other comparison out of sight.
        for earlier in self._all.values():
            if earlier.station == comparison.station and earlier.stage is Stage.REFUSED:
                return self._put(replace(earlier, began_at=comparison.began_at))
        return self._put(replace(comparison, stage=Stage.REFUSED))

    def _reveal(self, comparison: Comparison, nonce: bytes, now: float) -> list[Effect]:
        if not commitment_holds(comparison.commitment, comparison.station, self._own, nonce):
            return self._put(replace(comparison, stage=Stage.MISMATCH))
        shown = digits(
            comparison.station,
            self._own,
            initiator_nonce=nonce,
            responder_nonce=comparison.our_nonce,
        )
        return self._compare(comparison, shown, now)

    def _compare(self, comparison: Comparison, shown: str, now: float) -> list[Effect]:
        return self._put(
            replace(comparison, stage=Stage.COMPARE, digits=shown, deadline=now + COMPARE_S)
        )

    def _allowed(self, station: StationId, now: float) -> bool:
        begun = [at for at in self._begun.get(station, []) if now - at < 3600]
        if len(begun) >= MAX_PER_HOUR or (begun and now - begun[-1] < MIN_INTERVAL_S):
            return False
        self._begun[station] = [*begun, now]
        while len(self._begun) > 256:
            del self._begun[next(iter(self._begun))]
        return True

    def _put(self, comparison: Comparison) -> list[Effect]:
        self._all[comparison.id] = comparison
        while len(self._all) > KEPT:
            del self._all[min(self._all.values(), key=_worth).id]
        return [VerificationChanged(comparison.id)]


def _worth(comparison: Comparison) -> tuple[bool, bool, float]:
    """What is forgotten first sorts lowest: what strangers began and nobody has judged."""
    judged = comparison.stage in {Stage.VERIFIED, Stage.MISMATCH}
    return (comparison.ours or judged, comparison.stage in _OPEN, comparison.began_at)


def _send(comparison: Comparison, kind: SasKind, value: bytes) -> Effect:
    message = SasMessage(kind, comparison.attempt, value)
    return Send(comparison.station, Channel.VERIFY, message.encode())
