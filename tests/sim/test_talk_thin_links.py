"""A talk group over links of all kinds, in virtual time: nobody is forgotten, nobody spoils it."""

from __future__ import annotations

import wave
from pathlib import Path
from random import Random

import pytest
from speech import SHORT, at_48_khz, needs_speech, quality
from talk_tree_sim import Link, Tree

from appliance.media.pcm import FRAME_BYTES

SETTLED_CLIPS = 5
"""Clips of 3.5 s after which it has found what the link takes."""


def clip_frames(folder: Path) -> list[bytes]:
    with wave.open(str(at_48_khz(SHORT, folder / "clip.wav"))) as file:
        pcm = file.readframes(file.getnframes())
    return [pcm[at : at + FRAME_BYTES] for at in range(0, len(pcm) - FRAME_BYTES + 1, FRAME_BYTES)]


def heard(tree: Tree, name: str, path: Path) -> float:
    """PESQ of the clip that was heard last."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 48_000, 0, "NONE", ""))
        file.writeframes(b"".join(tree.sound[name]))
    return quality(SHORT, path)


def speak(tree: Tree, clip: list[bytes], times: int) -> float:
    """Speak a clip so many times; when the last one began."""
    began = tree.now
    for _ in range(times):
        for sound in tree.sound.values():
            sound.clear()
        began = tree.now
        tree.run(clip)
    return began


@needs_speech
def test_a_slow_link_far_away_is_what_the_speaker_keeps_to(tmp_path: Path) -> None:
    random = Random(1)
    tree = Tree({"slow": Link(random, bit_s=24_000), "fast": Link(random)}, random=random)
    clip = clip_frames(tmp_path)
    tree.begin("first")
    speak(tree, clip, SETTLED_CLIPS)
    began = speak(tree, clip, 3)
    slow = tree.b.links["slow"]
    assert slow.rate(began, tree.now) < 24_000
    assert slow.longest_s(began) < 0.3, "there is no queue"
    assert heard(tree, "slow", tmp_path / "slow.wav") > 2.8
    # The next spurt begins with what is known.
    tree.begin("second")
    began = speak(tree, clip, 1)
    assert slow.rate(began, tree.now) < 30_000
    assert slow.longest_s(began) < 0.6
    assert heard(tree, "slow", tmp_path / "slow.wav") > 2.0


@needs_speech
def test_a_link_that_takes_no_sound_is_left_out_and_the_others_hear_well_again(
    tmp_path: Path,
) -> None:
    random = Random(1)
    tree = Tree({"hopeless": Link(random, bit_s=7_000), "fast": Link(random)}, random=random)
    clip = clip_frames(tmp_path)
    tree.begin("first")
    speak(tree, clip, SETTLED_CLIPS + 1)
    began = speak(tree, clip, 2)
    assert tree.b.links["hopeless"].rate(began, tree.now) == 0
    assert heard(tree, "fast", tmp_path / "fast.wav") > 3.5
    assert tree.b.spurt is not None
    assert tree.b.spurt.stats("all", (0,) * 4, tree.now).cut == (tree.b.hop("hopeless"),)
    assert tree.a.spurt is not None
    assert tree.a.spurt.stats("all", (0,) * 4, tree.now).without == 1, "the speaker is told"
    # In the next spurt it does not begin anew.
    tree.begin("second")
    speak(tree, clip, 1)
    assert tree.b.links["hopeless"].rate(began, tree.now) == 0
    assert heard(tree, "fast", tmp_path / "fast.wav") > 3.5


@needs_speech
@pytest.mark.parametrize("loss", [0.1, 0.2])
def test_what_is_lost_on_one_link_is_there_once_more(loss: float, tmp_path: Path) -> None:
    random = Random(1)
    tree = Tree({"lossy": Link(random, loss=loss), "fast": Link(random)}, random=random)
    clip = clip_frames(tmp_path)
    tree.begin("first")
    speak(tree, clip, 3)
    assert heard(tree, "lossy", tmp_path / "lossy.wav") > 3.3
    assert heard(tree, "fast", tmp_path / "fast.wav") > 3.8
