"""A radio's way into the network and out of it, step by step."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest

from appliance.protocol.wifi.joining import (
    MAX_RETRY_S,
    Join,
    Joining,
    Leave,
    Radio,
    Scan,
)
from appliance.protocol.wifi.tables import CELL, CHANNELS, Band, Mode

CHANNEL = CHANNELS[Band.LOW][0]
BOTH = Radio("wlan0", 3, frozenset(Mode), {Band.LOW: CHANNEL}, "", "02:00:00:00:00:01", None)
ONLY_IBSS = replace(BOTH, modes=frozenset({Mode.IBSS}))


@pytest.fixture
def joining() -> Joining:
    return Joining(Random(1))


def join(joining: Joining, now: float, radio: Radio) -> Join:
    """Look around if need be, and join."""
    joining.look(now, [radio])
    action = joining.next_action(now)
    if isinstance(action, Scan):
        joining.done(now, action)
        action = joining.next_action(now)
    assert isinstance(action, Join)
    joining.done(now, action, cell=CELL)
    return action


def test_it_looks_around_before_it_joins(joining: Joining) -> None:
    joining.look(0.0, [BOTH])
    assert joining.next_action(0.0) == Scan("wlan0", CHANNEL.frequency_mhz)


def test_where_nothing_can_be_chosen_nothing_is_looked_for(joining: Joining) -> None:
    assert join(joining, 0.0, ONLY_IBSS).choice.mode is Mode.IBSS
    joining.look(1.0, [replace(ONLY_IBSS, place=(Mode.IBSS, CHANNEL.frequency_mhz))])
    assert joining.wake_at(1.0) is None
    assert joining.next_action(1e6) is None


def test_failing_it_tries_again_ever_more_rarely_and_plainer(joining: Joining) -> None:
    joining.look(0.0, [ONLY_IBSS])
    now, plain = 0.0, set()
    tries: list[float] = []
    while len(tries) < 12:
        action = joining.next_action(now)
        assert isinstance(action, Join)
        plain.add(action.plain)
        tries.append(now)
        joining.done(now, action, error="It could not join.")
        assert joining.next_action(now) is None
        wake_at = joining.wake_at(now)
        assert wake_at is not None
        now = wake_at
    waits = [later - sooner for sooner, later in pairwise(tries)]
    assert waits[0] < 5.0
    assert MAX_RETRY_S / 2 < waits[-1] < MAX_RETRY_S * 2
    assert plain == {False, True}
    (report,) = joining.reports()
    assert report.failed
    assert report.trouble == "It could not join."


def test_a_mode_that_a_driver_only_claims_to_know_is_given_up(joining: Joining) -> None:
    joining.look(0.0, [BOTH])
    now = 0.0
    modes: list[Mode] = []
    while len(modes) < 4:
        action = joining.next_action(now)
        assert action is not None
        if isinstance(action, Join):
            modes.append(action.choice.mode)
            joining.done(now, action, error="Operation not supported")
        else:
            joining.done(now, action)
        now = joining.wake_at(now) or now
    assert modes == [Mode.MESH] * 3 + [Mode.IBSS]


def test_a_radio_that_somebody_takes_is_let_go_without_a_word(joining: Joining) -> None:
    join(joining, 0.0, BOTH)
    assert joining.reports()[0].joined == "mesh, channel 6"
    joining.look(1.0, [replace(BOTH, unfit="It is used as something else: AP.")])
    assert joining.next_action(1e6) is None
    assert joining.reports()[0].trouble == "It is used as something else: AP."


def test_one_that_is_excluded_while_it_is_joined_leaves(joining: Joining) -> None:
    join(joining, 0.0, BOTH)
    place = (Mode.MESH, CHANNEL.frequency_mhz)
    joining.look(1.0, [replace(BOTH, place=place, unfit="It is excluded by the operator.")])
    assert joining.next_action(1.0) == Leave("wlan0")


def test_one_that_is_thrown_out_joins_again(joining: Joining) -> None:
    join(joining, 0.0, BOTH)
    joining.look(100.0, [BOTH])
    assert joining.next_action(100.0) is None
    again = joining.wake_at(100.0)
    assert again is not None
    assert isinstance(joining.next_action(again), Join)


def test_another_dongle_under_the_same_name_begins_anew(joining: Joining) -> None:
    join(joining, 0.0, BOTH)
    joining.look(1.0, [replace(BOTH, index=4)])
    assert isinstance(joining.next_action(1.0), Scan)


def test_a_cell_of_the_drivers_own_is_said(joining: Joining) -> None:
    joining.look(0.0, [ONLY_IBSS])
    action = joining.next_action(0.0)
    assert action is not None
    joining.done(0.0, action, cell="0a:01:02:03:04:05")
    (report,) = joining.reports()
    assert report.joined == "ad hoc, channel 6, in a cell that its driver chose"


def test_what_is_gone_needs_no_answer(joining: Joining) -> None:
    joining.look(0.0, [BOTH])
    action = joining.next_action(0.0)
    assert action is not None
    joining.look(1.0, [])
    joining.done(1.0, action, error="No such device")
    assert joining.next_action(1.0) is None
    assert joining.wake_at(1.0) is None
