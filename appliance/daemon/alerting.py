"""Sounds when somebody writes: boards have no beeper, and nobody looks at a screen all the time.

What is of priority is said once.  An emergency goes on until it was seen, for a minute at most.  A
call comes first: what comes while there is one sounds after it.  Of strangers, all together, a few
an hour sound: an alarm that goes on and on is switched off, and then nobody hears any.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from appliance.model.identity import StationId
from appliance.model.record import Precedence
from appliance.node.ports import StoredMessage

NOTICE: Final = "notice"
ALARM: Final = "alarm"

EVERY_S: Final = 5.0
"""Between two sounds."""

TIMES: Final = 12
"""Sounds of what nobody sees."""

MAX_HEARD: Final = 512
"""Messages of which it is remembered that they have sounded."""

MAX_STRANGERS: Final = 6
"""Messages of strangers that sound ..."""

STRANGERS_S: Final = 3600.0
"""... in this time; all of them are shown."""


class Alerting:
    """The sound of messages that come."""

    def __init__(
        self,
        sound: Callable[[str], object],
        busy: Callable[[], bool],
        later: Callable[[float, Callable[[], None]], object],
        *,
        is_stranger: Callable[[StationId], bool],
    ) -> None:
        """`sound` plays a tone once, `busy` tells whether that has to wait, as for a call.

        `later` calls something in so many seconds.  `is_stranger` tells of whom nothing is known.
        """
        self._sound, self._busy, self._later = sound, busy, later
        self._is_stranger = is_stranger
        self._strangers = 0
        """What has sounded of them lately."""
        self._heard: dict[bytes, None] = {}
        self._unseen: set[bytes] = set()
        """Emergencies that nobody has seen."""
        self._waiting: set[bytes] = set()
        """What is of priority, and has not sounded yet."""
        self._left = 0
        self._sounding = False

    def came(self, message: StoredMessage) -> None:
        """A message is new, or has changed."""
        if message.outgoing or message.notice:
            return
        if not message.unread:
            self._forget(message.id)
            return
        if message.precedence < Precedence.PRIORITY or message.id in self._heard:
            return
        if not self._may_sound(message.author):
            return
        self._heard[message.id] = None
        while len(self._heard) > MAX_HEARD:
            oldest = next(iter(self._heard))
            del self._heard[oldest]
            self._forget(oldest)
        if message.precedence is Precedence.EMERGENCY:
            self._unseen.add(message.id)
            self._left = TIMES
        else:
            self._waiting.add(message.id)
        if not self._sounding:
            self._again()

    def _may_sound(self, author: StationId) -> bool:
        if not self._is_stranger(author):
            return True
        if self._strangers == MAX_STRANGERS:
            return False
        self._strangers += 1
        self._later(STRANGERS_S, self._one_less)
        return True

    def _one_less(self) -> None:
        self._strangers -= 1

    def _forget(self, message: bytes) -> None:
        self._unseen.discard(message)
        self._waiting.discard(message)

    def _again(self) -> None:
        alarm = bool(self._unseen and self._left)
        self._sounding = alarm or bool(self._waiting)
        if not self._sounding:
            return
        if not self._busy():
            self._waiting.clear()
            self._left -= int(alarm)
            self._sound(ALARM if alarm else NOTICE)
        self._later(EVERY_S, self._again)
