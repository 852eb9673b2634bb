"""Which of our packets arrived: loss rate and burst length from what the other side reports."""

from __future__ import annotations

import math
from typing import Final

RECORD: Final = 512
"""Packets that are remembered."""

LONG_S: Final = 8.0
"""The loss rate looks back this far, so that it falls slowly."""

SHORT_S: Final = 1.5
"""More loss than usual within this counts at once."""

FEWEST: Final = 50
"""Packets below which a rate says little; until then `ASSUMED_LOSS` counts."""

ASSUMED_LOSS: Final = 0.03
"""Until the other side has told."""

MAX_BURST: Final = 10.0
"""What is lost in longer rows is an outage that no copies reach across."""

_PRIOR_BURSTS, _PRIOR_LENGTH = 2, 1.2


class LossRecord:
    """The fate of our newest packets."""

    def __init__(self) -> None:
        self._end: int | None = None
        self._lost = 0
        self._count = 0
        self._fraction: float | None = None

    def take(self, end: int, arrived: tuple[bool, ...]) -> None:
        """Learn of the packets before number ``end`` (16 bits); what was said before is replaced.

        A packet that was missing in one report and is there in the next was only late.  Numbers
        that are not near those of before begin the record anew.
        """
        size = min(len(arrived), RECORD)
        step = 0 if self._end is None else (end - self._end + 0x8000) % 0x10000 - 0x8000
        if step < 0:
            return  # An older report that came late.
        if self._end is None or step > size:
            self._lost = self._count = 0
            step = size
        lost = 0
        for there in arrived[len(arrived) - size :]:
            lost = lost << 1 | (not there)
        self._lost = (self._lost << step) >> size << size | lost
        self._lost &= (1 << RECORD) - 1
        self._count = min(RECORD, max(self._count + step, size))
        self._end = end

    def take_fraction(self, fraction: float) -> None:
        """Learn of a loss rate alone, from somebody who does not tell more; 0 to 1."""
        if self._fraction is None:
            self._fraction = ASSUMED_LOSS
        self._fraction += (fraction - self._fraction) / (2 if fraction > self._fraction else 6)

    def restart(self) -> None:
        """Our numbers begin anew; what is known of the path stays as a rate."""
        if self._count >= FEWEST:
            self._fraction = self.recent(RECORD)
        self._end, self._lost, self._count = None, 0, 0

    def recent(self, packets: int, *, fewest: int = 1) -> float:
        """Share of the newest ``packets`` that was lost; 0 where less than ``fewest`` are known."""
        count = min(packets, self._count)
        if count < fewest:
            return 0.0
        return (self._lost & (1 << count) - 1).bit_count() / count if count else 0.0

    def loss(self, frame_s: float) -> float:
        """Share of packets that is lost: rises at once, falls over `LONG_S`."""
        if self._count < FEWEST:
            return ASSUMED_LOSS if self._fraction is None else self._fraction
        long = self.recent(max(FEWEST, int(LONG_S / frame_s)))
        some = min(self._count, max(FEWEST, int(SHORT_S / frame_s)))
        lost = self.recent(some) * some
        # One standard deviation less than was seen: chance alone is no reason.
        return max(long, (lost - math.sqrt(lost)) / some)

    @property
    def burst(self) -> float:
        """Packets that are lost in a row, on average: 1 to `MAX_BURST`."""
        runs = (self._lost & ~(self._lost >> 1)).bit_count()
        lost = self._lost.bit_count() + _PRIOR_BURSTS * _PRIOR_LENGTH
        return min(MAX_BURST, lost / (runs + _PRIOR_BURSTS))
