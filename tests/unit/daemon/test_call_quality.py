"""One word for how a call sounds, with the reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.daemon.call_quality import (
    LINK,
    MAX_CALLS,
    OUR_MICROPHONE,
    OUR_PROCESSOR,
    THEIR_MICROPHONE,
    Quality,
)
from appliance.model.media import StreamStats

CLEAN = StreamStats(
    stream="c1",
    loss_pct=0.0,
    jitter_ms=1.0,
    buffer_ms=40.0,
    level_in_db=-20.0,
    level_out_db=-20.0,
    packets_sent=50,
    packets_received=50,
    concealed=0,
    rejected=0,
    late_max_ms=1.0,
    voice_in_db=-20.0,
    voice_out_db=-20.0,
)


def after(seconds: int = 20, /, **per_second: float) -> Quality:
    """Have a call measured for a while; `per_second`: what grows, and what else stays so."""
    quality = Quality()
    for second in range(1, seconds + 1):
        grown = {
            "packets_received": 50 * second,
            "concealed": int(per_second.get("concealed", 0) * second),
            "sound_gaps": int(per_second.get("sound_gaps", 0) * second),
            "copied": int(per_second.get("copied", 0) * second),
            "recovered": int(per_second.get("recovered", 0) * second),
        }
        still = {name: value for name, value in per_second.items() if name not in grown}
        quality.measured(replace(CLEAN, **grown, **still))  # type: ignore[arg-type]
    return quality


def test_a_clean_call_is_good_without_a_reason() -> None:
    verdict = after().verdict("c1")
    assert (verdict.word, verdict.reason, verdict.advice) == ("good", "", "")


@pytest.mark.parametrize(
    ("measured", "word", "reason"),
    [
        ({"concealed": 3}, "fair", LINK),
        ({"concealed": 8}, "bad", LINK),
        ({"loss_there_pct": 8.0}, "fair", LINK),
        ({"loss_there_pct": 20.0}, "bad", LINK),
        ({"thin": True}, "fair", LINK),
        ({"thin": True, "too_thin": True, "round_trip_ms": 9000.0}, "bad", LINK),
        ({"buffer_ms": 300.0}, "fair", LINK),
        ({"delay_ms": 300.0}, "fair", LINK),
        ({"round_trip_ms": 1200.0}, "bad", LINK),
        ({"late_max_ms": 80.0}, "fair", OUR_PROCESSOR),
        ({"late_max_ms": 300.0, "concealed": 8}, "bad", OUR_PROCESSOR),
        ({"sound_gaps": 2}, "fair", OUR_PROCESSOR),
        ({"sound_gaps": 9}, "bad", OUR_PROCESSOR),
        ({"voice_out_db": -50.0}, "fair", THEIR_MICROPHONE),
        ({"clipped_out_pct": 8.0}, "fair", THEIR_MICROPHONE),
        ({"voice_in_db": -50.0}, "fair", OUR_MICROPHONE),
        ({"clipped_in_pct": 8.0}, "fair", OUR_MICROPHONE),
    ],
)
def test_what_makes_it_worse_is_named(measured: dict[str, float], word: str, reason: str) -> None:
    verdict = after(20, **measured).verdict("c1")
    assert (verdict.word, verdict.reason) == (word, reason)
    assert verdict.advice.endswith(".")
    assert len(verdict.advice) <= 76


def test_what_was_repaired_is_no_loss() -> None:
    quality = after(loss_pct=20.0, recovered=4, copied=6)
    assert quality.verdict("c1").word == "good"
    assert quality.shares_pct("c1") == pytest.approx((0.0, 20.0))


def test_what_the_way_takes_is_what_there_is_something_to_do_about() -> None:
    verdict = after(too_thin=True, round_trip_ms=9000.0).verdict("c1")
    assert "voice message" in verdict.advice


def test_what_copies_are_likely_to_repair_there_is_no_loss() -> None:
    random = after(loss_there_pct=20.0, copies=(1, 2))  # type: ignore[arg-type]
    assert random.verdict("c1").word == "good"
    bursty = after(loss_there_pct=20.0, copies=(1, 2), burst_there=3.0)  # type: ignore[arg-type]
    assert bursty.verdict("c1").word == "fair"


def test_silence_is_nobody_s_fault() -> None:
    assert after(voice_in_db=-100.0, voice_out_db=-90.0).verdict("c1").word == "good"


def test_nothing_is_said_before_anything_came() -> None:
    quality = Quality()
    quality.measured(replace(CLEAN, packets_received=0))
    assert quality.verdict("c1").word == "none"
    assert quality.over_all("c1") == "none"
    assert quality.verdict("unknown").word == "none"


def test_a_voice_process_that_counts_anew_is_no_loss_and_no_gain() -> None:
    quality = after(concealed=8)
    quality.measured(replace(CLEAN, packets_received=10, concealed=0))
    assert quality.shares_pct("c1") == (0.0, 0.0)


def test_the_word_for_the_whole_call_is_that_of_most_of_it() -> None:
    quality = after(100)
    assert quality.over_all("c1") == "good"
    for second in range(10):
        quality.measured(replace(CLEAN, packets_received=9_999, concealed=9 * second))
    assert quality.over_all("c1") == "good"
    for second in range(10, 40):
        quality.measured(replace(CLEAN, packets_received=9_999, concealed=9 * second))
    assert quality.over_all("c1") == "bad"
    quality.forget("c1")
    assert quality.over_all("c1") == "none"


def test_calls_without_end_are_forgotten() -> None:
    quality = Quality()
    for call in range(MAX_CALLS + 10):
        quality.measured(replace(CLEAN, stream=f"c{call}"))
    assert quality.verdict("c0").word == "none"
    assert quality.verdict(f"c{MAX_CALLS + 9}").word == "good"
