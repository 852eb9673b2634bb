"""Small sums over 20 ms frames of 48 kHz mono 16 bit sound."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

from appliance.protocol.jitter import FRAME

FRAME_BYTES = 2 * FRAME
"""One frame."""

SILENCE = bytes(FRAME_BYTES)
"""One frame of nothing."""

SILENT_DB = -100.0
"""Level of digital silence."""

QUIET_DB = -45.0
"""Below this nobody hears a change of the delay."""

_FADE = 240
_STRIDE = 3


def level_db(frame: bytes) -> float:
    """Peak of a frame in dB full scale, by every third sample: speech has nothing above 8 kHz."""
    samples = array("h", frame)[::_STRIDE]
    peak = max(max(samples), -min(samples)) if samples else 0
    return 20 * math.log10(peak / 32_768) if peak else SILENT_DB


def merge(first: bytes, second: bytes) -> bytes:
    """Two frames made one: 5 ms cross-fade at the spot where they are most alike."""
    one, two = array("h", first), array("h", second)
    size = min(len(one), len(two))
    fade = min(_FADE, size)

    def difference(start: int) -> int:
        pairs = zip(one[start : start + fade : 8], two[start : start + fade : 8], strict=True)
        return sum(abs(a - b) for a, b in pairs)

    start = min(range(0, size - fade + 1, fade // 4 or 1), key=difference)
    faded = (
        (one[start + index] * (fade - index) + two[start + index] * index) // fade
        for index in range(fade)
    )
    return (one[:start] + array("h", faded) + two[start + fade :]).tobytes()


def fade_out(frame: bytes) -> bytes:
    """A frame that ends in silence after 5 ms, for what is cut off."""
    samples = array("h", frame)
    faded = [samples[index] * (_FADE - index) // _FADE for index in range(_FADE)]
    return (array("h", faded) + array("h", bytes(2 * (len(samples) - _FADE)))).tobytes()


def fade_in(frame: bytes) -> bytes:
    """A frame that begins in silence, for what is joined in the middle."""
    samples = array("h", frame)
    for index in range(_FADE):
        samples[index] = samples[index] * index // _FADE
    return samples.tobytes()


def mix(frames: Sequence[bytes]) -> bytes:
    """Several frames at once, limited where they are too loud together.

    The samples are lanes of two large integers, 32 bits each, the even ones and the odd ones, so
    that a frame is added and limited in a few operations: a loop over 960 samples takes 0.5 ms on a
    PC, this 0.03.  In a lane all is raised by 2**15 for each frame, so that it has no sign.
    """
    if len(frames) == 1:
        return frames[0]
    if not frames:
        return SILENCE
    even = odd = 0
    for frame in frames:
        raised = int.from_bytes(frame, "little") ^ _RAISE
        even += raised & _LOW
        odd += raised >> 16 & _LOW
    too_high = (len(frames) - 1 << 15) * _EACH
    mixed = _limited(even, too_high) | _limited(odd, too_high) << 16
    return (mixed ^ _RAISE).to_bytes(FRAME_BYTES, "little")


_EACH = int.from_bytes(b"\1\0\0\0" * (FRAME // 2), "little")
"""1 in each lane."""

_LOW, _TOP = 0xFFFF * _EACH, _EACH << 31
"""The samples' place in the lanes, and the highest bit of each, which no sum reaches."""

_RAISE = int.from_bytes(b"\0\x80" * FRAME, "little")
"""2**15 for each sample: its sign the other way round."""


def _limited(sums: int, too_high: int) -> int:
    """Less ``too_high`` in each lane, and what is then below 0 or above 65,535 is that."""
    lowered = sums + (_TOP - too_high)
    at_least_0 = (lowered & _TOP) >> 31
    rest = lowered & (_TOP - _EACH)
    above = (rest + (_TOP - (_LOW + _EACH)) & _TOP) >> 31
    # One less than 2**16 in a lane is a mask of all its 16 bits.
    return (rest & _LOW | (above << 16) - above) & (at_least_0 << 16) - at_least_0
