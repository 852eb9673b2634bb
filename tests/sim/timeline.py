"""Virtual time: what is to happen when, in an order that never varies."""

from __future__ import annotations

import heapq
from collections.abc import Callable


class Timeline:
    """Events by time; those of one moment happen in the order in which they were planned."""

    def __init__(self) -> None:
        self.now = 0.0
        """Seconds since the world began."""

        self.happened = 0
        """Events so far."""

        self._planned: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        """Let something happen."""
        self._number += 1
        heapq.heappush(self._planned, (self.now + max(seconds, 0.0), self._number, what))

    def run(self, seconds: float) -> None:
        """Let time pass, and with it all that is planned."""
        until = self.now + seconds
        while self._planned and self._planned[0][0] <= until:
            self.now, _, what = heapq.heappop(self._planned)
            self.happened += 1
            what()
        self.now = until
