"""How benches find the longest gap: in messages, and in a recorded tone."""

import wave
from pathlib import Path

import pytest
from _flow import longest_gap
from _tone import RATE, heard_to_the_end, longest_silence_s, tone_file


@pytest.mark.parametrize(
    ("times", "since", "until", "gap"),
    [
        ([0.0, 1.0, 1.5, 4.0, 4.5], 1.2, 4.6, 2.5),
        ([0.0, 5.0, 5.1], 5.05, 5.2, 0.1),  # what was before does not count
        ([1.0], 2.0, 9.0, 8.0),  # nothing came any more
        ([], 2.0, 3.0, 1.0),
        ([3.0, 2.0, 1.0], 0.0, 3.0, 1.0),
    ],
)
def test_the_longest_gap_begins_before_and_may_end_now(
    times: list[float], since: float, until: float, gap: float
) -> None:
    assert longest_gap(times, since, until) == pytest.approx(gap)


def test_silence_counts_between_first_and_last_tone(tmp_path: Path) -> None:
    recorded = _recorded(tmp_path, (0.5, 0.1, 0.3, 0.6))
    assert longest_silence_s(recorded) == pytest.approx(0.3, abs=0.021)


@pytest.mark.parametrize(("silent_s", "heard"), [(0.2, True), (1.1, True), (1.5, False)])
def test_a_call_that_died_is_told_from_one_that_was_ended(
    tmp_path: Path, silent_s: float, heard: bool
) -> None:
    assert heard_to_the_end(_recorded(tmp_path, (0.5, silent_s))) == heard


def _recorded(directory: Path, silences: tuple[float, ...]) -> Path:
    """A recording in which so much silence is before, between and after 0.2 s of tone."""
    tone_file(directory / "tone.wav", 0.2)
    with wave.open(str(directory / "tone.wav")) as file:
        tone = file.readframes(file.getnframes())
    recorded = directory / "recorded.wav"
    with wave.open(str(recorded), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(tone.join(map(_silence, silences)))
    return recorded


def _silence(seconds: float) -> bytes:
    return bytes(2 * round(RATE * seconds))
