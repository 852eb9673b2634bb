"""Receipts for what went to everyone: together, later, never forgotten, and few for strangers."""

from mail_world import Desk, World, world

from appliance.model.identity import StationKey
from appliance.model.message import DeliveryState, Receipt, Text
from appliance.model.record import Certainty, RecordKind, Stamp, make_record, read_record
from appliance.node import receipts
from appliance.protocol.carrying import Parcel, encode_parcels
from appliance.protocol.frames import Channel


def line(w: World) -> tuple[Desk, Desk, Desk]:
    """Three in a row; the ends know each other by their cards alone."""
    a, b, c = w.desks
    w.connect(b, c)
    w.settle()
    return a, b, c


def carried_receipts(desk: Desk, author: Desk) -> list[Receipt]:
    """What a desk carries of an author's receipts."""
    rows = desk.db.execute(
        "SELECT raw FROM records JOIN carried ON carried.record = records.number"
        " WHERE kind = ? AND author = ?",
        (int(RecordKind.RECEIPT), author.id.key),
    )
    return [Receipt.decode(read_record(raw).content) for (raw,) in rows]


def reached(desk: Desk) -> list[set[DeliveryState]]:
    return [{one.state for one in m.recipients} for m in desk.messages() if m.outgoing]


def test_one_receipt_speaks_for_all_that_came_meanwhile() -> None:
    with world(desks=3) as w:
        a, b, c = line(w)
        c.station.mailbox._receipts._stations = lambda: 100  # waits for up to 5 s
        w.rng.seed(3)
        for number in range(10):
            a.write(None, f"{number}")
        w.settle(8.0)
        assert len(c.inbox()) == 10
        assert all(len(m.recipients) == 2 for m in a.messages())
        assert reached(a) == [{DeliveryState.DELIVERED}] * 10
        speaking = carried_receipts(b, c)
        assert sum(len(one.records) for one in speaking) == 10
        assert len(speaking) <= 2


def test_a_receipt_that_is_owed_survives_a_restart() -> None:
    with world(desks=3) as w:
        a, _, c = line(w)
        c.station.mailbox._receipts._stations = lambda: 10_000
        a.write(None, "to all")
        w.settle(0.5)
        assert c.inbox() == ["to all"]
        assert len(a.messages()[0].recipients) == 1
        c.crash()
        c.start()
        w.connect(w.desks[1], c)
        w.settle(10.0)
        assert len(a.messages()[0].recipients) == 2


def test_what_was_seen_meanwhile_is_receipted_as_read_and_once() -> None:
    with world(desks=3) as w:
        a, b, c = line(w)
        c.station.mailbox._receipts._stations = lambda: 10_000
        a.write(None, "to all")
        w.settle(0.5)
        c.read_all()
        w.settle(70.0)
        states = {one.station: one.state for one in a.messages()[0].recipients}
        assert states[c.id] is DeliveryState.READ
        (receipt,) = carried_receipts(b, c)
        assert receipt.state is DeliveryState.READ


def test_strangers_together_get_few_receipts() -> None:
    with world() as w:
        a, b = w.desks
        stamp = Stamp(5, bytes(8), 0, 0, Certainty.UNSET)
        count = 4 * receipts.STRANGERS
        for number in range(count):
            key = StationKey.from_bytes(number.to_bytes(2, "big") * 16)
            text = Text(key.id, "hello").encode()
            record = make_record(key, RecordKind.MESSAGE, text, stamp=stamp)
            (session,) = b.station.peers.sessions()
            data = encode_parcels((Parcel(0, record.raw),))
            b.carry_out(
                b.station.message_received(session.handle, a.id, Channel.CARRY, data, b.now)
            )
        patience_s = 20.0
        w.settle(patience_s)
        assert len(b.inbox()) == count
        allowed = receipts.STRANGERS + patience_s / receipts.STRANGERS_S + 1
        assert receipts.STRANGERS <= len(carried_receipts(a, b)) <= allowed
        # The others are late, and not forgotten.
        w.settle(count * receipts.STRANGERS_S)
        assert len(carried_receipts(a, b)) == count
