"""What is said again: shown once, in whatever order it comes, and bounded on disk."""

import sqlite3
from pathlib import Path

from appliance.adapters.store import Store, resealing, schema
from appliance.adapters.store.operations import READS, SENT, WRITES
from appliance.model.group import GroupId
from appliance.model.identity import Address, StationId, StationKey
from appliance.model.message import Text
from appliance.model.record import Certainty, Precedence, Record, RecordKind, Stamp, make_record
from appliance.node.opening import as_kept
from appliance.node.ports import (
    GetUnread,
    Moment,
    Pending,
    SaveIncoming,
    SaveOutgoing,
    SaveStation,
    StoredMessage,
    StoredStation,
)
from appliance.node.ports.receipting import GetComplete, GetOwed, GetOwing, SaveResealed

A = StationKey.from_bytes(b"\x01" * 32)
B = StationKey.from_bytes(b"\x02" * 32)
GROUP, PREKEY = b"\x05" * 32, bytes(8)
NOW = Moment(0, False, 1.0)


def new_database() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    schema.migrate(db)
    return db


def stamp(lamport: int) -> Stamp:
    return Stamp(lamport, bytes(8), 0, 0, Certainty.UNSET)


def incoming(key: StationKey, content: bytes, first: bytes | None = None) -> SaveIncoming:
    kind = RecordKind.MESSAGE
    record = make_record(key, kind, content, stamp=stamp(5), group=GROUP, prekey=PREKEY)
    text = Text(key.id, "hello", first=first)
    return SaveIncoming(as_kept(record, text, 5, NOW), record, None)


def test_the_same_is_shown_once_in_whatever_order_it_comes() -> None:
    first = incoming(A, b"first")
    again = incoming(A, b"again", first.record.id)
    third = incoming(A, b"third", first.record.id)
    by_another = incoming(B, b"another's", first.record.id)
    save = WRITES[SaveIncoming]
    for order in ((first, again, third), (again, first, third), (third, again, first)):
        db = new_database()
        assert [save(db, one).new for one in order] == [True, False, False]
        assert save(db, by_another).new
        db.close()


def message(record: Record, to: StationId) -> StoredMessage:
    return StoredMessage(
        id=record.id,
        conversation=to,
        author=A.id,
        outgoing=True,
        text="hello",
        line="console",
        precedence=Precedence.ROUTINE,
        order=1,
        written_ms=0,
        written_sure=False,
        received_ms=0,
        received_sure=False,
        unread=False,
    )


def to_b(number: int) -> Record:
    return make_record(
        A,
        RecordKind.MESSAGE,
        bytes(100),
        stamp=stamp(number),
        to=(Address(B.id),),
        prekey=number.to_bytes(8, "big"),
    )


def test_who_asks_over_and_over_to_seal_again_fills_no_disk() -> None:
    db = new_database()
    first = to_b(1)
    WRITES[SaveOutgoing](db, SaveOutgoing(message(first, B.id), first, (B.id,)))
    for number in range(2, 100):
        again = to_b(number)
        WRITES[SaveResealed](db, SaveResealed(first.id, first.id, again, B.id, 1.0))
        waiting = READS[Pending](db, Pending(B.id, 1.0, frozenset(), 100))
        assert [record for record, _ in waiting] == [again.id]
    (records,) = db.execute("SELECT count(*) FROM records").fetchone()
    assert records == 1 + resealing.MAX_AGAIN + 1
    db.close()


async def test_no_receipt_is_written_for_what_is_not_on_disk(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "station.db")
    told: list[tuple[str, object]] = []
    save = incoming(A, b"hello")
    store.submit(save, on_durable=lambda _: told.append(("on disk", None)))
    everything = (1 << 63) - 1
    for ask in (GetOwed(A.id, 10), GetUnread(GroupId(GROUP), everything)):
        store.submit(ask, on_durable=lambda found: told.append(("found", found)))
    await store.close()
    assert [what for what, _ in told] == ["on disk", "found", "found"]
    assert told[1][1] == ((save.record.id, False),)
    assert {GetOwed, GetComplete, GetUnread} <= SENT


def test_those_whom_we_know_come_first_of_those_who_are_owed_a_receipt() -> None:
    db = new_database()
    keys = [StationKey.from_bytes(bytes([n]) * 32) for n in range(1, 21)]
    last = max(keys, key=lambda key: key.id.key)
    for key in keys:
        WRITES[SaveIncoming](db, incoming(key, b"hello"))
    WRITES[SaveStation](db, SaveStation(StoredStation(last.id, None, "known", None, None, False)))
    assert READS[GetOwing](db, GetOwing(1)) == (last.id,)
    db.close()
