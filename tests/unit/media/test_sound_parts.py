"""Parts of the sound: push to talk, levels, tones, what is laid beside the microphone, cleaners."""

from __future__ import annotations

import random
from array import array

import numpy as np
import pytest

from appliance.adapters import speex
from appliance.adapters.speex import Resampler, SpeexError
from appliance.media.cleaner import TIMED_FRAMES, Affordable, Untouched, cleaner_for, remover
from appliance.media.far import Clock, FarLine
from appliance.media.levels import LevelWatch
from appliance.media.pcm import FRAME_BYTES, SILENCE, SILENT_DB
from appliance.media.talk_key import TalkKey
from appliance.media.tones import CADENCES
from appliance.model.media import TALK_LIMIT_S

needs_speex = pytest.mark.skipif(not speex.is_there(), reason="libspeexdsp1 is not installed")


def noise(seed: int) -> bytes:
    chance = random.Random(seed)
    return array("h", [chance.randrange(-9000, 9000) for _ in range(960)]).tobytes()


def test_an_open_microphone_needs_no_key() -> None:
    key = TalkKey()
    assert key.lets_talk(0.0)
    assert key.left_s(0.0) is None
    key.set(used=None, held=True, now=0.0)
    assert key.left_s(0.0) is None


def test_a_key_lets_talk_while_it_is_held_and_not_for_longer_than_the_limit() -> None:
    key = TalkKey()
    key.set(used=True, held=None, now=0.0)
    assert not key.lets_talk(0.0)
    key.set(used=None, held=True, now=1.0)
    assert key.lets_talk(1.0)
    key.set(used=None, held=True, now=31.0)  # the same push, said again
    assert key.left_s(31.0) == TALK_LIMIT_S - 30
    assert not key.lets_talk(1.0 + TALK_LIMIT_S)
    key.set(used=None, held=True, now=100.0)
    assert key.lets_talk(100.0)
    key.set(used=None, held=False, now=101.0)
    assert not key.lets_talk(101.0)
    key.set(used=False, held=None, now=102.0)
    assert key.lets_talk(102.0)


def test_levels_are_of_the_last_seconds() -> None:
    levels = LevelWatch()
    assert (levels.loudest_db, levels.clipped_pct) == (SILENT_DB, 0.0)
    levels.add(0.0)
    for _ in range(9):
        levels.add(-30.0)
    assert (levels.loudest_db, levels.clipped_pct) == (0.0, 10.0)
    for _ in range(250):
        levels.add(-40.0)
    assert (levels.loudest_db, levels.clipped_pct) == (-40.0, 0.0)


def test_talk_tones_are_short_since_somebody_waits_to_speak() -> None:
    for name in ("talk-go", "talk-busy"):
        _, parts = CADENCES[name]
        assert sum(milliseconds for milliseconds, _ in parts) <= 600


def test_the_loudspeakers_own_sound_is_known_again() -> None:
    line = FarLine()
    played = [noise(seed) for seed in range(4)]
    for index, frame in enumerate(played):
        line.played(frame, 0.02 * index)
    between = (played[1] + played[2])[700 : 700 + FRAME_BYTES]
    assert line.is_loop(between) is True
    assert line.is_loop(noise(99)) is False
    assert line.is_loop(SILENCE) is None


def test_before_anything_was_played_there_is_nothing_beside_the_microphone() -> None:
    assert FarLine().beside(noise(1), 5.0) == (SILENCE, False)


def test_a_clock_bears_jitter_and_knows_drift_and_gaps() -> None:
    clock, chance = Clock(), random.Random(3)
    for index in range(2000):
        clock.tick(7 + 0.02 * index * 1.0001 + 0.002 * chance.random())
    assert abs((clock.period_s / 0.02 - 1) * 1e6 - 100) < 3 * clock.doubt_ppm + 1
    assert abs(clock.at(2000) - (7.001 + 40 * 1.0001)) < 0.0005
    assert abs(clock.frame_at(clock.at(1234.5)) - 1234.5) < 1e-6
    after_gap = clock.tick(60.0)
    assert after_gap == pytest.approx(60.0)


def test_hostile_moments_of_a_card_break_nothing() -> None:
    line, chance = FarLine(), random.Random(4)
    for index in range(600):
        line.played(noise(index % 3), chance.uniform(-1e9, 1e9))
        far, _ = line.beside(noise(index % 5), chance.uniform(-1e9, 1e9))
        assert len(far) == FRAME_BYTES


def test_handsets_get_their_sound_untouched() -> None:
    cleaner = cleaner_for(handset=True)
    assert cleaner.clean(noise(1), noise(2)) == noise(1)
    assert cleaner.name == "off"


def test_without_the_library_sound_works_and_it_is_said_that_echo_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(speex, "LIBRARY", "libnothing.so.7")
    speex._library.cache_clear()
    try:
        cleaner = cleaner_for(handset=False)
        assert cleaner.clean(noise(1), noise(2)) == noise(1)
        assert "libspeexdsp1" in remover()
    finally:
        speex._library.cache_clear()


class Louder(Untouched):
    """A cleaner whose work can be seen."""

    def clean(self, near: bytes, far: bytes) -> bytes:
        return bytes(reversed(near))


@pytest.mark.parametrize(("frame_s", "stays"), [(0.003, True), (0.012, False)])
def test_a_machine_that_has_no_time_for_it_leaves_the_echo_and_says_so(
    frame_s: float, stays: bool
) -> None:
    used_s = (frame_s * (turn // 2) for turn in range(1, 10 * TIMED_FRAMES))
    cleaner = Affordable(Louder(), lambda: next(used_s))
    cleaned = [cleaner.clean(noise(1), noise(2)) for _ in range(3 * TIMED_FRAMES)]
    assert set(cleaned[:TIMED_FRAMES]) == {bytes(reversed(noise(1)))}
    assert (cleaned[-1] != noise(1)) == stays == (cleaner.problem is None)


@needs_speex
def test_frames_of_another_length_are_refused() -> None:
    cleaner = cleaner_for(handset=False)
    with pytest.raises(SpeexError):
        cleaner.clean(noise(1)[:-2], noise(2))


@needs_speex
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 96_000])
def test_a_tone_survives_another_rate_and_back(rate: int) -> None:
    moments = np.arange(48_000) / 48_000
    tone = 10_000 * np.sin(2 * np.pi * 1000 * moments)
    there, back = Resampler(source=48_000, target=rate), Resampler(source=rate, target=48_000)
    pieces = [
        back.process(there.process(tone[begin : begin + 960].astype(np.int16).tobytes()))
        for begin in range(0, 48_000, 960)
    ]
    heard = np.frombuffer(b"".join(pieces), dtype=np.int16).astype(float)[9600:38_400]
    basis = np.exp(-2j * np.pi * 1000 * np.arange(len(heard)) / 48_000)
    amplitude = 2 * np.mean(heard * basis)
    rest = heard - np.real(amplitude * np.conj(basis))
    assert abs(abs(amplitude) - 10_000) < 100
    assert 10 * np.log10(np.mean(heard**2) / np.mean(rest**2)) > 50
