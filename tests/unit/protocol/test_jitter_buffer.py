"""The jitter buffer over networks of every kind, seeded and in virtual time."""

from __future__ import annotations

import random

import pytest
from jitter_world import PITCH, Speaker, bent_by, packet, simulate

from appliance.protocol.jitter import JitterBuffer, Pushed
from appliance.protocol.playing import FRAME, FRAME_S, Conceal, Fec, Play, Wait
from appliance.protocol.rtp import RtpPacket
from appliance.protocol.shelf import MAX_HELD


def test_a_clean_link_is_played_whole_within_30_ms_of_the_packets() -> None:
    run = simulate(1_000, Speaker(lambda number: 0.003))
    assert run.kinds[Conceal] == run.kinds[Fec] == 0
    assert run.kinds[Wait] <= 3
    assert not run.bends
    assert 0.010 <= min(run.delays_s) - FRAME_S == pytest.approx(max(run.delays_s) - FRAME_S)
    assert max(run.delays_s) - FRAME_S < 0.003 + 0.030


@pytest.mark.parametrize("seed", range(2))
def test_jitter_is_learned_and_then_played_without_gaps(seed: int) -> None:
    rng = random.Random(seed)
    run = simulate(2_000, Speaker(lambda number: 0.02 + rng.uniform(0, 0.06)))
    settled = run.actions[500:]
    made_up = sum(isinstance(action, Conceal | Fec) for action in settled)
    assert made_up < len(settled) * 0.02, f"seed {seed}"
    assert max(run.delays_s[500:]) - FRAME_S < 0.02 + 0.06 + 0.045, f"seed {seed}"


@pytest.mark.parametrize("seed", range(2))
def test_the_delay_follows_a_path_that_becomes_slower_and_faster_again(seed: int) -> None:
    rng = random.Random(seed)

    def delay(number: int) -> float:
        return (0.15 if 1_000 <= number < 2_000 else 0.01) + rng.uniform(0, 0.01)

    run = simulate(3_500, Speaker(delay))
    assert max(run.delays_s[1_700:1_900]) - FRAME_S < 0.15 + 0.01 + 0.045
    assert max(run.delays_s[-500:]) - FRAME_S < 0.01 + 0.01 + 0.045, "it shrinks again"
    assert 3_500 - len(run.played) < 20, f"seed {seed}: nothing is thrown away"
    assert run.buffer.figures.dropped == 0


@pytest.mark.parametrize("begins", [100, 700])
def test_a_stall_of_a_moment_costs_no_words_and_no_lasting_delay(begins: int) -> None:
    stall = range(begins, begins + 8)
    released_s = (begins + 8) * FRAME_S
    run = simulate(
        begins + 400,
        Speaker(lambda number: released_s - number * FRAME_S if number in stall else 0.005),
    )
    assert run.played[: begins + 390] == list(range(begins + 390))
    assert run.buffer.figures.dropped == 0
    assert run.buffer.target_s < 0.02, "it happened once"
    assert max(run.delays_s[-300:]) - FRAME_S < 0.05


@pytest.mark.parametrize("drift", [-300e-6, 300e-6])
def test_clocks_that_drift_apart_cost_nothing_but_bends_in_pauses(drift: float) -> None:
    run = simulate(8_000, Speaker(lambda number: 0.01, drift=drift))
    assert len(run.played) > 8_000 * (1 - drift) - 5
    assert run.lost == 0
    assert all(pause for _, _, pause in run.bends)
    assert sum(abs(samples) for _, samples, _ in run.bends) < 8_000 * FRAME * abs(drift) + 2 * FRAME
    assert max(run.delays_s) - FRAME_S < 0.01 + 0.040


@pytest.mark.parametrize("drift", [-300e-6, 300e-6])
def test_clocks_that_drift_apart_while_nobody_pauses(drift: float) -> None:
    run = simulate(8_000, Speaker(lambda number: 0.01, drift=drift), pause=lambda tick: False)
    assert len(run.played) > 8_000 * (1 - drift) - 5
    assert run.lost == 0
    assert {abs(samples) for _, samples, _ in run.bends} <= {0, PITCH}, "whole periods only"
    assert max(run.delays_s) - FRAME_S < 0.01 + 0.060


def test_an_outage_is_silence_and_the_delay_is_as_before_behind_it() -> None:
    run = simulate(
        3_000,
        Speaker(
            lambda number: max(0.01, 40 - number * FRAME_S) if 1_000 <= number < 2_000 else 0.01
        ),
    )
    assert run.kinds[Wait] > 900
    assert run.lost <= 20
    assert max(run.delays_s[-500:]) < 0.08


def test_a_stalled_path_that_brings_a_hundred_packets_at_once_goes_on_with_the_newest() -> None:
    stall = range(1_000, 1_100)
    run = simulate(
        2_000, Speaker(lambda number: 21.999 - number * FRAME_S if number in stall else 0.005)
    )
    assert run.buffer.figures.dropped > 100 - 20 - MAX_HELD
    assert sum(isinstance(action, Play) and action.splice for action in run.actions) == 2
    behind = [
        delay for delay, number in zip(run.delays_s, run.played, strict=True) if number > 1_150
    ]
    assert max(behind) - FRAME_S < 0.27, "no word waits in line"
    assert max(run.delays_s[-300:]) - FRAME_S < 0.08


@pytest.mark.parametrize("sent", [range(40, 100), range(90, 100)])
def test_a_silence_of_the_sender_is_no_loss(sent: range) -> None:
    run = simulate(2_000, Speaker(lambda number: 0.005, silent=lambda number: number % 100 in sent))
    assert run.kinds[Fec] == 0
    assert run.buffer.reception.expected == run.buffer.reception.received
    assert run.buffer.figures.concealed == 0
    assert run.buffer.figures.played == len(run.played) > 0.97 * 2_000 * (1 - len(sent) / 100)
    assert run.told_s < 0.05, "a silence is no delay"


def test_of_a_silence_before_a_loss_only_the_loss_counts() -> None:
    run = simulate(
        2_000,
        Speaker(
            lambda number: None if number % 100 == 0 and number else 0.005,
            silent=lambda number: number % 100 > 96,
        ),
    )
    figures = run.buffer.figures
    assert (figures.recovered, figures.concealed) == (19, 0), "19 first words were lost"
    assert run.lost < 19 * 4, "what is silence is not known before it is over"


def test_another_source_or_numbering_begins_anew() -> None:
    buffer = JitterBuffer()
    assert buffer.push(packet(0), samples=FRAME, now=0.0) is Pushed.RESTARTED
    assert buffer.push(packet(1), samples=FRAME, now=0.02) is Pushed.BUFFERED
    assert buffer.push(packet(1), samples=FRAME, now=0.02) is Pushed.DUPLICATE
    assert buffer.push(packet(2, ssrc=8), samples=FRAME, now=0.04) is Pushed.RESTARTED
    assert buffer.push(packet(3), samples=FRAME, now=0.04) is Pushed.REFUSED
    far = 20_000
    assert buffer.push(packet(far, ssrc=8), samples=FRAME, now=0.06) is Pushed.REFUSED
    assert buffer.push(packet(far + 1, ssrc=8), samples=FRAME, now=0.08) is Pushed.RESTARTED
    action = buffer.pull(0.2)
    assert isinstance(action, Play)
    assert action.payload == packet(far + 1).payload


@pytest.mark.parametrize("size", [480, 1_920, 2_880, 5_760])
def test_packets_of_any_length_are_taken_as_they_are(size: int) -> None:
    run = simulate(1_500, Speaker(lambda number: 0.005, size=size))
    assert len(run.played) >= 1_500 * FRAME // size - 6
    assert run.lost == 0
    assert max(run.delays_s) < 0.005 + size / 48_000 + 0.045


def test_packets_that_get_longer_and_shorter_again_in_a_call() -> None:
    buffer, ahead, heard, lost, begins = JitterBuffer(), 0, 0, 0, 0
    lengths = [960] * 200 + [5_760] * 50 + [2_880] * 50 + [960] * 400
    packets: list[tuple[float, RtpPacket, int]] = []
    for number, length in enumerate(lengths):
        voice = RtpPacket(96, number, begins, 7, b"\x48\x40voice")
        begins += length
        packets.append((begins / 48_000 + 0.003, voice, length))
    packets.reverse()
    for tick in range(begins // FRAME):
        now = tick * FRAME_S
        while packets and packets[-1][0] <= now:
            at, voice, length = packets.pop()
            buffer.push(voice, samples=length, now=at)
        while ahead < FRAME:
            action = buffer.pull(now, ahead=ahead, quiet=tick % 20 == 0)
            bend = None if isinstance(action, Wait) else action.bend
            ahead += action.samples + bent_by(bend, action.samples)
            heard += isinstance(action, Play)
            lost += isinstance(action, Conceal)
        ahead -= FRAME
    assert heard >= len(lengths) - 8, "the last few are on their way"
    assert lost <= 7, "sound is made up once, for as long as a packet has become longer"
    assert buffer.delay_s < 0.045
