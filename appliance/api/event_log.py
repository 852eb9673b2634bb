"""What happened lately, for clients that follow it and may come back after a pause.

A bounded ring.  A reader holds nothing but its place in it, so a slow one costs no memory: when the
ring has gone past its place it is told so by a ``reset`` and loads everything anew.  A cursor names
a boot and a place, since a daemon that has started again has forgotten what was before.

The log is used from one event loop; how events reach a client is the server's matter.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from typing import Final

from appliance.api.jsonable import to_json
from appliance.api.schema import Event, EventType

MAX_EVENTS: Final = 1_000
"""Half a minute of a busy village: longer than any client's pause between two connections."""

MAX_TEXT_CHARS: Final = 1_000_000
"""Of message text in all events together: 4 MB at worst, 60 messages of full length."""

_MAX_CURSOR_CHARS: Final = 64


class EventLog:
    """The events since the daemon's start, as far back as the bounds go."""

    def __init__(
        self, boot: str, *, max_events: int = MAX_EVENTS, max_text_chars: int = MAX_TEXT_CHARS
    ) -> None:
        self._boot = boot
        self._max_events = max_events
        self._max_text_chars = max_text_chars
        self._events: deque[Event] = deque()
        self._text_chars = 0
        self._count = 0
        self._news = asyncio.Event()

    @property
    def cursor(self) -> str:
        """The place after the latest event."""
        return self._cursor(self._count)

    def publish(self, kind: EventType, data: object = None) -> None:
        """Add an event with a dataclass of `schema` as it is now (see `EventType`), or nothing.

        A ``status`` without data is filled in by the server when it leaves.
        """
        body = to_json(data) if data is not None else {}
        if not isinstance(body, dict):
            raise TypeError(f"an event holds an object, not {type(data).__name__}")
        self._count += 1
        event = Event(cursor=self._cursor(self._count), type=kind, data=body)
        self._events.append(event)
        self._text_chars += _weight(event)
        while len(self._events) > self._max_events or (
            self._text_chars > self._max_text_chars and len(self._events) > 1
        ):
            self._text_chars -= _weight(self._events.popleft())
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def follow(self, cursor: str | None) -> AsyncGenerator[Event]:
        """Yield what happened after `cursor`, and then what happens, without end.

        Without a cursor, with one of another boot or with one that the ring has gone past, the
        first event is a ``reset`` that stands for all that was before it.
        """
        place = self._place(cursor)
        while True:
            first = self._count - len(self._events)
            if place is None or place < first:
                place = self._count
                yield Event(cursor=self.cursor, type="reset", data={})
            elif place < self._count:
                event = self._events[place - first]
                place += 1
                yield event
            else:
                await self._news.wait()

    def _cursor(self, place: int) -> str:
        return f"{self._boot}-{place}"

    def _place(self, cursor: str | None) -> int | None:
        if cursor is None or len(cursor) > _MAX_CURSOR_CHARS:
            return None
        boot, _, digits = cursor.rpartition("-")
        if boot != self._boot or not (digits.isascii() and digits.isdigit()):
            return None
        place = int(digits)
        return place if place <= self._count else None


def _weight(event: Event) -> int:
    """Return the characters of text in an event: what makes one larger than another."""
    return sum(len(value) for value in event.data.values() if isinstance(value, str))
