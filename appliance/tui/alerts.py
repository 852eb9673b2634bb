"""The sound of an emergency: heard at once, and again until somebody reacts.

What stays out: the sound of calls, which the voice process makes.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

AGAIN_S: Final = 5.0
MAX_TIMES: Final = 60
"""An emergency that nobody reacts to sounds so often, that far apart."""


class Alerts:
    """Says when the terminal's bell is due."""

    def __init__(self) -> None:
        self._heard: frozenset[str] = frozenset()
        self._sounded_s = 0.0
        self._times = 0

    def due(self, messages: Collection[str], now_s: float, touched_s: float) -> bool:
        """Tell whether it has to sound now for emergencies that nobody has looked at (their ids).

        `touched_s`: when somebody last pressed a key.
        """
        before, self._heard = self._heard, frozenset(messages)
        if not messages:
            return False
        if not self._heard <= before:
            self._times = 0
        elif (
            touched_s > self._sounded_s
            or now_s < self._sounded_s + AGAIN_S
            or self._times >= MAX_TIMES
        ):
            return False
        self._times += 1
        self._sounded_s = now_s
        return True
