"""What is known of stations, and small values under a name."""

from __future__ import annotations

import sqlite3
from typing import Final

from appliance.model.identity import StationId
from appliance.node.ports import (
    ForgetStation,
    GetStations,
    GetValue,
    SaveStation,
    SetValue,
    StoredStation,
    StoreError,
)

MAX_VALUE: Final = 64 * 1024


def save_station(db: sqlite3.Connection, operation: SaveStation) -> None:
    """Keep what is known of a station, in the place of what was."""
    station = operation.station
    db.execute(
        "INSERT INTO stations (id, card, trust, verified_name, seen_ms, seen_sure)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET card = excluded.card,"
        " trust = excluded.trust, verified_name = excluded.verified_name,"
        " seen_ms = excluded.seen_ms, seen_sure = excluded.seen_sure",
        (
            station.id.key,
            station.card,
            station.trust,
            station.verified_name,
            station.seen_ms,
            station.seen_sure,
        ),
    )


def forget_station(db: sqlite3.Connection, operation: ForgetStation) -> None:
    """Drop a station, unless there are messages with it or from it, or something waits for it."""
    db.execute(
        "DELETE FROM stations WHERE id = ?1"
        " AND NOT EXISTS (SELECT 1 FROM messages WHERE conversation = ?1)"
        " AND NOT EXISTS (SELECT 1 FROM messages"
        " WHERE author = ?1 AND NOT outgoing AND conversation = x'')"
        " AND NOT EXISTS (SELECT 1 FROM outbox WHERE station = ?1)",
        (operation.station.key,),
    )


def get_stations(db: sqlite3.Connection, _: GetStations) -> tuple[StoredStation, ...]:
    """Return all stations, in the order of their keys."""
    rows = db.execute(
        "SELECT id, card, trust, verified_name, seen_ms, seen_sure FROM stations ORDER BY id"
    )
    return tuple(
        StoredStation(StationId(key), card, trust, verified_name, seen_ms, bool(seen_sure))
        for key, card, trust, verified_name, seen_ms, seen_sure in rows
    )


def set_value(db: sqlite3.Connection, operation: SetValue) -> None:
    """Keep a value under a name, or forget it."""
    if operation.value is None:
        db.execute("DELETE FROM vals WHERE name = ?", (operation.name,))
        return
    if len(operation.value) > MAX_VALUE:
        raise StoreError("value-too-long", f"{operation.name}: at most {MAX_VALUE} bytes are kept.")
    db.execute(
        "INSERT INTO vals (name, value) VALUES (?, ?)"
        " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (operation.name, operation.value),
    )


def get_value(db: sqlite3.Connection, operation: GetValue) -> bytes | None:
    """Return a value."""
    row = db.execute("SELECT value FROM vals WHERE name = ?", (operation.name,)).fetchone()
    return None if row is None else row[0]
