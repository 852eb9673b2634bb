"""Whom transfers ask for blobs: urgency, breaks, liars, bounds."""

from __future__ import annotations

from random import Random

import pytest
from transfer_world import ANA, BEN, BIG, EVE, OWN, World, root

from appliance.model.attachment import CHUNK
from appliance.model.record import Precedence
from appliance.node import transfers as transfers_module
from appliance.node.ports.blobs import BlobProgress, BlobTrouble, NeedHolder, RunEnd
from appliance.node.under_way import NO_ROOM_S
from appliance.node.wanted import AGAIN_S, STALLED_S


def test_most_urgent_first_then_ours_then_small() -> None:
    world = World()
    world.has[ANA] = {root(number) for number in range(1, 6)}
    world.want(1, 8 * CHUNK, sources=(ANA,), mine=False)
    world.want(2, 9 * CHUNK, sources=(ANA,))
    world.want(3, 2 * CHUNK, sources=(ANA,))
    world.want(4, BIG, sources=(ANA,), precedence=Precedence.PRIORITY)
    world.meet(ANA)
    world.run(1.0)
    world.want(5, BIG, sources=(ANA,), precedence=Precedence.EMERGENCY)
    world.run(60.0)
    assert world.arrived() == [4, 5, 3, 2, 1]
    assert max(world.got.values()) == 1
    assert world.core.next_wakeup() is None


def test_what_is_more_urgent_overtakes_at_once() -> None:
    world = World(chunk_s=10.0)
    world.has[ANA] = {root(1), root(2)}
    world.meet(ANA)
    world.want(1, 1000 * CHUNK, sources=(ANA,))
    world.run(5.0)
    world.want(2, CHUNK, sources=(ANA,), precedence=Precedence.EMERGENCY)
    world.run(11.0)
    assert world.arrived() == [2]


def test_two_holders_share_what_takes_long() -> None:
    world = World(chunk_s=1.0)
    world.has[ANA] = world.has[BEN] = {root(1)}
    world.meet(ANA, BEN)
    world.want(1, sources=(ANA,))
    world.run(30.0)
    assert world.arrived() == [1]
    assert max(world.got.values()) == 1
    assert {fetch.peer for _, fetch in world.fetches} == {ANA, BEN}


def test_after_a_break_the_rest_comes_from_whoever_is_there() -> None:
    world = World()
    world.has[ANA] = world.has[BEN] = {root(1)}
    world.meet(ANA)
    world.want(1, sources=(ANA,))
    world.run(1.0)
    world.part(ANA)
    world.run(5.0)
    assert world.core.in_use(ANA) is False
    have, size = world.core.progress(root(1)) or (0, 0)
    assert 0 < have < size == BIG
    world.meet(BEN)
    world.run(10.0)
    assert world.arrived() == [1]
    assert max(world.got.values()) == 1
    told = [news.have for _, news in world.news if isinstance(news, BlobProgress)]
    assert told == sorted(told)


def test_who_has_it_is_sought_for_our_operator_alone() -> None:
    world = World()
    world.want(1, sources=(ANA, OWN))
    world.want(2, sources=(BEN,), mine=False)
    world.run(24 * 3600.0)
    needed = [(at, news.peer) for at, news in world.news if isinstance(news, NeedHolder)]
    assert {peer for _, peer in needed} == {ANA}
    assert needed[0][0] == 0.0
    assert 80 < len(needed) < 120
    world.has[ANA] = {root(1)}
    world.meet(ANA)
    world.run(10.0)
    assert world.arrived() == [1]


def test_who_has_it_not_is_asked_less_and_less() -> None:
    world = World()
    world.meet(ANA, BEN)
    world.want(1, sources=(ANA,))
    world.run(24 * 3600.0)
    for peer in (ANA, BEN):
        assert 24 <= len(world.asked(peer)) <= 32
    world.has[BEN] = {root(1)}
    world.want(1, sources=(BEN,))
    world.run(10.0)
    assert world.arrived() == [1]


def test_a_liar_is_not_asked_again_soon_nor_first() -> None:
    world = World()
    world.has[ANA] = world.has[EVE] = {root(1), root(2)}
    world.lies = {EVE}
    world.meet(EVE)
    world.want(1, sources=(EVE,))
    for _ in range(20):
        world.run(30.0)
        world.part(EVE)
        world.meet(EVE)
    assert len(world.asked(EVE)) == 1
    world.meet(ANA)
    world.run(10.0)
    assert world.arrived() == [1]
    world.want(2, CHUNK, sources=(EVE,))
    world.run(10.0)
    assert world.arrived() == [1, 2]
    assert len(world.asked(EVE)) == 1


def test_who_falls_silent_does_not_hold_up_the_rest() -> None:
    world = World()
    world.has[ANA] = world.has[EVE] = {root(1)}
    world.meet(EVE)
    world.want(1, sources=(EVE,))
    world.run(0.25)
    world.silent = {EVE}
    world.run(10.0)
    world.meet(ANA)
    world.run(STALLED_S + 30)
    assert world.arrived() == [1]


def test_a_full_disk_pauses_what_is_larger_too_and_is_told() -> None:
    world = World()
    world.has[ANA] = {root(1), root(2)}
    world.meet(ANA)
    world.want(1, CHUNK, sources=(ANA,))
    world.want(2, 2 * CHUNK, sources=(ANA,))
    fetch = world.fetches[0][1] if world.fetches else None
    assert fetch is None
    world.run(0.005)
    fetch = world.fetches[0][1]
    world._end(fetch, RunEnd.NO_ROOM)
    began = world.now
    world.run(NO_ROOM_S - 1)
    assert not world.arrived()
    assert (began, BlobTrouble(fetch.root, RunEnd.NO_ROOM)) in world.news
    world.run(10.0)
    assert world.arrived() == [1, 2]


def test_what_is_refused_is_wanted_no_more() -> None:
    world = World()
    world.meet(ANA)
    world.want(1, sources=(ANA,))
    world.run(0.005)
    world._end(world.fetches[0][1], RunEnd.REFUSED)
    assert world.core.progress(root(1)) is None
    assert [news for _, news in world.news] == [BlobTrouble(root(1), RunEnd.REFUSED)]


def test_only_so_much_is_wanted_and_the_least_urgent_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transfers_module, "MAX_WANTED", 10)
    world = World()
    for number in range(100):
        world.want(number + 1, CHUNK, sources=(ANA,))
    world.want(500, CHUNK, sources=(ANA,), precedence=Precedence.EMERGENCY)
    assert world.core.progress(root(500)) == (0, CHUNK)
    assert sum(world.core.progress(root(n)) is not None for n in range(1, 501)) == 10
    world.has[ANA] = {root(number) for number in range(1000)}
    world.meet(ANA)
    world.run(60.0)
    assert world.arrived()[0] == 500
    assert len(world.arrived()) == 10


def test_what_is_dropped_is_left_alone() -> None:
    world = World()
    world.has[ANA] = {root(1)}
    world.meet(ANA)
    world.want(1, sources=(ANA,))
    world.run(1.0)
    world.tell(world.core.dropped(root(1), world.now))
    assert root(1) not in world.disk
    world.run(100.0)
    assert world.arrived() == []
    assert world.core.next_wakeup() is None
    world.want(1, sources=(ANA,))
    world.run(10.0)
    assert world.arrived() == [1]


@pytest.mark.parametrize("seed", range(8))
def test_all_that_somebody_has_arrives_through_a_bad_network(seed: int) -> None:
    rng = Random(seed)
    world = World(seed, chunk_s=rng.choice([0.01, 0.5, 5.0]))
    honest = [ANA, BEN]
    world.lies = {EVE}
    wanted = range(1, 31)
    for number in wanted:
        world.has[rng.choice(honest)].add(root(number))
        world.has[EVE].add(root(number))
        size = rng.choice([1, CHUNK, 3 * CHUNK + 1, 20 * CHUNK])
        source = rng.choice([ANA, BEN, EVE])
        precedence = rng.choice(list(Precedence))
        world.want(number, size, sources=(source,), precedence=precedence)
    for _ in range(60):
        peer = rng.choice([ANA, BEN, EVE])
        (world.part if peer in world.up else world.meet)(peer)
        world.run(rng.random() * 20)
    world.meet(*({ANA, BEN} - world.up))
    world.run(AGAIN_S[RunEnd.HAS_NOT][1] * 2)
    assert sorted(world.arrived()) == list(wanted), f"seed {seed}"
    assert max(world.got.values()) == 1
    assert not world.running
