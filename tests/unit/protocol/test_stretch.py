"""Sound is made longer and shorter without a click or a break in its period."""

from __future__ import annotations

import math
import random
from array import array
from itertools import pairwise

import pytest

from appliance.protocol.stretch import FADE, LONGEST, SHORTEST, cut, fade, lengthen, pad, shorten

RATE = 48_000


def voice(pitch_hz: float, count: int, *, start: int = 0) -> array[int]:
    """Harmonics like those of a vowel."""
    turn = 2 * math.pi * pitch_hz / RATE
    return array(
        "h",
        (
            round(sum(9_000 / part * math.sin(turn * part * index + part) for part in range(1, 12)))
            for index in range(start, start + count)
        ),
    )


def noise(count: int, seed: int = 1) -> array[int]:
    rng = random.Random(seed)
    return array("h", (rng.randrange(-400, 400) for _ in range(count)))


def largest_step(sound: array[int]) -> int:
    return max(abs(a - b) for a, b in pairwise(sound))


@pytest.mark.parametrize("pitch_hz", [80, 120, 200, 320])
@pytest.mark.parametrize("change", [shorten, lengthen])
def test_a_voice_changes_by_whole_periods_and_nothing_else_is_heard(
    pitch_hz: int, change: type
) -> None:
    before, frame, after = (voice(pitch_hz, 960, start=960 * number) for number in range(3))
    bent = change(frame, LONGEST, alike=0.9)
    difference = abs(len(bent) - len(frame))
    periods = difference / (RATE / pitch_hz)
    assert SHORTEST <= difference <= LONGEST
    assert periods == pytest.approx(round(periods), abs=0.02)
    whole = before + bent + after
    assert largest_step(whole) < 1.1 * largest_step(before + frame), "no click at any seam"
    # It goes on as the voice does: the next period is like the one before it, everywhere.
    lag = round(RATE / pitch_hz)
    scale = max(map(abs, frame))
    assert max(abs(a - b) for a, b in zip(whole, whole[lag:], strict=False)) < 0.15 * scale


@pytest.mark.parametrize("change", [shorten, lengthen])
def test_what_has_no_period_is_left_alone_unless_it_must_be(change: type) -> None:
    hiss = noise(960)
    assert change(hiss, LONGEST, alike=0.9) == hiss
    bent = change(hiss, LONGEST, alike=-1.0)
    assert SHORTEST <= abs(len(bent) - len(hiss)) <= LONGEST
    assert change(hiss, SHORTEST - 1, alike=-1.0) == hiss, "there is less to gain than a period"
    assert change(hiss[:300], LONGEST, alike=-1.0) == hiss[:300]


def test_silence_can_be_bent_too() -> None:
    nothing = array("h", bytes(1_920))
    assert len(shorten(nothing, LONGEST, alike=0.9)) < 960
    assert not any(lengthen(nothing, LONGEST, alike=0.9))


@pytest.mark.parametrize("samples", [1, 144, 480, 720, 5_000])
def test_in_a_pause_it_is_exact_and_without_a_click(samples: int) -> None:
    before, frame, after = noise(960, 1), noise(960, 2), noise(960, 3)
    count = min(samples, 960 - FADE)
    for bent, size in ((cut(frame, samples), 960 - count), (pad(frame, samples), 960 + count)):
        assert len(bent) == size
        assert bent[0] == frame[0]
        assert bent[-1] == frame[-1]
        assert largest_step(before + bent + after) <= 800
    tiny = frame[: FADE - 1]
    assert cut(tiny, samples) == pad(tiny, samples) == tiny


def test_the_loudest_sound_does_not_wrap() -> None:
    loud = array("h", [-32_768, 32_767] * 480)
    assert set(fade(loud, loud)) <= {-32_768, 32_767}
    assert max(fade(array("h", [32_767] * 9), array("h", [-32_768] * 9))) == 32_767
    assert len(fade(loud, loud[:5])) == 5
