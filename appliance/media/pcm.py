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
    """Several frames at once, limited where they are too loud together."""
    if len(frames) == 1:
        return frames[0]
    if not frames:
        return SILENCE
    arrays = [array("h", frame) for frame in frames]
    sums = map(sum, zip(*arrays, strict=True))
    return array("h", [max(-32_768, min(32_767, value)) for value in sums]).tobytes()
