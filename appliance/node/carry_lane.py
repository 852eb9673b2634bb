"""What goes on to one neighbour, most urgent first, a little at a time.

Only ids wait here; the records lie in the store.  What finds no room is brought by the next
comparison of all that both have.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable
from typing import Final

from appliance.model.record import Precedence

MAX_WAITING: Final = 8192
"""Ids that wait; the least urgent of them are left to the next comparison."""

MAX_IN_FLIGHT: Final = 128
MAX_IN_FLIGHT_BYTES: Final = 128 * 1024
"""Records that were sent and are not answered; one that is longer goes alone."""

URGENT: Final = 2 * Precedence.EMERGENCY

UNANSWERED_S: Final = 120.0
"""A session is reliable, so a missing answer is a fault at the other side."""

POSTPONED_S: Final = 20.0
"""After the neighbour could not store something."""


class CarryLane:
    """The way to one neighbour."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, bytes]] = []
        self._waiting: set[bytes] = set()
        self._numbers = itertools.count()
        self._in_flight: dict[bytes, tuple[int, float]] = {}
        self._paused_until: float | None = None
        self.fetching = False
        """Records are being read from the store."""

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, record: bytes, urgency: int) -> None:
        """Let a record wait, unless it does or is on its way."""
        if record in self._waiting or record in self._in_flight:
            return
        if len(self._waiting) >= MAX_WAITING:
            last = max(self._heap)
            if (-urgency,) >= last[:1]:
                return
            self._heap.remove(last)
            heapq.heapify(self._heap)
            self._waiting.discard(last[2])
        heapq.heappush(self._heap, (-urgency, next(self._numbers), record))
        self._waiting.add(record)

    def has(self, records: Iterable[bytes]) -> None:
        """The neighbour has these, or nobody needs them any more."""
        self._waiting.difference_update(records)

    def take(self, limit: int, now: float) -> tuple[bytes, ...]:
        """Return what may be sent now, most urgent first."""
        if self.fetching or (self._paused_until is not None and now < self._paused_until):
            return ()
        taken: list[bytes] = []
        while self._heap and len(taken) < limit and self._room(len(taken), -self._heap[0][0]):
            record = heapq.heappop(self._heap)[2]
            if record in self._waiting:
                self._waiting.discard(record)
                taken.append(record)
        return tuple(taken)

    def _room(self, more: int, urgency: int) -> bool:
        # What is urgent does not wait until others are answered.
        times = 2 if urgency >= URGENT else 1
        return (
            len(self._in_flight) + more < times * MAX_IN_FLIGHT
            and sum(size for size, _ in self._in_flight.values()) < times * MAX_IN_FLIGHT_BYTES
        )

    def sent(self, record: bytes, size: int, now: float) -> None:
        """A record is on its way."""
        self._in_flight[record] = (size, now + UNANSWERED_S)

    def answered(self, records: Iterable[bytes]) -> None:
        """The neighbour has said what became of records."""
        for record in records:
            self._in_flight.pop(record, None)

    def postpone(self, now: float) -> None:
        """The neighbour can't store anything just now."""
        self._paused_until = now + POSTPONED_S

    def next_wakeup(self) -> float | None:
        """Say when to look again though nobody says anything."""
        if self._paused_until is not None:
            return self._paused_until
        return next((until for _, until in self._in_flight.values()), None)

    def wakeup(self, now: float) -> None:
        """Stop waiting for answers that do not come, or that have been waited for."""
        if self._paused_until is not None and self._paused_until <= now:
            self._paused_until = None
        for record in [r for r, (_, until) in self._in_flight.items() if until <= now]:
            del self._in_flight[record]
