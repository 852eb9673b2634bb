"""Messages: what is written, what arrives, and how far it came."""

from __future__ import annotations

import sqlite3
from typing import Final

from appliance.adapters.store import carried, outbox
from appliance.adapters.store.reading import conversation_key
from appliance.model.cargo import Shipped
from appliance.model.identity import StationId
from appliance.model.message import DeliveryState
from appliance.model.record import Record
from appliance.node.ports import (
    Incoming,
    MarkRead,
    NoteProblem,
    SaveIncoming,
    SaveOutgoing,
    SaveReceipt,
    StoredMessage,
    StoreError,
)
from appliance.node.ports.carrying import Ship

MAX_STRANGERS: Final = 1024
"""Recipients noted of one message to everyone, beyond those whom our operator knows.  Keys are free
to make, so without a bound anybody could fill the disk with receipts."""

_EVERYONE: Final = b""


def _add_message(db: sqlite3.Connection, message: StoredMessage, record: Record) -> int | None:
    """Store a message and its record; return their number, or None when they are here already."""
    number = outbox.add_record(db, record, position=message.order, kept=True)
    if number is None:
        number = _carried_only(db, record)
    if number is None:
        return None
    db.execute(
        "INSERT INTO messages (number, conversation, author, outgoing, line, precedence, position,"
        " written_ms, written_sure, received_ms, received_sure, unread, expires_awake_s, problem,"
        " text) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            number,
            conversation_key(message.conversation),
            message.author.key,
            message.outgoing,
            message.line,
            int(message.precedence),
            message.order,
            message.written_ms,
            message.written_sure,
            message.received_ms,
            message.received_sure,
            message.unread,
            message.expires_awake_s,
            message.problem,
            message.text,
        ),
    )
    return number


def _carried_only(db: sqlite3.Connection, record: Record) -> int | None:
    """Return the number of a record that is here for others alone, and is kept from now on."""
    found = db.execute(
        "UPDATE records SET kept = 1 WHERE id = ?"
        " AND NOT EXISTS (SELECT 1 FROM messages WHERE messages.number = records.number)"
        " RETURNING number",
        (record.id,),
    ).fetchone()
    return None if found is None else int(found[0])


def save_outgoing(db: sqlite3.Connection, operation: SaveOutgoing) -> Shipped | None:
    """Store what our operator wrote; it waits for its recipient, who is known from now on."""
    message, recipient = operation.message, operation.recipient
    number = _add_message(db, message, operation.record)
    if number is None:
        raise StoreError("duplicate", "This message is stored already.")
    if recipient is None:
        return carried.ship(db, Ship(operation.load)) if operation.load is not None else None
    db.execute(
        "INSERT INTO recipients (message, station, state, at_ms, sure) VALUES (?, ?, ?, ?, ?)",
        (
            number,
            recipient.key,
            int(DeliveryState.QUEUED),
            message.received_ms,
            message.received_sure,
        ),
    )
    outbox.add_to_outbox(db, recipient, [number])
    db.execute(
        "UPDATE stations SET trust = 'known' WHERE id = ? AND trust = 'new'", (recipient.key,)
    )
    return None


def save_incoming(db: sqlite3.Connection, operation: SaveIncoming) -> Incoming:
    """Store a message and our receipt for it; for one that is here, bring up its receipts again."""
    author = operation.message.author
    new = _add_message(db, operation.message, operation.record) is not None
    shipped = carried.ship(db, Ship(operation.load)) if operation.load is not None else None
    if new:
        outbox.add_for(db, author, operation.receipt)
        return Incoming(True, (operation.receipt.raw,), shipped)
    receipts = db.execute(
        "SELECT receipt.number, receipt.raw FROM records AS message"
        " JOIN messages ON messages.number = message.number"
        " JOIN records AS receipt ON receipt.number IN (messages.delivered_by, messages.read_by)"
        " WHERE message.id = ? AND messages.author = ? ORDER BY receipt.number",
        (operation.record.id, author.key),
    ).fetchall()
    outbox.add_to_outbox(db, author, [number for number, _ in receipts])
    return Incoming(False, tuple(raw for _, raw in receipts), shipped)


def save_receipt(db: sqlite3.Connection, operation: SaveReceipt) -> tuple[bytes, ...]:
    """Note how far messages of ours came; return those that got further than was known."""
    return tuple(
        record_id for record_id in operation.records if _note_state(db, operation, record_id)
    )


def _note_state(db: sqlite3.Connection, operation: SaveReceipt, record_id: bytes) -> bool:
    row = db.execute(
        "SELECT number, conversation FROM messages"
        " WHERE outgoing AND number = (SELECT number FROM records WHERE id = ?)",
        (record_id,),
    ).fetchone()
    if row is None:
        return False
    number, conversation = row
    station, state, at = operation.station, int(operation.state), operation.at
    grew = db.execute(
        "UPDATE recipients SET state = ?, at_ms = ?, sure = ?"
        " WHERE message = ? AND station = ? AND state < ?",
        (state, at.wall_ms, at.sure, number, station.key, state),
    ).rowcount
    if not grew and conversation == _EVERYONE and _may_add_recipient(db, number, station):
        grew = db.execute(
            "INSERT INTO recipients (message, station, state, at_ms, sure)"
            " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (number, station.key, state, at.wall_ms, at.sure),
        ).rowcount
    if grew and operation.state >= DeliveryState.DELIVERED:
        outbox.remove_from_outbox(db, station, number)
    return bool(grew)


def note_problem(db: sqlite3.Connection, operation: NoteProblem) -> tuple[bytes, ...]:
    """Note why messages wait; return those for which that is new."""
    return tuple(
        record_id
        for record_id in operation.records
        if db.execute(
            "UPDATE messages SET problem = ?1 WHERE outgoing AND conversation = ?2"
            " AND problem IS NOT ?1 AND number = (SELECT number FROM records WHERE id = ?3)",
            (operation.problem, operation.station.key, record_id),
        ).rowcount
    )


def _may_add_recipient(db: sqlite3.Connection, message: int, station: StationId) -> bool:
    (count,) = db.execute(
        "SELECT count(*) FROM recipients WHERE message = ?", (message,)
    ).fetchone()
    if count < MAX_STRANGERS:
        return True
    trusted = db.execute(
        "SELECT 1 FROM stations WHERE id = ? AND trust != 'new'", (station.key,)
    ).fetchone()
    return trusted is not None


def mark_read(db: sqlite3.Connection, operation: MarkRead) -> None:
    """Note that the operator saw messages, and keep the receipts that say so."""
    db.executemany(
        "UPDATE messages SET unread = 0"
        " WHERE unread AND number = (SELECT number FROM records WHERE id = ?)",
        [(record_id,) for record_id in operation.messages],
    )
    for author, receipt in operation.receipts:
        outbox.add_for(db, author, receipt)
