"""Shapes of the local API that are about calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from appliance.api.basics import Problem, WallTime
from appliance.api.conferences import ConferenceInfo

MAX_PAST_CALLS: Final = 200
"""Calls of the record that are asked for at a time."""


@dataclass(frozen=True)
class CallDetails:
    """What is measured of a running call, for those who want to know more than a word."""

    loss_pct: float
    """Packets of theirs that did not come in time, last 5 s."""

    concealed_pct: float
    """Of their sound, what was made up since nothing could repair it, last 5 s."""

    repaired_pct: float
    """Of their sound, what came in a copy or was restored by error correction, last 5 s."""

    delay_ms: float
    """What their sound waits here, so that late packets still count."""

    jitter_ms: float
    """How unevenly packets come (RFC 3550)."""

    round_trip_ms: float | None
    """To them and back; None: not known yet."""

    loss_there_pct: float | None
    """What they say to lose of our packets; None: no report yet."""

    late_ms: float
    """How late this machine was at worst with a piece of our sound, last second."""

    rejected: int
    """Packets since the start that were forged, repeated or broken."""

    burst_there: float = 1.0
    """Packets of ours that are lost in a row there, on average."""

    sending_kbit_s: float = 0.0
    """What we send while somebody speaks here, with all headers."""

    frame_ms: int = 20
    """Sound in each packet of ours."""

    copies: tuple[int, ...] = ()
    """Which older packets' sound goes along with each, by how many packets older."""

    bandwidth: str = ""
    """Of what we send: ``narrowband``, ``wideband`` or ``fullband``."""

    thin: bool = False
    """The way takes so little that our voice goes in long packets, like an old telephone."""


@dataclass(frozen=True)
class CallInfo:
    """A call, running or over."""

    id: str
    """Unique at this station."""

    station: str
    """Station id of the other side."""

    line: str
    """Line at the other side (outgoing) or here (incoming)."""

    name: str
    """The other side's name as of now."""

    outgoing: bool
    """We placed it."""

    state: str
    """`model.call.CallState`."""

    end_reason: str | None
    """`model.call.EndReason`, once over."""

    detail: str
    """A sentence where there is something to say."""

    started_at: WallTime
    """By our clock."""

    talking_s: float | None
    """Seconds since it was answered, or how long it lasted."""

    muted: bool
    """Our microphone is off."""

    volume_pct: int
    """Loudness of the other side, 0 to 200."""

    problems: tuple[Problem, ...]
    """Why it is silent, if it is."""

    quality: str
    """``good``, ``fair``, ``bad`` or ``none`` while nothing is measured."""

    loss_pct: float
    """Of their packets, last 5 s."""

    level_in_db: float
    """Our microphone, dB full scale."""

    level_out_db: float
    """Their voice, dB full scale."""

    digits: str | None
    """Six digits to compare aloud with a station that is not verified yet."""

    verification: str | None
    """Id of the verification that the digits belong to."""

    lost_in_s: float | None = None
    """It was answered, and the other station can't be reached just now: it goes on by itself if
    that changes within so many seconds.  None: it is reached."""

    missed: bool = False
    """Over: they called, and nobody here knew of it in time."""

    seen: bool = True
    """Of a missed one: somebody has looked at it since, as far as the record says that."""

    number: int = 0
    """In the record: its place, to page back by.  0: it is not from there."""

    push_to_talk: bool = False
    """Our microphone is heard only while the key is held."""

    talk_left_s: float | None = None
    """The key is held and counts as let go after so many seconds; None: it is not."""

    encrypted: bool = True
    """Nobody on the way can listen.  False: a telephone at one end can't encrypt."""

    reason: str = ""
    """Where it comes from that the quality is not good: ``the link to them``."""

    advice: str = ""
    """What to do about that, in a sentence."""

    too_thin: bool = False
    """The way to them takes too little for a call, whatever is done: a voice message arrives."""

    limit_kbit: int | None = None
    """What the way to them takes, as far as one of the two stations knows; None: neither does."""

    conference: ConferenceInfo | None = None
    """The conference that it is part of; the same for all calls of it."""

    details: CallDetails | None = None
    """Figures behind the quality, while it is measured."""


@dataclass(frozen=True)
class CallPage:
    """Part of the record of calls, latest first."""

    calls: tuple[CallInfo, ...]
    """At most what was asked for."""

    more: bool
    """There are earlier ones."""


@dataclass(frozen=True)
class SeeCalls:
    """Note that the operator has looked at missed calls."""

    up_to: int
    """The highest `number` among them."""

    station: str | None = None
    """With whom; None: all."""


@dataclass(frozen=True)
class SeenCalls:
    """How many had not been looked at before."""

    seen: int
    """So many."""


class HistoryBackend(Protocol):
    """What keeps the record of calls."""

    async def page(
        self, station: str | None, *, missed: bool, before: int | None, limit: int
    ) -> CallPage:
        """Page back through calls that are over, latest first."""

    async def see(self, wanted: SeeCalls) -> SeenCalls:
        """Note that missed calls were looked at."""
