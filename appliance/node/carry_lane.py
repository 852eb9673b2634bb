"""What goes on to one neighbour, most urgent first, a little at a time.

Only ids wait here; the records lie in the store.  What finds no room is brought by the next
comparison of all that both have.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final

from appliance.model.record import Precedence
from appliance.protocol.carrying import MAX_PARCELS

MAX_WAITING: Final = 8192
"""Ids that wait; the least urgent of them are left to the next comparison."""

MAX_IN_FLIGHT: Final = 128
MAX_IN_FLIGHT_BYTES: Final = 128 * 1024
"""Records that were sent and are not answered; one may go beyond."""

BATCH: Final = MAX_PARCELS
"""Records that one look into the store fetches at most; fewer where they are long."""

URGENT: Final = 2 * Precedence.EMERGENCY

UNANSWERED_S: Final = 120.0
"""A session is reliable, so a missing answer is a fault at the other side."""

POSTPONED_S: Final = 20.0
"""After the neighbour could not store something."""


class CarryLane:
    """The way to one neighbour."""

    def __init__(self) -> None:
        self._waiting: dict[int, OrderedDict[bytes, None]] = {}
        """By urgency, each in order; none is empty."""
        self._in_flight: dict[bytes, tuple[int, float]] = {}
        self._in_flight_bytes = 0
        self._paused_until: float | None = None
        self._batch = BATCH
        self.fetching = False
        """Records are being read from the store."""
        self.left_out = False
        """Something found no room."""

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    @property
    def idle(self) -> bool:
        """Nothing waits, and all that was sent is answered."""
        return not (self._waiting or self._in_flight or self.fetching)

    def add(self, record: bytes, urgency: int) -> None:
        """Let a record wait, unless it does or is on its way."""
        if record in self._in_flight or any(record in level for level in self._waiting.values()):
            return
        if len(self) >= MAX_WAITING:
            self.left_out = True
            least = min(self._waiting)
            if urgency <= least:
                return
            self._waiting[least].popitem()
            self._drop_if_empty(least)
        self._waiting.setdefault(urgency, OrderedDict())[record] = None

    def _drop_if_empty(self, urgency: int) -> None:
        if not self._waiting[urgency]:
            del self._waiting[urgency]

    def has(self, records: Iterable[bytes]) -> None:
        """The neighbour has these, or nobody needs them any more."""
        for record in records:
            for urgency, level in self._waiting.items():
                if record in level:
                    del level[record]
                    self._drop_if_empty(urgency)
                    break

    def put_back(self, records: Sequence[tuple[bytes, int]]) -> None:
        """Let records wait with their urgencies, as before they were taken."""
        for record, urgency in reversed(records):
            self.add(record, urgency)
            if record in self._waiting.get(urgency, ()):
                self._waiting[urgency].move_to_end(record, last=False)

    def take(self, now: float) -> tuple[bytes, ...]:
        """Return what may be sent now, most urgent first."""
        if self.fetching or (self._paused_until is not None and now < self._paused_until):
            return ()
        taken: list[bytes] = []
        while self._waiting and len(taken) < self._batch:
            most = max(self._waiting)
            if not self.has_room(most, len(taken)):
                break
            record, _ = self._waiting[most].popitem(last=False)
            self._drop_if_empty(most)
            taken.append(record)
        return tuple(taken)

    def has_room(self, urgency: int, more: int = 0) -> bool:
        """Tell whether another record may be sent; `more` are about to be."""
        # What is urgent does not wait until others are answered.
        times = 2 if urgency >= URGENT else 1
        return (
            len(self._in_flight) + more < times * MAX_IN_FLIGHT
            and self._in_flight_bytes < times * MAX_IN_FLIGHT_BYTES
        )

    def sent(self, record: bytes, size: int, now: float) -> None:
        """A record is on its way."""
        self.answered((record,))
        self._in_flight[record] = (size, now + UNANSWERED_S)
        self._in_flight_bytes += size

    def fetched(self, wanted: int, sent: int) -> None:
        """Of so many records that were read so many had room: the next time as many are read."""
        self._batch = max(sent, 1) if sent < wanted else min(2 * self._batch, BATCH)

    def answered(self, records: Iterable[bytes]) -> None:
        """The neighbour has said what became of records."""
        for record in records:
            size, _ = self._in_flight.pop(record, (0, 0.0))
            self._in_flight_bytes -= size

    def postpone(self, now: float) -> None:
        """The neighbour can't store anything just now."""
        self._paused_until = now + POSTPONED_S

    def next_wakeup(self) -> float | None:
        """Say when to look again though nobody says anything."""
        if self._paused_until is not None:
            return self._paused_until
        if not self._in_flight:
            return None
        return next(until for _, until in self._in_flight.values())

    def wakeup(self, now: float) -> None:
        """Stop waiting for answers that do not come, or that have been waited for."""
        if self._paused_until is not None and self._paused_until <= now:
            self._paused_until = None
        self.answered([r for r, (_, until) in self._in_flight.items() if until <= now])
