"""Finds how long an echo is under way, by the loudness of what was played and recorded; sans IO."""

from __future__ import annotations

from collections import deque

BIN_S = 0.01
"""Resolution of the delay that is found."""

BINS = 60
"""Longest delay that is found, 600 ms: slow wireless headphones are at 300 ms."""

MEMORY = 0.996
"""Of a correlation, per bin: about 2.5 s."""

CERTAIN = 0.5
"""A correlation coefficient below this says nothing."""

PATIENCE = 100
"""Bins in a row, 1 s, that must say the same."""


class DelayFinder:
    """Finds by how much the loudness of one signal follows that of another."""

    def __init__(self) -> None:
        self._far: deque[float] = deque([0.0] * BINS, maxlen=BINS)
        self._products = [0.0] * BINS
        self._near_power = self._far_power = 0.0
        self._near_mean = self._far_mean = 0.0
        self._best, self._times = 0, 0

    def add(self, near: float, far: float) -> int | None:
        """Loudness of one bin of each; the delay in bins while it is certain, else None."""
        self._near_mean += (near - self._near_mean) * (1 - MEMORY)
        self._far_mean += (far - self._far_mean) * (1 - MEMORY)
        here = near - self._near_mean
        self._far.appendleft(far - self._far_mean)
        self._near_power = MEMORY * self._near_power + here * here
        self._far_power = MEMORY * self._far_power + self._far[0] * self._far[0]
        self._products = [
            MEMORY * product + here * there
            for product, there in zip(self._products, self._far, strict=True)
        ]
        most = max(self._products)
        likeness = most / ((self._near_power * self._far_power) ** 0.5 + 1e-9)
        best = self._products.index(most)
        if likeness < CERTAIN or abs(best - self._best) > 1:
            self._best, self._times = best, 0
            return None
        self._times += 1
        return self._best if self._times >= PATIENCE else None


def loudness(frame: bytes) -> tuple[float, float]:
    """Mean amplitude of both halves of a frame, by every eighth sample."""
    samples = memoryview(frame).cast("h")[::8].tolist()
    half = len(samples) // 2
    return sum(map(abs, samples[:half])) / half, sum(map(abs, samples[half:])) / half
