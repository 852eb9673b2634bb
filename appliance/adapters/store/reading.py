"""What is shown of messages, and how far they came."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from appliance.model.identity import StationId
from appliance.model.message import DeliveryState
from appliance.model.record import Precedence
from appliance.node.ports import (
    CountUnread,
    GetMessage,
    GetMessages,
    GetUnread,
    RecipientState,
    StoredMessage,
)

MAX_SHOWN: Final = 64
"""Recipients that a message is returned with."""

_EVERYONE: Final = b""


def conversation_key(conversation: StationId | None) -> bytes:
    """Return what stands for a conversation in the tables."""
    return _EVERYONE if conversation is None else conversation.key


def conversation_of(key: bytes) -> StationId | None:
    """Return the conversation that a key of the tables stands for."""
    return StationId(key) if key else None


_MESSAGE_COLUMNS: Final = (
    "messages.number, records.id, conversation, messages.author, outgoing, text, line, precedence,"
    " messages.position, written_ms, written_sure, received_ms, received_sure, unread,"
    " expires_awake_s, problem"
)

_ONE_MESSAGE: Final = f"""
    SELECT {_MESSAGE_COLUMNS} FROM records JOIN messages USING (number) WHERE records.id = ?
"""  # noqa: S608


def _page_query(which: str, index: str) -> str:
    return f"""
        SELECT {_MESSAGE_COLUMNS}
        FROM messages INDEXED BY {index} JOIN records ON records.number = messages.number
        WHERE {which} messages.position < ?
        ORDER BY messages.position DESC, records.id DESC LIMIT ?
    """  # noqa: S608


_PAGE_OF_ALL: Final = _page_query("", "messages_by_position")
_PAGE_OF_ONE: Final = _page_query("conversation = ? AND", "messages_by_conversation")
_PAST_ALL: Final = (1 << 63) - 1


def get_message(db: sqlite3.Connection, operation: GetMessage) -> StoredMessage | None:
    """Return one message."""
    row = db.execute(_ONE_MESSAGE, (operation.message,)).fetchone()
    return None if row is None else _message(db, row)


def get_messages(db: sqlite3.Connection, operation: GetMessages) -> tuple[StoredMessage, ...]:
    """Return the latest messages before a point, oldest first."""
    bounds = (_PAST_ALL if operation.before is None else operation.before, max(operation.limit, 0))
    if operation.everything:
        rows = db.execute(_PAGE_OF_ALL, bounds).fetchall()
    else:
        rows = db.execute(
            _PAGE_OF_ONE, (conversation_key(operation.conversation), *bounds)
        ).fetchall()
    return tuple(_message(db, row) for row in reversed(rows))


def get_unread(db: sqlite3.Connection, operation: GetUnread) -> tuple[tuple[bytes, StationId], ...]:
    """Return what the operator has not seen of a conversation, in its order."""
    unread = db.execute(
        "SELECT records.id, records.author FROM messages"
        " JOIN records ON records.number = messages.number"
        " WHERE messages.unread AND messages.conversation = ? AND messages.position <= ?"
        " ORDER BY messages.position, records.id",
        (conversation_key(operation.conversation), operation.up_to),
    )
    return tuple((record_id, StationId(author)) for record_id, author in unread)


def count_unread(db: sqlite3.Connection, _: CountUnread) -> dict[StationId | None, int]:
    """Return the number of unread messages by conversation, where there are any."""
    rows = db.execute("SELECT conversation, count(*) FROM messages WHERE unread GROUP BY 1")
    return {conversation_of(conversation): count for conversation, count in rows}


def _message(db: sqlite3.Connection, row: tuple[Any, ...]) -> StoredMessage:
    number, record_id, conversation, author, outgoing, text, line, precedence, position = row[:9]
    written_ms, written_sure, received_ms, received_sure, unread, expires, problem = row[9:]
    recipients, delivered_to = _recipients(db, number) if outgoing else ((), 0)
    held_by = _holders(db, number) if outgoing else 0
    return StoredMessage(
        id=record_id,
        conversation=conversation_of(conversation),
        author=StationId(author),
        outgoing=bool(outgoing),
        text=text,
        line=line,
        precedence=Precedence(precedence),
        order=position,
        written_ms=written_ms,
        written_sure=bool(written_sure),
        received_ms=received_ms,
        received_sure=bool(received_sure),
        unread=bool(unread),
        expires_awake_s=expires,
        recipients=recipients,
        delivered_to=delivered_to,
        problem=problem,
        held_by=held_by,
    )


def _holders(db: sqlite3.Connection, message: int) -> int:
    (count,) = db.execute("SELECT count(*) FROM holders WHERE message = ?", (message,)).fetchone()
    return int(count)


def _recipients(db: sqlite3.Connection, message: int) -> tuple[tuple[RecipientState, ...], int]:
    """Return how far a message came with whom, furthest first, and how many have it."""
    rows = db.execute(
        "SELECT station, state, at_ms, sure FROM recipients WHERE message = ?"
        " ORDER BY state DESC, at_ms, station LIMIT ?",
        (message, MAX_SHOWN),
    ).fetchall()
    states = tuple(
        RecipientState(StationId(station), DeliveryState(state), at_ms, bool(sure))
        for station, state, at_ms, sure in rows
    )
    delivered = sum(state.state >= DeliveryState.DELIVERED for state in states)
    if delivered == MAX_SHOWN:
        (delivered,) = db.execute(
            "SELECT count(*) FROM recipients WHERE message = ? AND state >= ?",
            (message, int(DeliveryState.DELIVERED)),
        ).fetchone()
    return states, delivered
