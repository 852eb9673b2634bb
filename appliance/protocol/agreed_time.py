"""The time of day that stations agree on, as far as they can.

In this order: a source of our own (GPS, NTP); what other stations have from such a source, handed
on over some hops; the clocks of ourselves and of those we have sessions with, when most of them
show the same; else the clock that the machine has, as *not set*.

What others say is measured over a ping's round trip (RFC 5905 section 8, with one timestamp for
receipt and answer, which is sent at once): its error is half of that at most.  A time from a source
carries a bound of its error, which grows with each hop and with time (RFC 5905 section 11.1, the
dispersion), so what comes back to us in a circle is always worse than what we have.  Clocks without
a source are told as they are, never as what their station believes, so that nobody is counted
twice and two stations can't confirm each other.

Sources are believed by the largest number that agree, and of those the middle one; clocks only when
more than half agree, of three or more.  Where honest ones agree, a minority can therefore move the
time only between what they say; where they don't, by no more than agreeing allows.  A majority can
move it: keys are free, so whoever brings more keys than all others with whom we have sessions sets
the clock of every station that has no source of its own.  One liar is enough where nobody else has
a source and we never had one.  Nothing but what is shown depends on it: no order, no lifetime, no
key.

Time never goes back here: it runs at half speed until it is right.  A clock that is more than
`MAX_WAIT_S` ahead was never set, or a liar's, and is put right at once: to stand still for ten
years would help nobody.

What stays out: asking the machine's sources, and setting its clock, which is not ours to set.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

from appliance.model.identity import StationId
from appliance.model.record import Certainty
from appliance.protocol.time_choice import (
    MAX_ERROR_S,
    MAX_HOPS,
    STALE_S,
    Heard,
    Held,
    choose,
    from_clocks,
    from_sources,
    is_believable,
)
from appliance.protocol.time_claim import SourceTime, TimeClaim

MAX_PEERS: Final = 64
"""Of whom we remember what they said; who said something longest ago is forgotten first."""

OWN_STALE_S: Final = 120.0
"""How long a source of our own counts that has not been looked at."""

MAX_ROUND_TRIP_S: Final = 5.0

MAX_WAIT_S: Final = 600.0
"""By how much time waits rather than goes back."""

WAITING_PACE: Final = 0.5
"""Seconds a second while it waits."""

NOT_SET: Final = "clock not set"

JUDGE_EVERY_S: Final = 10.0
"""How often it is decided anew although nobody has said anything."""


@dataclass(frozen=True)
class OwnSource:
    """What keeps the time on this machine."""

    offset_s: float | None
    """Its time less ours that runs evenly; None: it keeps the machine's clock right."""

    error_s: float
    """How far it may be off."""

    gps: bool
    """It is a satellite's."""


@dataclass(frozen=True)
class Reading:
    """What time it is."""

    wall_s: float
    """Seconds since 1970."""

    certainty: Certainty
    """How sure that is."""

    words: str
    """Where it comes from, for the operator."""


class AgreedTime:
    """What time it is.  `now` is seconds that run evenly and go on while the machine sleeps."""

    def __init__(self) -> None:
        self._heard: dict[StationId, Heard] = {}
        self._own: tuple[OwnSource, float] | None = None
        self._held: Held | None = None
        self._judged_at = -math.inf
        self._shown: tuple[float, float] | None = None
        """The last time that we told, and when."""

    # -- Inputs

    def heard(self, peer: StationId, claim: TimeClaim, round_trip_s: float, now: float) -> None:
        """A station that has proved its key answered a ping."""
        if not 0.0 <= round_trip_s <= MAX_ROUND_TRIP_S:
            return
        # It answered in the middle of the round trip, as far as we know.
        middle = now - round_trip_s / 2
        said = Heard(peer, now, claim.own_ms / 1000 - middle)
        if claim.source is not None:
            said = replace(
                said,
                source=claim.source.ms / 1000 - middle,
                error_s=claim.source.error_ms / 1000 + round_trip_s / 2,
                hops=claim.source.hops,
                gps=claim.source.gps,
            )
        self._heard.pop(peer, None)
        self._heard[peer] = said
        if len(self._heard) > MAX_PEERS:
            del self._heard[next(iter(self._heard))]
        self._judged_at = -math.inf

    def slept(self) -> None:
        """The machine slept: what others said before was perhaps long under way."""
        self._heard.clear()

    def looked(self, source: OwnSource | None, now: float) -> None:
        """The machine's own sources were asked; None: it has none."""
        offset_s = source.offset_s if source is not None else None
        if offset_s is not None and not is_believable(now + offset_s):
            source = None  # receivers count weeks, and old ones begin anew after 20 years
        self._own = (source, now) if source is not None else None
        self._judged_at = -math.inf

    # -- Questions

    def read(self, own_s: float, now: float) -> Reading:
        """Say what time it is; `own_s` is the machine's clock, in seconds since 1970."""
        held = self._judge(own_s, now)
        right = own_s if held is None or held.follows_machine else now + held.offset
        wall = self._forward(right, now)
        if held is None:
            return Reading(wall, Certainty.UNSET, NOT_SET)
        if wall - right > MAX_ERROR_S:
            return Reading(wall, Certainty.UNSET, f"{held.words(now)}; ours was ahead and waits")
        certainty = Certainty.SYNCED if held.hops == 0 else Certainty.PEERS
        return Reading(wall, certainty, held.words(now))

    def tell(self, own_s: float, now: float) -> TimeClaim:
        """Return what to answer to a ping."""
        held = self._judge(own_s, now)
        own_ms = _ms(own_s)
        if held is None or held.hops is None or held.hops >= MAX_HOPS:
            return TimeClaim(own_ms)
        right = own_s if held.follows_machine else now + held.offset
        error_ms = math.ceil(held.error_at(now) * 1000)
        return TimeClaim(own_ms, SourceTime(_ms(right), error_ms, held.hops, held.gps))

    def clock_of(self, peer: StationId, now: float) -> float | None:
        """Return what a station's own clock shows now, if it said so lately."""
        said = self._heard.get(peer)
        return None if said is None or now - said.at > STALE_S else now + said.clock

    # -- Decisions

    def _forward(self, right: float, now: float) -> float:
        if self._shown is not None:
            told, at = self._shown
            least = told + WAITING_PACE * max(now - at, 0.0)
            if right < least and told - right <= MAX_WAIT_S:
                right = least
        self._shown = (right, now)
        return right

    def _judge(self, own_s: float, now: float) -> Held | None:
        if now - self._judged_at < JUDGE_EVERY_S:
            return self._held
        self._judged_at = now
        own = self._own
        # The machine's clock may have been set to nonsense since it was looked at.
        sound = own is not None and (own[0].offset_s is not None or is_believable(own_s))
        if own is not None and sound and now - own[1] <= OWN_STALE_S:
            source, machine = own[0], own_s - now
            self._held = Held(
                offset=machine if source.offset_s is None else source.offset_s,
                since=now,
                heard_at=now,
                error_s=min(source.error_s, MAX_ERROR_S / 2),
                hops=0,
                gps=source.gps,
                stations=frozenset(),
                follows_machine=source.offset_s is None,
            )
            return self._held
        held = self._held
        if held is not None:
            # The machine's clock is nobody's any more and may be set to anything.
            held = replace(held, follows_machine=False) if held.holds(now) else None
        fresh = [said for said in self._heard.values() if now - said.at <= STALE_S]
        found = from_sources(fresh, own_s - now, held, now) or from_clocks(fresh, own_s - now, now)
        self._held = choose(held, found, now)
        return self._held


def _ms(seconds: float) -> int:
    return min(max(int(seconds * 1000), 0), (1 << 53) - 1)
