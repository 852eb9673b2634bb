"""How benches find the longest gap: in messages, and in a recorded tone."""

import wave
from pathlib import Path

import pytest
from _flow import longest_gap
from _tone import RATE, longest_silence_s, tone_file


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
    tone_file(tmp_path / "tone.wav", 0.2)
    with wave.open(str(tmp_path / "tone.wav")) as file:
        tone = file.readframes(file.getnframes())
    parts = [_silence(0.5), tone, _silence(0.1), tone, _silence(0.3), tone, _silence(0.6)]
    with wave.open(str(tmp_path / "recorded.wav"), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(b"".join(parts))
    assert longest_silence_s(tmp_path / "recorded.wav") == pytest.approx(0.3, abs=0.021)


def _silence(seconds: float) -> bytes:
    return bytes(2 * round(RATE * seconds))
