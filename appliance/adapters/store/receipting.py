"""Receipts: what they say of messages of ours, and which of them we still owe."""

from __future__ import annotations

import sqlite3
from typing import Final

from appliance.adapters.store import outbox, resealing
from appliance.model.identity import StationId
from appliance.model.message import DeliveryState
from appliance.node.ports import MarkRead, NoteProblem, SaveReceipt
from appliance.node.ports.receipting import GetComplete, GetOwed, GetOwing, LetWait

MAX_STRANGERS: Final = 1024
"""Recipients noted of one message to everyone, beyond those whom our operator knows.  Keys are free
to make, so without a bound anybody could fill the disk with receipts."""

_EVERYONE: Final = b""


def save_receipt(db: sqlite3.Connection, operation: SaveReceipt) -> tuple[bytes, ...]:
    """Note how far messages of ours came; return those that got further than was known."""
    changed = []
    for record_id in operation.records:
        message = resealing.message_of(db, record_id)
        if message is None:
            outbox.had(db, operation.station, record_id)
        elif _note_state(db, operation, message):
            changed.append(_id_of(db, message))
    return tuple(dict.fromkeys(changed))


def _id_of(db: sqlite3.Connection, number: int) -> bytes:
    (record_id,) = db.execute("SELECT id FROM records WHERE number = ?", (number,)).fetchone()
    return bytes(record_id)


def _note_state(db: sqlite3.Connection, operation: SaveReceipt, number: int) -> bool:
    (conversation,) = db.execute(
        "SELECT conversation FROM messages WHERE number = ?", (number,)
    ).fetchone()
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
    if operation.state >= DeliveryState.DELIVERED:
        # Also for whom it was not at first: what is told to a new member of a group.
        for record in resealing.records_of(db, number):
            outbox.remove_from_outbox(db, station, record)
    return bool(grew)


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


def note_problem(db: sqlite3.Connection, operation: NoteProblem) -> tuple[bytes, ...]:
    """Note why messages wait; return those for which that is new."""
    numbers = (resealing.message_of(db, record_id) for record_id in operation.records)
    return tuple(
        _id_of(db, number)
        for number in numbers
        if number is not None
        and db.execute(
            "UPDATE messages SET problem = ?1 WHERE number = ?2 AND problem IS NOT ?1"
            " AND EXISTS (SELECT 1 FROM recipients WHERE message = ?2 AND station = ?3)",
            (operation.problem, number, operation.station.key),
        ).rowcount
    )


def get_complete(db: sqlite3.Connection, operation: GetComplete) -> tuple[bytes, ...]:
    """Return all records of those messages to groups that have come to everybody."""
    complete: list[bytes] = []
    for record_id in operation.messages:
        number = resealing.message_of(db, record_id)
        if number is None:
            continue
        row = db.execute(
            "SELECT 1 FROM messages WHERE number = ?1 AND length(conversation) = 33"
            " AND NOT EXISTS (SELECT 1 FROM recipients WHERE message = ?1 AND state < ?2)",
            (number, int(DeliveryState.DELIVERED)),
        ).fetchone()
        if row is not None:
            complete += [_id_of(db, record) for record in resealing.records_of(db, number)]
    return tuple(complete)


# -- Ours


def get_owed(db: sqlite3.Connection, operation: GetOwed) -> tuple[tuple[bytes, bool], ...]:
    """Return messages of an author without a receipt, and whether each was seen."""
    rows = db.execute(
        "SELECT records.id, NOT unread FROM messages INDEXED BY messages_owed"
        " JOIN records ON records.number = messages.number"
        " WHERE NOT outgoing AND delivered_by IS NULL AND NOT notice AND messages.author = ?"
        " LIMIT ?",
        (operation.author.key, operation.limit),
    )
    return tuple((record_id, bool(seen)) for record_id, seen in rows)


def get_owing(db: sqlite3.Connection, operation: GetOwing) -> tuple[StationId, ...]:
    """Return authors of messages without a receipt; strangers come last."""
    rows = db.execute(
        "SELECT author FROM (SELECT DISTINCT author FROM messages INDEXED BY messages_owed"
        " WHERE NOT outgoing AND delivered_by IS NULL AND NOT notice)"
        " LEFT JOIN stations ON stations.id = author"
        " ORDER BY coalesce(trust, 'new') = 'new' LIMIT ?",
        (operation.limit,),
    )
    return tuple(StationId(author) for (author,) in rows)


def let_wait(db: sqlite3.Connection, operation: LetWait) -> None:
    """Keep records for stations until these have them."""
    for station, record in operation.records:
        outbox.add_for(db, station, record)


def mark_read(db: sqlite3.Connection, operation: MarkRead) -> None:
    """Note that the operator saw messages, and keep the receipts that say so."""
    db.executemany(
        "UPDATE messages SET unread = 0"
        " WHERE unread AND number = (SELECT number FROM records WHERE id = ?)",
        [(record_id,) for record_id in operation.messages],
    )
    for author, receipt in operation.receipts:
        outbox.add_for(db, author, receipt)
