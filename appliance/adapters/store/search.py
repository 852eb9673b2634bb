"""Looks for words in messages, a part of them at a time.

There is no index of words: it would double the bytes that each message costs a card, and reading
all of the messages takes seconds.  A part takes some milliseconds, so nobody waits long for it.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from appliance.adapters.store import reading
from appliance.model.group import conversation_key
from appliance.model.search import matches
from appliance.node.ports import StoredMessage
from appliance.node.ports.keeping import Found, Place, Search

SLICE: Final = 1_000
"""Messages that are looked at at a time: 4 to 15 ms on a laptop."""

SLICE_CHARS: Final = 256 * 1024
"""The same in characters, where messages are long."""

_PAST_ALL: Final = (1 << 63) - 1


def _query(which: str, index: str) -> str:
    return f"""
        SELECT position, number, text FROM messages INDEXED BY {index}
        WHERE {which} (position, number) < (?, ?) ORDER BY position DESC, number DESC LIMIT ?
    """  # noqa: S608


_ALL: Final = _query("", "messages_by_position")
_ONE: Final = _query("conversation = ? AND", "messages_by_conversation")


def search(db: sqlite3.Connection, operation: Search) -> Found:
    """Look for words in a part of the messages."""
    start = _start(db, operation.before)
    if operation.everything:
        rows = db.execute(_ALL, (*start, SLICE))
    else:
        rows = db.execute(_ONE, (conversation_key(operation.conversation), *start, SLICE))
    found: list[StoredMessage] = []
    seen, chars, last = 0, 0, None
    for _, number, text in rows:
        seen, chars, last = seen + 1, chars + len(text), number
        if matches(text, operation.words):
            found.append(reading.message_of(db, number))
        if len(found) >= operation.limit or chars >= SLICE_CHARS or seen == SLICE:
            break
    else:
        last = None
    rows.close()
    return Found(tuple(found), None if last is None else _place(db, last))


def _start(db: sqlite3.Connection, before: Place | None) -> tuple[int, int]:
    """Return the position and row before which to look.

    Where the message is gone that stood there, those of the very same order are passed over.
    """
    if before is None:
        return _PAST_ALL, 0
    row = db.execute("SELECT number FROM records WHERE id = ?", (before.id,)).fetchone()
    return before.order, row[0] if row is not None else 0


def _place(db: sqlite3.Connection, number: int) -> Place:
    row = db.execute(
        "SELECT messages.position, id FROM messages JOIN records USING (number) WHERE number = ?",
        (number,),
    ).fetchone()
    return Place(row[0], row[1])
