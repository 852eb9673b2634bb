"""Hellos are often where few are and rare where many are, and seldom change."""

from __future__ import annotations

from itertools import pairwise

import pytest

from appliance.protocol.hello_interval import (
    FASTER_AFTER_S,
    FASTEST_MS,
    RADIO_STEPS,
    SLOWER_AFTER_S,
    SPREAD_S,
    UPDATES,
    WIRE_STEPS,
    HelloIntervals,
    wanted_ms,
)

FEW, MANY = 2, 49
SLOW_MS = WIRE_STEPS[1][1]
MIDDLE_MS, SLOWEST_MS = RADIO_STEPS[1][1], RADIO_STEPS[2][1]


def intervals(chance: float = 0.0) -> HelloIntervals:
    return HelloIntervals(lambda: chance)


def test_a_new_link_starts_fast_however_many_are_there() -> None:
    assert intervals().choose({"eth0": MANY, "eth1": 0}, 0.0) == {
        "eth0": FASTEST_MS,
        "eth1": FASTEST_MS,
    }


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.99])
def test_a_change_waits_for_its_time(chance: float) -> None:
    hellos = intervals(chance)
    due = SLOWER_AFTER_S + SPREAD_S * chance
    assert hellos.choose({"eth0": MANY}, 0.0)["eth0"] == FASTEST_MS
    assert hellos.next_wakeup() == due
    assert hellos.choose({"eth0": MANY}, due - 0.1)["eth0"] == FASTEST_MS
    assert hellos.choose({"eth0": MANY}, due)["eth0"] == SLOW_MS
    assert hellos.next_wakeup() is None


def test_one_step_while_a_network_fills() -> None:
    """All stations start within some seconds, and each changes once."""
    hellos = intervals()
    seen = [
        hellos.choose({"eth0": min(count, MANY)}, count / 10)["eth0"] for count in range(1, 400)
    ]
    assert sorted(set(seen)) == [FASTEST_MS, SLOW_MS]
    assert sum(a != b for a, b in pairwise(seen)) == 1


def test_whoever_comes_and_goes_changes_nothing() -> None:
    hellos = intervals()
    most = WIRE_STEPS[0][0]
    assert {hellos.choose({"eth0": most + now % 2}, float(now))["eth0"] for now in range(200)} == {
        FASTEST_MS
    }


def test_faster_again_when_most_have_left_for_good() -> None:
    hellos = intervals()
    hellos.choose({"eth0": MANY}, 0.0)
    hellos.choose({"eth0": MANY}, SLOWER_AFTER_S)
    assert hellos.choose({"eth0": FEW}, 20.0)["eth0"] == SLOW_MS
    assert hellos.choose({"eth0": FEW}, 20.0 + FASTER_AFTER_S)["eth0"] == FASTEST_MS


def test_a_link_that_went_and_came_back_starts_anew() -> None:
    hellos = intervals()
    hellos.choose({"eth0": MANY}, 0.0)
    hellos.choose({"eth0": MANY}, SLOWER_AFTER_S)
    assert hellos.choose({}, 30.0) == {}
    assert hellos.choose({"eth0": MANY}, 31.0)["eth0"] == FASTEST_MS


def test_the_bounds_are_wide() -> None:
    assert wanted_ms(RADIO_STEPS, 8, FASTEST_MS) == FASTEST_MS
    assert wanted_ms(RADIO_STEPS, 9, FASTEST_MS) == MIDDLE_MS
    assert wanted_ms(RADIO_STEPS, 6, MIDDLE_MS) == MIDDLE_MS
    assert wanted_ms(RADIO_STEPS, 5, MIDDLE_MS) == FASTEST_MS
    assert wanted_ms(RADIO_STEPS, 11, SLOWEST_MS) == SLOWEST_MS
    assert wanted_ms(RADIO_STEPS, 10, SLOWEST_MS) == MIDDLE_MS
    assert {interval for _, interval in (*WIRE_STEPS, *RADIO_STEPS)} == UPDATES.keys()


def test_a_radio_is_spared_sooner_than_a_wire() -> None:
    hellos = intervals()
    for now in (0.0, SLOWER_AFTER_S):
        chosen = hellos.choose({"eth0": 12, "mesh0": 12}, now, radios={"mesh0"})
    assert chosen == {"eth0": FASTEST_MS, "mesh0": MIDDLE_MS}
