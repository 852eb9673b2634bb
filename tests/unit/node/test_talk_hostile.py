"""Talk groups among strangers: forged, replayed and flooded claims and joins."""

from __future__ import annotations

from dataclasses import replace

import pytest
from talk_claims import a_claim, hand, new_key
from talk_world import Seat, TalkWorld, grid

from appliance.model.codec import FormatError
from appliance.model.record import Precedence
from appliance.model.talk_media import MAX_CHILDREN, MAX_TALKS, OpenTalk
from appliance.node.effects import Send
from appliance.node.ports import Moment
from appliance.node.talk_channels import EVERYONE
from appliance.node.talk_spurts import CLAIMS_BURST, MAX_ON_CHANNEL, MAX_SPURTS, OLD_MS
from appliance.node.talk_tree import MAX_JOINS_OF_ONE
from appliance.node.usage import SessionInfo
from appliance.protocol.talk import (
    Flooded,
    Full,
    Join,
    Joined,
    decode_talk,
    encode_talk,
    make_claim,
)


def listening(links: list[tuple[int, int]]) -> TalkWorld:
    world = TalkWorld(links)
    world.listen(*range(len(world.seats)))
    return world


def test_a_claim_that_the_speaker_did_not_sign_goes_nowhere() -> None:
    world = listening(grid(3, 1))
    good = make_claim(a_claim(new_key(world.random), world.random), new_key(world.random))
    assert not hand(world, 1, 0, good)
    victim = world.seats[2].key
    real = make_claim(a_claim(victim, world.random), victim)
    urgent = replace(real.claim, precedence=Precedence.EMERGENCY)
    assert not hand(world, 1, 0, Flooded(urgent, urgent.signed(), real.signature, 0))
    assert world.seats[1].speaker() is None


def test_what_was_said_before_does_not_count_again() -> None:
    world = listening(grid(3, 1))
    key = new_key(world.random)
    world._number[key.id] = 0
    first = make_claim(a_claim(key, world.random), key)
    second = make_claim(replace(first.claim, number=1), key)
    over = make_claim(replace(first.claim, number=2, held=False), key)
    assert len(hand(world, 1, 0, first)) == 1, "it goes on to the other neighbour"
    assert len(hand(world, 1, 0, second)) == 1
    assert not hand(world, 1, 0, first)
    assert len(hand(world, 1, 0, over)) == 1
    for old in (first, second, over):
        assert not hand(world, 1, 0, old)
    assert world.seats[1].speaker() is None
    world.run(5.0)
    assert not hand(world, 1, 0, second)
    later = make_claim(replace(first.claim, count=2, nonce=b"n" * 16), key)
    assert hand(world, 1, 0, later)
    # Held back by a relay, to have an old spurt push out the new one.
    assert not hand(world, 1, 0, make_claim(replace(first.claim, number=9), key))
    assert world.seats[1].speaker() == key.id


def test_a_recording_of_yesterday_is_known_by_its_time() -> None:
    world = listening(grid(2, 1))
    key = new_key(world.random)
    seat = world.seats[1]
    now = world.time()
    sure = replace(now, moment=Moment(now.moment.wall_ms, True, now.moment.awake_s))
    old = replace(a_claim(key, world.random), sure=True, wall_ms=sure.moment.wall_ms - OLD_MS - 1)
    send = encode_talk(make_claim(old, key))
    seat.talk.received(world.seats[0].id, send, sure)
    assert seat.speaker() is None
    # Of a board whose clock is just wrong, nothing can be said.
    unsure = encode_talk(make_claim(replace(old, sure=False), key))
    seat.talk.received(world.seats[0].id, unsure, sure)
    assert seat.speaker() == key.id


def test_a_flood_of_speakers_is_bounded() -> None:
    world = listening(grid(3, 1))
    keys = [new_key(world.random) for _ in range(3 * CLAIMS_BURST)]
    for key in keys:
        world._number[key.id] = 0
    passed = 0
    for key in keys:
        claim = a_claim(key, world.random, channel=world.random.randbytes(16))
        passed += len(hand(world, 1, 0, make_claim(claim, key)))
    assert passed == CLAIMS_BURST <= MAX_SPURTS
    assert world.seats[1].talk.next_wakeup() is not None
    world.run(10.0)
    for key in keys[: MAX_ON_CHANNEL * 3]:
        claim = replace(a_claim(key, world.random), count=2)
        hand(world, 1, 0, make_claim(claim, key))
    assert len(world.seats[1].talk._spurts.on(EVERYONE)) == MAX_ON_CHANNEL
    # The lowest in rank has the floor among them, whatever the order in which they came.
    first = min(keys[: MAX_ON_CHANNEL * 3], key=lambda key: key.id)
    assert world.seats[1].speaker() == first.id
    world.run(10.0)
    assert world.seats[1].speaker() is None
    assert world.seats[1].talk.next_wakeup() is None


def test_somebody_known_has_a_place_among_strangers() -> None:
    world = listening(grid(2, 1))
    spurts = world.seats[1].talk._spurts
    friend = new_key(world.random)
    world._number[friend.id] = 0
    spurts._is_stranger = lambda station: station != friend.id
    peer = world.seats[0].id
    for number in range(MAX_SPURTS + 8):
        world.now_s += 0.05
        key = new_key(world.random)
        claim = a_claim(key, world.random, channel=world.random.randbytes(16))
        taken = spurts.take(peer, make_claim(claim, key), world.time())
        assert taken == (number < MAX_SPURTS)
    assert spurts.take(peer, make_claim(a_claim(friend, world.random), friend), world.time())
    assert len(list(spurts)) == MAX_SPURTS
    assert world.seats[1].speaker() == friend.id


def test_an_order_that_is_too_high_is_not_followed() -> None:
    world = listening(grid(2, 1))
    key = new_key(world.random)
    world._number[key.id] = 0
    greedy = replace(a_claim(key, world.random), order=(1 << 48) - 1)
    hand(world, 1, 0, make_claim(greedy, key))
    world.run(5.0)
    world.press(1)
    world.run(0.1)
    claim = world.seats[1].talk._key.claim
    assert claim is not None
    assert claim.order <= (1 << 20) + 1


def crowd(world: TalkWorld, seat: Seat, count: int) -> list[SessionInfo]:
    infos = []
    for number in range(count):
        key = new_key(world.random)
        world._number[key.id] = 0
        info = SessionInfo(number, key.id, b"p" * 8, False, seat.id.host, key.id.host, 0.0)
        seat.talk.session_up(info, world.time())
        infos.append(info)
    return infos


def test_one_passes_on_to_so_many_and_says_so_to_the_next() -> None:
    world = listening(grid(2, 1))
    world.press(0)
    world.run(0.1)
    seat = world.seats[0]
    spurt = bytes.fromhex(seat.state["everyone"].spurt or "")
    for info in crowd(world, seat, MAX_CHILDREN - 1):
        answer = seat.talk.received(info.peer, encode_talk(Join(spurt, 4000)), world.time())
        world.do(seat, [effect for effect in answer if not isinstance(effect, Send)])
    assert len(seat.state["everyone"].children) == MAX_CHILDREN
    (last,) = crowd(world, seat, 1)
    answer = seat.talk.received(last.peer, encode_talk(Join(spurt, 4000)), world.time())
    assert [decode_talk(e.data) for e in answer if isinstance(e, Send)] == [Full(spurt)]


def test_who_is_told_that_there_is_no_room_asks_another() -> None:
    world = TalkWorld([(0, 1), (1, 2), (2, 3), (3, 0)], routes=False)
    world.listen(2)
    world.press(0)
    world.run(0.2)
    seat = world.seats[2]
    before = seat.state["everyone"].upstream
    assert before is not None
    asked = next(one for one in (1, 3) if world.seats[one].id.host == before.remote_host)
    spurt = bytes.fromhex(seat.state["everyone"].spurt or "")
    hand(world, 2, asked, Full(spurt))
    world.run(0.2)
    assert world.packet(0).listeners == {2}
    after = seat.state["everyone"].upstream
    assert after is not None
    assert after.remote_host == world.seats[4 - asked].id.host


def test_joins_for_what_does_not_exist_are_bounded_and_forgotten() -> None:
    world = TalkWorld(grid(2, 1))
    seat = world.seats[1]
    for _ in range(3):
        for _ in range(2 * MAX_JOINS_OF_ONE):
            hand(world, 1, 0, Join(world.random.randbytes(16), 1))
        assert len(seat.talk._tree._children) <= MAX_JOINS_OF_ONE
        world.run(2.0)
    world.run(5.0)
    hand(world, 1, 0, Join(world.random.randbytes(16), 1))
    assert len(seat.talk._tree._children) == 1
    assert not [one for one in seat.said if isinstance(one, OpenTalk)]


def test_others_groups_take_no_more_places_than_there_are() -> None:
    world = listening(grid(3, 1))
    for _ in range(2 * MAX_TALKS):
        key = new_key(world.random)
        world._number[key.id] = 0
        claim = a_claim(key, world.random, channel=world.random.randbytes(16))
        hand(world, 1, 0, make_claim(claim, key))
        hand(world, 1, 2, Join(claim.spurt, 4000))
    assert len(world.seats[1].talk._tree.sockets.talks) == MAX_TALKS
    world.run(10.0)
    assert not world.seats[1].talk._tree.sockets.talks


def test_an_answer_that_nobody_asked_for_changes_nothing() -> None:
    world = listening(grid(3, 1))
    world.press(0)
    world.run(0.1)
    spurt = bytes.fromhex(world.seats[1].state["everyone"].spurt or "")
    before = world.seats[1].state["everyone"]
    hand(world, 1, 2, Joined(spurt, 9))
    hand(world, 1, 2, Full(spurt))
    assert world.seats[1].state["everyone"] == before


@pytest.mark.parametrize(
    "data", [b"", b"\xa0", b"\xa1\x00\x00", b"\xa3\x00\x01\x01\x41x\x02\x01", bytes(2000)]
)
def test_what_is_no_message_ends_the_session(data: bytes) -> None:
    world = TalkWorld(grid(2, 1))
    with pytest.raises(FormatError):
        world.seats[1].talk.received(world.seats[0].id, data, world.time())
