"""How much thought the Opus encoder gives a frame: what the machine has time for.

On a slow board the most thorough encoding leaves too little for all else, and sound that comes late
is worse than sound that is encoded a little less well.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from appliance.adapters.opus import OpusEncoder
from appliance.media.pcm import FRAME_BYTES
from appliance.protocol.jitter import FRAME_S

COMPLEXITY: Final = 9
"""Of the encoder where nothing speaks against it; 0.3 ms a frame on a PC."""

LEVELS: Final = (COMPLEXITY, 5, 1)
"""Each takes about half of the time of the one before."""

MOST: Final = 0.125
"""Share of a core that encoding one voice may take: 2.5 ms a frame."""

LITTLE: Final = 0.04
"""Below this there is time for the level above, and to spare."""

FRAMES: Final = 25
"""That are measured before it is judged: half a second."""

CALM: Final = 20
"""Judgements in a row that have to find it little: 10 s."""


class Effort:
    """One encoder's; frames that are encoded through it are timed."""

    def __init__(
        self, encoder: OpusEncoder, *, used_s: Callable[[], float] = time.thread_time
    ) -> None:
        """``used_s``: processor time of this thread, in seconds."""
        self._encoder, self._used_s = encoder, used_s
        self._level, self._cap = 0, COMPLEXITY
        self._spent_s, self._frames, self._calm = 0.0, 0, 0
        self.complexity = COMPLEXITY
        """What the encoder is set to."""

    def allow(self, complexity: int) -> None:
        """Never more than this, since there are others to encode for."""
        self._cap = complexity
        self._apply()

    def encode(self, pcm: bytes) -> bytes:
        """One packet; raises `OpusError`."""
        before = self._used_s()
        packet = self._encoder.encode(pcm)
        self._spent_s += self._used_s() - before
        self._frames += len(pcm) // FRAME_BYTES
        if self._frames >= FRAMES:
            self._judge()
        return packet

    def _judge(self) -> None:
        share = self._spent_s / (self._frames * FRAME_S)
        self._spent_s, self._frames = 0.0, 0
        if share > MOST and self._level < len(LEVELS) - 1:
            self._level, self._calm = self._level + 1, 0
        elif share < LITTLE and self._level:
            self._calm += 1
            if self._calm >= CALM:
                self._level, self._calm = self._level - 1, 0
        else:
            self._calm = 0
        self._apply()

    def _apply(self) -> None:
        wanted = min(LEVELS[self._level], self._cap)
        if wanted != self.complexity:
            self.complexity = wanted
            self._encoder.set_complexity(wanted)
