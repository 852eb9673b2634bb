"""What everybody in a conference hears, frame by frame."""

from __future__ import annotations

import math
import random
from array import array
from itertools import pairwise

import pytest

from appliance.media.conference import complexity_for, scaled
from appliance.media.effort import COMPLEXITY
from appliance.media.mixer import OWN, VOICES, Mixer, ending
from appliance.media.pcm import SILENCE, mix
from appliance.protocol.jitter import FRAME


def tone(beat: int, *, frequency: int = 250, amplitude: int = 6_000) -> bytes:
    values = (
        round(amplitude * math.sin(2 * math.pi * frequency * (beat * FRAME + index) / 48_000))
        for index in range(FRAME)
    )
    return array("h", values).tobytes()


def largest_step(pcm: bytes) -> int:
    return max(abs(a - b) for a, b in pairwise(array("h", pcm)))


def test_everybody_hears_the_others_and_nobody_himself() -> None:
    mixer = Mixer()
    names = (OWN, "a", "b", "quiet")
    for beat in range(3):
        sounds = {name: tone(beat, frequency=200 + 100 * n) for n, name in enumerate(names)}
        sounds["quiet"] = SILENCE
        heard = mixer.turn(sounds)
    assert heard[OWN] == mix([sounds["a"], sounds["b"]])
    assert heard["a"] == mix([sounds[OWN], sounds["b"]])
    assert heard["b"] == mix([sounds[OWN], sounds["a"]])
    assert heard["quiet"] == mix([sounds[OWN], sounds["a"], sounds["b"]])
    assert set(mixer.talking) == {OWN, "a", "b"}


def test_one_voice_costs_no_arithmetic_and_who_is_alone_hears_silence() -> None:
    mixer = Mixer()
    for beat in range(2):
        sounds = {"a": tone(beat), "b": SILENCE, "c": SILENCE}
        heard = mixer.turn(sounds)
    assert heard["b"] is heard["c"] is sounds["a"]
    assert heard["a"] is SILENCE
    assert Mixer().turn({OWN: tone(0)})[OWN] is SILENCE


def test_only_the_loudest_are_mixed_and_a_little_louder_does_not_change_that() -> None:
    mixer = Mixer()
    names = [f"s{n}" for n in range(VOICES + 1)]
    sounds = {name: tone(0, amplitude=4_000) for name in names}
    mixer.turn(sounds | {names[-1]: SILENCE})
    mixer.turn(sounds | {names[-1]: tone(0, amplitude=6_000)})
    assert names[-1] not in mixer.talking, "a place is not taken for 3.5 dB"
    mixer.turn(sounds | {names[-1]: tone(0, amplitude=12_000)})
    assert names[-1] in mixer.talking
    assert len(mixer.talking) == VOICES


def test_noise_is_no_voice_and_pauses_between_words_are_no_end() -> None:
    mixer = Mixer()
    noise = tone(0, amplitude=20)
    assert mixer.turn({"a": noise, "b": SILENCE})["b"] is SILENCE
    mixer.turn({"a": tone(0), "b": SILENCE})
    assert mixer.turn({"a": noise, "b": SILENCE})["b"] == noise


def test_nothing_clicks_when_somebody_begins_ends_or_leaves() -> None:
    mixer, said = Mixer(), [tone(beat) for beat in range(400)]
    smooth = largest_step(b"".join(said[:3]))
    heard = b"".join(
        mixer.turn({"a": said[beat], "b": SILENCE} if beat < 3 else {"b": SILENCE})["b"]
        for beat in range(5)
    )
    assert any(heard)
    assert largest_step(heard) < 1.2 * smooth


def test_nothing_clicks_when_a_voice_has_to_make_room() -> None:
    mixer, heard = Mixer(), b""
    crowd = [f"s{n}" for n in range(VOICES)]
    for beat in range(6):
        loud = tone(beat, amplitude=9_000) if beat >= 3 else SILENCE
        sounds = {"a": tone(beat, amplitude=3_000), "b": SILENCE}
        heard += mixer.turn(sounds | dict.fromkeys(crowd, loud))["b"]
    assert "a" not in mixer.talking
    together = VOICES * largest_step(tone(0, amplitude=9_000))
    assert largest_step(heard) < 1.2 * together


def test_an_ending_goes_on_where_the_voice_stopped() -> None:
    last = tone(0, amplitude=20_000)
    assert largest_step(last + ending(last)) < 1.2 * largest_step(last)
    assert ending(SILENCE) is SILENCE
    assert array("h", ending(last))[-1] == 0


def test_encoders_think_less_where_there_are_many() -> None:
    efforts = [complexity_for(streams) for streams in range(1, 16)]
    assert efforts == sorted(efforts, reverse=True)
    assert (efforts[0], efforts[-1]) == (COMPLEXITY, 1)


@pytest.mark.parametrize("voices", [2, 3, 5, 16, 64])
def test_sums_are_those_of_the_samples_and_limited(voices: int) -> None:
    chance = random.Random(voices)
    edges = [-32_768, -32_767, -1, 0, 1, 32_766, 32_767]
    frames = [
        array("h", (chance.choice([*edges, chance.randint(-32_768, 32_767)]) for _ in range(FRAME)))
        for _ in range(voices)
    ]
    sums = (sum(samples) for samples in zip(*frames, strict=True))
    expected = array("h", (max(-32_768, min(32_767, value)) for value in sums))
    assert array("h", mix([frame.tobytes() for frame in frames])) == expected


def test_loudness_is_limited() -> None:
    loud = tone(0, amplitude=30_000)
    assert max(array("h", scaled(loud, 200))) == 32_767
    assert scaled(loud, 100) is loud
    assert not any(scaled(loud, 0))
