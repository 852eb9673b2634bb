"""Sums over frames, tones, warnings and the histogram of lateness."""

from __future__ import annotations

import math
from array import array
from dataclasses import replace
from itertools import pairwise

import pytest

from appliance.media.lateness import STEPS, Lateness, quantile_ms
from appliance.media.pcm import FRAME_BYTES, SILENCE, SILENT_DB, level_db, merge, mix
from appliance.media.tones import CADENCES, LOUDNESS, Tone
from appliance.media.watch import Facts, Watch, problems
from appliance.model.media import SoundProblem
from appliance.protocol.jitter import FRAME


def sine(start: int, amplitude: int = 10_000, frequency: int = 220) -> bytes:
    values = (
        round(amplitude * math.sin(2 * math.pi * frequency * index / 48_000))
        for index in range(start, start + FRAME)
    )
    return array("h", values).tobytes()


def largest_step(pcm: bytes) -> int:
    samples = array("h", pcm)
    return max(abs(a - b) for a, b in pairwise(samples))


def test_merging_two_frames_makes_no_click() -> None:
    before, first, second, after = (sine(number * FRAME) for number in range(4))
    merged = merge(first, second)
    assert len(merged) == FRAME_BYTES
    assert largest_step(before + merged + after) < 2 * largest_step(before)


def test_levels_and_mixing() -> None:
    assert level_db(SILENCE) == SILENT_DB
    assert level_db(sine(0, amplitude=32_767)) == pytest.approx(0, abs=0.2)
    assert mix([]) == SILENCE
    assert mix([sine(0), SILENCE]) == sine(0)
    assert max(array("h", mix([sine(0, amplitude=30_000)] * 3))) == 32_767


@pytest.mark.parametrize("name", CADENCES)
def test_tones_have_no_clicks_and_their_cadence(name: str) -> None:
    again, parts = CADENCES[name]
    tone, frames = Tone(name), sum(part[0] for part in parts) // 20
    pcm = b"".join(tone.frame() for _ in range(2 * frames))
    assert largest_step(pcm) < 32_768 * LOUDNESS * 2 * math.pi * 1_000 / 48_000 * 1.1
    assert tone.over is not again
    assert any(pcm[frames * FRAME_BYTES :]) is again


def test_warnings_begin_within_2_s_and_end() -> None:
    watch, facts = Watch("call"), Facts(started_at=100.0)
    assert watch.update(problems(facts, 101.0)) == []
    (begun,) = watch.update(problems(facts, 101.6))
    assert (begun.problem, begun.over) == (SoundProblem.NO_SOUND_ARRIVING, False)
    assert watch.update(problems(facts, 101.8)) == [], "it is said once"
    facts.last_rejected_at = 101.9
    assert [(w.problem, w.over) for w in watch.update(problems(facts, 102.0))] == [
        (SoundProblem.NO_SOUND_ARRIVING, True),
        (SoundProblem.UNREADABLE_SOUND, False),
    ]
    facts.last_voice_at = 102.1
    (ended,) = watch.update(problems(facts, 102.2))
    assert (ended.problem, ended.over) == (SoundProblem.UNREADABLE_SOUND, True)


def test_a_microphone_is_silent_only_while_it_should_not_be() -> None:
    facts = Facts(started_at=0.0, last_voice_at=9.9, uses_microphone=True, last_microphone_at=5.0)
    assert set(problems(facts, 10.0)) == {SoundProblem.SILENT_MICROPHONE}
    assert not problems(replace(facts, muted=True), 10.0)
    assert not problems(replace(facts, last_microphone_at=9.0), 10.0)
    gone = replace(facts, microphone_problem="It is not there.", speaker_problem="Nor is it.")
    assert set(problems(gone, 10.0)) == {SoundProblem.NO_MICROPHONE, SoundProblem.NO_SPEAKER}


def test_lateness_is_counted_in_tenths_of_a_millisecond() -> None:
    lateness = Lateness()
    for _ in range(999):
        lateness.add(0.00025)
    lateness.add(7.0)
    assert lateness.take_worst_s() == 7.0
    assert lateness.take_worst_s() == 0.0
    histogram = lateness.histogram()
    assert len(histogram) == STEPS + 1
    assert quantile_ms([histogram, histogram], 0.999) == pytest.approx(0.3)
    assert quantile_ms([()], 0.5) is None
