"""Ring tones and call progress tones, made of sines: each is a cadence of 20 ms frames.

All frequencies are multiples of 50 Hz, so that every frame of a tone is the same 960 samples and
follows itself without a click.
"""

from __future__ import annotations

import math
from array import array
from functools import cache
from types import MappingProxyType

from appliance.media.pcm import FRAME_BYTES, SILENCE
from appliance.protocol.jitter import FRAME
from appliance.protocol.opus_packet import CLOCK_HZ

LOUDNESS = 0.25
"""Amplitude of a tone against full scale: -12 dB."""

_Part = tuple[int, tuple[int, ...]]

CADENCES: MappingProxyType[str, tuple[bool, tuple[_Part, ...]]] = MappingProxyType(
    {
        "ring": (
            True,
            (
                (100, (800, 1000)), (100, (650, 850)), (100, (800, 1000)), (100, (650, 850)),
                (200, ()),
                (100, (800, 1000)), (100, (650, 850)), (100, (800, 1000)), (100, (650, 850)),
                (2000, ()),
            ),
        ),
        "ringback": (True, ((1000, (450,)), (4000, ()))),  # ITU-T E.180
        "busy": (True, ((500, (450,)), (500, ()))),  # ITU-T E.180
        "alarm": (False, (((300, (1000,)), (300, (700,))) * 4)),
        "notice": (False, ((120, (600,)), (60, ()), (160, (900,)), (60, ()))),
        "talk-go": (False, ((60, (750,)), (40, ()), (60, (1000,)))),
        "talk-over": (False, ((80, (700,)), (20, ()))),
        "talk-busy": (False, (((120, (400,)), (80, ())) * 3)),
    }
)  # fmt: skip
"""Each tone of `Ring` and `TalkTone`: whether it goes on and on; milliseconds and frequencies."""


@cache
def _sine(frequencies: tuple[int, ...], rising: bool, falling: bool) -> bytes:
    """One frame; with 5 ms of fading where it begins or ends."""
    if not frequencies:
        return SILENCE
    samples = array("h")
    for index in range(FRAME):
        value = sum(math.sin(2 * math.pi * f * index / CLOCK_HZ) for f in frequencies)
        fade = 1.0
        if rising:
            fade = min(1.0, index / 240)
        if falling:
            fade = min(fade, (FRAME - index) / 240)
        samples.append(round(32_767 * LOUDNESS * fade * value / len(frequencies)))
    return samples.tobytes()


@cache
def _frames(name: str) -> tuple[bool, tuple[bytes, ...]]:
    again, parts = CADENCES[name]
    frames: list[bytes] = []
    for milliseconds, frequencies in parts:
        count = milliseconds // 20
        frames += [_sine(frequencies, index == 0, index == count - 1) for index in range(count)]
    return again, tuple(frames)


class Tone:
    """A tone that is being played; one frame at a time."""

    def __init__(self, name: str) -> None:
        """``name`` is a key of `CADENCES`; raises KeyError."""
        self.again, self._frames = _frames(name)
        """It goes on and on."""
        self._next = 0

    @property
    def over(self) -> bool:
        """It has been played to its end."""
        return self._next >= len(self._frames)

    def frame(self) -> bytes:
        """The next 20 ms."""
        if self.over:
            return bytes(FRAME_BYTES)
        frame = self._frames[self._next]
        following = self._next + 1
        self._next = following % len(self._frames) if self.again else following
        return frame
