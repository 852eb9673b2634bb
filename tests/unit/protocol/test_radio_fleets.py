"""Whatever radios meet, in whatever order: with a common mode they end in one cell and stay."""

from __future__ import annotations

import itertools

import pytest
from radio_world import BOTH, DUAL, IBSS, MESH, World

from appliance.protocol.wifi.tables import CELL, Band, Mode

SETTLED_S = 600.0
"""For up to six stations in a line that start within two minutes."""
CALM_S = 1800.0
ORDERS = 2
"""Of each fleet; a longer run of all orders, with hours of calm, found nothing more."""


def settle(world: World, *, within_s: float = SETTLED_S) -> None:
    """After a while, nothing changes for hours."""
    start = world.now
    world.run_until(start + within_s)
    settled = world.last_change_s()
    world.run_until(start + within_s + CALM_S)
    assert world.last_change_s() == settled, "it goes on changing"


def fleets() -> list[tuple[frozenset[Mode], ...]]:
    """All fleets of up to four radios that have a common mode, each order counted once."""
    return [
        fleet
        for size in (2, 3, 4)
        for fleet in itertools.combinations_with_replacement((MESH, IBSS, BOTH), size)
        if frozenset.intersection(*fleet)
    ]


@pytest.mark.parametrize("in_line", [False, True], ids=["all hear all", "line"])
def test_every_fleet_with_a_common_mode_ends_in_one_cell(in_line: bool) -> None:
    for seed, fleet in enumerate(fleets()):
        for order in sorted(
            set(itertools.permutations(fleet)), key=lambda order: [sorted(kind) for kind in order]
        )[:ORDERS]:
            world = World(seed)
            for kind in order:
                world.add(kind, start_s=world.random.choice((0.0, world.random.uniform(0, 120))))
            if in_line:
                world.connect([(number, number + 1) for number in range(len(order) - 1)])
            else:
                world.all_connected()
            settle(world)
            modes = [world.modes(number) for number in range(len(order))]
            common = Mode.IBSS if IBSS in fleet else Mode.MESH
            assert modes == [{common}] * len(order), (seed, order)


def test_a_large_fleet_behind_one_that_can_do_ibss_only() -> None:
    """A grid of 4 by 4: IBSS spreads from one corner, hop by hop."""
    side = 4
    world = World(1, heard=0.7)
    for number in range(side * side):
        world.add(IBSS if number == 0 else BOTH, start_s=world.random.uniform(0, 60))
    right = [(n, n + 1) for n in range(side * side) if n % side < side - 1]
    world.connect([*right, *((n, n + side) for n in range(side * (side - 1)))])
    settle(world, within_s=1800.0)
    assert all(world.modes(number) == {Mode.IBSS} for number in range(side * side))


def test_one_that_comes_late_takes_the_mesh_along() -> None:
    world = World(2)
    for _ in range(3):
        world.add(BOTH)
    late = world.add(IBSS, start_s=7200.0)
    world.all_connected()
    world.run_until(7000.0)
    assert [world.modes(number) for number in range(3)] == [{Mode.MESH}] * 3
    world.run_until(7400.0)
    assert [world.modes(number) for number in range(4)] == [{Mode.IBSS}] * 4
    world.remove(late)
    settle(world)
    # They hear each other there, so they stay together.
    assert [world.modes(number) for number in range(3)] == [{Mode.IBSS}] * 3


def test_left_alone_in_ibss_a_radio_goes_back_to_the_mesh_ever_later() -> None:
    world = World(3)
    world.add(BOTH)
    passing = world.add(IBSS)
    world.all_connected()
    world.run_until(200.0)
    assert world.modes(0) == {Mode.IBSS}
    world.remove(passing)
    world.run_until(4000.0)
    assert world.modes(0) == {Mode.MESH}
    joins = len(world.nodes[0].changes)
    # Somebody passes every half an hour.
    for _ in range(24):
        world.connect([(0, passing)])
        world.run_until(world.now + 200.0)
        world.remove(passing)
        world.run_until(world.now + 1600.0)
    assert len(world.nodes[0].changes) - joins <= 6


def test_one_that_can_only_mesh_is_followed_there_after_others_have_left() -> None:
    world = World(4)
    for _ in range(3):
        world.add(BOTH)
    passing = world.add(IBSS)
    world.all_connected()
    world.run_until(600.0)
    world.remove(passing)
    late = world.add(MESH, start_s=700.0)
    world.connect([(late, number) for number in range(3)])
    settle(world, within_s=3600.0)
    assert [world.modes(number) for number in (0, 1, 2, late)] == [{Mode.MESH}] * 4


def test_a_fleet_without_a_common_mode_comes_to_rest() -> None:
    for seed, order in enumerate(itertools.permutations((MESH, IBSS, BOTH, BOTH))):
        world = World(seed)
        for kind in order:
            world.add(kind, start_s=world.random.uniform(0, 120))
        world.all_connected()
        settle(world)


def test_a_station_with_two_radios_bridges_what_has_no_common_mode() -> None:
    world = World(5)
    world.add(MESH)
    world.add(IBSS)
    bridge = world.add(MESH, IBSS, start_s=30.0)
    world.all_connected()
    settle(world)
    assert world.modes(bridge) == {Mode.MESH, Mode.IBSS}


def test_a_second_radio_that_nobody_needs_stays_silent() -> None:
    world = World(6)
    for _ in range(2):
        world.add(BOTH, IBSS)
    world.all_connected()
    settle(world)
    assert [world.modes(number) for number in range(2)] == [{Mode.MESH}] * 2


def test_two_radios_take_two_bands() -> None:
    world = World(7)
    for _ in range(2):
        world.add(BOTH, IBSS, channels=DUAL)
    world.all_connected()
    settle(world)
    for number in range(2):
        assert world.modes(number, band=Band.LOW) == {Mode.MESH}
        assert world.modes(number, band=Band.HIGH) == {Mode.IBSS}


@pytest.mark.parametrize("others", [(), (BOTH,)], ids=["alone", "with one that obeys"])
def test_drivers_that_choose_their_cell_end_in_one(others: tuple[frozenset[Mode], ...]) -> None:
    """Raspberry Pi's do: they find an IBSS by its name, and make one up if there is none."""
    for seed in range(5):
        world = World(seed)
        for _ in range(4):
            world.add(IBSS, stubborn=True, start_s=world.random.uniform(0, 20))
        for kind in others:
            world.add(kind, start_s=world.random.uniform(0, 120))
        world.all_connected()
        settle(world, within_s=3600.0)
        cells = {cell for number in range(len(world.nodes)) for cell in world.cells(number)}
        assert len(cells) == 1, (seed, cells)
        assert not others or cells == {CELL}
