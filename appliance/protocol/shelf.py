"""What the jitter buffer holds: packets and copies of packets, in the order of their time.

A copy stands for a packet that has not come; the packet itself takes its place.  When something is
played is `playout`'s matter.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass

from appliance.protocol.opus_packet import CLOCK_HZ

MAX_HELD = 96
"""Sounds held at most; above it the oldest goes."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Sound that waits for its time."""

    timestamp: int
    """When it begins, in samples; does not wrap."""

    samples: int
    """How long it is."""

    payload: bytes
    """Opus packet."""

    sequence: int | None
    """Of its packet, does not wrap; None: it is a copy."""

    marker: bool = False
    """A silence of the sender is before it (RFC 3551 section 4.1)."""


class Shelf:
    """Sounds by their time."""

    def __init__(self) -> None:
        self._entries: dict[int, Entry] = {}
        self._order: list[int] = []

    def __len__(self) -> int:
        return len(self._order)

    @property
    def seconds(self) -> float:
        """Sound that is held."""
        return sum(entry.samples for entry in self._entries.values()) / CLOCK_HZ

    @property
    def first(self) -> Entry | None:
        """The oldest."""
        return self._entries[self._order[0]] if self._order else None

    def at(self, timestamp: int) -> Entry | None:
        """What begins just then."""
        return self._entries.get(timestamp)

    def put(self, entry: Entry) -> bool:
        """Hold it; False: the same is there already, or its packet."""
        held = self._entries.get(entry.timestamp)
        if held is not None:
            if held.sequence is not None or entry.sequence is None:
                return False
        else:
            insort(self._order, entry.timestamp)
        self._entries[entry.timestamp] = entry
        if len(self._order) > MAX_HELD:
            del self._entries[self._order.pop(0)]
        return True

    def drop_before(self, timestamp: int) -> None:
        """Forget what begins earlier."""
        while self._order and self._order[0] < timestamp:
            del self._entries[self._order.pop(0)]

    def missing_behind(self, sequence: int) -> int:
        """Packets that did not come between ``sequence`` and the next that is held, less copies."""
        for copies, timestamp in enumerate(self._order):
            following = self._entries[timestamp].sequence
            if following is not None:
                return following - sequence - 1 - copies
        return 0
