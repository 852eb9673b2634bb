"""What time it is, agreed by boards with right, wrong and lying clocks, in virtual time."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from random import Random

import pytest
from time_world import ROUND_TRIP_S, TRUE_S, Board, World

from appliance.model.codec import Fields, FormatError
from appliance.model.record import Certainty
from appliance.protocol.agreed_time import MAX_PEERS, MAX_WAIT_S, Reading
from appliance.protocol.time_choice import DRIFT, HOLD_CLOCKS_S, MAX_ERROR_S, MAX_HOPS, STALE_S
from appliance.protocol.time_claim import SourceTime, TimeClaim

DAY_S = 24 * 3600.0
TEN_YEARS_S = 10 * 365 * DAY_S
WRONG = pytest.mark.parametrize("off_s", [-TEN_YEARS_S, -DAY_S, DAY_S, TEN_YEARS_S])


def told(boards: Iterable[Board]) -> set[str]:
    return {board.read().words for board in boards}


def test_nobody_to_ask_and_no_source() -> None:
    world = World()
    board = world.board(-40.0)
    assert board.read() == Reading(TRUE_S - 40.0, Certainty.UNSET, "clock not set")
    assert board.time.tell(TRUE_S, 5.0) == TimeClaim(int(TRUE_S * 1000))


def test_a_source_of_our_own_goes_before_all_that_others_say() -> None:
    world = World()
    a, *liars = [world.board() for _ in range(9)]
    a.off_s = -DAY_S
    a.has(gps=True)
    for liar in liars:
        a.hear(liar.id, liar.lies(DAY_S))
    assert abs(a.wrong_s) < 0.01
    assert a.read().certainty is Certainty.SYNCED
    assert a.read().words == "clock from GPS"
    a.off_s = 0.2
    a.has(gps=False)
    assert a.read().words == "clock from NTP"
    assert abs(a.wrong_s - 0.2) < 0.01


def test_two_do_not_confirm_each_other() -> None:
    world = World()
    a, b = world.board(-DAY_S), world.board(-DAY_S + 1)
    for _ in range(100):
        world.ping(a, b)
        world.pass_s(10.0)
    assert told((a, b)) == {"clock not set"}


@WRONG
def test_a_wrong_clock_is_outvoted(off_s: float) -> None:
    world = World()
    wrong = world.board(off_s)
    right = [world.board(-20.0), world.board(3.0)]
    wrong.read()
    world.ping(wrong, *right)
    assert wrong.read().certainty is Certainty.PEERS
    assert wrong.read().words == "clock agreed with 2 stations"
    assert -20.1 < wrong.wrong_s < 3.1
    # What is believed is not told on: it would count twice.
    assert wrong.time.tell(wrong.own_s, wrong.even).source is None
    assert abs(wrong.time.tell(wrong.own_s, wrong.even).own_ms / 1000 - wrong.own_s) < 0.01
    clock = right[0].time.clock_of(wrong.id, right[0].even)
    assert clock is not None
    assert abs(clock - wrong.own_s) < 0.01


def test_clocks_that_were_never_set_have_no_say() -> None:
    world = World()
    flat = [world.board(-TRUE_S + 100) for _ in range(6)]
    right = [world.board(), world.board(1.0)]
    world.ping(*flat, *right)
    assert told(right) == {"clock agreed with 1 station"}
    assert told(flat) == {"clock agreed with 2 stations"}
    alone = World()
    flat = [alone.board(-TRUE_S + 100) for _ in range(6)]
    alone.ping(*flat)
    assert told(flat) == {"clock not set"}


@pytest.mark.parametrize("off_s", [-20 * 365 * DAY_S, 60 * 365 * DAY_S])
def test_a_source_beyond_belief_is_none(off_s: float) -> None:
    world = World()
    board, liar = world.board(), world.board()
    board.has(off_s=off_s)
    board.hear(liar.id, liar.lies(off_s))
    assert told([board]) == {"clock not set"}


def test_a_machine_whose_clock_is_set_to_nonsense_keeps_the_time_that_it_had() -> None:
    world = World()
    board = world.board()
    board.has(gps=False)
    assert board.read().certainty is Certainty.SYNCED
    board.off_s = -TRUE_S
    world.at += 30.0
    board.has(gps=False)
    assert abs(board.wrong_s) < 0.1
    assert board.went_back_s == []


def test_no_majority_means_not_set() -> None:
    world = World()
    boards = [world.board(off_s) for off_s in (0.0, 1.0, DAY_S, DAY_S + 1)]
    world.ping(*boards)
    assert told(boards) == {"clock not set"}


@pytest.mark.parametrize("seed", range(20))
def test_a_minority_of_liars_moves_the_time_only_between_honest_ones(seed: int) -> None:
    random = Random(seed)
    world = World()
    honest_count = random.randint(2, 8)
    honest = [world.board(DAY_S) for _ in range(honest_count)]
    board = world.board(random.choice((-TEN_YEARS_S, -DAY_S, 100.0)))
    offs = [random.uniform(-3.0, 3.0) for _ in honest]
    for one, off_s in zip(honest, offs, strict=True):
        board.hear(one.id, one.lies(off_s))
    for _ in range(random.randint(0, honest_count - 1)):
        liar = world.board()
        off_s = random.choice((-1, 1)) * random.choice((0.1, 8.0, 15.0, 300.0, DAY_S, TEN_YEARS_S))
        board.hear(liar.id, liar.lies(off_s, hops=random.randint(0, MAX_HOPS)))
    assert board.read().certainty is Certainty.PEERS, seed
    assert min(offs) - 0.01 <= board.wrong_s <= max(offs) + 0.01, seed


def test_who_has_had_a_source_is_not_moved_by_one_liar_and_by_two() -> None:
    world = World()
    gps, board, first, second = (world.board() for _ in range(4))
    gps.has()
    world.ping(gps, board)
    world.pass_s(STALE_S + 1)
    board.hear(first.id, first.lies(DAY_S))
    assert abs(board.wrong_s) < 0.1
    board.hear(second.id, second.lies(DAY_S))
    assert abs(board.wrong_s - DAY_S) < 0.1  # as `agreed_time` says


def test_a_source_that_a_clock_bears_out_is_believed_and_not_a_liar_that_came_first() -> None:
    world = World()
    board, liar, clock, gps = world.board(), world.board(), world.board(-3.0), world.board()
    board.hear(liar.id, liar.lies(TEN_YEARS_S))
    assert board.wrong_s > DAY_S
    gps.has()
    board.ask(gps)
    assert board.wrong_s > DAY_S  # one against one, and who came first stays
    board.ask(clock)
    assert abs(board.wrong_s) < 0.1
    board.hear(liar.id, liar.lies(TEN_YEARS_S))
    assert abs(board.wrong_s) < 0.1


def test_a_source_reaches_all_over_hops() -> None:
    world = World()
    chain = [world.board(DAY_S * number) for number in range(MAX_HOPS + 3)]
    chain[0].has()
    for _ in range(len(chain)):
        for here, there in pairwise(chain):
            world.ping(here, there, rounds=1)
    for hops, board in enumerate(chain):
        if 1 < hops <= MAX_HOPS:
            assert board.read().words == f"clock from GPS, {hops} stations away"
            assert abs(board.wrong_s) < hops * ROUND_TRIP_S
    assert chain[1].read().words == "clock from GPS, 1 station away"
    assert chain[MAX_HOPS + 1].read().certainty is Certainty.UNSET


def test_a_circle_keeps_a_time_no_longer_than_each_alone() -> None:
    world = World()
    gps, *ring = [world.board() for _ in range(5)]
    gps.has()
    world.ping(gps, *ring)
    errors = [0]
    lasted_s = 0.0
    source: SourceTime | None = ring[0].lies(0.0).source
    while source is not None:
        world.ping(*ring, rounds=1)
        errors.append(source.error_ms)
        assert source.hops <= 2
        world.at += STALE_S / 2
        lasted_s += STALE_S / 2
        source = ring[0].time.tell(ring[0].own_s, ring[0].even).source
    assert errors == sorted(errors)
    assert told(ring) == {"clock agreed with 3 stations"}
    assert 0.8 * MAX_ERROR_S / DRIFT < lasted_s < 1.1 * MAX_ERROR_S / DRIFT


def test_a_late_gps_overrules_what_clocks_agreed_on() -> None:
    for off_s in (-3 * 3600.0, -200.0, 200.0, 3 * 3600.0):
        world = World()
        boards = [world.board(off_s + number) for number in range(4)]
        world.ping(*boards)
        world.pass_s(60.0)
        assert told(boards) == {"clock agreed with 3 stations"}
        boards[0].has()
        world.ping(*boards)
        for _ in range(100):
            world.pass_s(10.0)
            boards[0].has()
            world.ping(*boards, rounds=1)
        assert told(boards[1:]) == {"clock from GPS, 1 station away"}
        assert all(abs(board.wrong_s) < 0.1 for board in boards)
        for board in boards:
            # It waits rather than goes back, unless it would wait for hours.
            assert all(back_s > MAX_WAIT_S for back_s in board.went_back_s)
            assert len(board.went_back_s) <= 1


def test_while_time_waits_it_is_not_sure() -> None:
    world = World()
    a = world.board(300.0)
    a.read()
    a.has()
    before = a.read()
    world.at += 10.0
    after = a.read()
    assert after.certainty is Certainty.UNSET
    assert before.wall_s < after.wall_s < before.wall_s + 10.0
    world.pass_s(300.0)
    a.has()
    world.pass_s(300.0)
    a.has()
    assert a.read().certainty is Certainty.SYNCED
    assert abs(a.wrong_s) < 0.01


def test_a_clock_that_somebody_sets_moves_nothing_that_was_agreed() -> None:
    world = World()
    boards = [world.board() for _ in range(4)]
    world.ping(*boards)
    for off_s in (DAY_S, -DAY_S, TEN_YEARS_S):
        boards[0].off_s = off_s
        world.ping(*boards)
        world.pass_s(60.0)
        assert abs(boards[0].wrong_s) < 1
        assert abs(boards[1].wrong_s) < 1
    assert [board.went_back_s for board in boards] == [[]] * 4


def test_what_was_agreed_is_held_for_a_while_when_all_are_gone() -> None:
    world = World()
    boards = [world.board(off_s) for off_s in (DAY_S, 0.0, 0.0)]
    world.ping(*boards)
    world.pass_s(3600.0)
    assert boards[0].read().words == "clock agreed with 2 stations, 60 min ago"
    assert abs(boards[0].wrong_s) < 1
    world.pass_s(HOLD_CLOCKS_S)
    assert boards[0].read().certainty is Certainty.UNSET


def test_sleep_passes_and_what_was_heard_before_it_counts_no_more() -> None:
    world = World()
    boards = [world.board(off_s) for off_s in (DAY_S, 0.0, 0.0)]
    world.ping(*boards)
    boards[0].read()
    # The machine's even time goes on in its sleep; the time since it was started does not.
    world.at += 5000.0
    boards[0].time.slept()
    assert abs(boards[0].wrong_s) < 1
    assert boards[0].time.clock_of(boards[1].id, boards[0].even) is None


def test_two_islands_merge() -> None:
    world = World()
    large = [world.board(number * 0.1) for number in range(5)]
    small = [world.board(-3600.0 + number * 0.1) for number in range(4)]
    for island in (large, small):
        world.ping(*island)
        assert all(board.read().certainty is Certainty.PEERS for board in island)
    world.ping(*large, *small)
    world.pass_s(60.0)
    assert all(abs(board.wrong_s) < 1 for board in world.boards)
    assert [board.went_back_s for board in world.boards] == [[]] * 9


def test_a_flood_of_keys_is_bounded_and_slow_answers_do_not_count() -> None:
    world = World()
    board, honest = world.board(), world.board()
    for _ in range(5 * MAX_PEERS):
        liar = world.board()
        board.hear(liar.id, liar.lies(1.0))
    known = [one for one in world.boards if board.time.clock_of(one.id, board.even) is not None]
    assert len(known) == MAX_PEERS
    fresh = world.board()
    for round_trip_s in (-1.0, 6.0, float("inf"), float("nan")):
        fresh.time.heard(honest.id, honest.lies(0.0), round_trip_s, fresh.even)
        assert fresh.time.clock_of(honest.id, fresh.even) is None


@pytest.mark.parametrize("seed", range(10))
def test_whatever_is_said_time_goes_back_only_by_much(seed: int) -> None:
    random = Random(seed)
    world = World()
    board = world.board(random.choice((0.0, DAY_S)))
    others = [world.board() for _ in range(6)]
    for _ in range(300):
        world.at += random.uniform(0.0, 60.0)
        other = random.choice(others)
        off_s = random.choice((0.0, random.gauss(0, 100.0), random.gauss(0, DAY_S)))
        claim = other.lies(off_s, hops=random.randint(0, MAX_HOPS + 1))
        board.hear(other.id, random.choice((claim, TimeClaim(claim.own_ms))), random.random())
        if random.random() < 0.05:
            board.has(off_s=random.gauss(0, 300.0))
        board.read()
    assert all(back_s > MAX_WAIT_S / 2 for back_s in board.went_back_s), seed


def test_claims_are_read_strictly() -> None:
    for claim in (TimeClaim(0), TimeClaim(7, SourceTime(8, 9, 10, True))):
        assert TimeClaim.read(Fields(claim.fields(), "time")) == claim
    for wrong in (
        {},
        {0: -1},
        {0: 1 << 53},
        {0: 1, 1: 2},
        {0: 1, 1: 2, 2: 3, 3: 4, 4: 2},
        {0: "1"},
    ):
        with pytest.raises(FormatError):
            TimeClaim.read(Fields(wrong, "time"))
