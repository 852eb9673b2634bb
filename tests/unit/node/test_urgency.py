"""An emergency overtakes what waits at its author; `test_carry` has whoever carries it."""

import pytest
from mail_world import Desk, World, world

from appliance.model.record import Precedence
from appliance.protocol.frames import (
    HEADER,
    MAX_FRAME,
    MAX_QUEUED,
    Channel,
    OverflowedError,
    Receiver,
    Sender,
)

ROOM = MAX_FRAME - HEADER


def drained(sender: Sender) -> list[tuple[Channel, bytes]]:
    receiver, found = Receiver(), []
    while (frame := sender.take()) is not None:
        message = receiver.feed(frame)
        if message is not None:
            found.append(message)
    return found


def test_urgent_messages_go_first_and_in_order_behind_what_has_begun() -> None:
    sender = Sender()
    long = bytes(3 * ROOM)
    sender.put(Channel.CARRY, long)
    sender.put(Channel.GOSSIP, b"gossip")
    sender.put(Channel.GOSSIP, b"more")
    sender.put(Channel.CARRY, b"routine")
    receiver = Receiver()
    first = sender.take()
    assert first is not None
    assert first[0] == Channel.GOSSIP
    assert receiver.feed(first) == (Channel.GOSSIP, b"gossip")
    sender.take()
    part = sender.take()
    assert part is not None
    assert receiver.feed(part) is None  # of the long one
    sender.put(Channel.CARRY, b"help", urgent=True)
    sender.put(Channel.CARRY, b"help 2", urgent=True)
    sender.put(Channel.GOSSIP, b"late")
    sender.put(Channel.SIP, b"INVITE")
    found = []
    while (frame := sender.take()) is not None:
        message = receiver.feed(frame)
        if message is not None:
            found.append(message[1])
    assert found == [b"INVITE", long, b"help", b"help 2", b"late", b"routine"]
    assert sender.queued == 0


def test_there_is_room_for_what_is_urgent_when_the_queue_is_full() -> None:
    sender = Sender()
    for _ in range(MAX_QUEUED // 100_000):
        sender.put(Channel.RECORD, bytes(100_000))
    with pytest.raises(OverflowedError):
        sender.put(Channel.RECORD, bytes(100_000))
    sender.put(Channel.RECORD, bytes(100_000), urgent=True)
    assert drained(sender)[0] == (Channel.RECORD, bytes(100_000))


def fill(w: World, sender: Desk, to: Desk, count: int) -> None:
    for number in range(count):
        sender.write(to, f"routine {number}" + "x" * 2000)
    for _ in range(40 * count):  # stored, and as many sent as may be on their way
        if sender.operations:
            sender.store_step()
        elif sender.may_commit:
            sender.commit()
        else:
            break


def test_an_emergency_does_not_wait_until_others_are_answered() -> None:
    with world() as w:
        a, b = w.desks
        fill(w, a, b, 300)
        assert b.inbox() == []
        a.write(b, "help", precedence=Precedence.EMERGENCY)
        w.settle()
        assert len(b.inbox()) == 301
        rows = b.db.execute("SELECT text FROM messages ORDER BY number").fetchall()
        assert [text for (text,) in rows].index("help") <= 5
