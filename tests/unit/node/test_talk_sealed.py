"""Talk groups that are sealed: who hears, who has the floor, under which key."""

from __future__ import annotations

from dataclasses import replace

import pytest
from talk_claims import a_claim, hand
from talk_world import TalkWorld, grid

from appliance.model.group_change import ChangeKind
from appliance.model.record import Precedence
from appliance.model.talk import KeyState
from appliance.node.group_rules import with_change
from appliance.node.talk import MAX_LISTENED
from appliance.node.talk_board import TalkRefusedError
from appliance.protocol.talk import (
    make_claim,
)
from appliance.protocol.talk_keys import channel_of


def test_members_hear_a_group_and_those_between_pass_on_what_they_cannot_open() -> None:
    world = TalkWorld(grid(5, 1))
    group = world.found_group([0, 2, 4])
    world.listen(0, 2, 4, group=group)
    world.press(0, group)
    world.run(0.1)
    heard = world.packet(0)
    assert heard.listeners == {2, 4}
    assert heard.opened == {2, 4}
    assert sum(heard.links.values()) == 4
    assert world.speakers(group) == {world.seats[0].id}
    assert world.speakers() == {None}, "it is no news on the channel of everyone"


def test_who_is_no_member_has_no_floor_of_a_group() -> None:
    world = TalkWorld(grid(3, 1))
    group = world.found_group([0, 2])
    world.listen(0, 2, group=group)
    world.press(0, group)
    world.run(0.1)
    outsider = world.seats[1].key
    (real,) = (one.flood.claim for one in world.seats[1].talk._spurts)
    forged = replace(
        a_claim(outsider, world.random),
        channel=real.channel,
        key_id=real.key_id,
        precedence=Precedence.EMERGENCY,
    )
    hand(world, 2, 1, make_claim(forged, outsider))
    hand(world, 0, 1, make_claim(forged, outsider))
    world.run(0.5)
    assert world.speakers(group) == {world.seats[0].id}
    assert world.packet(0).listeners == {2}
    # Nor does anybody get a sealed group to listen to what is not sealed.
    member = world.seats[2].key
    bare = replace(forged, speaker=member.id, key_id=b"", count=7)
    hand(world, 0, 1, make_claim(bare, member))
    assert world.seats[0].speaker(group) == world.seats[0].id


def test_spurts_of_one_group_have_different_keys() -> None:
    world = TalkWorld(grid(2, 1))
    group = world.found_group([0, 1])
    world.listen(0, 1, group=group)
    keys = set()
    for number in (0, 1, 0, 1):
        world.press(number, group)
        world.run(0.1)
        key = world.seats[number].state[group.text].key
        assert key is not None
        assert world.seats[1 - number].state[group.text].key == key
        keys.add(key)
        world.release(number, group)
        world.run(0.1)
    assert len(keys) == 4


def test_who_has_not_the_groups_key_yet_sees_who_talks_and_hears_nothing() -> None:
    world = TalkWorld(grid(3, 1))
    group = world.found_group([0, 1, 2])
    seat = world.seats[0]
    seat.book.load(group, seat.book.known(group).without_keys().encode())
    world.give_key(seat.book.known(group), [0])
    world.listen(0, 1, 2, group=group)
    world.press(0, group)
    world.run(0.1)
    for other in world.seats[1:]:
        assert other.view(group).speaker == seat.id
        assert not other.view(group).has_key
    assert not world.packet(0).links
    # It comes a little later, as a note of the group's.
    world.give_key(seat.book.known(group), [1])
    own = seat.book.known(group)
    at = world.seats[1].book
    at.load(group, replace(at.known(group), keys=own.keys).encode())
    world.run(1.1)
    assert world.seats[1].view(group).has_key
    assert world.packet(0).listeners == {1}


def test_who_was_removed_hears_nothing_of_what_is_said_from_then_on() -> None:
    world = TalkWorld(grid(5, 1))
    group = world.found_group([0, 2, 4])
    world.listen(0, 2, 4, group=group)
    removed = world.seats[2]
    before = world.seats[0].book.known(group)
    log, _ = with_change(before, world.seats[0].key, ChangeKind.REMOVE, subjects=(removed.id,))
    after = replace(before, log=log)
    assert world.seats[0].talk.channels.sending_key(channel_of(group), 0.0) is not None
    for number in (0, 4):
        own = world.seats[number].id
        mine = replace(after, own=own, accepted=after.members[own].joined)
        world.seats[number].book.load(group, mine.encode())
    with pytest.raises(TalkRefusedError) as refused:
        world.press(0, group)
    assert refused.value.code == "no-key"
    world.give_key(after, [0, 4])
    world.press(0, group)
    world.run(0.2)
    heard = world.packet(0)
    assert heard.listeners == heard.opened == {4}
    # It has not heard of its removal, and is on the way: it passes on what it can't open.
    assert (2, 3) in heard.links
    # Nor does its own key give it the floor.
    world.press(2, group, precedence=Precedence.EMERGENCY)
    world.run(0.2)
    assert world.seats[4].speaker(group) == world.seats[0].id


def test_a_channel_is_a_group_of_ours() -> None:
    world = TalkWorld(grid(3, 1))
    group = world.found_group([0, 2])
    with pytest.raises(TalkRefusedError) as refused:
        world.press(1, group)
    assert refused.value.code == "no-such-channel"
    groups = [world.found_group([0, 2]) for _ in range(MAX_LISTENED)]
    for one in groups:
        world.listen(0, group=one)
    with pytest.raises(TalkRefusedError) as refused:
        world.listen(0, group=group)
    assert refused.value.code == "too-many"
    assert len(world.seats[0].talk.listened()) == MAX_LISTENED


def test_the_key_is_let_go_on_one_channel_when_it_is_pressed_on_another() -> None:
    world = TalkWorld(grid(3, 1))
    group = world.found_group([0, 2])
    world.listen(0, 1, 2)
    world.press(0)
    world.run(0.1)
    world.press(0, group)
    world.run(0.1)
    assert world.speakers() == {None}
    assert world.seats[0].view(group).key is KeyState.SPEAKING
