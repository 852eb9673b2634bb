"""Records that are handed on by file."""

from __future__ import annotations

import sqlite3

from appliance.node.ports.handing import GetHanded, GetRaw, Handed

# Each half stops at the limit, so that a part costs no more than what it finds, the outbox aside.
_HANDED = """
    SELECT number, born_awake_s, raw FROM (
        SELECT * FROM (
            SELECT record FROM carried WHERE record > :after AND expires_awake_s > :awake_s
            ORDER BY record LIMIT :limit
        )
        UNION
        SELECT * FROM (
            SELECT DISTINCT outbox.record FROM outbox
            LEFT JOIN resealed ON resealed.record = outbox.record
            LEFT JOIN messages ON messages.number = coalesce(resealed.message, outbox.record)
            WHERE outbox.record > :after
            AND (messages.expires_awake_s IS NULL OR messages.expires_awake_s > :awake_s)
            ORDER BY outbox.record LIMIT :limit
        )
    ) AS waiting
    JOIN records ON records.number = waiting.record
    LEFT JOIN carried ON carried.record = waiting.record
    ORDER BY number LIMIT :limit
"""

_RAW = """
    SELECT raw FROM records WHERE id = ? AND raw != x''
    AND NOT EXISTS (SELECT 1 FROM messages WHERE messages.number = records.number AND notice)
"""


def get_handed(db: sqlite3.Connection, operation: GetHanded) -> tuple[Handed, ...]:
    """Return what comes next of all that is carried or waits for somebody."""
    found: list[Handed] = []
    size = 0
    rows = db.execute(
        _HANDED,
        {"after": operation.after, "awake_s": operation.awake_s, "limit": operation.limit},
    )
    for number, born, raw in rows:
        size += len(raw)
        if found and size > operation.max_bytes:
            break
        age_s = 0.0 if born is None else max(operation.awake_s - born, 0.0)
        found.append(Handed(number, age_s, raw))
    rows.close()
    return tuple(found)


def get_raw(db: sqlite3.Connection, operation: GetRaw) -> tuple[bytes | None, ...]:
    """Return records as they were signed."""
    found: list[bytes | None] = []
    size = 0
    for record in operation.records:
        row = db.execute(_RAW, (record,)).fetchone()
        size += len(row[0]) if row is not None else 0
        if found and size > operation.max_bytes:
            break
        found.append(row[0] if row is not None else None)
    return tuple(found)
