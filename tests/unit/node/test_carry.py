"""What goes from neighbour to neighbour arrives, once, and is dropped when it has."""

from __future__ import annotations

from itertools import pairwise

import pytest
from mail_world import Desk, World, world

from appliance.model.message import DeliveryState
from appliance.model.record import Precedence
from appliance.node import carry_lane

PATIENCE_S = 30.0


def introduce(w: World, *desks: Desk) -> None:
    """Let each know the cards of all, and leave them apart."""
    links = [w.connect(a, b) for a, b in pairwise(desks)]
    w.settle(PATIENCE_S)
    assert all(len(desk.station.directory.all()) == len(desks) - 1 for desk in desks)
    for link in links:
        link.up = False
    w.settle()
    assert not w.links


def carried(desk: Desk) -> int:
    (count,) = desk.db.execute("SELECT count(*) FROM carried").fetchone()
    return int(count)


def messages_carried(desk: Desk) -> int:
    (count,) = desk.db.execute(
        "SELECT count(*) FROM carried JOIN records ON number = record WHERE kind = 2"
    ).fetchone()
    return int(count)


def test_a_message_goes_over_somebody_else_and_the_receipt_comes_back() -> None:
    with world(desks=3, met=False) as w:
        a, b, c = w.desks
        introduce(w, a, b, c)
        w.connect(a, b)
        w.connect(b, c)
        a.write(c, "over b")
        w.settle(PATIENCE_S)
        assert c.inbox() == ["over b"]
        assert a.state_of(a.confirmed[0].id) is DeliveryState.DELIVERED
        assert b.inbox() == []
        c.read_all()
        w.settle(PATIENCE_S)
        assert a.state_of(a.confirmed[0].id) is DeliveryState.READ
        assert [messages_carried(desk) for desk in w.desks] == [0, 0, 0]


def test_a_courier_brings_it_across_though_there_is_never_a_way() -> None:
    with world(desks=3, met=False) as w:
        a, b, c = w.desks
        introduce(w, a, b, c)
        link = w.connect(a, b)
        a.write(c, "by hand")
        w.settle(PATIENCE_S)
        link.up = False
        w.settle()
        b.crash()
        b.start()
        link = w.connect(b, c)
        w.settle(PATIENCE_S)
        assert c.inbox() == ["by hand"]
        assert a.state_of(a.confirmed[0].id) is not DeliveryState.DELIVERED
        link.up = False
        w.settle()
        w.connect(b, a)
        w.settle(PATIENCE_S)
        assert a.state_of(a.confirmed[0].id) is DeliveryState.DELIVERED
        assert [messages_carried(desk) for desk in w.desks] == [0, 0, 0]


def test_what_is_for_everyone_reaches_everyone_along_a_line() -> None:
    with world(desks=6, met=False) as w:
        introduce(w, *w.desks)
        first, *others = w.desks
        first.write(None, "boil the water")
        w.settle(PATIENCE_S)
        for a, b in pairwise(w.desks):
            w.connect(a, b)
        w.settle(PATIENCE_S)
        assert [desk.inbox() for desk in others] == [["boil the water"]] * 5
        (message,) = first.messages()
        assert message.delivered_to == 5


def test_a_direct_way_needs_no_copies() -> None:
    with world(desks=3, met=False) as w:
        a, b, c = w.desks
        introduce(w, a, b, c)
        w.connect(a, b)
        w.connect(a, c)
        a.write(c, "straight")
        w.settle(PATIENCE_S)
        assert c.inbox() == ["straight"]
        assert [carried(desk) for desk in w.desks] == [0, 0, 0]


def test_an_emergency_overtakes_a_full_queue_at_each_hop() -> None:
    with world(desks=3, met=False) as w:
        a, b, c = w.desks
        introduce(w, a, b, c)
        for number in range(300):
            a.write(c, f"routine {number}")
        w.settle(PATIENCE_S)
        a.write(c, "fire", precedence=Precedence.EMERGENCY)
        w.settle(PATIENCE_S)
        w.connect(a, b)
        w.connect(b, c)
        while "fire" not in c.inbox():
            assert w.step()
        assert len(c.inbox()) <= 40
        w.settle(PATIENCE_S)
        assert len(c.inbox()) == 301


def test_what_a_crash_left_uncarried_is_found() -> None:
    with world(desks=3, met=False) as w:
        a, b, c = w.desks
        introduce(w, a, b, c)
        a.write(c, "just before the power failed")
        while not a.confirmed:
            assert w.step()
        assert not carried(a)
        a.crash()
        a.start()
        w.connect(a, b)
        w.connect(b, c)
        w.settle(90.0)
        assert c.inbox() == ["just before the power failed"]


def test_more_than_can_wait_is_brought_all_the_same_and_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(carry_lane, "MAX_WAITING", 20)
    with world(desks=3, met=False) as w:
        a, b, c = w.desks
        introduce(w, a, b, c)
        for number in range(100):
            a.write(c, f"{number}")
        a.write(c, "urgent", precedence=Precedence.EMERGENCY)
        w.settle(PATIENCE_S)
        w.connect(a, b)
        w.settle(5.0)  # not at the next comparison, which is 15 s away
        assert messages_carried(b) == 101


def test_what_waits_for_a_neighbour_is_bounded_and_the_least_urgent_is_left_out() -> None:
    lane = carry_lane.CarryLane()
    for number in range(carry_lane.MAX_WAITING):
        lane.add(number.to_bytes(32, "big"), number % 2)
    lane.add(b"late", 0)
    lane.add(b"help", 7)
    lane.add(b"help", 7)
    assert lane.left_out
    assert len(lane) == carry_lane.MAX_WAITING
    taken = lane.take(0.0)
    assert taken[:3] == (b"help", (1).to_bytes(32, "big"), (3).to_bytes(32, "big"))
    lane.has(number.to_bytes(32, "big") for number in range(carry_lane.MAX_WAITING))
    lane.answered(taken)
    assert lane.idle


def test_what_is_too_old_is_told_to_nobody_any_more() -> None:
    with world(desks=3, met=False) as w:
        a, b, c = w.desks
        introduce(w, a, b, c)
        a.write(c, "soon", lifetime_s=100)
        w.connect(a, b)
        w.settle(PATIENCE_S)
        (message,) = a.confirmed
        carrying = [desk.station.post.carry for desk in (a, b)]
        assert [list(one._carried) for one in carrying] == [[message.id]] * 2
        for _ in range(12):
            w.pass_time(20.0)
            w.settle()
        assert carried(b) == 0
        # Else whoever lacks it asks for it at each comparison, and never gets it.
        assert [list(one._carried) for one in carrying] == [[], []]
        assert not any(one._urgency or one._ours for one in carrying)
        assert all(one.knows(message.id) for one in carrying)
