"""How much is kept, what may go, and what becomes of a message that has to.

What goes first is decided in `node.retention`.  A message that goes takes its record along, unless
that is carried for others, and our receipts for it; its id stays known, so that it does not come
back as new.  What had to go is counted by conversation, so that it can be said.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Final

from appliance.adapters.store import outbox
from appliance.model.cargo import Tier
from appliance.model.codec import FormatError
from appliance.model.group import GROUP_SIZE, conversation_key, conversation_of
from appliance.model.identity import StationId
from appliance.model.message import DeliveryState, Receipt
from appliance.model.record import MAX_LIFETIME_S, read_record
from appliance.node.ports.keeping import (
    Candidate,
    Evict,
    Eviction,
    Forget,
    GetCandidates,
    GetEvictions,
    GetUsage,
    Shed,
    Usage,
)

ROW_BYTES: Final = 400
"""About what the rows and indexes of a message and of its receipts take, its texts aside."""

KNOWN_FOR_S: Final = float(MAX_LIFETIME_S)
"""For how long the id of a removed message stays known: nobody sends it for longer."""

MAX_CONVERSATIONS: Final = 4_096
"""Conversations of which it is noted what had to go; keys are free to make."""


def get_usage(db: sqlite3.Connection, _: GetUsage) -> Usage:
    """Return how much there is."""
    page_size = _one(db, "PRAGMA page_size")
    free = _one(db, "PRAGMA freelist_count") * page_size
    others = "WHERE tier < ? GROUP BY tier ORDER BY tier"
    counts = db.execute(f"SELECT tier, count(*) FROM carried {others}", (int(Tier.OWN),))  # noqa: S608
    records = dict(counts.fetchall())
    held = db.execute(f"SELECT tier, sum(bytes) FROM holds {others}", (int(Tier.OWN),))  # noqa: S608
    return Usage(
        messages=_one(db, "SELECT count(*) FROM messages"),
        file_bytes=_one(db, "PRAGMA page_count") * page_size - free,
        spare_bytes=free,
        carried=tuple((tier, records.get(tier, 0), size) for tier, size in held),
        disk_free_bytes=_disk_free(db),
        known=_one(db, "SELECT count(*) FROM known"),
        had=_one(db, "SELECT count(*) FROM had"),
        removed=_one(db, "SELECT count(*) FROM removed"),
    )


def _one(db: sqlite3.Connection, query: str, *values: object) -> int:
    (value,) = db.execute(query, values).fetchone()
    return int(value)


def _disk_free(db: sqlite3.Connection) -> int:
    _, _, path = db.execute("PRAGMA database_list").fetchone()
    try:
        disk = os.statvfs(Path(path).parent)
    except OSError:
        return 0
    return disk.f_bavail * disk.f_frsize


# -- What may go

_CANDIDATES: Final = f"""
    SELECT messages.number, outgoing,
        NOT outgoing AND coalesce(stations.trust, 'new') = 'new',
        precedence, unread,
        CASE WHEN outgoing THEN
            (SELECT min(state) FROM recipients WHERE message = messages.number)
        END,
        expires_awake_s,
        {ROW_BYTES} + 2 * length(text) + length(records.raw)
    FROM messages JOIN records ON records.number = messages.number
    LEFT JOIN stations ON stations.id = messages.author
    WHERE messages.number > ? ORDER BY messages.number LIMIT ?
"""  # noqa: S608


def get_candidates(db: sqlite3.Connection, operation: GetCandidates) -> tuple[Candidate, ...]:
    """Return a part of the messages."""
    rows = db.execute(_CANDIDATES, (operation.after, operation.limit))
    return tuple(
        Candidate(
            number=number,
            outgoing=bool(outgoing),
            stranger=bool(stranger),
            precedence=precedence,
            unread=bool(unread),
            state=None if state is None else DeliveryState(state),
            expires_awake_s=expires,
            bytes=size,
        )
        for number, outgoing, stranger, precedence, unread, state, expires, size in rows
    )


# -- Messages that go


def evict(db: sqlite3.Connection, operation: Evict) -> int:
    """Remove messages, and what belongs to them alone."""
    return sum(_evict_one(db, number, operation.awake_s) for number in operation.numbers)


_EVICTED: Final = f"""
    SELECT id, conversation, messages.author, outgoing, messages.position, received_ms,
        received_sure, {ROW_BYTES} + 2 * length(text) + length(raw), delivered_by, read_by
    FROM messages JOIN records USING (number) WHERE number = ?
"""  # noqa: S608


def _evict_one(db: sqlite3.Connection, number: int, awake_s: float) -> bool:
    row = db.execute(_EVICTED, (number,)).fetchone()
    if row is None:
        return False
    record_id, conversation, author, outgoing, position, at_ms, sure, size = row[:8]
    states = db.execute(
        "SELECT station, state FROM recipients WHERE message = ?", (number,)
    ).fetchall()
    arrived = any(state >= DeliveryState.DELIVERED for _, state in states)
    again = db.execute("SELECT record FROM resealed WHERE message = ?", (number,)).fetchall()
    records = (number, *(record for (record,) in again))
    for record in records:
        for station, _ in states:
            outbox.remove_from_outbox(db, StationId(station), record)
        if len(conversation) == 1 + GROUP_SIZE:  # new members wait for it too, as history
            db.execute("DELETE FROM outbox WHERE record = ?", (record,))
    for table in ("recipients", "holders", "resealed"):
        db.execute(f"DELETE FROM {table} WHERE message = ?", (number,))  # noqa: S608
    db.execute("DELETE FROM messages WHERE number = ?", (number,))
    for record in records:
        _let_go(db, record)
    for receipt in {row[8], row[9]} - {None}:
        _let_receipt_go(db, receipt, StationId(author))
    db.execute(
        "INSERT INTO removed (id, until_awake_s) VALUES (?, ?) ON CONFLICT (id)"
        " DO UPDATE SET until_awake_s = excluded.until_awake_s",
        (record_id, awake_s + KNOWN_FOR_S),
    )
    kind = _UNDELIVERED if outgoing and not arrived else _MESSAGES
    db.execute(_COUNT, (kind, conversation, size, position, at_ms, sure))
    return True


_COUNT: Final = """
    INSERT INTO evictions (class, conversation, records, bytes, upto_position, last_ms, last_sure)
    VALUES (?, ?, 1, ?, ?, ?, ?)
    ON CONFLICT (class, conversation) DO UPDATE SET
        records = records + 1,
        bytes = bytes + excluded.bytes,
        last_ms = iif(excluded.upto_position > upto_position, excluded.last_ms, last_ms),
        last_sure = iif(excluded.upto_position > upto_position, excluded.last_sure, last_sure),
        upto_position = max(upto_position, excluded.upto_position)
"""
_MESSAGES: Final = "messages"
_UNDELIVERED: Final = "undelivered"


def _let_go(db: sqlite3.Connection, number: int) -> None:
    """Drop a record that is not kept any more, unless it is carried for others."""
    db.execute("UPDATE records SET kept = 0 WHERE number = ?", (number,))
    db.execute("UPDATE blob_uses SET mine = 0 WHERE record = ?", (number,))
    db.execute(
        "DELETE FROM records WHERE number = ?1"
        " AND NOT EXISTS (SELECT 1 FROM carried WHERE record = ?1)",
        (number,),
    )


def _let_receipt_go(db: sqlite3.Connection, number: int, author: StationId) -> None:
    """Drop a receipt of ours if it speaks for nothing else that is here.

    While it waits for an author whom our operator knows, it stays; for strangers it would wait
    for ever, since keys are free to make.
    """
    row = db.execute("SELECT raw FROM records WHERE number = ?", (number,)).fetchone()
    if row is None or _is_used(db, number, row[0]):
        return
    waits = db.execute(
        "SELECT 1 FROM outbox JOIN stations ON stations.id = outbox.station"
        " WHERE station = ? AND record = ? AND trust != 'new'",
        (author.key, number),
    ).fetchone()
    if waits is not None:
        db.execute("UPDATE records SET kept = 0 WHERE number = ?", (number,))
        return
    outbox.remove_from_outbox(db, author, number)
    _let_go(db, number)


def _is_used(db: sqlite3.Connection, number: int, raw: bytes) -> bool:
    """Tell whether a message that is here has this receipt; by what the receipt itself says.

    To look through all messages for it takes long, and is done for what can't be read only.
    """
    try:
        messages = Receipt.decode(read_record(raw).content).records
    except FormatError:
        found = db.execute("SELECT 1 FROM messages WHERE ? IN (delivered_by, read_by)", (number,))
        return found.fetchone() is not None
    return any(
        _one(
            db,
            "SELECT count(*) FROM records JOIN messages USING (number)"
            " WHERE id = ? AND ? IN (delivered_by, read_by)",
            message,
            number,
        )
        for message in messages
    )


def was_removed(db: sqlite3.Connection, record_id: bytes) -> bool:
    """Tell whether a message was here and had to make room."""
    return db.execute("SELECT 1 FROM removed WHERE id = ?", (record_id,)).fetchone() is not None


def get_evictions(db: sqlite3.Connection, operation: GetEvictions) -> tuple[Eviction, ...]:
    """Return what had to make room, the latest first."""
    rows = db.execute(
        "SELECT conversation, class, records, bytes, last_ms, last_sure FROM evictions"
        " WHERE ? OR conversation = ? ORDER BY last_ms DESC LIMIT ?",
        (operation.everything, conversation_key(operation.conversation), operation.limit),
    )
    return tuple(
        Eviction(
            conversation=conversation_of(key),
            undelivered=kind == _UNDELIVERED,
            records=records,
            bytes=size,
            last_ms=last_ms,
            last_sure=bool(sure),
        )
        for key, kind, records, size, last_ms, sure in rows
    )


# -- What is carried, and what is only known


def shed(db: sqlite3.Connection, operation: Shed) -> int:
    """Have what is carried run out now, strangers' and what is least urgent first."""
    rows = db.execute(
        "SELECT record, bytes FROM carried INDEXED BY carried_least_of_tier"
        " WHERE tier < ? AND expires_awake_s > ?"
        " ORDER BY tier, precedence, born_awake_s LIMIT ?",
        (int(Tier.OWN), operation.awake_s, operation.limit),
    ).fetchall()
    # What ran out before waits to be dropped too.
    total = _one(
        db,
        "SELECT coalesce(sum(bytes), 0) FROM carried WHERE tier < ? AND expires_awake_s <= ?",
        int(Tier.OWN),
        operation.awake_s,
    )
    for record, size in rows:
        if total >= operation.bytes:
            break
        db.execute(
            "UPDATE carried SET expires_awake_s = ? WHERE record = ?", (operation.awake_s, record)
        )
        total += size
    return total


def forget(db: sqlite3.Connection, operation: Forget) -> int:
    """Drop ids beyond the bounds, and the oldest notes of what had to go."""
    gone = 0
    for table, key, bound in (
        ("had", "message, station", operation.had),
        ("removed", "id", operation.removed),
    ):
        excess = _excess(db, table, bound, operation.limit)
        if excess:
            gone += db.execute(
                f"DELETE FROM {table} WHERE ({key}) IN"  # noqa: S608
                f" (SELECT {key} FROM {table} ORDER BY until_awake_s LIMIT ?)",
                (excess,),
            ).rowcount
    excess = _excess(db, "known WHERE until_awake_s > 0", operation.known, operation.limit)
    if excess:
        # They run out now and go with what has run out, which whoever compares has to be told.
        gone += db.execute(
            "UPDATE known SET until_awake_s = 0 WHERE id IN"
            " (SELECT id FROM known WHERE until_awake_s > 0 ORDER BY until_awake_s LIMIT ?)",
            (excess,),
        ).rowcount
    excess = _excess(db, "evictions", MAX_CONVERSATIONS, operation.limit)
    db.execute(
        "DELETE FROM evictions WHERE (class, conversation) IN"
        " (SELECT class, conversation FROM evictions ORDER BY last_ms LIMIT ?)",
        (excess,),
    )
    return gone


def _excess(db: sqlite3.Connection, table: str, bound: int, limit: int) -> int:
    count = _one(db, f"SELECT count(*) FROM {table}")  # noqa: S608
    return max(min(count - bound, limit), 0)
