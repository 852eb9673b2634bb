"""How a voice is sent over bad links, in virtual time."""

from __future__ import annotations

import pytest
from adapting_world import HEADER_OCTETS, Link, World

from appliance.protocol.adaptation import PAYLOAD_BIT_S, Adaptation, Reason, Takes, residual
from appliance.protocol.congestion import FLOOR_BIT_S, HOPELESS_S, Congestion
from appliance.protocol.loss_record import ASSUMED_LOSS, FEWEST, RECORD, LossRecord
from appliance.protocol.opus_packet import Bandwidth


@pytest.mark.parametrize(("loss", "burst"), [(0.1, 1 / 0.9), (0.2, 3.0), (0.05, 3.0), (0.3, 1.5)])
@pytest.mark.parametrize("distances", [(), (2,), (3, 6), (2, 4, 6)])
def test_what_is_left_after_copies_is_as_in_gilberts_model(
    loss: float, burst: float, distances: tuple[int, ...]
) -> None:
    world = World(Link(loss=loss, burst=burst))
    lost = [world.link._lost(world.chance) for _ in range(30_000)]
    reach = max(distances, default=0)
    gone = sum(
        all(lost[at + distance] for distance in (0, *distances)) for at in range(len(lost) - reach)
    )
    assert residual(loss, burst, distances) == pytest.approx(gone / len(lost), rel=0.25, abs=0.0008)


def test_a_clean_path_gets_the_best_sound_and_no_copies() -> None:
    (decision,) = World(Link()).run(8)
    assert (decision.frame_ms, decision.copies, decision.reason) == (20, (), Reason.CLEAN)
    assert decision.bandwidth is Bandwidth.FULLBAND
    assert decision.fec_pct == 0


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("loss", "burst", "fewest", "reach"),
    [(0.05, 1.0, 1, 2), (0.1, 1.0, 1, 2), (0.2, 1.0, 2, 4), (0.1, 3.0, 1, 6), (0.2, 3.0, 2, 6)],
)
def test_loss_is_met_by_copies_whose_distance_follows_the_bursts(
    loss: float, burst: float, fewest: int, reach: int, seed: int
) -> None:
    world = World(Link(loss=loss, burst=burst), seed=seed)
    world.run(20)
    decided = world.decided(since=6.0)
    met = [d for d in decided if len(d.copies) >= fewest and d.copies[-1] >= reach]
    assert len(met) >= 0.7 * len(decided)
    assert {d.frame_ms for d in decided} == {20}, "loss is no reason to send less"


def test_more_loss_counts_at_once_and_less_slowly() -> None:
    world = World(Link())
    world.run(10)
    world.link.loss = 0.3
    (decision,) = world.run(3)
    assert len(decision.copies) >= 2
    world.run(12)
    world.link.loss = 0.0
    (decision,) = world.run(3)
    assert decision.copies, "chance may be kind for a moment"
    (decision,) = world.run(12)
    assert (decision.copies, decision.reason) == ((), Reason.CLEAN)


@pytest.mark.parametrize("loss", [0.0, 0.1, 0.2, 0.3])
def test_payload_stays_within_its_bound(loss: float) -> None:
    world = World(Link(loss=loss))
    world.run(15)
    for decision in world.decided():
        blocks = 1 + len(decision.copies)
        red = 8 * (1 + 4 * len(decision.copies)) * 1000 / decision.frame_ms
        assert decision.bitrate * blocks + red <= PAYLOAD_BIT_S + 1_000


def test_jitter_is_not_taken_for_a_queue() -> None:
    world = World(Link(jitter_s=0.08, loss=0.05))
    world.run(30)
    assert {d.frame_ms for d in world.decided()} == {20}


@pytest.mark.parametrize("stall_s", [0.08, 0.12, 0.14, 0.19])
def test_a_machine_that_stands_still_is_not_taken_for_a_queue(stall_s: float) -> None:
    world = World(Link(), stall_s=stall_s)
    world.run(60)
    assert world.calls[0].adaptation.congestion.limit is None
    assert all(decision.reason is Reason.CLEAN for decision in world.decided(since=5.0))


def test_the_call_yields_to_a_link_of_24_kbit_s() -> None:
    world = World(Link(bit_s=24_000))
    world.run(2.5)
    (decision,) = world.run(0)
    assert decision.thin
    assert decision.reason is Reason.THIN
    world.run(5)
    octets, queues = world.link.octets, []
    for _ in range(40):
        world.run(1)
        queues.append(world.link.queue_s(world.now))
    assert 8 * (world.link.octets - octets) / 40 <= 24_000
    assert sorted(queues)[len(queues) // 2] < 0.15, "it goes on without a standing queue"
    assert max(queues) < 0.6
    assert not any(d.reason is Reason.TOO_THIN for d in world.decided())


def test_it_rises_again_when_the_path_takes_more() -> None:
    world = World(Link(bit_s=24_000))
    world.run(15)
    world.link.bit_s = 1e6
    (decision,) = world.run(45)
    assert (decision.frame_ms, decision.reason) == (20, Reason.CLEAN)


@pytest.mark.parametrize("bit_s", [24_000, 48_000])
def test_two_calls_share_a_link(bit_s: float) -> None:
    world = World(Link(bit_s=bit_s), calls=2)
    world.run(25)
    octets, queues = world.link.octets, []
    for _ in range(30):
        world.run(1)
        queues.append(world.link.queue_s(world.now))
    assert 8 * (world.link.octets - octets) / 30 <= bit_s
    assert sorted(queues)[len(queues) // 2] < 0.3
    assert not any(
        decision.reason is Reason.TOO_THIN
        for number in range(2)
        for decision in world.decided(since=25.0, number=number)
    )
    if bit_s == 24_000:
        assert {d.bandwidth for d in world.run(0)} == {Bandwidth.NARROWBAND}


def test_a_queue_too_short_to_be_seen_is_met_by_sending_less() -> None:
    world = World(Link(bit_s=24_000, longest_queue_s=0.05))
    world.run(15)
    assert all(call.adaptation.wire_bit_s < 45_000 for call in world.calls)


def test_a_path_that_takes_no_call_is_called_so_until_it_is_better() -> None:
    world = World(Link(bit_s=8_000))
    (decision,) = world.run(4 + 4 * HOPELESS_S)
    assert decision.reason is Reason.TOO_THIN
    assert world.calls[0].adaptation.congestion.limit == FLOOR_BIT_S
    world.link.bit_s = 1e6
    (decision,) = world.run(8)
    assert decision.reason is not Reason.TOO_THIN


def test_after_an_outage_it_goes_on_as_before() -> None:
    world = World(Link())
    world.run(10)
    world.link.loss = world.back.loss = 1.0
    (decision,) = world.run(9)
    assert decision.frame_ms > 20, "reports might be stuck behind our sound"
    world.link.loss = world.back.loss = 0.0
    (decision,) = world.run(2)
    assert decision.frame_ms == 20
    (decision,) = world.run(14)
    assert decision.reason is Reason.CLEAN


def test_what_the_path_takes_may_be_known_before() -> None:
    adaptation = Adaptation(Takes(red=True), header_octets=HEADER_OCTETS, link_bit_s=14_000)
    assert adaptation.decision.bandwidth is Bandwidth.NARROWBAND
    assert adaptation.wire_bit_s <= 14_000


def test_whoever_takes_no_redundancy_gets_fec_and_no_longer_packets_than_agreed() -> None:
    world = World(Link(loss=0.1), red=False)
    (decision,) = world.run(10)
    assert decision.copies == ()
    assert decision.fec_pct >= 5
    takes = Takes(max_frame_ms=40)
    short = Adaptation(takes, header_octets=HEADER_OCTETS, link_bit_s=24_000)
    assert short.decision.frame_ms <= 40


def test_reports_of_losses_overlap_and_the_newer_one_is_right() -> None:
    record = LossRecord()
    record.take(100, (True,) * 60 + (False,) * 40)
    record.take(120, (True,) * 20 + (False,) * 10 + (True,) * 50)
    assert record.recent(80) == pytest.approx(10 / 80)
    record.take(110, (False,) * 80)
    assert record.recent(80) == pytest.approx(10 / 80), "an older report says nothing"
    record.take(0x10000 - 20, (False,) * 60)
    assert record.recent(80) == pytest.approx(10 / 80), "nor one from before the wrap"


def test_the_record_wraps_and_begins_anew_after_a_gap() -> None:
    record = LossRecord()
    record.take(0xFFF0, (True,) * 60)
    record.take(0x0010, (True,) * 50 + (False, True) * 5)
    assert record.recent(RECORD) == pytest.approx(5 / 92)
    assert record.burst == pytest.approx((5 + 2.4) / 7)
    record.take(0x0800, (True,) * 60)
    assert record.recent(RECORD) == 0.0
    assert record.loss(0.02) == 0.0


def test_a_few_packets_say_little() -> None:
    record = LossRecord()
    record.take(10, (False,) * (FEWEST - 1))
    assert record.loss(0.02) == ASSUMED_LOSS
    for _ in range(20):
        record.take_fraction(0.2)
    assert record.loss(0.02) == pytest.approx(0.2, abs=0.01)


def test_what_is_lost_before_a_silence_is_no_queue() -> None:
    """Silence is not sent, so nothing tells for a while that what is missing was lost."""
    congestion, now, sequence = Congestion(), 0.0, 0

    def say(seconds: float) -> None:
        nonlocal now, sequence
        for _ in range(round(seconds / 0.02)):
            congestion.sent(sequence, 200, now)
            now, sequence = now + 0.02, sequence + 1

    for _ in range(6):
        say(1.0)
        congestion.heard(sequence - 2, now, 0.0, now)
        say(0.12)  # All of this is lost.
        arrived = sequence - 7
        for _ in range(3):
            now += 0.4
            congestion.heard(arrived, now, 0.2, now)
        say(0.06)  # Under way when the report is written.
        congestion.heard(arrived, now, 0.2, now)
    assert congestion.limit is None
    assert congestion.queue_s < 0.1


def test_chance_in_the_first_packets_is_not_taken_for_an_overflow() -> None:
    adaptation = Adaptation(Takes(red=True), header_octets=HEADER_OCTETS)
    for sequence in range(14):
        adaptation.sent(sequence, 100, 0.02 * sequence)
    adaptation.record.take(13, (True, False) * 6 + (False,))
    adaptation.heard(11, 0.27, 0.28)
    assert adaptation.congestion.limit is None
