"""What a live way does not confirm goes over others, and what made room does not come back."""

from __future__ import annotations

from itertools import combinations

import pytest
from mail_world import Desk, World, world
from test_mesh_routes import route

from appliance.adapters.store import carried as store_carried
from appliance.model.identity import StationId
from appliance.model.message import DeliveryState
from appliance.model.net import NetNews
from appliance.node.beginnings import Now
from appliance.node.delivery import CONFIRMED_S, DIALLED_S
from appliance.node.effects import Effect
from appliance.node.post import OVERDUE_S
from appliance.protocol.carrying import decode_parcels
from appliance.protocol.frames import Channel

PATIENCE_S = 60.0
COUNT = 40


def introduced(w: World) -> tuple[Desk, Desk, Desk]:
    """Three that know the cards of all, each with a session with both others."""
    for one, other in combinations(w.desks, 2):
        w.connect(one, other)
    # What waits and nobody carries is looked for 5 s after the start and each minute: not soon now.
    w.settle(OVERDUE_S / 2)
    a, b, c = w.desks
    return a, b, c


def carried(desk: Desk) -> int:
    (count,) = desk.db.execute("SELECT count(*) FROM carried").fetchone()
    return int(count)


def part(w: World, a: Desk, b: Desk) -> None:
    for link in w.links_of(a):
        if b in link.ends:
            link.up = False
    w.settle()


def test_who_is_in_reach_and_confirms_nothing_for_5_s_gets_copies_over_others() -> None:
    with world(desks=3, met=False) as w:
        a, b, c = introduced(w)
        assert CONFIRMED_S == 5.0
        c.disk_full = True
        a.write(c, "the ford is deep")
        w.settle(CONFIRMED_S - 1.0)
        assert a.confirmed
        assert carried(a) == carried(b) == 0
        w.settle(2.0)
        assert carried(a) == carried(b) == 1
        part(w, a, c)
        c.disk_full = False
        w.settle(PATIENCE_S)
        assert c.inbox() == ["the ford is deep"]
        assert a.state_of(a.confirmed[0].id) is DeliveryState.DELIVERED
        assert b.inbox() == []
        held = (
            one.db.execute(
                "SELECT count(*) FROM carried JOIN records ON number = record WHERE kind = 2"
            )
            for one in w.desks
        )
        assert [row.fetchone() for row in held] == [(0,)] * 3, "the receipt has overtaken it"


def test_copies_do_not_wait_long_for_a_session_with_who_is_said_to_have_a_route() -> None:
    with world(desks=3, met=False) as w:
        a, b, c = introduced(w)
        w.cut(next(link for link in w.links_of(a) if c in link.ends))
        w.settle()
        a.carry_out(a.station.whereabouts.net_said(NetNews(routes=(route(c.station.id),)), a.now))
        a.write(c, "the ford is deep")
        w.settle(DIALLED_S - 0.5)
        assert a.confirmed
        assert carried(a) == carried(b) == 0
        w.settle(1.0)
        assert c.inbox() == ["the ford is deep"]
        assert a.state_of(a.confirmed[0].id) is DeliveryState.DELIVERED


@pytest.mark.parametrize("restarts", [False, True])
def test_what_made_room_for_more_is_not_fetched_again(
    monkeypatch: pytest.MonkeyPatch, restarts: bool
) -> None:
    brought: list[bytes] = []

    def watched(desk: Desk) -> None:
        received = desk.station.post.received

        def note(peer: StationId, channel: Channel, data: bytes, now: Now) -> list[Effect]:
            if channel is Channel.CARRY:
                brought.extend(parcel.raw for parcel in decode_parcels(data))
            return received(peer, channel, data, now)

        monkeypatch.setattr(desk.station.post, "received", note)

    with world(desks=3, met=False) as w:
        a, b, c = introduced(w)
        part(w, a, c)
        part(w, b, c)
        b.write(a, "so that each knows the other")
        w.settle(PATIENCE_S)
        monkeypatch.setattr(store_carried, "MAX_BYTES", 10_000)
        watched(b)
        for number in range(COUNT):
            a.write(c, f"{number}")
        w.settle(PATIENCE_S)
        assert len(brought) == COUNT
        assert 0 < carried(b) < COUNT / 2
        assert carried(a) == COUNT
        part(w, a, b)
        if restarts:
            b.crash()
            b.start()
            watched(b)
        brought.clear()
        w.connect(a, b)
        w.settle(PATIENCE_S)
        assert brought == []
        assert 0 < carried(b) < COUNT / 2
