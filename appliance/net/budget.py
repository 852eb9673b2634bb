"""How often something may happen: a bucket of tokens that fills with time (RFC 2697's idea)."""

from __future__ import annotations


class Budget:
    """So many at once, and after that one in so many seconds."""

    def __init__(self, *, burst: int, every_s: float) -> None:
        self._burst = burst
        self._every_s = every_s
        self._left = float(burst)
        self._at: float | None = None

    def take(self, now: float) -> float:
        """Spend one, if there is one: 0.  Otherwise return the seconds until there is."""
        if self._at is not None:
            self._left = min(self._burst, self._left + (now - self._at) / self._every_s)
        self._at = now
        if self._left < 1:
            return (1 - self._left) * self._every_s
        self._left -= 1
        return 0.0
