"""Groups in the store, and the history that a new member gets."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from group_world import STAMP, GroupWorld, at

from appliance.adapters.store import schema
from appliance.adapters.store.groups import (
    get_groups,
    save_group,
    save_group_news,
    share_history,
)
from appliance.adapters.store.outbox import pending
from appliance.adapters.store.retention import evict
from appliance.model.card import Prekey
from appliance.model.group import GroupId, conversation_key
from appliance.model.identity import StationId, StationKey
from appliance.model.record import Precedence, RecordKind, read_record
from appliance.model.secret import Secret
from appliance.node.group_records import news_of
from appliance.node.ports import Pending
from appliance.node.ports.grouping import GetGroups, SaveGroup, ShareHistory
from appliance.node.ports.keeping import Evict
from appliance.protocol.sealing import open_sealed

FIRST, SECOND = GroupId(b"a" * 32), GroupId(b"b" * 32)
ANN, BEN, EVE = (StationKey.from_bytes(bytes([n]) * 32).id for n in (1, 2, 3))


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    made = sqlite3.connect(":memory:", isolation_level=None)
    made.execute("PRAGMA foreign_keys = ON")
    schema.migrate(made)
    yield made
    made.close()


def test_a_group_is_kept_replaced_and_forgotten(db: sqlite3.Connection) -> None:
    save_group(db, SaveGroup(SECOND, b"two"))
    save_group(db, SaveGroup(FIRST, b"one"))
    save_group(db, SaveGroup(FIRST, b"one, again"))
    assert get_groups(db, GetGroups()) == ((FIRST, b"one, again"), (SECOND, b"two"))
    save_group(db, SaveGroup(FIRST, None))
    save_group(db, SaveGroup(FIRST, None))
    assert get_groups(db, GetGroups()) == ((SECOND, b"two"),)


def test_news_go_sealed_to_each_member_and_lie_there_until_they_have_arrived(
    db: sqlite3.Connection,
) -> None:
    world = GroupWorld(1, 3)
    ann, ben, cat = world.members
    secret = X25519PrivateKey.from_private_bytes(bytes([9]) * 32)
    prekeys = {
        ben.id: Prekey(b"prekey b", secret.public_key().public_bytes_raw()),
        cat.id: Prekey(b"prekey c", bytes(32)),  # no key at all
    }
    result = ann.groups.create("Rescue", world.now, invite=[ben.id, cat.id])
    news = news_of(
        result,
        ann.key,
        prekey_of=prekeys.get,
        stamp=lambda: STAMP,
        precedence=Precedence.PRIORITY,
    )
    assert news is not None
    save_group_news(db, news)
    ((group, state),) = get_groups(db, GetGroups())
    ann.groups.book.load(group, state)
    assert ann.of(group).name == "Rescue"
    assert pending(db, Pending(cat.id, 0.0, frozenset(), 10)) == ()
    ((_, raw),) = pending(db, Pending(ben.id, 0.0, frozenset(), 10))
    record = read_record(raw)
    assert (record.kind, record.precedence) == (RecordKind.GROUP, Precedence.PRIORITY)
    note = open_sealed(
        record.content,
        author=ann.id,
        recipient=ben.id,
        kind=record.kind,
        prekey_id=b"prekey b",
        secret=Secret(bytes([9]) * 32),
    )
    ben.take(ann.id, note)
    assert ben.of(group).name == "Rescue"
    nothing = ann.groups.wakeup(at(1001.0))
    assert nothing == []


def add_message(
    db: sqlite3.Connection, number: int, conversation: bytes, author: StationId, position: int
) -> None:
    db.execute(
        "INSERT INTO records (number, id, kind, author, urgency, position, kept, raw)"
        " VALUES (?, ?, 2, ?, 0, ?, 1, x'00')",
        (number, number.to_bytes(32, "big"), author.key, position),
    )
    columns = [
        (name, kind)
        for _, name, kind, needed, default, key in db.execute("PRAGMA table_info(messages)")
        if (needed and default is None) or key
    ]
    empty = {"TEXT": "", "BLOB": b"", "INTEGER": 0, "REAL": 0.0}
    values = {name: empty[kind] for name, kind in columns} | {
        "number": number,
        "conversation": conversation,
        "author": author.key,
        "position": position,
    }
    marks = ", ".join("?" * len(values))
    db.execute(
        f"INSERT INTO messages ({', '.join(values)}) VALUES ({marks})",
        tuple(values.values()),
    )


def waiting(db: sqlite3.Connection, station: StationId) -> list[int]:
    rows = db.execute(
        "SELECT record FROM outbox WHERE station = ? ORDER BY position", (station.key,)
    )
    return [number for (number,) in rows]


def test_a_new_member_gets_the_latest_of_its_group_and_nothing_else(db: sqlite3.Connection) -> None:
    for number in range(1, 9):
        add_message(db, number, conversation_key(FIRST), ANN if number % 2 else BEN, number)
    add_message(db, 20, conversation_key(SECOND), ANN, 20)
    add_message(db, 21, conversation_key(None), ANN, 21)
    add_message(db, 22, conversation_key(BEN), ANN, 22)
    assert share_history(db, ShareHistory(FIRST, EVE, limit=5)) == 5
    assert waiting(db, EVE) == [4, 5, 6, 7, 8]
    assert share_history(db, ShareHistory(FIRST, EVE)) == 8
    assert waiting(db, EVE) == list(range(1, 9))
    assert share_history(db, ShareHistory(FIRST, BEN)) == 4  # its own it has
    assert waiting(db, BEN) == [1, 3, 5, 7]
    assert share_history(db, ShareHistory(GroupId(bytes(32)), EVE)) == 0


def test_history_that_had_to_make_room_does_not_block_the_way_to_a_new_member(
    db: sqlite3.Connection,
) -> None:
    db.execute("PRAGMA foreign_keys = OFF")  # as in use
    for number in (1, 2, 3):
        add_message(db, number, conversation_key(FIRST), ANN, number)
    assert share_history(db, ShareHistory(FIRST, EVE)) == 3
    assert evict(db, Evict((2, 3), 0.0)) == 2
    assert [record for record, _ in pending(db, Pending(EVE, 0.0, frozenset(), 10))] == [
        (1).to_bytes(32, "big")
    ]
    # Its number is given to another record, which is nobody's but BEN's.
    add_message(db, 3, conversation_key(BEN), ANN, 3)
    assert waiting(db, EVE) == [1]
