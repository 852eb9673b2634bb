"""What is shown of messages, and how far they came."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from appliance.adapters.store import attachments
from appliance.model.group import Conversation, conversation_key, conversation_of
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
from appliance.node.ports.keeping import GetPage, GetRecipients, Recipients

MAX_SHOWN: Final = 64
"""Recipients that a message is returned with."""

_MESSAGE_COLUMNS: Final = (
    "messages.number, records.id, conversation, messages.author, outgoing, text, line, precedence,"
    " messages.position, written_ms, written_sure, received_ms, received_sure, unread,"
    " expires_awake_s, problem, first, notice, attachments, lifetime_s"
)

_ONE_MESSAGE: Final = f"""
    SELECT {_MESSAGE_COLUMNS} FROM records JOIN messages USING (number) WHERE records.id = ?
"""  # noqa: S608

_MESSAGE_BY_NUMBER: Final = f"""
    SELECT {_MESSAGE_COLUMNS} FROM records JOIN messages USING (number) WHERE number = ?
"""  # noqa: S608


def _page_query(which: str, index: str, beyond: str, direction: str) -> str:
    return f"""
        SELECT {_MESSAGE_COLUMNS}
        FROM messages INDEXED BY {index} JOIN records ON records.number = messages.number
        WHERE {which} messages.position {beyond}= ?1
        AND (messages.position {beyond} ?1 OR records.id {beyond} ?2)
        ORDER BY messages.position {direction}, records.id {direction} LIMIT ?3
    """  # noqa: S608


_ALL: Final = ("", "messages_by_position")
_ONE: Final = ("conversation = ?4 AND", "messages_by_conversation")
_PAGE_OF_ALL, _PAGE_OF_ONE = (_page_query(*of, "<", "DESC") for of in (_ALL, _ONE))
_NEXT_OF_ALL, _NEXT_OF_ONE = (_page_query(*of, ">", "ASC") for of in (_ALL, _ONE))
_PAST_ALL: Final = (1 << 63) - 1


def get_message(db: sqlite3.Connection, operation: GetMessage) -> StoredMessage | None:
    """Return one message."""
    row = db.execute(_ONE_MESSAGE, (operation.message,)).fetchone()
    return None if row is None else _message(db, row)


def message_of(db: sqlite3.Connection, number: int) -> StoredMessage:
    """Return the message in a row that is there."""
    return _message(db, db.execute(_MESSAGE_BY_NUMBER, (number,)).fetchone())


def get_messages(db: sqlite3.Connection, operation: GetMessages) -> tuple[StoredMessage, ...]:
    """Return the latest messages before a point, oldest first."""
    order = _PAST_ALL if operation.before is None else operation.before
    return _page(db, operation.conversation, operation.everything, (order, b""), operation.limit)


def get_page(db: sqlite3.Connection, operation: GetPage) -> tuple[StoredMessage, ...]:
    """Return the latest messages before a place, or the first behind one, oldest first."""
    before, after = operation.before, operation.after
    if after is not None:
        place = (after.order, after.id)
    else:
        place = (_PAST_ALL, b"") if before is None else (before.order, before.id)
    return _page(
        db,
        operation.conversation,
        operation.everything,
        place,
        operation.limit,
        forwards=after is not None,
    )


def _page(
    db: sqlite3.Connection,
    conversation: Conversation,
    everything: bool,
    place: tuple[int, bytes],
    limit: int,
    *,
    forwards: bool = False,
) -> tuple[StoredMessage, ...]:
    bounds: tuple[object, ...] = (*place, max(limit, 0))
    if everything:
        query = _NEXT_OF_ALL if forwards else _PAGE_OF_ALL
    else:
        query = _NEXT_OF_ONE if forwards else _PAGE_OF_ONE
        bounds = (*bounds, conversation_key(conversation))
    rows = db.execute(query, bounds).fetchall()
    return tuple(_message(db, row) for row in (rows if forwards else reversed(rows)))


def get_recipients(db: sqlite3.Connection, operation: GetRecipients) -> Recipients | None:
    """Return how far a message of ours came with whom, in the order of their keys."""
    row = db.execute(
        "SELECT number FROM records JOIN messages USING (number) WHERE id = ?",
        (operation.message,),
    ).fetchone()
    if row is None:
        return None
    (number,) = row
    after = b"" if operation.after is None else operation.after.key
    rows = db.execute(
        "SELECT station, state, at_ms, sure FROM recipients WHERE message = ? AND station > ?"
        " ORDER BY station LIMIT ?",
        (number, after, operation.limit + 1),
    ).fetchall()
    counts = db.execute(
        "SELECT state, count(*) FROM recipients WHERE message = ? GROUP BY state", (number,)
    )
    carriers = db.execute(
        "SELECT station FROM holders WHERE message = ? ORDER BY station LIMIT ?",
        (number, MAX_SHOWN),
    )
    return Recipients(
        states=tuple(_state_of(row) for row in rows[: operation.limit]),
        more=len(rows) > operation.limit,
        counts={DeliveryState(state): count for state, count in counts},
        carriers=tuple(StationId(station) for (station,) in carriers),
    )


def _state_of(row: tuple[bytes, int, int, int]) -> RecipientState:
    station, state, at_ms, sure = row
    return RecipientState(StationId(station), DeliveryState(state), at_ms, bool(sure))


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


def count_unread(db: sqlite3.Connection, _: CountUnread) -> dict[Conversation, int]:
    """Return the number of unread messages by conversation, where there are any."""
    rows = db.execute("SELECT conversation, count(*) FROM messages WHERE unread GROUP BY 1")
    return {conversation_of(conversation): count for conversation, count in rows}


def _message(db: sqlite3.Connection, row: tuple[Any, ...]) -> StoredMessage:
    number, record_id, conversation, author, outgoing, text, line, precedence, position = row[:9]
    written_ms, written_sure, received_ms, received_sure, unread, expires, problem = row[9:16]
    first, notice, attached, lifetime_s = row[16:]
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
        first=first,
        notice=bool(notice),
        attachments=attachments.decode(attached),
        lifetime_s=lifetime_s,
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
    states = tuple(_state_of(row) for row in rows)
    delivered = sum(state.state >= DeliveryState.DELIVERED for state in states)
    if delivered == MAX_SHOWN:
        (delivered,) = db.execute(
            "SELECT count(*) FROM recipients WHERE message = ? AND state >= ?",
            (message, int(DeliveryState.DELIVERED)),
        ).fetchone()
    return states, delivered
