"""Asking others about their links, and what becomes of the answers, in virtual time."""

from __future__ import annotations

import pytest

from appliance.model.codec import FormatError, encode
from appliance.model.identity import StationId, StationKey
from appliance.model.net import FULL_REACH, LinkKind, NetLink, NetNeighbour, NetNews, NetRoute
from appliance.node.effects import Effect, Send
from appliance.node.hop_counts import COUNT_EVERY_S, SETTLE_S, SILENT_S, HopCounts
from appliance.node.mesh import Mesh, origin_of
from appliance.node.mesh_map import (
    ANSWER_WITHIN_S,
    FRESH_S,
    KEPT_S,
    MAX_OPEN,
    Asked,
    MeshMap,
    SeenBy,
    join,
    our_neighbours,
)
from appliance.node.usage import SessionInfo
from appliance.protocol.frames import MAX_MESSAGE, Channel
from appliance.protocol.mesh_map import (
    MAX_NEIGHBOURS,
    MapAnswer,
    MapAsk,
    MapNeighbour,
    decode_map,
    encode_map,
)

IDS = [StationKey.from_bytes(bytes([n]) * 32).id for n in range(1, 12)]
US, A, B, C = IDS[:4]
TEXT = {station: str(station.address) for station in IDS}


MET = MapNeighbour(A.address.packed, None, None, None, None, None)
"""Somebody with a session, where there is no routing."""


def near(station: StationId, **changes: object) -> MapNeighbour:
    fields: dict[str, object] = {"kind": LinkKind.RADIO, "cost": 256, "loss_in_pct": 0}
    fields |= {"loss_out_pct": 4, "rtt_us": 1_500} | changes
    return MapNeighbour(station.address.packed, **fields)  # type: ignore[arg-type]


class World:
    """A map, and sessions that the test opens."""

    def __init__(self) -> None:
        self.needed: list[StationId] = []
        self.mesh = Mesh(US)
        self.map = MeshMap(self.mesh, self, lambda: 0.5)

    def session(self, peer: StationId) -> SessionInfo | None:
        return next((info for info in self.sessions() if info.peer == peer), None)

    def sessions(self) -> tuple[SessionInfo, ...]:
        return (SessionInfo(1, A, b"", True, "10.0.0.1", "10.0.0.2", 0.0),)

    def need(self, station: StationId, now: float) -> list[Effect]:
        self.needed.append(station)
        return []

    def answered(self, station: StationId, now: float, *neighbours: MapNeighbour) -> list[Effect]:
        number = int(0.5 * ((1 << 32) - 1))
        answer = MapAnswer(number, len(neighbours), neighbours)
        return self.map.received(station, encode_map(answer), now)


def test_a_few_are_asked_at_a_time_over_sessions_that_are_opened_for_it() -> None:
    world = World()
    (ask,) = world.map.ask(IDS[1:], 0.0)
    assert isinstance(ask, Send)
    assert (ask.peer, ask.channel) == (A, Channel.MAP)
    assert world.needed == IDS[2 : MAX_OPEN + 1]
    assert {world.map.asked(one) for one in IDS[1:]} == {Asked.WAITING}
    world.answered(A, 0.1, near(B))
    assert world.map.asked(A) is Asked.ANSWERED
    assert world.needed[-1] == IDS[MAX_OPEN + 1]
    (late,) = world.map.session_up(B)
    assert isinstance(late, Send)
    assert decode_map(late.data) == MapAsk(int(0.5 * ((1 << 32) - 1)))
    assert world.map.session_up(B) == []
    now = 0.1
    while (at := world.map.next_wakeup()) is not None:
        now = at
        world.map.wakeup(now)
    assert now <= 3 * ANSWER_WITHIN_S + 0.1
    assert world.map.asked(B) is Asked.SILENT
    assert world.map.ask([B], now) == []
    assert len(world.map.ask([A], 0.1 + FRESH_S)) == 1
    assert list(world.map.answers(0.2)) == [A]
    assert world.map.answers(0.1 + KEPT_S) == {}


def test_nobody_is_answered_too_often_and_nothing_that_was_not_asked_counts() -> None:
    world = World()
    (answer,) = world.map.received(B, encode_map(MapAsk(7)), 0.0)
    assert isinstance(answer, Send)
    assert decode_map(answer.data) == MapAnswer(7, 1, (MET,))
    assert world.map.received(B, encode_map(MapAsk(8)), 0.5) == []
    assert len(world.map.received(B, encode_map(MapAsk(9)), 1.0)) == 1
    world.answered(A, 1.0, near(C))
    assert world.map.answers(1.0) == {}
    assert world.map.received(A, encode({0: 9, 1: 1}), 1.0) == []
    with pytest.raises(FormatError):
        world.map.received(A, b"\xff", 1.0)
    twice = encode({0: 1, 1: 1, 2: 2, 3: [{0: bytes(16)}, {0: bytes(16)}]})
    with pytest.raises(FormatError, match="twice"):
        decode_map(twice)


def test_the_longest_answer_fits_into_a_message() -> None:
    all_of_it = {"cost": 65_535, "loss_in_pct": 100, "loss_out_pct": 100, "rtt_us": (1 << 32) - 1}
    neighbours = tuple(
        MapNeighbour(n.to_bytes(16, "big"), LinkKind.TUNNEL, **all_of_it)
        for n in range(MAX_NEIGHBOURS)
    )
    answer = MapAnswer((1 << 32) - 1, (1 << 32) - 1, neighbours)
    assert len(encode_map(answer)) <= MAX_MESSAGE[Channel.MAP]
    assert decode_map(encode_map(answer)) == answer


def test_links_say_who_has_seen_them() -> None:
    said = {
        TEXT[A]: (near(US), near(B, kind=LinkKind.CABLE, loss_in_pct=1), near(C)),
        TEXT[B]: (near(A, loss_in_pct=9), near(IDS[5]), near(US)),
        TEXT[C]: (),
    }
    links = {frozenset((one.a, one.b)): one for one in join(TEXT[US], [near(A)], said)}
    ours = links[frozenset((TEXT[US], TEXT[A]))]
    assert (ours.seen_by, ours.loss_ab_pct, ours.loss_ba_pct) == (SeenBy.US, 4, 0)
    both = links[frozenset((TEXT[A], TEXT[B]))]
    assert (both.seen_by, both.kind, both.a) == (SeenBy.BOTH, LinkKind.RADIO, TEXT[A])
    assert (both.loss_ab_pct, both.loss_ba_pct) == (9, 1)  # as the receiving ends say
    assert links[frozenset((TEXT[A], TEXT[C]))].seen_by is SeenBy.DENIED
    assert links[frozenset((TEXT[B], TEXT[IDS[5]]))].seen_by is SeenBy.ONE
    assert len(links) == 4  # that we are B's neighbour we would know


def route(station: StationId, via: str, *, metric: int = 96, refmetric: int = 0) -> NetRoute:
    address = str(station.address)
    return NetRoute(
        prefix=f"{address}/128",
        interface="eth0",
        via=via,
        metric=metric,
        refmetric=refmetric,
        origin=origin_of(address),
        installed=True,
    )


def test_our_neighbours_are_those_that_say_that_they_are_there() -> None:
    mesh = Mesh(US)
    mesh.learn(IDS)
    mesh.feed(
        NetNews(
            links=(NetLink("eth0", 2, LinkKind.RADIO, True, "", True, 1500, 1000, None, ""),),
            neighbours=(
                NetNeighbour("eth0", "fe80::a", FULL_REACH, 96, 0, 4, 1.5),
                NetNeighbour("eth0", "fe80::b", FULL_REACH, 96, 0, 0, None),
            ),
            routes=(route(A, "fe80::a"), route(B, "fe80::a", refmetric=96)),
        )
    )
    assert our_neighbours(mesh, [A, C]) == [
        near(C, kind=None, cost=None, loss_in_pct=None, loss_out_pct=None, rtt_us=None),
        near(A, cost=96),
    ]


def test_hops_are_counted_when_the_way_changes_and_not_with_the_weather() -> None:
    counts = HopCounts()
    counts.routed(A, route(A, "fe80::a"), 0.0)
    assert (counts.hops(A), counts.next_wakeup()) == (1, None)
    counts.routed(B, route(B, "fe80::a", metric=192, refmetric=96), 0.0)
    counts.routed(C, route(C, "fe80::a", metric=288, refmetric=192), 0.0)
    assert counts.next_wakeup() == SETTLE_S
    assert counts.take(0.0) is None
    assert counts.take(SETTLE_S) == B  # the nearer one
    assert counts.take(SETTLE_S) is None
    assert counts.take(SETTLE_S + COUNT_EVERY_S) == C
    assert counts.counted(B, 4, 1.0)
    counts.counted(C, None, 1.0)
    assert (counts.hops(C), counts.next_wakeup()) == (None, 1.0 + SILENT_S)
    assert counts.take(1.0 + SILENT_S) == C
    counts.counted(C, None, 2.0)
    assert counts.next_wakeup() == 2.0 + 2 * SILENT_S
    assert counts.take(4.0) == C
    counts.counted(C, 3, 4.0)
    asked = []
    while (at := counts.next_wakeup()) is not None:
        if (station := counts.take(at)) is not None:
            asked.append(station)
            counts.counted(station, 3 if station == C else 2, at)
    assert asked == [B, C] * 3  # checked, and left alone then
    assert (counts.hops(B), counts.most()) == (2, 3)
    counts.routed(B, route(B, "fe80::a", metric=200, refmetric=104), 150.0)
    assert counts.next_wakeup() is None
    counts.routed(B, route(B, "fe80::a", metric=300, refmetric=204), 150.0)
    assert counts.next_wakeup() == 150.0 + SETTLE_S
    assert counts.hops(B) == 2  # until it is counted anew
    counts.routed(B, None, 151.0)
    assert (counts.hops(B), counts.next_wakeup()) == (None, None)
    assert not counts.counted(B, 2, 151.0)
