"""Whether a session's other side is still there, and how far away it is.

The sides take turns to ask now and then, and answer at once.  Asking also keeps NAT bindings open.
An answer says what time it is at the other side (`time_claim`), which stations of v0.2.0 ignore.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from appliance.model.codec import FIRST_IGNORABLE_KEY, Fields, decode, encode
from appliance.protocol.time_claim import TimeClaim

PING_EVERY_S: Final = 5.0
"""How often on a session between neighbours' own addresses, where nothing else watches the way."""

MESH_PING_EVERY_S: Final = 15.0
"""How often where the routing protocol watches the way and says sooner when it is gone."""

FIRST_PING_S: Final = 0.5
"""Ours: by then both sides have settled what a new session brings, so that it is not measured."""

DEAD_AFTER_PINGS: Final = 3.2
"""Three pings unanswered.  Ours: long enough for a radio that fades, short enough to reroute."""

ANSWER_S: Final = 4.0
"""Who is asked because the way is in doubt has this long.  Ours: TCP sends what is lost again each
second, so some tries fall into it."""

TURN: Final = 1.2
"""Who pinged last waits so much longer, so that the two sides take turns."""

TIME_KEY: Final = FIRST_IGNORABLE_KEY
"""Of an answer's map: stations that don't know it pass over it."""

RTT_WEIGHT: Final = 0.125
"""Weight of a new round-trip sample (RFC 6298 section 2)."""


class ControlKind(IntEnum):
    """Messages of the control channel."""

    PING = 0
    PONG = 1
    BYE = 2


@dataclass(frozen=True)
class Control:
    """One message of the control channel."""

    kind: ControlKind
    """Which."""

    number: int = 0
    """Ping and pong: which ping."""

    reason: str = ""
    """Bye: why, for programs."""

    time: TimeClaim | None = None
    """Pong: what time it is there; older stations don't say."""

    def encode(self) -> bytes:
        """Return the bytes that are sent."""
        fields: dict[int, object] = {0: int(self.kind), 1: self.number, 2: self.reason}
        if self.time is not None:
            fields[TIME_KEY] = self.time.fields()
        return encode(fields)

    @classmethod
    def decode(cls, data: bytes) -> Control | None:
        """Read one; None for a kind that this version does not know; raises FormatError."""
        fields = Fields(decode(data, limit=4096), "control")
        kind = fields.uint(0)
        if kind not in set(ControlKind):
            return None
        claim = TimeClaim.read(fields.inner(TIME_KEY)) if fields.has(TIME_KEY) else None
        control = cls(ControlKind(kind), fields.uint(1), fields.text(2, limit=64), claim)
        fields.end()
        return control


class KeepAlive:
    """The pings of one session."""

    def __init__(self, now: float, *, every_s: float = PING_EVERY_S) -> None:
        self._every_s = every_s
        self.rtt_s: float | None = None
        """Smoothed round trip."""

        self._heard_at = now
        self._ping_at = now + FIRST_PING_S
        self._number = 0
        self._sent_at: float | None = None
        self._asked_at: float | None = None

    @property
    def heard_at(self) -> float:
        """When something last arrived."""
        return self._heard_at

    def heard(self, now: float) -> None:
        """Something arrived."""
        self._heard_at = now
        self._asked_at = None

    def ask(self, now: float) -> None:
        """Ping at once, since the way is in doubt: without an answer it is dead in `ANSWER_S`."""
        if self._asked_at is None:
            self._asked_at = self._ping_at = now

    @property
    def dead_at(self) -> float:
        """When the other side has been silent for too long, unless it is heard before."""
        dead_at = self._heard_at + DEAD_AFTER_PINGS * self._every_s
        return dead_at if self._asked_at is None else min(dead_at, self._asked_at + ANSWER_S)

    @property
    def next_ping(self) -> float:
        """When `ping` is due."""
        return self._ping_at

    def ping(self, now: float) -> Control | None:
        """Return the ping that is due, if one is."""
        if now < self._ping_at:
            return None
        self._ping_at = now + TURN * self._every_s
        self._number += 1
        self._sent_at = now
        return Control(ControlKind.PING, self._number)

    def pinged(self, now: float) -> None:
        """The other side asked, so ours need not."""
        if self._number:
            self._ping_at = now + self._every_s

    def pong(self, number: int, now: float) -> float | None:
        """Take an answer; return how long it took.

        One that is not to the latest ping says nothing about the round trip.
        """
        if number != self._number or self._sent_at is None:
            return None
        sample = max(now - self._sent_at, 0.0)
        self._sent_at = None
        if self.rtt_s is None:
            self.rtt_s = sample
        else:
            self.rtt_s += RTT_WEIGHT * (sample - self.rtt_s)
        return sample
