"""Whether there is a pause, in which nobody hears a change of the delay, sans IO.

Quiet is what is near silence, and what is no louder than the noise of their room while somebody
talks louder from time to time.  A pause is longer than the moment of silence in a "p" or "t".
"""

from __future__ import annotations

from typing import Final

from appliance.media.pcm import QUIET_DB, SILENT_DB

RISE_DB: Final = 0.1
"""In 20 ms the noise is thought to grow by this at most: 5 dB/s."""

FALL_DB: Final = 0.1
"""In 20 ms the voice is thought to fade by this at most."""

ABOVE_NOISE_DB: Final = 4.0
"""What is no louder than this above the noise is noise."""

BELOW_VOICE_DB: Final = 20.0
"""It is so much softer than the voice, or it might be the voice itself."""

PAUSE: Final = 6
"""Quiet frames in a row that are a pause: 120 ms."""


class Quiet:
    """Follows the level of one voice."""

    def __init__(self) -> None:
        self._noise_db = 0.0
        self._voice_db = SILENT_DB
        self._frames = PAUSE

    @property
    def pause(self) -> bool:
        """The last frames were quiet."""
        return self._frames >= PAUSE

    def add(self, level_db: float) -> None:
        """The level of the next 20 ms, in dB full scale."""
        self._noise_db = min(level_db, self._noise_db + RISE_DB)
        self._voice_db = max(level_db, self._voice_db - FALL_DB)
        noise = level_db < min(self._noise_db + ABOVE_NOISE_DB, self._voice_db - BELOW_VOICE_DB)
        self._frames = self._frames + 1 if noise or level_db < QUIET_DB else 0
