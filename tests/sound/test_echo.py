"""Echo, noise and level in computed rooms, and the far sound's place beside the near one.

Prints what it measured and what it cost: `pytest -s tests/sound/test_echo.py`.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

import numpy as np
import pytest
from acoustics import CARD_RATE, Sound, echo, frames, joined, pesq, power_db, resampled, room
from acoustics import speech as clip
from speech import LONG, SHORT, needs_speech

from appliance.adapters.speex import is_there
from appliance.media.cleaner import Cleaner, SpeexCleaner
from appliance.media.far import FarLine

pytestmark = [
    needs_speech,
    pytest.mark.skipif(not is_there(), reason="libspeexdsp1 is not installed"),
]

LATER = 960
"""Samples by which the cleaned sound is late."""


@dataclass(frozen=True)
class Cleaned:
    """What came of a scene."""

    erle_db: float
    """Echo return loss enhancement while they talk alone, after the room was learned."""

    first_db: float
    """The same from the second to the fourth second."""

    near_pesq: float
    """Of the near voice while both talk."""

    near_raw_pesq: float
    """The same without any cleaning."""


def scene(heard: Sound, outputs: Sound, near: Sound, talks_from: int) -> Cleaned:
    whole = slice(talks_from, min(len(outputs), len(near)) - LATER)
    alone = slice(talks_from - 7 * CARD_RATE, talks_from - CARD_RATE // 4)
    begin = slice(CARD_RATE, 4 * CARD_RATE)
    moved = outputs[LATER:]
    return Cleaned(
        power_db(heard[alone]) - power_db(moved[alone]),
        power_db(heard[begin]) - power_db(moved[begin]),
        pesq(near[whole], moved[whole]),
        pesq(near[whole], heard[whole]),
    )


def near_voice(size: int, talks_from: int, peak: float = 12_000) -> Sound:
    near = np.zeros(size)
    voice = clip(SHORT, peak=peak)
    for begin in range(talks_from, size - len(voice), 4 * CARD_RATE):
        near[begin : begin + len(voice)] = voice
    return near


@pytest.mark.parametrize("reverberation_s", [0.2, 0.4])
def test_echo_goes_and_the_near_voice_stays_when_both_talk(reverberation_s: float) -> None:
    far = clip(LONG, peak=12_000, times=3)
    talks_from = len(far) - 9 * CARD_RATE
    near = near_voice(len(far), talks_from)
    noise = np.random.default_rng(2).standard_normal(len(far)) * 10
    delayed = np.concatenate([np.zeros(1920), far])[: len(far)]  # 40 ms through cards and air
    heard = near + echo(delayed, room(1, reverberation_s=reverberation_s)) + noise
    cleaner = SpeexCleaner()
    before = time.process_time()
    pairs = list(zip(frames(heard), frames(far), strict=True))
    outputs = joined([cleaner.clean(*pair) for pair in pairs])
    cost_ms = 1000 * (time.process_time() - before) / len(pairs)
    found = scene(heard, outputs, near, talks_from)
    print(f"\nroom {reverberation_s} s: {found}, {cost_ms:.2f} ms a frame")
    assert found.erle_db >= 25
    assert found.near_pesq >= 2.7
    assert found.near_pesq >= found.near_raw_pesq + 1.3


def run(cleaner: Cleaner, near: Sound) -> Sound:
    silence = bytes(1920)
    return joined([cleaner.clean(frame, silence) for frame in frames(near)])[LATER:]


def test_steady_noise_is_lowered_and_a_voice_in_it_gets_better() -> None:
    voice = np.concatenate([np.zeros(4 * CARD_RATE), clip(LONG, peak=12_000, times=2)])
    noise = np.random.default_rng(3).standard_normal(len(voice)) * 100
    cleaned = run(SpeexCleaner(), voice + noise)
    pause = slice(2 * CARD_RATE, 4 * CARD_RATE - LATER)
    spoken = slice(len(voice) - 7 * CARD_RATE, len(cleaned))
    lowered_db = power_db(noise[pause]) - power_db(cleaned[pause])
    before = pesq(voice[spoken], (voice + noise)[spoken])
    after = pesq(voice[spoken], cleaned[spoken])
    print(f"\nnoise {lowered_db:.1f} dB lower, PESQ of the voice in it {before:.2f} -> {after:.2f}")
    assert lowered_db >= 10
    assert after >= before + 0.5


def test_quiet_and_loud_voices_come_to_the_same_level_unharmed() -> None:
    levels = []
    for peak in (3_000.0, 12_000.0, 30_000.0):
        voice = clip(LONG, peak=peak, times=2)
        cleaned = run(SpeexCleaner(), voice)
        spoken = slice(len(voice) // 2, len(cleaned))
        levels.append(power_db(cleaned[spoken]))
        score = pesq(voice[spoken], cleaned[spoken])
        print(f"\npeak {peak:.0f}: level {levels[-1] - 90:.1f} dB, PESQ {score:.2f}")
        assert score >= 3.8
        assert np.abs(cleaned).max() < 32_000
    assert max(levels) - min(levels) <= 3


@dataclass(frozen=True)
class Way:
    """How the echo comes back."""

    delay_s: float = 0.001
    """Beyond what the cards say of themselves."""

    drift_ppm: float = 0.0
    """By how much the microphone's clock is slower."""

    jitter_s: float = 0.001
    """Of what the cards say."""

    early_s: float = 0.0
    """The loudspeaker says that its sound is heard so much sooner than it is."""


def lay_out(way: Way, times: int, seed: int = 5) -> tuple[Cleaned, FarLine]:
    """A speaker and a microphone with clocks of their own, in virtual time."""
    chance = random.Random(seed)
    far = clip(LONG, peak=12_000, times=times)
    slower = 1 + way.drift_ppm * 1e-6
    arrived = np.concatenate([np.zeros(int(way.delay_s * CARD_RATE)), far])[: len(far)]
    arrived = echo(arrived, room(1, reverberation_s=0.25))
    fine = resampled(arrived, 4 * len(arrived))
    places = np.arange(int(len(far) / slower) - 2 * CARD_RATE) * slower
    heard = np.interp(places * 4, np.arange(len(fine)), fine)
    talks_from = len(heard) - 8 * CARD_RATE
    near = near_voice(len(heard), talks_from)
    heard += near + np.random.default_rng(2).standard_normal(len(heard)) * 10
    plays, hears = frames(far), frames(heard)
    events = [(0.02 * index - 0.04, 0, index) for index in range(len(plays))]
    events += [(0.02 * (index + 1) * slower + 0.003, 1, index) for index in range(len(hears))]
    line, cleaner, cleaned = FarLine(), SpeexCleaner(), []
    for _, kind, index in sorted(events):
        said = way.jitter_s * chance.random()
        if kind == 0:
            line.played(plays[index], 0.02 * index + said - way.early_s)
            continue
        beside, moved = line.beside(hears[index], 0.02 * index * slower + said)
        if moved:
            cleaner.reset()
        cleaned.append(cleaner.clean(hears[index], beside))
    return scene(heard, joined(cleaned), near, talks_from), line


@pytest.mark.parametrize(
    ("way", "times"),
    [
        (Way(), 3),
        (Way(delay_s=0.3), 3),
        (Way(early_s=0.05, jitter_s=0.01), 3),
        (Way(drift_ppm=50), 5),
        (Way(drift_ppm=-200), 5),
    ],
)
def test_the_far_sound_is_laid_where_its_echo_is(way: Way, times: int) -> None:
    found, line = lay_out(way, times)
    print(f"\n{way}: {found}, drift {line.drift_ppm:.1f} ppm, held back {line.held_back_s:.3f} s")
    assert found.erle_db >= 25
    assert found.near_pesq >= 2.7
    assert line.moved <= 2
    assert abs(line.drift_ppm - way.drift_ppm) <= 4
