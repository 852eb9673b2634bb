"""Makes a frame of sound shorter or longer by whole periods of its voice, without a seam.

Waveform-similarity overlap-add: the two places that are made one are those that look most alike, a
period of the voice apart, and one fades into the other over a period.  48 kHz, 16 bit, mono.
When and by how much is `playout`'s matter.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import accumulate
from math import inf, sqrt
from operator import mul
from typing import Final

SHORTEST: Final = 120
"""Samples: 2.5 ms, the period of a voice of 400 Hz."""

LONGEST: Final = 600
"""Samples: 12.5 ms, the period of a voice of 80 Hz."""

FADE: Final = 240
"""Samples over which sound without a period is faded: 5 ms."""

_THIN = 8
"""The search looks at every eighth sample: at 6 kHz there is all of a voice's pitch."""

_NARROW = 3
"""The second search, around what the first found, looks at every third."""


def cut(sound: array[int], samples: int) -> array[int]:
    """Without the first ``samples``, faded; as many of them as the length allows."""
    count = min(samples, len(sound) - FADE)
    return _joined(sound, count, FADE) if count > 0 else sound


def pad(sound: array[int], samples: int) -> array[int]:
    """Longer by ``samples`` that are heard twice, faded; as many of them as the length allows."""
    count = min(samples, len(sound) - FADE)
    return _doubled(sound, count, FADE) if count > 0 else sound


def shorten(sound: array[int], most: int, *, alike: float) -> array[int]:
    """Without one period of at most ``most`` samples; as it is where none is ``alike`` (0 to 1)."""
    count = _period(sound, most, alike)
    return _joined(sound, count, min(count, len(sound) - count)) if count else sound


def lengthen(sound: array[int], most: int, *, alike: float) -> array[int]:
    """With one period of at most ``most`` samples twice; as it is where none is ``alike``."""
    count = _period(sound, most, alike)
    return _doubled(sound, count, min(count, len(sound) - count)) if count else sound


def fade(one: Sequence[int], two: Sequence[int]) -> array[int]:
    """From one into the other, over the length of the shorter."""
    size = min(len(one), len(two))
    steps = zip(one, two, range(size), strict=False)
    return array("h", [a + (b - a) * step // size for a, b, step in steps])


def _joined(sound: array[int], count: int, over: int) -> array[int]:
    return fade(sound[:over], sound[count : count + over]) + sound[count + over :]


def _doubled(sound: array[int], count: int, over: int) -> array[int]:
    return sound[:count] + fade(sound[count : count + over], sound[:over]) + sound[over:]


def _period(sound: array[int], most: int, alike: float) -> int:
    """Samples after which the sound repeats itself best; 0: not so well as ``alike``."""
    most = min(most, LONGEST, len(sound) - FADE)
    if most < SHORTEST:
        return 0
    # Four of eight samples summed up are a low-pass filter that is good enough.
    parts = (sound[offset::_THIN] for offset in range(0, _THIN, 2))
    thin = [a + b + c + d for a, b, c, d in zip(*parts, strict=False)]
    best, found = _best(thin, range(SHORTEST // _THIN, most // _THIN + 1))
    if best < alike:
        return 0
    around = range(max(SHORTEST, (found - 1) * _THIN), min(most, (found + 1) * _THIN) + 1)
    return _best(sound, around, _NARROW)[1]


def _best(sound: Sequence[int], lags: range, step: int = 1) -> tuple[float, int]:
    """How much the sound is like itself (-1 to 1) after the lag, one period, where it is most so.

    Only every ``step``-th sample is looked at.
    """
    energy = [0, *accumulate(map(mul, sound, sound))]
    best, found = -inf, lags.start
    for lag in lags:
        size = min(lag, len(sound) - lag)
        both = energy[size] * (energy[lag + size] - energy[lag])
        shared = sum(map(mul, sound[:size:step], sound[lag : lag + size : step]))
        likeness = step * shared / sqrt(both) if both else 1.0
        if likeness >= best:
            best, found = likeness, lag
    return best, found
