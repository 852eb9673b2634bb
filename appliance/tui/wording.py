"""States, names and times in words.

Everything here is a pure function of what the API told.  Colour never says anything that these
words do not.  What stays out: layout.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from appliance.api.schema import (
    EVERYONE,
    Attachment,
    CallInfo,
    Message,
    Station,
    Verification,
    WallTime,
)
from appliance.tui.text import cells, fit, one_line, plain_name

RESERVED_NAMES = frozenset({"you", "everyone"})
"""What the screen itself says; a station of that name shows its tag even when verified."""

IN_REACH = frozenset({"here", "reachable"})
"""A session stands, or one could be had."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_METER_CELLS = 6
_METER_FLOOR_DB = -60.0
"""Below this a meter is empty."""


@dataclass(frozen=True)
class Times:
    """How moments are written."""

    zone: tzinfo | None = None
    """Time zone; None: the machine's."""

    def moment(self, at: WallTime) -> datetime | None:
        """Return a claimed time in our zone; None where it is beyond all calendars."""
        try:
            return (_EPOCH + timedelta(milliseconds=at.ms)).astimezone(self.zone)
        except (OverflowError, ValueError, OSError):
            return None

    def clock(self, at: WallTime) -> str:
        """Return ``14:02``, or ``~14:02`` where the clock was not sure."""
        moment = self.moment(at)
        text = "--:--" if moment is None else f"{moment:%H:%M}"
        return text if at.sure else f"~{text}"

    def day(self, at: WallTime) -> str:
        """Return ``Tue 3 Nov 2026``."""
        moment = self.moment(at)
        return "no date" if moment is None else f"{moment:%a} {moment.day} {moment:%b %Y}"


def suffix(station: Station) -> str:
    """Return what follows the name: nothing once verified, else a question mark and the tag."""
    if station.trust != "verified":
        return f"?·{station.tag}"
    return f"·{station.tag}" if plain_name(station.name).casefold() in RESERVED_NAMES else ""


def name(station: Station, width: int = 40) -> str:
    """Return a station's name with its tag; the tag survives any shortening."""
    tail = suffix(station)
    return fit(plain_name(station.name), max(width - cells(tail), 1)) + tail


def span(seconds: float) -> str:
    """Return a duration in its largest unit: ``20m``."""
    minutes = max(int(seconds // 60), 0)
    if minutes < 60:
        return f"{minutes}m"
    if minutes < 48 * 60:
        return f"{minutes // 60}h"
    return f"{min(minutes // 1440, 999)}d"


def timer(seconds: float) -> str:
    """Return a running time: ``2:14``."""
    whole = max(int(seconds), 0)
    hours, rest = divmod(whole, 3600)
    tail = f"{rest % 60:02}"
    return f"{hours}:{rest // 60:02}:{tail}" if hours else f"{rest // 60}:{tail}"


def presence(station: Station, away_s: float | None) -> str:
    """Return how a station can be reached, in at most eight columns."""
    if station.reach in IN_REACH:
        if station.hops is not None and station.hops > 1:
            return f"{min(station.hops, 99)} hops"
        return "here" if station.reach == "here" or station.hops else "in reach"
    if station.reach == "connecting":
        return "joining"
    return "away" if away_s is None else f"away {span(away_s)}"


def delivery(message: Message, times: Times) -> str:
    """Return how far one of our messages came."""
    if message.conversation == EVERYONE or is_group(message.conversation):
        return _spread(message)
    at = message.recipients[0].at if message.recipients else None
    when = f" {times.clock(at)}" if at is not None else ""
    match message.state:
        case "queued":
            return "waiting"
        case "relayed":
            return f"carried by {message.carried_by}"
        case "expired":
            return f"EXPIRED: not delivered {_within(message)}"
        case "delivered" | "read":
            return f"{message.state}{when}"


def _spread(message: Message) -> str:
    readers = sum(1 for one in message.recipients if one.state == "read")
    if message.delivered_to == 0:
        if message.state == "expired":
            return f"EXPIRED: not delivered {_within(message)}"
        return f"carried by {message.carried_by}" if message.carried_by else "waiting"
    if is_group(message.conversation) and message.state in {"delivered", "read"}:
        return "read by all" if message.state == "read" else f"delivered to all{_by(readers)}"
    words = f"delivered to {message.delivered_to}{_by(readers)}"
    return f"EXPIRED: {words}, not to all" if message.state == "expired" else words


def _within(message: Message) -> str:
    return f"within {span(message.lifetime_s)}" if message.lifetime_s else "in time"


def expiry_words(message: Message) -> str:
    """Return for how long one of our messages is still tried; empty where that is not limited."""
    left_s = message.expires_in_s
    if left_s is None or message.state in {"delivered", "read"}:
        return ""
    if left_s < 0:
        return f"{span(-left_s)} ago: it was given up. Send it again if it still matters."
    return f"in {span(left_s)}, if it has not arrived by then"


def _by(readers: int) -> str:
    return f", read by {readers}" if readers else ""


def is_group(conversation: str) -> bool:
    """Tell a group's id from a station's and from everyone."""
    return len(conversation) == 57 and conversation.startswith("g")


_RANK = {"queued": 0, "relayed": 1, "expired": 2, "delivered": 3, "read": 4}


def furthest(one: Message, other: Message) -> Message:
    """Return whichever of two tellings of a message is later; `one` where both may be."""
    if _RANK[one.state] != _RANK[other.state]:
        return one if _RANK[one.state] > _RANK[other.state] else other
    if one.delivered_to != other.delivered_to:
        return one if one.delivered_to > other.delivered_to else other
    return other if other.carried_by > one.carried_by else one


def size(count: int) -> str:
    """Return a number of bytes in its largest unit: ``2.1 MB``."""
    if count < 1_000:
        return f"{count} B"
    value = count / 1_000
    for unit in ("kB", "MB"):
        if value < 999.5:
            return f"{value:.0f} {unit}" if value >= 10 else f"{value:.1f} {unit}"
        value /= 1_000
    return f"{value:.1f} GB"


def is_voice(one: Attachment) -> bool:
    """Tell whether an attachment is a voice message."""
    return one.duration_ms > 0 or one.media_type.startswith("audio/")


def attachment_title(one: Attachment, width: int = 200) -> str:
    """Return what an attachment is; a long name gives way to its size."""
    if one.duration_ms > 0:
        return f"voice message {timer(one.duration_ms / 1000)}"
    tail = f"  {size(one.bytes)}"
    return fit(plain_name(one.name), max(width - cells(tail), 8)) + tail


def attachment_state(one: Attachment) -> str:
    """Return where an attachment is."""
    done = one.have_bytes * 100 // one.bytes if one.bytes > 0 else 0
    why = f": {one_line(one.problem)}" if one.problem else ""
    match one.state:
        case "here":
            return "here"
        case "fetching":
            return f"coming, {min(done, 99)} %{why}"
        case "waiting":
            return f"not here yet{f', {min(done, 99)} %' if done else ''}{why}"
        case "refused":
            return f"not fetched{why}"


def meter(level_db: float) -> str:
    """Return a level as six marks, silence as ``......``."""
    share = (level_db - _METER_FLOOR_DB) / -_METER_FLOOR_DB
    full = min(max(round(share * _METER_CELLS), 0), _METER_CELLS) if share == share else 0
    return "#" * full + "." * (_METER_CELLS - full)


def digits(six: str) -> str:
    """Return six digits as they are read aloud."""
    return f"{' '.join(six[:3])}   {' '.join(six[3:])}"


def number(seven: str) -> str:
    """Return a seven-digit number as it is dialled."""
    return f"{seven[:3]}-{seven[3:]}" if len(seven) == 7 else seven


_CALL_STATES = {
    "dialling": "calling...",
    "ringing-there": "it rings there...",
    "ringing-here": "IS CALLING",
    "connecting": "connecting...",
    "ended": "ended",
}

_END_REASONS = {
    "hung-up": "you hung up",
    "they-hung-up": "they hung up",
    "declined": "you declined",
    "they-declined": "they declined: write instead",
    "busy": "they are in another call: write, or try again soon",
    "no-answer": "no answer: write instead",
    "cancelled": "given up before it was answered",
    "unreachable": "no way to reach them: a message waits until there is one",
    "no-common-codec": "the two stations have no sound format in common",
    "no-such-line": "there is no such line",
    "cut-off": "this station stopped meanwhile",
    "failed": "it failed",
}


def missed(call: CallInfo) -> bool:
    """Tell whether they called and nobody here reacted."""
    return call.state == "ended" and call.missed


_IN_VAIN = {
    "no-answer": "Nobody answered.",
    "busy": "They are in another call.",
    "they-declined": "They can't talk now.",
    "unreachable": "There is no way to them now.",
}


def in_vain(call: CallInfo) -> str:
    """Return what became of a call that a voice message could stand in for; else nothing."""
    if call.talking_s is not None:
        return "The connection was lost." if call.end_reason == "unreachable" else ""
    return _IN_VAIN.get(call.end_reason or "", "") if call.outgoing else ""


def call_state(call: CallInfo) -> str:
    """Return where a call is."""
    return _CALL_STATES.get(call.state, call.state)


def call_end(call: CallInfo) -> str:
    """Return how a call ended, in one sentence."""
    if missed(call):
        return "missed call"
    who = "you called" if call.outgoing else "they called"
    lasted = f", {timer(call.talking_s)}" if call.talking_s else ""
    return f"{who}{lasted}: {end_words(call)}"


def end_words(call: CallInfo) -> str:
    """Return why a call ended."""
    reason = _END_REASONS.get(call.end_reason or "", call.end_reason or "over")
    if call.end_reason == "unreachable" and call.talking_s is not None:
        reason = "the connection was lost: call again, or write"
    if call.end_reason == "failed" and call.detail:
        reason = one_line(call.detail)
    return reason


_VERIFICATION_STATES = {
    "waiting": "waiting for the other station",
    "compare": "compare the digits aloud now",
    "verified": "verified",
    "mismatch": "the digits were different",
    "abandoned": "abandoned",
    "refused": "refused",
}


def verification_state(verification: Verification) -> str:
    """Return where a comparison is."""
    return _VERIFICATION_STATES.get(verification.state, verification.state)
