"""How late frames leave against their 20 ms grid, as a histogram that costs nothing to keep."""

from __future__ import annotations

from collections.abc import Sequence

STEP_S = 0.0001
"""Width of a step."""

STEPS = 400
"""Steps kept; the one behind them holds all that is later than 40 ms."""


class Lateness:
    """Counts frames by lateness."""

    def __init__(self) -> None:
        self._counts = [0] * (STEPS + 1)
        self._worst_s = 0.0

    def add(self, late_s: float) -> None:
        """Count a frame."""
        self._counts[min(STEPS, max(0, int(late_s / STEP_S)))] += 1
        self._worst_s = max(self._worst_s, late_s)

    def take_worst_s(self) -> float:
        """The worst since the last call."""
        worst, self._worst_s = self._worst_s, 0.0
        return worst

    def histogram(self) -> tuple[int, ...]:
        """Counts, without the empty tail."""
        last = max((index for index, count in enumerate(self._counts) if count), default=-1)
        return tuple(self._counts[: last + 1])


def quantile_ms(histograms: Sequence[Sequence[int]], share: float) -> float | None:
    """Lateness that ``share`` of all frames stay below, in ms; None without frames."""
    total = sum(map(sum, histograms))
    if not total:
        return None
    wanted, seen = share * total, 0
    for index in range(STEPS + 1):
        seen += sum(counts[index] for counts in histograms if index < len(counts))
        if seen >= wanted:
            return (index + 1) * STEP_S * 1000
    return None
