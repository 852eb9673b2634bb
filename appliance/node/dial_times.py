"""When to dial and when to leave it: ours, chosen by trying."""

from __future__ import annotations

import math
from typing import Final

LASTING_S: Final = 5.0
"""A session that ends sooner counts as a failed dial, so that two stations can't spin."""

YIELD_S: Final = 0.6
"""The station with the higher id leaves the dialling to the other for this long."""

FIRST_SESSIONS: Final = 2
"""With so many a station begins; where many are, more are dialled for gossip when ..."""

CROWD_S: Final = 1.0
"""... for so long nobody new was heard, since each may change the choice, ..."""

MAX_CROWD_S: Final = 10.0
"""... or after this."""

CROWD_YIELD_S: Final = 8.0
"""Where many are, boards are busy, and dials take longer than `YIELD_S`."""

MAX_ATTEMPTS: Final = 16
"""Dials at a time, beside those of the operator's own."""

MOVE_S: Final = 1.0
"""A route that has stood for so long is one to move a session to."""

MEET_S: Final = 6.0
"""How long gossip has to bring the card of a station that is reached, from the last that it brought
..."""

MAX_MEET_S: Final = 60.0
"""... and in all."""

LOOK_EVERY_S: Final = 2.0
"""How often to look for sessions that nobody needs."""

ENOUGH_S: Final = 120.0
"""For how long a station that has enough sessions is left alone."""


class Settling:
    """A time of news that ends when there are none for a while, or when it has lasted too long."""

    def __init__(self, calm_s: float, longest_s: float) -> None:
        self._calm_s, self._longest_s = calm_s, longest_s
        self._began = -math.inf
        self.until = -math.inf
        """When it is over, as far as is known now."""

    def heard(self, now: float) -> None:
        """There is news."""
        if now >= self.until:
            self._began = now
        self.until = min(now + self._calm_s, self._began + self._longest_s)
