"""Strangers who make the mail work for nothing hold up nobody else."""

import sqlite3

import pytest
from group_desks import conversation, make, write
from mail_world import Desk, World, world
from prekey_disk import PrekeyDisk

from appliance.adapters.store import carried
from appliance.model.card import Prekey
from appliance.model.identity import Address, StationKey
from appliance.model.message import DeliveryState, Receipt, Reseal, Text
from appliance.model.record import (
    Certainty,
    Precedence,
    Record,
    RecordKind,
    Stamp,
    make_record,
    read_record,
)
from appliance.node import inbox, receipts, resealing
from appliance.node.clock import MAX_JUMP
from appliance.node.ports import Pending
from appliance.protocol.carrying import Parcel, encode_parcels
from appliance.protocol.frames import Channel
from appliance.protocol.sealing import seal

DELIVERED = DeliveryState.DELIVERED
STAMP = Stamp(7, bytes(8), 0, 0, Certainty.UNSET)


def stranger(number: int) -> StationKey:
    return StationKey.from_bytes(number.to_bytes(2, "big") * 16)


def unopenable(key: StationKey, to: Desk, number: int) -> Record:
    prekey = Prekey(number.to_bytes(8, "big"), to.prekey.public)
    content = seal(
        Text(key.id, f"{number}").encode(),
        author=key.id,
        recipient=to.id,
        kind=RecordKind.MESSAGE,
        prekey=prekey,
    )
    to_it = (Address(to.id),)
    kind = RecordKind.MESSAGE
    return make_record(key, kind, content, stamp=STAMP, to=to_it, prekey=prekey.id)


def to_all(key: StationKey) -> Record:
    return make_record(key, RecordKind.MESSAGE, Text(key.id, "hello").encode(), stamp=STAMP)


def bring(desk: Desk, peer: Desk, records: list[Record]) -> None:
    """A neighbour brings what it carries."""
    (session,) = (one for one in desk.station.peers.sessions() if one.peer == peer.id)
    for record in records:
        data = encode_parcels((Parcel(0, record.raw),))
        desk.carry_out(
            desk.station.message_received(session.handle, peer.id, Channel.CARRY, data, desk.now)
        )


def written(desk: Desk, kind: RecordKind) -> list[Record]:
    """What a desk has signed of a kind, and still has."""
    rows = desk.db.execute(
        "SELECT raw FROM records WHERE kind = ? AND author = ?", (int(kind), desk.id.key)
    )
    return [read_record(raw) for (raw,) in rows]


def row_of_three() -> World:
    """A, b and c in a row; a and c know each other."""
    w = World(5, 3)
    w.settle()
    a, b, c = w.desks
    w.connect(a, b)
    w.connect(b, c)
    w.settle()
    a.write(c, "hello")
    c.write(a, "hello")
    w.settle(8.0)
    return w


# -- What can't be opened


def test_strangers_together_are_asked_little_for_what_can_not_be_opened() -> None:
    with world() as w:
        a, b = w.desks
        count = 3 * resealing.ASKED
        bring(b, a, [unopenable(stranger(n), b, n) for n in range(count)])
        patience_s = 20.0
        w.settle(patience_s)
        asked = len(written(b, RecordKind.RESEAL))
        allowed = resealing.ASKED + patience_s / resealing.ASKED_S + 1
        assert resealing.ASKED <= asked <= allowed


def test_what_can_not_be_opened_does_not_hold_up_what_comes_behind_it() -> None:
    w = row_of_three()
    try:
        a, b, c = w.desks
        bring(b, a, [unopenable(stranger(1), c, n) for n in range(3 * resealing.ASKED)])
        w.settle(3.0)
        a.write(c, "mayday", precedence=Precedence.EMERGENCY)
        w.settle(3.0)
        assert "mayday" in c.inbox()
    finally:
        w.close()


def test_who_asks_over_and_over_does_not_hold_up_what_comes_behind_it() -> None:
    w = row_of_three()
    try:
        a, b, c = w.desks
        key = stranger(1)
        requests = [
            make_record(
                key,
                RecordKind.RESEAL,
                Reseal(Prekey(bytes(8), bytes(32)), (number.to_bytes(32, "big"),)).encode(),
                stamp=STAMP,
                to=(Address(c.id),),
            )
            for number in range(3 * resealing.ASKED)
        ]
        bring(b, a, requests)
        w.settle(3.0)
        a.write(c, "mayday", precedence=Precedence.EMERGENCY)
        w.settle(3.0)
        assert "mayday" in c.inbox()
    finally:
        w.close()


def test_more_than_is_asked_for_at_once_is_asked_for_together() -> None:
    w = row_of_three()
    try:
        a, b, c = w.desks
        w.cut(next(link for link in w.links if c in link.ends))
        count = 2 * resealing.ASKED
        for number in range(count):
            a.write(c, f"{number}")
        w.settle(8.0)
        c.crash()
        c.prekeys = PrekeyDisk(b"\x21" * 8, b"\x21" * 32, created_s=w.now_s)
        c.start()
        w.connect(b, c)
        w.settle(4 * resealing.ASKED_S)
        assert sorted(c.inbox()) == sorted(["hello", *(f"{number}" for number in range(count))])
        assert all(a.state_of(one.id) is DELIVERED for one in a.messages() if one.outgoing)
    finally:
        w.close()


# -- Receipts


def test_strangers_do_not_keep_those_whom_we_know_from_their_receipts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(receipts, "MAX_OWING", 8)
    w = row_of_three()
    try:
        a, b, c = w.desks
        w.settle(10.0)
        for start in range(0, 2 * receipts.STRANGERS, receipts.MAX_OWING):
            some = range(start, start + receipts.MAX_OWING)
            bring(c, b, [to_all(stranger(n)) for n in some])
            w.settle(0.5)
        assert len(c.station.mailbox._receipts._due) == receipts.MAX_OWING
        a.write(None, "to all")
        w.settle(4.0)
        (ours,) = (one for one in a.messages() if one.text == "to all")
        states = {one.station: one.state for one in ours.recipients}
        assert states.get(c.id) is DELIVERED
    finally:
        w.close()


def test_reading_what_strangers_wrote_to_all_makes_few_receipts() -> None:
    with world() as w:
        a, b = w.desks
        count = 3 * receipts.STRANGERS
        bring(b, a, [to_all(stranger(n)) for n in range(count)])
        w.settle(count * receipts.STRANGERS_S)  # all are told that it has come
        b.read_all()
        w.settle(0.5)
        said = [Receipt.decode(one.content).state for one in written(b, RecordKind.RECEIPT)]
        assert said.count(DELIVERED) == count
        assert said.count(DeliveryState.READ) <= receipts.STRANGERS + 2
        assert not any(one.unread for one in b.messages())


# -- What the author is told


def test_who_has_a_message_and_no_room_to_carry_it_has_not_refused_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with world(desks=3) as w:
        a, b, c = w.desks
        w.connect(a, c)
        w.connect(b, c)
        w.settle()
        for one in w.desks:
            for other in w.desks:
                if one is not other:
                    one.write(other, "hello")
        w.settle()
        group = make(a, b, c)
        w.settle(2.0)
        for link in [link for link in w.links if c in link.ends]:
            w.cut(link)
        w.settle()
        monkeypatch.setattr(carried, "MAX_BYTES", 100)
        write(a, group, "to the group")
        w.settle(8.0)
        message = conversation(a, group)[-1]
        states = {one.station: one.state for one in message.recipients}
        assert states == {b.id: DELIVERED, c.id: DeliveryState.QUEUED}
        assert message.problem is None


def test_who_had_no_room_does_not_carry_it_when_it_comes_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    w = row_of_three()
    try:
        a, b, c = w.desks
        w.cut(next(link for link in w.links if c in link.ends))
        w.settle()
        with monkeypatch.context() as full:
            full.setattr(carried, "MAX_BYTES", 100)
            a.write(c, "far")
            w.settle(3.0)
        (message,) = (one for one in a.messages() if one.text == "far")
        assert message.held_by == 0
        bring(b, a, [read_record(raw) for _, raw in a._read(Pending(c.id, 0.0, frozenset(), 9))])
        w.settle(3.0)
        (message,) = (one for one in a.messages() if one.text == "far")
        assert message.held_by == 0
    finally:
        w.close()


def far_ahead(key: StationKey, desk: Desk) -> Record:
    """What pushes a desk's counter as far as one record can."""
    lamport = desk.station.clock._counter + MAX_JUMP
    stamp = Stamp(lamport, bytes(8), 0, 0, Certainty.UNSET)
    return make_record(key, RecordKind.MESSAGE, Text(key.id, "hello").encode(), stamp=stamp)


def test_strangers_together_can_not_use_the_counter_up() -> None:
    with world() as w:
        a, b = w.desks
        a.write(b, "hello")
        b.write(a, "hello")
        w.settle()
        before = b.station.clock._counter
        for number in range(2 * inbox.LEAPS):
            bring(b, a, [far_ahead(stranger(number), b)])
        pushed = b.station.clock._counter - before
        assert inbox.LEAPS * MAX_JUMP <= pushed < (inbox.LEAPS + 2) * MAX_JUMP
        # One whom we know is believed all the same.
        bring(b, a, [far_ahead(a.key, b)])
        assert b.station.clock._counter >= before + pushed + MAX_JUMP


# -- A disk that spoils what waits


def spoil(desk: Desk, message: bytes, at: int) -> None:
    (raw,) = desk.db.execute("SELECT raw FROM records WHERE id = ?", (message,)).fetchone()
    spoilt = bytearray(raw)
    spoilt[at] ^= 1
    desk.db.execute("UPDATE records SET raw = ? WHERE id = ?", (bytes(spoilt), message))


@pytest.mark.parametrize("at", [0, 300, -1])
def test_a_spoilt_record_keeps_nothing_else_from_its_recipient(at: int) -> None:
    with world() as w:
        a, b = w.desks
        w.cut(w.links[0])
        for text in ("one", "two"):
            a.write(b, text)
        w.settle()
        first, _ = a.confirmed
        spoil(a, first.id, at)
        a.crash()
        a.start()
        w.connect(a, b)
        w.settle(3.0)
        assert b.inbox() == ["two"]
        assert len(w.links) == 1  # the session still stands
        assert "damaged" in (a.messages()[0].problem or "")


def test_a_spoilt_record_keeps_nothing_else_from_being_carried() -> None:
    with world() as w:
        a, _ = w.desks
        w.cut(w.links[0])
        for text in ("one", "two"):
            a.write(None, text)
        w.settle()
        first, second = a.confirmed
        a.db.execute("DELETE FROM carried")
        spoil(a, first.id, 100)
        a.crash()
        a.start()
        w.settle(8.0)
        assert a.station.post.carry.knows(second.id)


def test_a_spoilt_receipt_is_written_anew_and_ends_no_session() -> None:
    with world() as w:
        a, b = w.desks
        w.cut(w.links[0])
        a.write(b, "hello")
        w.settle()
        before = sqlite3.connect(":memory:", isolation_level=None)
        a.db.backup(before)
        w.connect(a, b)
        w.settle()
        (receipt,) = written(b, RecordKind.RECEIPT)
        spoil(b, receipt.id, 0)
        a.crash()  # and has forgotten that it has arrived
        w.settle()
        a.db.close()
        a.db = before
        a.told.clear()
        a.start()
        w.connect(a, b)
        w.settle(3.0)
        assert [a.state_of(one.id) for one in a.messages()] == [DELIVERED]
        assert len(w.links) == 1
        assert b.inbox() == ["hello"]
