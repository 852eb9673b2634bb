"""Who holds up whom where many blobs are wanted: strangers, silent stations, a full disk."""

from __future__ import annotations

import pytest
from transfer_world import ANA, BEN, EVE, World, root

from appliance.model.attachment import CHUNK
from appliance.model.identity import StationId
from appliance.model.record import Precedence
from appliance.node import transfers as transfers_module
from appliance.node.ports.blobs import RunEnd
from appliance.node.wanted import SLOW_S


def test_what_strangers_name_leaves_room_for_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfers_module, "MAX_WANTED", 40)
    monkeypatch.setattr(transfers_module, "MAX_OF_STRANGERS", 10)
    world = World()
    for number in range(100, 200):
        world.want(number, 1, trusted=False, precedence=Precedence.EMERGENCY)
    assert len(world.core.roots()) == 10
    for number in range(1, 31):
        world.want(number, sources=(ANA,))
    assert len(world.core.roots()) == 40
    world.want(99, 1, trusted=False, precedence=Precedence.EMERGENCY)
    assert all(world.core.progress(root(number)) for number in range(1, 31))
    # Whom nobody knew becomes known: there is room for one more of strangers, not of all.
    world.want(100, 1, precedence=Precedence.EMERGENCY)
    world.want(31, sources=(ANA,))
    assert world.core.progress(root(100)) == (0, 1)
    assert world.core.progress(root(31)) is None
    assert len(world.core.roots()) == 40
    world.has[ANA] = {root(number) for number in range(1, 31)}
    world.meet(ANA)
    world.run(300.0)
    assert len(world.arrived()) == 30


def test_strangers_that_give_nothing_do_not_hold_up_the_rest() -> None:
    world = World()
    crowd = [StationId(bytes([number]) * 32) for number in range(100, 110)]
    for number, each in enumerate(crowd):
        world.has[each] = {root(100 + number)}
        urgent = Precedence.EMERGENCY
        world.want(100 + number, 1, trusted=False, sources=(each,), precedence=urgent)
    world.silent = {*crowd}
    world.meet(*crowd, ANA)
    world.run(1.0)
    world.has[ANA] = {root(1), root(2)}
    world.want(1, sources=(ANA,))
    world.want(2, CHUNK, sources=(ANA,))
    world.run(2.5 * SLOW_S)
    assert sorted(world.arrived()) == [1, 2]


def test_somebody_else_is_asked_soon_for_what_one_holds_back() -> None:
    world = World()
    world.has[ANA] = world.has[EVE] = {root(1)}
    world.silent = {EVE}
    world.meet(EVE, ANA)
    world.want(1, CHUNK, sources=(EVE,))
    world.run(SLOW_S + 1.0)
    assert world.arrived() == [1]


def test_who_is_slow_and_alone_is_left_alone() -> None:
    world = World(chunk_s=100.0)
    world.has[ANA] = {root(1)}
    world.meet(ANA, BEN)
    world.want(1, 3 * CHUNK, sources=(ANA,))
    world.run(600.0)
    assert world.arrived() == [1]
    assert len(world.asked(ANA)) <= 4


@pytest.mark.parametrize("mine", [True, False])
def test_what_finds_no_room_does_not_hold_up_what_is_smaller_or_ours(mine: bool) -> None:
    world = World()
    world.has[ANA] = {root(number) for number in range(1, 5)}
    world.meet(ANA)
    urgent = Precedence.EMERGENCY
    world.want(1, 100 * CHUNK, sources=(ANA,), precedence=urgent, mine=mine)
    world.run(0.005)
    fetch = world.fetches[0][1]
    world._end(fetch, RunEnd.NO_ROOM)
    world.want(2, CHUNK, sources=(ANA,))
    world.want(3, 200 * CHUNK, sources=(ANA,))
    world.want(4, 200 * CHUNK, sources=(ANA,), mine=False)
    world.run(50.0)
    assert world.arrived() == ([2] if mine else [2, 3])
    assert len(world.asked(ANA)) >= 2
    world.run(100.0)
    assert world.arrived() == ([2, 1, 3, 4] if mine else [2, 3, 1, 4])


def test_who_comes_and_goes_is_not_remembered_for_ever() -> None:
    world = World()
    world.want(1, sources=(ANA,))
    for number in range(500):
        peer = StationId(number.to_bytes(32, "big"))
        world.has[peer] = set()
        world.meet(peer)
        world.run(0.005)
        world.part(peer)
        world.run(0.1)
    assert len(world.core._all[root(1)].holders) <= transfers_module.MAX_HOLDERS


def test_what_waits_for_its_turn_is_told_from_what_nobody_has() -> None:
    world = World()
    world.want(1, sources=(ANA,))
    world.want(2, sources=(ANA,))
    assert not world.core.waits_its_turn(root(1), world.now)
    world.has[ANA] = {root(1), root(2)}
    world.meet(ANA)
    world.run(1.0)
    assert world.core.fetching(root(1))
    assert not world.core.fetching(root(2))
    assert world.core.waits_its_turn(root(2), world.now)
    world.part(ANA)
    assert not world.core.waits_its_turn(root(2), world.now)
