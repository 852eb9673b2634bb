"""The sound of an emergency: heard at once, and again until somebody reacts.

What stays out: the sound of calls, which the voice process makes.
"""

from __future__ import annotations

from typing import Final

AGAIN_S: Final = 5.0
MAX_TIMES: Final = 60
"""An emergency that nobody reacts to sounds so often, that far apart."""


class Alerts:
    """Says when the terminal's bell is due."""

    def __init__(self) -> None:
        self._message = ""
        self._sounded_s = 0.0
        self._times = 0

    def due(self, message: str | None, now_s: float, touched_s: float) -> bool:
        """Tell whether it has to sound now for an emergency (its id; None: there is none).

        `touched_s`: when somebody last pressed a key.
        """
        if message is None:
            return False
        if message != self._message:
            self._message, self._times = message, 0
        elif (
            touched_s > self._sounded_s
            or now_s < self._sounded_s + AGAIN_S
            or self._times >= MAX_TIMES
        ):
            return False
        self._times += 1
        self._sounded_s = now_s
        return True
