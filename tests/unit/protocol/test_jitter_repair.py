"""What is lost is repaired in order: a copy, FEC, something made up; and the delay waits for it."""

from __future__ import annotations

import random

import pytest
from jitter_world import Speaker, packet, simulate

from appliance.protocol.delay import FEWEST, MOST, DelayWindow
from appliance.protocol.jitter import Copy, JitterBuffer, Pushed
from appliance.protocol.playing import FRAME, FRAME_S, Conceal, Fec, Play


def test_a_single_loss_is_recovered_from_the_packet_behind_it() -> None:
    run = simulate(1_000, Speaker(lambda number: None if number % 20 == 5 else 0.003))
    assert run.kinds[Fec] >= 49
    assert run.lost <= 1, "it takes one loss to learn that there are losses"


def test_a_copy_goes_before_fec_and_costs_no_sound() -> None:
    run = simulate(1_000, Speaker(lambda number: None if number % 20 == 5 else 0.003, (2,)))
    assert run.kinds[Fec] + run.lost <= 2
    assert run.buffer.figures.copied >= 48
    assert len(run.played) > 990


def test_the_packet_itself_takes_the_place_of_its_copy_and_of_no_other() -> None:
    buffer = JitterBuffer()
    copy = Copy(FRAME, b"copy", FRAME)
    buffer.push(packet(0), samples=FRAME, now=0.02)
    assert buffer.push(packet(2), samples=FRAME, now=0.06, copies=[copy]) is Pushed.BUFFERED
    assert buffer.push(packet(1), samples=FRAME, now=0.06) is Pushed.BUFFERED
    assert buffer.push(packet(3), samples=FRAME, now=0.08, copies=[copy]) is Pushed.BUFFERED
    played = [buffer.pull(0.1 + beat * FRAME_S) for beat in range(4)]
    assert [one.payload for one in played if isinstance(one, Play)] == [
        packet(number).payload for number in range(4)
    ]


@pytest.mark.parametrize("seed", range(3))
def test_loss_is_concealed_packet_by_packet_where_nothing_repairs_it(seed: int) -> None:
    rng = random.Random(seed)
    lost = [rng.random() < 0.1 for _ in range(3_100)]
    run = simulate(3_000, Speaker(lambda number: None if lost[number] else 0.01))
    figures = run.buffer.figures
    assert figures.recovered + figures.concealed == pytest.approx(sum(lost[:3_000]), abs=4), (
        f"seed {seed}"
    )
    assert figures.recovered > 0.8 * sum(lost[:3_000])
    assert figures.played + sum(lost[:3_000]) == pytest.approx(3_000, abs=6)


@pytest.mark.parametrize("seed", range(3))
def test_the_delay_waits_for_copies_that_pay_and_shrinks_when_loss_ends(seed: int) -> None:
    rng = random.Random(seed)

    def delay(number: int) -> float | None:
        return None if 500 <= number < 2_500 and rng.random() < 0.2 else 0.005

    run = simulate(4_000, Speaker(delay, (2, 4)))
    lossy = run.actions[800:2_450]
    made_up = sum(isinstance(action, Conceal | Fec) for action in lossy)
    assert made_up < 0.03 * len(lossy), f"seed {seed}: 20 % are lost, 0.8 % with both copies"
    assert max(run.delays_s[1_000:2_400]) < 0.005 + 5 * FRAME_S + 0.040
    assert max(run.delays_s[-300:]) < 0.005 + FRAME_S + 0.040, f"seed {seed}: shrunk again"


def test_copies_far_back_are_not_waited_for_where_hardly_anything_is_lost() -> None:
    run = simulate(2_000, Speaker(lambda number: None if number % 200 == 100 else 0.005, (6,)))
    assert max(run.delays_s[:1_900]) < 0.005 + FRAME_S + 0.060


def test_copies_of_what_was_never_missing_are_nothing() -> None:
    plain = simulate(1_000, Speaker(lambda number: 0.005))
    copied = simulate(1_000, Speaker(lambda number: 0.005, (1, 2, 4, 6)))
    assert copied.actions == plain.actions
    assert copied.buffer.figures == plain.buffer.figures


def test_the_measured_delay_is_the_cheapest_and_costs_little() -> None:
    window, rng = DelayWindow(), random.Random(1)
    for number in range(1_000):
        window.add(100.0 + rng.uniform(0, 0.08), now=number * FRAME_S)
    assert window.base_s == pytest.approx(100.0, abs=0.002)
    assert window.need_s == pytest.approx(0.08, abs=0.004)
    for number in range(1_000, 1_400):
        spike = 0.3 if number == 1_100 else 0.0
        window.add(100.0 + spike, now=number * FRAME_S)
    assert window.need_s < 0.08, "one of 400 is not worth 300 ms"
    assert len(window) == 601
    for number in range(2_000):
        window.add(100.0, now=30.0 + number / 1_000)
    assert len(window) == MOST
    assert window.need_s == 0.0
    window.add(100.0, now=99.0)
    assert len(window) == FEWEST
