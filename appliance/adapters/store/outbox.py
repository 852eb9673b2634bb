"""Records, and for whom they wait."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Final, TypeAlias

from appliance.model.identity import StationId
from appliance.model.message import DeliveryState, Receipt
from appliance.model.record import Record, RecordKind
from appliance.node.ports import OutboxDone, Pending

_LINKED: Final = {
    DeliveryState.DELIVERED: "delivered_by = ?1",
    DeliveryState.READ: "read_by = ?1, delivered_by = coalesce(delivered_by, ?1)",
}

_Waiting: TypeAlias = tuple[int, int, int]
"""Negative urgency, position, record: what comes first is smallest."""


def add_record(db: sqlite3.Connection, record: Record, *, position: int, kept: bool) -> int | None:
    """Store a record; return its number, or None when it is here already."""
    is_receipt = record.kind is RecordKind.RECEIPT
    added = db.execute(
        "INSERT INTO records (id, kind, author, urgency, position, kept, raw)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
        (
            record.id,
            int(record.kind),
            record.author.key,
            2 * record.precedence + is_receipt,
            position,
            kept,
            record.raw,
        ),
    )
    return added.lastrowid if added.rowcount == 1 else None


def number_of(db: sqlite3.Connection, record_id: bytes) -> int | None:
    """Return the number of a record that is here."""
    row = db.execute("SELECT number FROM records WHERE id = ?", (record_id,)).fetchone()
    return None if row is None else int(row[0])


def add_to_outbox(db: sqlite3.Connection, station: StationId, records: Iterable[int]) -> None:
    """Let stored records wait for a station."""
    db.executemany(
        "INSERT INTO outbox (station, urgency, position, record)"
        " SELECT ?, urgency, position, number FROM records WHERE number = ?"
        " ON CONFLICT DO NOTHING",
        [(station.key, number) for number in records],
    )


def remove_from_outbox(db: sqlite3.Connection, station: StationId, record: int) -> bool:
    """Let a record wait for a station no longer; tells whether it did."""
    removed = db.execute(
        "DELETE FROM outbox WHERE (station, urgency, position, record)"
        " = (SELECT ?, urgency, position, number FROM records WHERE number = ?)",
        (station.key, record),
    )
    return removed.rowcount > 0


def add_for(db: sqlite3.Connection, station: StationId, record: Record) -> None:
    """Store a record that waits for a station.

    A receipt is also noted at the messages that it speaks for, so that it can be sent again to an
    author who asks by sending one of them again.
    """
    number = add_record(db, record, position=record.stamp.lamport, kept=False)
    if number is None:
        number = number_of(db, record.id)
        assert number is not None
    elif record.kind is RecordKind.RECEIPT and record.prekey is None:
        _link(db, station, number, Receipt.decode(record.content))
    add_to_outbox(db, station, [number])


def _link(db: sqlite3.Connection, author: StationId, number: int, receipt: Receipt) -> None:
    # Who has read it has it: a message that was seen first needs one receipt only.
    linked = db.executemany(
        f"UPDATE messages SET {_LINKED[receipt.state]} WHERE NOT outgoing AND author = ?2"  # noqa: S608
        " AND number = (SELECT number FROM records WHERE id = ?3)",
        [(number, author.key, message) for message in receipt.records],
    )
    if linked.rowcount > 0:
        db.execute("UPDATE records SET kept = 1 WHERE number = ?", (number,))


def outbox_done(db: sqlite3.Connection, operation: OutboxDone) -> None:
    """Let records go that a station has, and drop those that nothing else needs."""
    for record_id in operation.records:
        had(db, operation.station, record_id)


def had(db: sqlite3.Connection, station: StationId, record_id: bytes) -> None:
    """Let a record go that a station has, and drop it if nothing else needs it."""
    row = db.execute("SELECT number, kept FROM records WHERE id = ?", (record_id,)).fetchone()
    if row is None:
        return
    number, kept = row
    # Searches the whole outbox; an index would cost every message a page, and records of this sort
    # are rare.  Anybody can say to have what never waited for him.
    if remove_from_outbox(db, station, number) and not kept:
        db.execute(
            "DELETE FROM records WHERE number = ?1"
            " AND NOT EXISTS (SELECT 1 FROM outbox WHERE record = ?1)"
            " AND NOT EXISTS (SELECT 1 FROM carried WHERE record = ?1)",
            (number,),
        )


def pending(db: sqlite3.Connection, operation: Pending) -> tuple[tuple[bytes, bytes], ...]:
    """Return what a station still has to get, most urgent first, then in order."""
    parameters = {"station": operation.station.key, "awake_s": operation.awake_s}
    all_parameters = parameters | {"wanted": operation.for_everyone}
    found: list[tuple[bytes, bytes]] = []
    last = None
    with (
        closing(db.execute(_WAITING_FOR_STATION, parameters)) as for_station,
        closing(db.execute(_WAITING_FOR_EVERYONE, all_parameters)) as for_everyone,
    ):
        both: Iterator[_Waiting] = heapq.merge(for_station, for_everyone)
        for waiting in both:
            if len(found) >= operation.limit:
                break
            if waiting == last:
                continue
            last = waiting
            # One that a bad disk has lost, or all but its text, does not keep the others.
            row = db.execute(
                "SELECT id, raw FROM records WHERE number = ? AND raw != x''", (waiting[2],)
            ).fetchone()
            if row is not None and row[0] not in operation.skip:
                found.append((row[0], row[1]))
    return tuple(found)


_WAITING_FOR_STATION: Final = """
    SELECT -outbox.urgency, outbox.position, outbox.record
    FROM outbox LEFT JOIN resealed ON resealed.record = outbox.record
    LEFT JOIN messages ON messages.number = coalesce(resealed.message, outbox.record)
    WHERE outbox.station = :station
    AND (messages.expires_awake_s IS NULL OR messages.expires_awake_s > :awake_s)
    ORDER BY outbox.urgency DESC, outbox.position, outbox.record
"""

_WAITING_FOR_EVERYONE: Final = f"""
    SELECT -2 * precedence, position, number
    FROM messages INDEXED BY messages_mine_to_everyone
    WHERE :wanted AND outgoing AND conversation = x''
    AND (expires_awake_s IS NULL OR expires_awake_s > :awake_s)
    AND NOT EXISTS (
        SELECT 1 FROM recipients
        WHERE message = messages.number AND station = :station
        AND state >= {int(DeliveryState.DELIVERED)}
    )
    ORDER BY precedence DESC, position, number
"""  # noqa: S608
