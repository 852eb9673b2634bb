"""Sounds when somebody writes: boards have no beeper, and nobody looks at a screen all the time.

What is of priority is said once.  An emergency goes on until it was seen, for a minute at most.  A
call comes first: while there is one, nothing sounds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from appliance.model.record import Precedence
from appliance.node.ports import StoredMessage

NOTICE: Final = "notice"
ALARM: Final = "alarm"

EVERY_S: Final = 5.0
"""Between two sounds of one emergency."""

TIMES: Final = 12

MAX_HEARD: Final = 512
"""Messages of which it is remembered that they have sounded."""


class Alerting:
    """The sound of messages that come."""

    def __init__(
        self,
        sound: Callable[[str], object],
        in_call: Callable[[], bool],
        later: Callable[[float, Callable[[], None]], object],
    ) -> None:
        """`sound` plays a tone once, `in_call` tells whether there is a call.

        `later` calls something in so many seconds.
        """
        self._sound, self._in_call, self._later = sound, in_call, later
        self._heard: dict[bytes, None] = {}
        self._unseen: set[bytes] = set()
        """Emergencies that nobody has seen."""
        self._left = 0
        self._sounding = False

    def came(self, message: StoredMessage) -> None:
        """A message is new, or has changed."""
        if message.outgoing or message.notice:
            return
        if not message.unread:
            self._unseen.discard(message.id)
            return
        if message.precedence < Precedence.PRIORITY or message.id in self._heard:
            return
        self._heard[message.id] = None
        while len(self._heard) > MAX_HEARD:
            self._unseen.discard(oldest := next(iter(self._heard)))
            del self._heard[oldest]
        if message.precedence is Precedence.EMERGENCY:
            self._unseen.add(message.id)
            self._left = TIMES
            if not self._sounding:
                self._again()
        elif not self._in_call():
            self._sound(NOTICE)

    def _again(self) -> None:
        self._sounding = bool(self._unseen and self._left)
        if not self._sounding:
            return
        self._left -= 1
        if not self._in_call():
            self._sound(ALARM)
        self._later(EVERY_S, self._again)
