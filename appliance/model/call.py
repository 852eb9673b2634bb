"""A call as its operator knows it, and what can be done with it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from appliance.model.conference import Conference
from appliance.model.identity import CONSOLE, Address
from appliance.model.media import SoundProblem


class CallState(StrEnum):
    """Where a call is."""

    DIALLING = "dialling"
    """We called; nothing has come back."""

    RINGING_THERE = "ringing-there"
    """We called; it rings at the other side."""

    RINGING_HERE = "ringing-here"
    """They call; our operator is asked."""

    CONNECTING = "connecting"
    """Answered; the media path is being set up."""

    TALKING = "talking"
    """Both sides can speak."""

    ENDED = "ended"
    """Over; `EndReason` says why."""


class EndReason(StrEnum):
    """Why a call is over."""

    HUNG_UP = "hung-up"
    """Our operator ended it."""

    THEY_HUNG_UP = "they-hung-up"
    """The other side ended it."""

    DECLINED = "declined"
    """Our operator declined."""

    THEY_DECLINED = "they-declined"
    """The other operator declined."""

    BUSY = "busy"
    """Whoever was called was in another call: the other operator, or ours who missed this one."""

    NO_ANSWER = "no-answer"
    """Nobody answered in time."""

    CANCELLED = "cancelled"
    """The caller gave up while it rang."""

    UNREACHABLE = "unreachable"
    """There is no path to the station, or it was lost for too long."""

    NO_COMMON_CODEC = "no-common-codec"
    """The two sides have no way of sending sound in common."""

    NO_SUCH_LINE = "no-such-line"
    """The station has no line of that name."""

    CUT_OFF = "cut-off"
    """This station stopped while it went on; only ever in the record."""

    FAILED = "failed"
    """Anything else; the detail says what."""


@dataclass(frozen=True)
class Call:
    """One call at one moment."""

    id: str
    """Chosen here; unique at this station."""

    peer: Address
    """The other side."""

    outgoing: bool
    """We placed it."""

    state: CallState
    """Where it is."""

    created_at: float
    """Monotonic seconds at which it began."""

    answered_at: float | None = None
    """Monotonic seconds at which it was answered."""

    ended_at: float | None = None
    """Monotonic seconds at which it ended."""

    end_reason: EndReason | None = None
    """Why it ended."""

    line: str = CONSOLE
    """Our side: which of our lines it is on."""

    detail: str = ""
    """One sentence for the operator where there is something to say."""

    away: bool = False
    """It was answered, and the other station can't be reached just now."""

    muted: bool = False
    """Our microphone is off."""

    push_to_talk: bool = False
    """Our microphone is heard only while the key is held."""

    talking_until: float = 0.0
    """Monotonic seconds at which a held key counts as let go; past: it is not held."""

    encrypted: bool = True
    """Its sound is encrypted from end to end."""

    limit_kbit: int | None = None
    """What the way takes, with all headers, as far as either end knows; None: neither does."""

    conference: Conference | None = None
    """The conference that it is part of."""

    problems: tuple[SoundProblem, ...] = ()
    """What makes it silent just now."""
