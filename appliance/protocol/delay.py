"""How much delay a path asks for: by how much its packets come later than the fastest.

Every sound counts once, at the moment at which it could first be played: when its packet came, or
when a copy or FEC brought it back.  So the delay also covers the repairs that are worth it, and
goes down again when loss ends.  What nothing brought back asks for no delay.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import deque
from typing import Final

WINDOW_S: Final = 8.0
"""How far back it is looked: a delay that is needed no more falls after this time."""

MOST: Final = 512
"""Sounds that are looked at; packets of 20 ms are 50 a second."""

FEWEST: Final = 32
"""Of these at least, however old: the fastest packet is not forgotten in a silence."""

PRICE_S: Final = 4.0
"""Seconds of delay that it is worth when no sound is late, against all of it: 40 ms per percent.

NetEQ pays 20 ms per percent; PESQ falls by 0.2 to 0.3 for each percent that is made up.
"""

LATE_AT_MOST: Final = 0.125
"""Share of sounds that may be given up for less delay."""

MAX_NEED_S: Final = 0.4
"""Beyond this, talking to each other is harder than missing some words."""

REFRESH: Final = 8
"""Sounds between two choices, unless one is later than what was chosen."""


class DelayWindow:
    """The sounds of the last seconds by their transit; costs about as much as a list's insert."""

    def __init__(self) -> None:
        self._order: deque[tuple[float, float]] = deque()
        self._sorted: list[float] = []
        self._since = 0
        self._need_s = 0.0

    def __len__(self) -> int:
        return len(self._order)

    @property
    def base_s(self) -> float:
        """Transit of the fastest, on a clock whose beginning is anywhere."""
        return self._sorted[0] if self._sorted else 0.0

    @property
    def need_s(self) -> float:
        """Delay above the fastest that pays."""
        return self._need_s

    def add(self, transit_s: float, *, now: float) -> None:
        """A sound could be played from ``now`` on, ``transit_s`` after it was whole."""
        order, ordered = self._order, self._sorted
        order.append((now, transit_s))
        insort(ordered, transit_s)
        while len(order) > FEWEST and (order[0][0] < now - WINDOW_S or len(order) > MOST):
            _, gone = order.popleft()
            del ordered[bisect_left(ordered, gone)]
        self._since += 1
        if self._since >= REFRESH or transit_s - ordered[0] > self._need_s:
            self._since = 0
            self._choose()

    def _choose(self) -> None:
        """The delay that is cheapest, together with what comes too late for it."""
        ordered = self._sorted
        base, count = ordered[0], len(ordered)
        last = bisect_right(ordered, base + MAX_NEED_S) - 1
        best = cost = ordered[last] - base
        price_s = PRICE_S / count
        for late in range(1, min(last, int(count * LATE_AT_MOST)) + 1):
            need = ordered[last - late] - base
            if need + late * price_s < cost:
                best, cost = need, need + late * price_s
        self._need_s = best
