"""The record of calls: bounded, the oldest go first, and strangers' crowd out only strangers'."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import astuple, replace
from typing import Any, Final

from appliance.model.identity import StationId
from appliance.node.ports.calling import (
    CountMissed,
    CutCalls,
    GetCalls,
    RecordedCall,
    SaveCall,
    SeeCalls,
)

MAX_KNOWN: Final = 4_000
"""Calls with stations that our operator has to do with."""

MAX_NEW: Final = 500
"""Calls of all others; keys are free to make."""

MAX_DETAIL: Final = 500
"""Characters of a sentence."""

_COLUMNS: Final = (
    "id, station, line, outgoing, known, begun_ms, begun_sure, answered, talked_s, reason, detail,"
    " quality, missed, seen"
)
"""In the order of `RecordedCall`'s fields; its number follows."""

_SAVE: Final = f"""
    INSERT INTO calls ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET answered = excluded.answered, talked_s = excluded.talked_s,
        reason = excluded.reason, detail = excluded.detail, quality = excluded.quality,
        missed = excluded.missed, seen = excluded.seen
"""  # noqa: S608

_MAKE_ROOM: Final = """
    DELETE FROM calls WHERE known = ?1 AND number <=
    (SELECT number FROM calls WHERE known = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)
"""

_CUT: Final = """
    UPDATE calls SET reason = ?1, missed = NOT outgoing AND NOT answered,
        seen = outgoing OR answered
    WHERE reason IS NULL AND id NOT IN (SELECT value FROM json_each(?2))
"""

_PAGE: Final = f"""
    SELECT {_COLUMNS}, number FROM calls
    WHERE reason IS NOT NULL AND number < ?1 AND (missed OR NOT ?2) AND (?4 IS NULL OR station = ?4)
    ORDER BY number DESC LIMIT ?3
"""  # noqa: S608

_SEE: Final = """
    UPDATE calls SET seen = 1 WHERE NOT seen AND number <= ?1 AND (?2 IS NULL OR station = ?2)
"""

_PAST_ALL: Final = (1 << 63) - 1


def save_call(db: sqlite3.Connection, operation: SaveCall) -> None:
    """Note a call, or how it went on."""
    call = operation.call
    short = replace(call, detail=call.detail[:MAX_DETAIL])
    values = list(astuple(short))[:-1]
    values[1] = call.station.key
    db.execute(_SAVE, values)
    db.execute(_MAKE_ROOM, (call.known, MAX_KNOWN if call.known else MAX_NEW))


def cut_calls(db: sqlite3.Connection, operation: CutCalls) -> None:
    """End what was going on; one that rang here and was not answered is a missed one."""
    db.execute(_CUT, (operation.reason, json.dumps(operation.running)))


def get_calls(db: sqlite3.Connection, operation: GetCalls) -> tuple[RecordedCall, ...]:
    """Return calls that are over, latest first."""
    before = _PAST_ALL if operation.before is None else operation.before
    station = None if operation.station is None else operation.station.key
    rows = db.execute(_PAGE, (before, operation.missed, operation.limit, station))
    return tuple(map(_call, rows))


def _call(row: tuple[Any, ...]) -> RecordedCall:
    values = list(row)
    values[1] = StationId(row[1])
    for place in (3, 4, 6, 7, 12, 13):
        values[place] = bool(row[place])
    return RecordedCall(*values)


def count_missed(db: sqlite3.Connection, _: CountMissed) -> int:
    """Return how many missed calls nobody has looked at."""
    (count,) = db.execute("SELECT count(*) FROM calls WHERE NOT seen").fetchone()
    return int(count)


def see_calls(db: sqlite3.Connection, operation: SeeCalls) -> int:
    """Note that missed calls were looked at; returns how many."""
    station = None if operation.station is None else operation.station.key
    return db.execute(_SEE, (operation.up_to, station)).rowcount
