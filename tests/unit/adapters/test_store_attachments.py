"""What needs which bulk data, on the real tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest
from store_samples import ANN, BOB, ME, NOW, incoming, message, record, station

from appliance.adapters.store import attachments, schema
from appliance.adapters.store.carried import ship
from appliance.adapters.store.messages import save_incoming, save_outgoing
from appliance.adapters.store.retention import evict, get_candidates
from appliance.adapters.store.stations import save_station
from appliance.model.attachment import Attachment
from appliance.model.cargo import Load, Tier
from appliance.model.record import BlobRef
from appliance.node.ports import SaveIncoming, SaveOutgoing, SaveStation
from appliance.node.ports.attaching import MAX_USES, BlobUse, GetUses, ScanUses, Wish
from appliance.node.ports.carrying import Ship
from appliance.node.ports.keeping import Evict, GetCandidates

FILE = Attachment(b"f" * 32, 70_000, "map.png", key=bytes(32))


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as made:
        schema.migrate(made)
        yield made


def with_file(operation: SaveIncoming, file: Attachment = FILE) -> SaveIncoming:
    return replace(
        operation,
        record=replace(operation.record, blobs=(file.blob,)),
        message=replace(operation.message, attachments=(file,)),
    )


def load(seed: bytes, *blobs: BlobRef) -> Load:
    made = replace(record(ANN, seed=seed), blobs=blobs)
    return Load(made, BOB, (), BOB, Tier.NEW, 5.0, 1000.0, NOW.awake_s)


def uses(db: sqlite3.Connection) -> tuple[BlobUse, ...]:
    return attachments.get_uses(db, GetUses(FILE.root))


def test_a_message_and_a_carried_record_say_all_that_matters(db: sqlite3.Connection) -> None:
    came = with_file(incoming(ANN))
    save_incoming(db, came)
    save_station(db, SaveStation(station(ANN, "verified")))
    ship(db, Ship(load(b"c", FILE.blob)))
    mine, carried = uses(db)
    assert (mine.mine, mine.wished, mine.record) == (True, False, came.message.id)
    assert (mine.author, mine.tier, mine.came_from) == (ANN, Tier.VERIFIED, None)
    assert (carried.mine, carried.came_from) == (False, BOB)
    assert carried.born_awake_s == NOW.awake_s - 5.0
    written = replace(record(ME), blobs=(FILE.blob,))
    shown = replace(message(written, None, order=3), attachments=(FILE,))
    save_outgoing(db, SaveOutgoing(shown, written, ()))
    assert [use.tier for use in uses(db) if use.author == ME] == [Tier.OWN]


def test_a_wish_is_noted_at_a_message_only(db: sqlite3.Connection) -> None:
    came = with_file(incoming(ANN))
    save_incoming(db, came)
    carried = load(b"c", FILE.blob)
    ship(db, Ship(carried))
    assert not attachments.wish(db, Wish(carried.record.id, FILE.root))
    assert not attachments.wish(db, Wish(came.message.id, bytes(32)))
    assert attachments.wish(db, Wish(came.message.id, FILE.root))
    assert [use.wished for use in uses(db)] == [True, False]


def test_what_made_room_is_carried_on(db: sqlite3.Connection) -> None:
    came = with_file(incoming(ANN, everyone=True))
    again = Load(came.record, None, (), BOB, Tier.NEW, 0.0, 1000.0, NOW.awake_s)
    save_incoming(db, replace(came, load=again))
    (one,) = get_candidates(db, GetCandidates(0, 10))
    evict(db, Evict((one.number,), NOW.awake_s))
    assert [(use.mine, use.came_from) for use in uses(db)] == [(False, BOB)]


def test_all_are_found_part_by_part(db: sqlite3.Connection) -> None:
    roots = [bytes([number]) * 32 for number in range(5)]
    for root in roots:
        ship(db, Ship(load(root, BlobRef(root, 10), BlobRef(FILE.root, 20))))
    found: list[bytes] = []
    while part := attachments.scan_uses(db, ScanUses(found[-1] if found else b"", 2)):
        found += [root for root, _ in part]
    assert found == [*roots, FILE.root]


def test_those_who_name_one_over_and_over_hide_nobody(db: sqlite3.Connection) -> None:
    for number in range(MAX_USES + 3):
        ship(db, Ship(load(bytes([number]), FILE.blob)))
    save_incoming(db, with_file(incoming(BOB)))
    found = uses(db)
    assert len(found) == MAX_USES
    assert found[0].mine


def test_notes_that_are_lost_are_made_again(db: sqlite3.Connection) -> None:
    came = with_file(incoming(ANN))
    save_incoming(db, came)
    before = uses(db)
    db.execute("DELETE FROM blob_uses")
    db.execute("UPDATE records SET raw = x''")
    attachments.mend(db)
    assert uses(db) == before
