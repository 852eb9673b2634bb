"""How loud a voice was over the last seconds, and whether it was too loud for its microphone."""

from __future__ import annotations

from collections import deque

from appliance.media.pcm import SILENT_DB

WINDOW = 250
"""Frames that are remembered, 5 s: longer than the pauses within what somebody says."""

FULL_DB = -0.1
"""A peak from here on has met the end of the scale."""


class LevelWatch:
    """Peaks of frames, remembered for a while."""

    def __init__(self) -> None:
        self._peaks: deque[float] = deque(maxlen=WINDOW)

    def add(self, peak_db: float) -> None:
        """The peak of another frame, dB full scale."""
        self._peaks.append(peak_db)

    @property
    def loudest_db(self) -> float:
        """The loudest frame; a voice that speaks now and then is seen whole."""
        return max(tuple(self._peaks), default=SILENT_DB)

    @property
    def clipped_pct(self) -> float:
        """Share of the frames that met the end of the scale."""
        peaks = tuple(self._peaks)
        return 100 * sum(peak >= FULL_DB for peak in peaks) / len(peaks) if peaks else 0.0
