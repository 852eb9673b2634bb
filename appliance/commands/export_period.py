"""What part of the messages is meant: with whom, and from when to when.

Times are those at which a message was written or came here, by this station's clock.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Final

from appliance.api.schema import Message, WallTime
from appliance.commands import exits
from appliance.commands.output import Failure

_AGO: Final = re.compile(r"([0-9]{1,6})(m|h|d|w)")
_UNIT_S: Final = {"m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_TIME_OF_DAY: Final = "%H:%M"
_DATES: Final = ("%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S")


@dataclass(frozen=True)
class Chosen:
    """Which messages are exported."""

    conversation: str | None
    """Station id, or ``everyone``; None: all conversations."""

    since_ms: int | None
    """From this time on; None: from the first."""

    until_ms: int | None
    """Before this time; None: to the last."""

    def includes(self, message: Message) -> bool:
        """Tell whether a message of this conversation is within these times."""
        at = message.received_at.ms
        return (self.since_ms is None or self.since_ms <= at) and (
            self.until_ms is None or at < self.until_ms
        )


def parse_time(text: str, now: WallTime) -> int:
    """Return the milliseconds since 1970 that the operator means; raises Failure.

    ``6h`` is so long ago, ``14:00`` is today; dates and times are those of this machine's zone.
    """
    text = text.strip()
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return now.ms - int(ago[1]) * _UNIT_S[ago[2]] * 1000
    try:
        today = time.strftime("%Y-%m-%d", time.localtime(now.ms / 1000))
        if _fits(text, _TIME_OF_DAY):
            text = f"{today} {text}"
        for form in _DATES:
            if _fits(text, form):
                # Whether it was summer time then is for the system to say.
                parts = time.strptime(text, form)
                return int(time.mktime((*parts[:8], -1))) * 1000
    except (OverflowError, ValueError, OSError):
        pass
    raise Failure(
        f"{text!r} is no time.",
        "Say it like 6h, 2d, 14:00, 2026-11-23 or 2026-11-23T14:00.",
        code=exits.USAGE,
    )


def shown_time(moment: WallTime) -> str:
    """Return date and time in this machine's zone; ~ where the clock was not sure."""
    try:
        shown = time.strftime("%Y-%m-%d %H:%M", time.localtime(moment.ms / 1000))
    except (OverflowError, OSError, ValueError):
        return "~ at some time"
    return shown if moment.sure else f"~{shown}"


def _fits(text: str, form: str) -> bool:
    try:
        time.strptime(text, form)
    except ValueError:
        return False
    return True
