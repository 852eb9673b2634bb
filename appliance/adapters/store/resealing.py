"""Messages of ours that somebody could not open, and the records that say the same again."""

from __future__ import annotations

import sqlite3
from typing import Final

from appliance.adapters.store import attachments, carried, outbox
from appliance.model.group import conversation_of
from appliance.model.identity import StationId
from appliance.model.message import DeliveryState
from appliance.model.record import Precedence, read_record
from appliance.node.ports.receipting import GetUnopened, SaveResealed, Unopened

MAX_AGAIN: Final = 8
"""Records that say one message again, wait for nobody and are still known, should a late receipt
name them.  Who asks over and over must not fill the disk."""


def message_of(db: sqlite3.Connection, record_id: bytes) -> int | None:
    """Return the number of the message of ours that a record says, for the first time or again."""
    row = db.execute(
        "SELECT coalesce(resealed.message, messages.number) FROM records"
        " LEFT JOIN messages ON messages.number = records.number AND outgoing"
        " LEFT JOIN resealed ON resealed.record = records.number WHERE records.id = ?",
        (record_id,),
    ).fetchone()
    return None if row is None or row[0] is None else int(row[0])


def records_of(db: sqlite3.Connection, message: int) -> list[int]:
    """Return the numbers of all records that say a message."""
    again = db.execute("SELECT record FROM resealed WHERE message = ?", (message,))
    return [message, *(record for (record,) in again)]


def get_unopened(db: sqlite3.Connection, operation: GetUnopened) -> tuple[Unopened, ...]:
    """Return those messages of ours that a station has not got yet, and that have not expired."""
    found = []
    for record_id in operation.records:
        number = message_of(db, record_id)
        if number is None:
            continue
        row = db.execute(
            "SELECT id, conversation, line, text, attachments, precedence, expires_awake_s"
            " FROM messages JOIN records ON records.number = messages.number"
            " JOIN recipients ON recipients.message = messages.number"
            " WHERE messages.number = ? AND station = ? AND state < ?"
            " AND (expires_awake_s IS NULL OR expires_awake_s > ?)",
            (number, operation.station.key, int(DeliveryState.DELIVERED), operation.awake_s),
        ).fetchone()
        if row is None:
            continue
        message, conversation, line, text, attached, precedence, expires = row
        found.append(
            Unopened(
                record=record_id,
                message=message,
                conversation=conversation_of(conversation),
                line=line,
                text=text,
                attachments=attachments.decode(attached),
                precedence=Precedence(precedence),
                expires_awake_s=expires,
                prekey=_prekey(db, outbox.number_of(db, record_id)),
                prekeys=_prekeys(db, operation.station, number),
            )
        )
    return tuple(found)


def _prekey(db: sqlite3.Connection, number: int | None) -> bytes:
    (raw,) = db.execute("SELECT raw FROM records WHERE number = ?", (number,)).fetchone()
    return read_record(raw).prekey or b""


def _prekeys(db: sqlite3.Connection, station: StationId, message: int) -> frozenset[bytes]:
    waiting = (
        number
        for number in records_of(db, message)
        if db.execute(
            "SELECT 1 FROM outbox WHERE record = ? AND station = ?", (number, station.key)
        ).fetchone()
    )
    return frozenset(_prekey(db, number) for number in waiting)


def save_resealed(db: sqlite3.Connection, operation: SaveResealed) -> tuple[bytes, ...]:
    """Let a record wait in the place of another; return what is not carried any more."""
    message = message_of(db, operation.message)
    old = outbox.number_of(db, operation.old)
    if message is None or old is None:
        return ()
    record = operation.record
    number = outbox.add_record(db, record, position=record.stamp.lamport, kept=True)
    if number is None:
        return ()
    db.execute("INSERT INTO resealed (record, message) VALUES (?, ?)", (number, message))
    outbox.remove_from_outbox(db, operation.station, old)
    dropped: list[bytes] = []
    if len(record.to) == 1:  # whom a group's message is for may have opened the old one
        for other in records_of(db, message):  # the latest request counts
            outbox.remove_from_outbox(db, operation.station, other)
        dropped += carried.withdraw(db, operation.old, operation.awake_s)
    outbox.add_to_outbox(db, operation.station, [number])
    db.execute("UPDATE messages SET problem = NULL WHERE number = ?", (message,))
    return (*dropped, *_forget_oldest(db, message, operation.awake_s))


def _forget_oldest(db: sqlite3.Connection, message: int, awake_s: float) -> list[bytes]:
    """Drop records beyond the bound that say a message again and wait for nobody."""
    dropped: list[bytes] = []
    again = db.execute(
        "SELECT record, id FROM resealed JOIN records ON records.number = resealed.record"
        " WHERE message = ? AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.record = number)"
        " ORDER BY record",
        (message,),
    ).fetchall()
    for number, record_id in again[:-MAX_AGAIN]:
        db.execute("DELETE FROM resealed WHERE record = ?", (number,))
        db.execute("UPDATE records SET kept = 0 WHERE number = ?", (number,))
        dropped += carried.withdraw(db, record_id, awake_s)
        db.execute("DELETE FROM records WHERE number = ?", (number,))
    return dropped
