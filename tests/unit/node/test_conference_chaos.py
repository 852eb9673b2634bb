"""Conferences under whatever happens, and what hostile stations send; seeded, in virtual time."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from call_world import Node
from conference_world import Village
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.model.call import CallState
from appliance.model.codec import FormatError, encode
from appliance.model.conference import MAX_MEMBERS, Member, MemberState
from appliance.model.identity import StationId
from appliance.node.calls import CallError
from appliance.protocol.conference import (
    Add,
    Roster,
    conference_of,
    read,
    uri_of_conference,
    written,
)
from appliance.protocol.sip.transaction_layer import Hop

NAMES = "abcdef"
KEY = bytes(range(32))


def happen(world: Village, rng: random.Random) -> None:
    """Let one thing go wrong, or right."""
    node = rng.choice(world.nodes)
    other = rng.choice([one for one in world.nodes if one is not node])
    match rng.randrange(7):
        case 0:
            world.isolate(node)
        case 1:
            world.isolate(node, other)
        case 2:
            world.rejoin(node)
        case 3:
            world.cut(node, other)
        case 4:
            world.connect(node, other)
        case 5 if not node.calls.active:
            _add(world, other, node)
        case 6 if node.media_alive:
            node.kill_media()
            world.run(rng.random())
            node.restart_media()


def _add(world: Village, by: Node, whom: Node) -> None:
    for call in by.calls.active:
        try:
            by.calls.add(call.id, whom.id, now=world.now)
        except CallError:
            continue
        by.pump()
        return


def ringing(world: Village) -> Iterator[Node]:
    for node in world.nodes:
        if any(call.state is CallState.RINGING_HERE for call in node.calls.active):
            yield node


@pytest.mark.parametrize("seed", [0, 29])
def test_whatever_happens_all_that_are_left_hear_each_other(seed: int) -> None:
    rng = random.Random(seed)
    world = Village(NAMES, seed)
    world.gather()
    for _ in range(12):
        happen(world, rng)
        world.run(rng.choice((0.05, 0.5, 2.0, 5.0)))
        for node in list(ringing(world)):
            node.answer()
    for node in world.nodes:
        world.rejoin(node)
    for _ in range(8):
        world.run(10)
        for node in list(ringing(world)):
            node.answer()
    rooms: dict[str, list[Node]] = {}
    for node in world.nodes:
        if node.calls.active:
            rooms.setdefault(world.view(node).id, []).append(node)
    for nodes in rooms.values():
        assert len(nodes) > 1, f"seed {seed}: {nodes[0].name} is alone"
        world.check_hearing(nodes)
    for node in world.nodes:
        if node.calls.active:
            world.leave(node)
            world.run(5)
    world.run(60)
    world.check_quiet()


def station(number: int) -> StationId:
    return StationId(bytes([number]) * 32)


def members(*stations: StationId) -> tuple[Member, ...]:
    return tuple(
        Member(one, number, MemberState.IN) for number, one in enumerate(stations, start=1)
    )


def test_what_is_said_is_read_back() -> None:
    everybody = members(*(station(number) for number in range(MAX_MEMBERS)))
    for told in (
        Roster("ab" * 16, everybody),
        Roster("ab" * 16, everybody[:2], successor=station(1), moved_to="cd" * 16),
        Add("ab" * 16, (station(7),)),
    ):
        assert read(written(told)) == told
    assert len(written(Roster("ab" * 16, everybody))) < 800
    assert conference_of(uri_of_conference("ab" * 16, station(1))) == "ab" * 16
    assert conference_of(None) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff" * 3_000,
        encode([]),
        encode({1: 1, 2: bytes(16), 3: [[1, KEY, 0, False]] * 17}),
        encode({1: 1, 2: bytes(16), 3: [[1, KEY, 0, False], [2, KEY, 0, False]]}),
        encode({1: 1, 2: bytes(16), 3: [[2, KEY, 0, False], [1, bytes(32), 0, False]]}),
        encode({1: 1, 2: bytes(16), 3: [[0, KEY, 0, False]]}),
        encode({1: 1, 2: bytes(16), 3: [[1, KEY, 9, False]]}),
        encode({1: 1, 2: bytes(16), 3: [[1, KEY, 0, 1]]}),
        encode({1: 1, 2: bytes(15), 3: []}),
        encode({1: 2, 2: bytes(16), 3: [b"short"]}),
        encode({1: 2, 2: bytes(16), 3: [7]}),
        encode({1: 0, 2: bytes(16), 3: []}),
    ],
)
def test_a_roster_that_can_not_be_is_refused(body: bytes) -> None:
    with pytest.raises(FormatError):
        read(body)


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_nothing_but_a_format_error_comes_out(body: bytes) -> None:
    try:
        told = read(body)
    except FormatError:
        return
    assert read(written(told)) == told


def tell(world: Village, liar: Node, body: bytes) -> None:
    """Have a station say something in the dialog of its call."""
    agent = liar.calls._book.agent
    (active,) = liar.calls._book.active.values()
    assert active.leg is not None
    agent.inform(active.leg, body, world.now)
    liar.calls.wakeup(now=world.now)
    liar.pump()
    world.run(0.5)


def test_a_member_can_not_make_itself_the_focus_nor_call_the_roster_names() -> None:
    world = Village("abcd")
    a, b, c, d = world.gather()
    room = world.view(b).id
    tell(world, b, written(Roster(room, members(b.id, a.id), successor=a.id)))
    tell(world, b, written(Roster("00" * 16, members(b.id, a.id))))
    tell(world, b, b"nonsense")
    tell(world, b, written(Add("00" * 16, (station(9),))))
    world.check_all([a, b, c, d], focus=a)


def test_nobody_rings_because_a_stranger_was_put_on_a_roster() -> None:
    world = Village("abcd")
    a, b, c, d = world.nodes
    a.place(b)
    world.run(0.5)
    b.answer()
    world.run(1.5)
    tell(world, a, written(Roster("ab" * 16, members(a.id, b.id, c.id, d.id), successor=b.id)))
    world.run(5)
    assert not any(call.state is CallState.RINGING_HERE for n in (c, d) for call in n.changes)
    world.run(60)
    assert not b.calls.active


def test_a_stranger_who_knows_the_id_is_a_caller_like_any_other() -> None:
    world = Village("abcd")
    stranger = world.nodes.pop()
    a, b, c = world.gather()
    world.nodes.append(stranger)
    room = world.view(b).id
    world.isolate(a)
    agent = stranger.calls._book.agent
    agent.invite(
        Hop(b.id.text),
        target=uri_of_conference(room, b.id),
        caller=uri_of_conference(room, stranger.id),
        contact=uri_of_conference(room, stranger.id),
        contact_parameters=("isfocus",),
        body=b"",
        now=world.now,
    )
    stranger.calls.wakeup(now=world.now)
    stranger.pump()
    world.run(1)
    assert all(call.peer != stranger.address for call in b.calls.active)
    world.run(5)
    world.check_hearing([b, c])
