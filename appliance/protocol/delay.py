"""How much delay a path asks for: by how much its packets come later than the fastest.

Every sound counts once, at the moment at which it could first be played: when its packet came, or
when a copy or FEC brought it back.  So the delay also covers the repairs that are worth it, and
goes down again when loss ends.  What nothing brought back asks for no delay.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import deque
from typing import Final

WINDOW_S: Final = 12.0
"""How far back it is looked: a delay that is needed no more falls after this time."""

MOST: Final = 768
"""Sounds that are looked at; packets of 20 ms are 50 a second."""

FEWEST: Final = 32
"""Of these at least, however old: the fastest packet is not forgotten in a silence."""

PRICE_S: Final = 10.0
"""Seconds of delay that it is worth when no sound is late, against all of it: 100 ms per percent.

PESQ falls by 0.3 and more for a percent that is made up, and by the E-model (ITU-T G.107) a percent
is worse than 100 ms more, as long as the whole way stays under 177 ms.
"""

AS_MANY: Final = 600
"""Sounds that a share is taken of at least: one stall at the beginning of a call is no rule."""

STICK_UP: Final = 0.1
STICK_DOWN: Final = 0.3
"""Shares by which a longer or a shorter delay must be cheaper: between two that cost the same it
does not swing, since each change costs quality too."""

LATE_AT_MOST: Final = 0.125
"""Share of sounds that may be given up for less delay."""

LONG_S: Final = 0.11
"""With codec, frames and network more than 150 ms from mouth to ear (ITU-T G.114)."""

MAX_NEED_S: Final = 0.4
"""Beyond this, talking to each other is harder than missing some words."""

SAME_S: Final = 0.001
"""Less is no difference."""

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

    def late_share(self, delay_s: float) -> float:
        """Share of the sounds that come too late for a delay above the fastest; 0 to 1."""
        ordered = self._sorted
        if not ordered:
            return 0.0
        in_time = bisect_right(ordered, ordered[0] + delay_s + SAME_S)
        within = bisect_right(ordered, ordered[0] + MAX_NEED_S)
        return max(0, within - in_time) / len(ordered)

    def add(self, transit_s: float, *, now: float) -> None:
        """A sound could be played from ``now`` on, ``transit_s`` after it was whole."""
        order, ordered = self._order, self._sorted
        order.append((now, transit_s))
        insort(ordered, transit_s)
        while len(order) > FEWEST and (order[0][0] < now - WINDOW_S or len(order) > MOST):
            _, gone = order.popleft()
            del ordered[bisect_left(ordered, gone)]
        self._since += 1
        if self._since >= REFRESH or transit_s - ordered[0] > self._need_s + SAME_S:
            self._since = 0
            self._choose()

    def _choose(self) -> None:
        """The delay that is cheapest, together with what comes too late for it."""
        ordered = self._sorted
        base, count = ordered[0], len(ordered)
        last = bisect_right(ordered, base + MAX_NEED_S) - 1
        price_s = PRICE_S / max(count, AS_MANY)
        best = ordered[last] - base
        cost = _felt(best)
        for late in range(1, min(last, int(count * LATE_AT_MOST)) + 1):
            if late * price_s >= cost:
                break  # More of them cost more.
            need = ordered[last - late] - base
            if _felt(need) + late * price_s < cost:
                best, cost = need, _felt(need) + late * price_s
        late = last + 1 - bisect_right(ordered, base + self._need_s + SAME_S)
        stick = STICK_UP if best > self._need_s else STICK_DOWN
        if cost < (1 - stick) * (_felt(self._need_s) + max(0, late) * price_s):
            self._need_s = best


def _felt(delay_s: float) -> float:
    """What a delay costs: beyond `LONG_S` three times, since talking becomes harder."""
    return delay_s + 2 * max(0.0, delay_s - LONG_S)
