"""Messages: what is written, and what arrives."""

from __future__ import annotations

import sqlite3
from typing import Final

from appliance.adapters.store import attachments, carried, outbox, retention
from appliance.model.cargo import Shipped
from appliance.model.group import conversation_key
from appliance.model.identity import StationId
from appliance.model.message import DeliveryState
from appliance.model.record import Record
from appliance.node.ports import (
    Incoming,
    SaveIncoming,
    SaveOutgoing,
    StoredMessage,
    StoreError,
)
from appliance.node.ports.carrying import Ship


def add_message(
    db: sqlite3.Connection,
    message: StoredMessage,
    record: Record,
    *,
    receipt: Record | None = None,
) -> int | None:
    """Store a message and its record, and our receipt for it, which waits for its author.

    Returns their number, or None when they are here already.
    """
    number = outbox.add_record(db, record, position=message.order, kept=True)
    if number is None:
        number = _carried_only(db, record)
    if number is None:
        return None
    delivered_by = None
    if receipt is not None:
        delivered_by = outbox.add_record(db, receipt, position=receipt.stamp.lamport, kept=True)
        if delivered_by is None:
            delivered_by = outbox.number_of(db, receipt.id)
            assert delivered_by is not None
        outbox.add_to_outbox(db, message.author, [delivered_by])
    db.execute(
        "INSERT INTO messages (number, conversation, author, outgoing, line, precedence, position,"
        " written_ms, written_sure, received_ms, received_sure, unread, expires_awake_s, problem,"
        " text, first, notice, attachments, delivered_by, lifetime_s)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
            message.first,
            message.notice,
            attachments.encode(message.attachments),
            delivered_by,
            message.lifetime_s,
        ),
    )
    attachments.use(db, number, record.blobs, mine=True)
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
    """Store what our operator wrote; it waits for its recipients, who are known from now on."""
    message = operation.message
    number = add_message(db, message, operation.record)
    if number is None:
        raise StoreError("duplicate", "This message is stored already.")
    for recipient in operation.recipients:
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
        if isinstance(message.conversation, StationId):  # in a group others are that did not choose
            db.execute(
                "UPDATE stations SET trust = 'known' WHERE id = ? AND trust = 'new'",
                (recipient.key,),
            )
    return carried.ship(db, Ship(operation.load)) if operation.load is not None else None


def save_incoming(db: sqlite3.Connection, operation: SaveIncoming) -> Incoming:
    """Store a message and our receipt for it; for one that is here, bring up its receipts again."""
    message, author = operation.message, operation.message.author
    here = _said_before(db, message)
    removed = retention.was_removed(db, message.id) or (
        message.first is not None and retention.was_removed(db, message.first)
    )
    if here is None and not removed:
        added = add_message(db, message, operation.record, receipt=operation.receipt)
        here = message.id if added is None else None
    shipped = carried.ship(db, Ship(operation.load)) if operation.load is not None else None
    if here is None:
        if operation.receipt is None:
            return Incoming(not removed, (), shipped)
        if removed:  # its author has lost our receipt
            outbox.add_for(db, author, operation.receipt)
        return Incoming(not removed, (operation.receipt.raw,), shipped)
    receipts = db.execute(
        "SELECT receipt.number, receipt.raw FROM records AS message"
        " JOIN messages ON messages.number = message.number"
        " JOIN records AS receipt ON receipt.number IN (messages.delivered_by, messages.read_by)"
        " WHERE message.id = ? AND messages.author = ? ORDER BY receipt.number",
        (here, author.key),
    ).fetchall()
    outbox.add_to_outbox(db, author, [number for number, _ in receipts])
    return Incoming(False, tuple(raw for _, raw in receipts), shipped)


def _said_before(db: sqlite3.Connection, message: StoredMessage) -> bytes | None:
    """Return the record under which the same is here: sealed again for others, it came twice.

    The two come in any order.
    """
    first = message.first or message.id
    row = db.execute(_SAID_BEFORE, (message.author.key, first, message.id)).fetchone()
    return None if row is None else bytes(row[0])


# Each half has an index; with OR all messages would be looked at.
_SAID_BEFORE: Final = """
    SELECT id FROM records JOIN messages USING (number)
    WHERE id = ?2 AND id != ?3 AND messages.author = ?1 AND NOT outgoing
    UNION ALL
    SELECT id FROM messages INDEXED BY messages_again JOIN records USING (number)
    WHERE first = ?2 AND id != ?3 AND messages.author = ?1 AND NOT outgoing
    LIMIT 1
"""
