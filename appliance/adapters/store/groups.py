"""Groups: what is known of each, as one blob, and history that a new member gets."""

from __future__ import annotations

import sqlite3
from typing import Any

from appliance.adapters.store import messages, outbox, resealing
from appliance.model.group import GroupId, conversation_key
from appliance.model.record import RecordKind
from appliance.node.ports import SaveOutgoing
from appliance.node.ports.grouping import (
    GetGroups,
    GetKept,
    GetNotes,
    SaveGroup,
    SaveGroupNews,
    ShareHistory,
    WithNews,
)
from appliance.node.ports.receipting import SaveResealed


def save_group(db: sqlite3.Connection, operation: SaveGroup) -> None:
    """Keep what is known of a group, or nothing any more."""
    if operation.state is None:
        db.execute("DELETE FROM groups WHERE id = ?", (operation.group.value,))
        return
    db.execute(
        "INSERT INTO groups (id, state) VALUES (?, ?)"
        " ON CONFLICT (id) DO UPDATE SET state = excluded.state",
        (operation.group.value, operation.state),
    )


def get_groups(db: sqlite3.Connection, _: GetGroups) -> tuple[tuple[GroupId, bytes], ...]:
    """Return all groups."""
    rows = db.execute("SELECT id, state FROM groups ORDER BY id").fetchall()
    return tuple((GroupId(group), state) for group, state in rows)


def share_history(db: sqlite3.Connection, operation: ShareHistory) -> int:
    """Let the latest messages of a group wait for a station; return how many those are."""
    rows = db.execute(
        "SELECT number FROM messages WHERE conversation = ? AND author != ? AND NOT notice"
        " AND EXISTS (SELECT 1 FROM records WHERE records.number = messages.number AND raw != x'')"
        " ORDER BY position DESC LIMIT ?",
        (conversation_key(operation.group), operation.station.key, max(operation.limit, 0)),
    ).fetchall()
    outbox.add_to_outbox(db, operation.station, [number for (number,) in rows])
    return len(rows)


def save_group_news(db: sqlite3.Connection, operation: SaveGroupNews) -> None:
    """Do all that came of something in a group, as part of whatever has caused it."""
    if operation.save is not None:
        save_group(db, operation.save)
    for station, record in operation.records:
        outbox.add_for(db, station, record)
    for message, record in operation.notices:
        messages.add_message(db, message, record)
    for share in operation.share:
        share_history(db, share)


def with_news(db: sqlite3.Connection, operation: WithNews[Any]) -> Any:
    """Store what was sealed to a group with what came of that."""
    save_group_news(db, operation.news)
    match operation.operation:
        case SaveOutgoing() as outgoing:
            return messages.save_outgoing(db, outgoing)
        case SaveResealed() as resealed:
            return resealing.save_resealed(db, resealed)
        case _:
            raise TypeError("nothing that is sealed to a group")


def get_notes(db: sqlite3.Connection, operation: GetNotes) -> tuple[bytes, ...]:
    """Return the ids of notes about groups that wait for a station."""
    return tuple(
        record
        for record in operation.records
        if db.execute(
            "SELECT 1 FROM records JOIN outbox ON outbox.record = records.number"
            " WHERE id = ? AND kind = ? AND station = ?",
            (record, int(RecordKind.GROUP), operation.station.key),
        ).fetchone()
    )


def get_kept(db: sqlite3.Connection, operation: GetKept) -> tuple[tuple[int, bytes], ...]:
    """Return what is carried, not shown, and to a group, or a note to us."""
    # Whom it is for stands beside it: of all the others the records need not be read.
    rows = db.execute(
        "SELECT record, raw FROM carried JOIN records ON records.number = carried.record"
        " WHERE record > ?1 AND recipient IN (?2, ?4)"
        " AND (recipient = ?2 AND kind = ?3 OR recipient = ?4 AND kind = ?5)"
        " AND NOT EXISTS (SELECT 1 FROM messages WHERE messages.number = carried.record)"
        " ORDER BY record LIMIT ?6",
        (
            operation.after,
            conversation_key(operation.group),
            int(RecordKind.MESSAGE),
            operation.own.key,
            int(RecordKind.GROUP),
            operation.limit,
        ),
    )
    return tuple(rows.fetchall())
