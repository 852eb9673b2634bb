"""Messages between stations: each is there once, in order, and its states never go back."""

from __future__ import annotations

import itertools

import pytest
from mail_world import World, world

from appliance.model.codec import FormatError
from appliance.model.message import DeliveryState, Text
from appliance.model.record import (
    MAX_RECORD,
    Certainty,
    Precedence,
    Record,
    Stamp,
)
from appliance.node import outbox
from appliance.node.clock import MAX_JUMP, order_of
from appliance.protocol.frames import Channel

STAMP = Stamp(1, b"\x07" * 8, 0, 0, Certainty.UNSET)


def test_a_message_is_queued_delivered_and_read() -> None:
    with world() as w:
        a, b = w.desks
        a.write(b, "hello")
        assert not a.confirmed
        w.settle()
        (message,) = a.confirmed
        assert b.inbox() == ["hello"]
        assert a.told[message.id] is DeliveryState.DELIVERED
        b.read_all()
        w.settle()
        assert a.told[message.id] is DeliveryState.READ
        for desk in (a, b):
            assert not desk.db.execute("SELECT count(*) FROM outbox").fetchone()[0]


def test_who_is_away_gets_it_when_it_returns() -> None:
    with world() as w:
        a, b = w.desks
        w.cut(w.links[0])
        a.write(b, "are you there?")
        a.write(None, "is anybody there?")
        w.settle(3600)
        a.crash()
        a.start()
        w.connect(b, a)
        w.settle()
        assert sorted(b.inbox()) == ["are you there?", "is anybody there?"]
        states = {a.state_of(message.id) for message in a.confirmed}
        assert states == {DeliveryState.DELIVERED}


DEEDS = ("step", "write", "read", "cut", "connect", "crash", "wait", "clock", "full")
WEIGHTS = (60, 5, 3, 4, 6, 1, 2, 0.5, 0.5)
YEAR_MS = 365 * 86_400_000


def one_deed(w: World, number: int) -> None:
    """Something that people, networks and disks do, in between any two steps."""
    rng = w.rng
    desk, other = rng.sample(w.desks, 2)
    match rng.choices(DEEDS, WEIGHTS)[0]:
        case "step":
            for _ in range(5):
                w.step()
        case "write":
            desk.write(other if rng.random() < 0.8 else None, f"{number} from {desk.id.tag}")
        case "read":
            desk.read_all()
        case "cut" if w.links:
            w.cut(rng.choice(w.links))
        case "connect":
            w.connect(desk, other)
        case "crash":
            desk.crash()
            desk.start()
        case "wait":
            w.pass_time(rng.choice((0.5, 30.0, 200.0)))
        case "clock":
            desk.clock_off_ms = rng.choice((-10, 0, 10)) * YEAR_MS
        case "full":
            desk.disk_full = not desk.disk_full


def all_connected(w: World) -> None:
    for link in list(w.links):
        w.cut(link)
    for a, b in itertools.combinations(w.desks, 2):
        w.connect(a, b)
    w.settle()


def check_all_read_once(w: World) -> None:
    everything = [(message, desk) for desk in w.desks for message in desk.confirmed]
    assert everything
    for message, author in everything:
        for reader in w.desks:
            if reader is author or message.conversation not in (None, reader.id):
                continue
            copies = [m for m in reader.messages() if m.id == message.id]
            assert [m.text for m in copies] == [message.text]
            assert not copies[0].unread
        assert author.state_of(message.id) is DeliveryState.READ


def check_order(w: World) -> None:
    """Each author's messages stand in the order in which they were written, everywhere."""
    for desk in w.desks:
        for author in w.desks:
            theirs = [m for m in desk.messages() if m.author == author.id]
            numbers = [int(m.text.split()[0]) for m in theirs]
            assert numbers == sorted(numbers)


@pytest.mark.parametrize("seed", range(40))
def test_nothing_is_lost_doubled_or_undone(seed: int) -> None:
    """Links that break and stations that crash between any two steps."""
    with world(seed, desks=3) as w:
        all_connected(w)
        for number in range(400):
            one_deed(w, number)
        for desk in w.desks:
            desk.disk_full = False
        all_connected(w)
        w.settle(60.0)
        for desk in w.desks:
            desk.read_all()
        w.settle(60.0)
        check_all_read_once(w)
        check_order(w)
        assert not any(desk.operations for desk in w.desks)


def test_many_queued_messages_leave_room_for_signalling() -> None:
    with world() as w:
        a, b = w.desks
        w.cut(w.links[0])
        for number in range(300):
            a.write(b, f"{number} " + "x" * 300)
        w.settle()
        link = w.connect(a, b)
        for _ in range(100):
            w.step()
        assert a.station.mailbox.outbox.peers() == (b.id,)
        # What waits for the wire is bounded, and a call goes in front of all of it.
        pipe = link.pipes[a]
        assert pipe.sender.queued <= outbox.MAX_IN_FLIGHT_BYTES + MAX_RECORD
        pipe.sender.put(Channel.SIP, b"OPTIONS")
        frame = pipe.sender.take()
        assert frame is not None
        assert frame[0] == Channel.SIP
        w.settle()
        assert b.inbox() == [m.text for m in a.confirmed]
        assert len(b.inbox()) == 300
        assert w.max_in_flight <= outbox.MAX_IN_FLIGHT
        assert {a.state_of(m.id) for m in a.confirmed} == {DeliveryState.DELIVERED}


def test_the_urgent_goes_first() -> None:
    with world() as w:
        a, b = w.desks
        w.cut(w.links[0])
        for number in range(100):
            a.write(b, f"routine {number}")
        a.write(b, "fire", precedence=Precedence.EMERGENCY)
        w.settle()
        w.connect(a, b)
        while not b.messages():
            assert w.step()
        w.settle(0.0)
        first = b.db.execute("SELECT text FROM messages ORDER BY number LIMIT 1").fetchone()
        assert first == ("fire",)


def test_what_has_expired_is_not_sent() -> None:
    with world() as w:
        a, b = w.desks
        w.cut(w.links[0])
        a.write(b, "for an hour", lifetime_s=3600)
        a.write(b, "for a day", lifetime_s=86400)
        w.settle()
        w.pass_time(3601)
        w.connect(a, b)
        w.settle()
        assert b.inbox() == ["for a day"]


@pytest.mark.parametrize("full", ["author", "recipient"])
def test_a_full_disk_is_tried_again(full: str) -> None:
    with world() as w:
        a, b = w.desks
        a.write(b, "first")
        w.settle()
        (b if full == "recipient" else a).disk_full = full == "recipient"
        a.write(b, "second")
        if full == "author":
            # The message is stored and sent; the author's disk fills before the receipt comes.
            while b.inbox() != ["first", "second"]:
                assert w.step()
            a.disk_full = True
        w.settle(5.0)
        assert b.inbox() == (["first"] if full == "recipient" else ["first", "second"])
        a.disk_full = b.disk_full = False
        # Other traffic must not put the retry off.
        for number in range(12):
            w.settle(outbox.POSTPONED_S / 10)
            a.write(b, f"more {number}")
        w.settle(2 * outbox.POSTPONED_S)
        assert sorted(b.inbox())[:2] == ["first", "more 0"]
        assert "second" in b.inbox()
        assert {a.state_of(m.id) for m in a.confirmed} == {DeliveryState.DELIVERED}


def test_a_lost_record_is_sent_again_in_steady_traffic() -> None:
    with world() as w:
        a, b = w.desks
        a.write(b, "lost")
        link = w.links[0]
        while not link.pipes[a].sender.queued:
            assert w.step()
        while link.pipes[a].sender.take():
            pass
        for number in range(30):
            w.settle(5.0)
            a.write(b, f"more {number}")
        w.settle()
        assert "lost" in b.inbox()


@pytest.mark.parametrize("to_all", [False, True])
def test_who_refuses_everything_is_left_alone(to_all: bool) -> None:
    count = outbox.MAX_REFUSED + 200
    with world() as w:
        a, b = w.desks
        w.cut(w.links[0])
        for number in range(count):
            a.write(None if to_all else b, f"{number}")
        w.settle()
        refused = 0

        def refuse(record: Record) -> Text:
            nonlocal refused
            refused += 1
            raise FormatError("not today")

        b.station.mailbox.inbox._opener.text_of = refuse  # type: ignore[method-assign]
        w.connect(a, b)
        w.settle(10.0)
        # Each as something that is carried, and so many from its author.
        direct = 0 if to_all else outbox.MAX_REFUSED + 2 * outbox.MAX_IN_FLIGHT
        assert count <= refused <= count + direct


def test_a_jump_of_the_lamport_clock_is_bounded() -> None:
    with world() as w:
        a, b = w.desks
        a.station.clock._counter = 1 << 40
        a.write(b, "from the far future")
        w.settle()
        assert MAX_JUMP <= b.station.clock._counter <= 2 * MAX_JUMP
        b.write(a, "answer")
        w.settle()
        assert [m.text for m in b.messages()] == ["from the far future", "answer"]
        b.crash()
        b.start()
        assert b.station.clock._counter >= MAX_JUMP


def test_what_its_author_chose_is_kept_with_a_message() -> None:
    with world() as w:
        a, b = w.desks
        a.write(b, "soon", lifetime_s=3600)
        a.write(b, "whenever")
        w.settle()
        assert [one.lifetime_s for one in a.messages()] == [3600, 0]
        assert [one.expires_awake_s is None for one in a.messages()] == [False, True]


def test_order_is_total_and_fits_the_store() -> None:
    assert order_of(1, b"\xff" * 32) < order_of(2, bytes(32))
    assert order_of((1 << 62) - 1, b"\xff" * 32) < 1 << 62
