"""Records that are carried for others, how much room they get, and who makes room for whom.

`records.kept` says that something else needs a record as well: a message that is shown here, or
our receipt for one.  Those stay when they are not carried any more.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from appliance.adapters.store import attachments, outbox
from appliance.model.cargo import LAST, Cargo, Load, Shipped, Tier
from appliance.model.group import conversation_key
from appliance.model.identity import StationId
from appliance.model.record import Precedence
from appliance.node.ports.carrying import (
    Expire,
    Expired,
    GetCargo,
    GetCarried,
    NoteHolder,
    Overdue,
    Ship,
    ShipAll,
)

MAX_BYTES: Final = 64 * 1024 * 1024
"""Of everything that is carried, our own aside."""

STRANGERS_SHARE: Final = 0.25
"""Of that, for all authors together of whom nothing is known: keys are free to make."""

URGENT_STRANGERS_SHARE: Final = 0.002
"""Of that, for what these call an emergency, some hundred messages; the rest counts as routine."""

NEIGHBOUR_SHARE: Final = 0.5
"""Of what strangers may take, for those whose records one neighbour brought."""

LINGER_S: Final = 24 * 3600.0
"""For how long what was too old stays known."""

FOREVER_S: Final = 100 * 366 * LINGER_S
"""The same for what we have written to everyone: else it would be found to wait once more."""


def ship(db: sqlite3.Connection, operation: Ship) -> Shipped:
    """Carry a record, unless it is known or there is no room."""
    load = operation.load
    record = load.record
    expires = load.awake_s + load.lifetime_s - load.age_s
    nothing = Shipped(taken=False, full=False, dropped=())
    if expires <= load.awake_s or is_known(db, record.id):
        return nothing
    if operation.if_waiting and not _waits(db, record.id):
        return nothing
    if _was_received(db, load):
        _remember(db, record.id, expires)
        return nothing
    precedence = _believed(db, load)
    made = _make_room(db, load, precedence)
    if made is None:
        _remember(db, record.id, expires)
        return Shipped(taken=False, full=True, dropped=())
    number = outbox.add_record(db, record, position=record.stamp.lamport, kept=False)
    if number is None:
        number = outbox.number_of(db, record.id)
        assert number is not None
    _carry(db, number, load, precedence, expires)
    return Shipped(
        taken=True,
        full=False,
        dropped=(*made, *_delivered(db, load, expires)),
        believed=Precedence(precedence),
    )


def ship_all(db: sqlite3.Connection, operation: ShipAll) -> tuple[Shipped, ...]:
    """Carry records, each unless it is known or there is no room."""
    return tuple(ship(db, Ship(load)) for load in operation.loads)


def is_known(db: sqlite3.Connection, record_id: bytes) -> bool:
    """Tell whether a record is carried, or was."""
    row = db.execute(
        "SELECT 1 FROM known WHERE id = ?1 UNION ALL"
        " SELECT 1 FROM records JOIN carried ON carried.record = records.number WHERE id = ?1",
        (record_id,),
    ).fetchone()
    return row is not None


def _waits(db: sqlite3.Connection, record_id: bytes) -> bool:
    row = db.execute(
        "SELECT 1 FROM records JOIN outbox ON outbox.record = records.number WHERE id = ?",
        (record_id,),
    ).fetchone()
    return row is not None


def _was_received(db: sqlite3.Connection, load: Load) -> bool:
    """Tell whether whom a message is for has said already that it is there."""
    said = [load.record.author]  # of what has come to all of a group
    if isinstance(load.recipient, StationId):
        said.append(load.recipient)
    return load.recipient is not None and any(
        db.execute(
            "SELECT 1 FROM had WHERE message = ? AND station = ?", (load.record.id, station.key)
        ).fetchone()
        is not None
        for station in said
    )


def _carry(
    db: sqlite3.Connection, number: int, load: Load, precedence: int, expires: float
) -> None:
    db.execute(
        "INSERT INTO carried (record, recipient, came_from, tier, precedence, bytes, born_awake_s,"
        " expires_awake_s) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (
            number,
            conversation_key(load.recipient),
            load.came_from.key,
            int(load.tier),
            precedence,
            len(load.record.raw),
            load.awake_s - load.age_s,
            expires,
        ),
    )
    attachments.use(db, number, load.record.blobs, mine=False)


def _delivered(db: sqlite3.Connection, load: Load, expires: float) -> list[bytes]:
    """Drop the messages that a receipt speaks for, now or when they come.

    Only what is for the receipt's author, or what that has written itself: nobody else can say that
    it has arrived.
    """
    author = load.record.author.key
    dropped = []
    for message in load.covers:
        db.execute(
            "INSERT INTO had VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (message, author, expires)
        )
        row = db.execute(
            "SELECT record, expires_awake_s FROM records"
            " JOIN carried ON carried.record = records.number"
            " WHERE id = ?1 AND (recipient = ?2 OR author = ?2 AND recipient != x'')",
            (message, author),
        ).fetchone()
        if row is not None:
            _drop(db, row[0], message, row[1])
            dropped.append(message)
    return dropped


def withdraw(db: sqlite3.Connection, record_id: bytes, awake_s: float) -> tuple[bytes, ...]:
    """Carry a record of ours no longer, since another has taken its place."""
    row = db.execute(
        "SELECT record, expires_awake_s FROM records"
        " JOIN carried ON carried.record = records.number WHERE id = ?",
        (record_id,),
    ).fetchone()
    if row is None:
        _remember(db, record_id, awake_s + LINGER_S)
        return ()
    _drop(db, row[0], record_id, row[1])
    return (record_id,)


def _drop(db: sqlite3.Connection, number: int, record_id: bytes, until_awake_s: float) -> None:
    db.execute("DELETE FROM carried WHERE record = ?", (number,))
    db.execute(
        "DELETE FROM records WHERE number = ?1 AND NOT kept"
        " AND NOT EXISTS (SELECT 1 FROM outbox WHERE record = ?1)",
        (number,),
    )
    _remember(db, record_id, until_awake_s)


def _remember(db: sqlite3.Connection, record_id: bytes, until_awake_s: float) -> None:
    db.execute(
        "INSERT INTO known (id, until_awake_s) VALUES (?, ?) ON CONFLICT (id)"
        " DO UPDATE SET until_awake_s = max(until_awake_s, excluded.until_awake_s)",
        (record_id, until_awake_s),
    )


# -- Room


def _bytes(db: sqlite3.Connection, where: str = "", *values: object) -> int:
    (total,) = db.execute(
        f"SELECT coalesce(sum(bytes), 0) FROM holds {where}",  # noqa: S608
        values,
    ).fetchone()
    return int(total)


def _believed(db: sqlite3.Connection, load: Load) -> int:
    """Return the precedence that counts here."""
    precedence = int(load.record.precedence)
    if load.tier is not Tier.NEW or precedence < Precedence.EMERGENCY:
        return precedence
    urgent = _bytes(db, "WHERE tier = ? AND precedence = ?", int(Tier.NEW), precedence)
    if urgent + len(load.record.raw) <= URGENT_STRANGERS_SHARE * MAX_BYTES:
        return precedence
    return int(Precedence.ROUTINE)


def _make_room(db: sqlite3.Connection, load: Load, precedence: int) -> list[bytes] | None:
    """Drop what has to go for a record; None: it is itself what has to go, and nothing went."""
    if load.tier is Tier.OWN:
        return []
    dropped: list[bytes] = []
    db.execute("SAVEPOINT room")
    made = _drop_for(db, load, precedence, dropped)
    if not made:
        db.execute("ROLLBACK TO room")
    db.execute("RELEASE room")
    return dropped if made else None


def _drop_for(db: sqlite3.Connection, load: Load, precedence: int, dropped: list[bytes]) -> bool:
    size = len(load.record.raw)
    if load.tier is Tier.NEW:
        new = int(Tier.NEW)
        share = STRANGERS_SHARE * MAX_BYTES
        by_one = _bytes(db, "WHERE tier = ? AND came_from = ?", new, load.came_from.key)
        if by_one + size > NEIGHBOUR_SHARE * share and not _shrink(
            db, _LEAST_OF_ONE, (new, load.came_from.key), precedence, size, dropped
        ):
            return False
        if _bytes(db, "WHERE tier = ?", new) + size > share and not (
            _shrink(db, _LEAST_OF_ONE, (new, _most(db, new)), precedence, size, dropped)
            or _shrink(db, _LEAST_OF_TIER, (new,), precedence, size, dropped)
        ):
            return False
    return _bytes(db, "WHERE tier < ?", int(Tier.OWN)) + size <= MAX_BYTES or _shrink(
        db, _LEAST, (int(Tier.OWN),), precedence, size, dropped
    )


def _most(db: sqlite3.Connection, tier: int) -> bytes:
    """Return the neighbour whose records of a tier take the most room."""
    (neighbour,) = db.execute(
        "SELECT came_from FROM holds WHERE tier = ? GROUP BY came_from"
        " ORDER BY sum(bytes) DESC LIMIT 1",
        (tier,),
    ).fetchone()
    return bytes(neighbour)


def _shrink(
    db: sqlite3.Connection,
    least: str,
    values: tuple[object, ...],
    precedence: int,
    size: int,
    dropped: list[bytes],
) -> bool:
    """Drop what is least urgent and oldest, until there is room; False: nothing less urgent."""
    while size > 0:
        row = db.execute(least, (*values, precedence)).fetchone()
        if row is None:
            return False
        number, record_id, expires, length = row
        _drop(db, number, record_id, expires)
        dropped.append(record_id)
        size -= length
    return True


_FOUND: Final = (
    "SELECT record, id, expires_awake_s, bytes FROM carried {index}"
    " JOIN records ON records.number = carried.record WHERE {where} AND precedence <= ?"
    " ORDER BY {order} born_awake_s LIMIT 1"
)
_LEAST: Final = _FOUND.format(
    index="INDEXED BY carried_least", where="tier < ?", order="precedence, tier,"
)
_LEAST_OF_TIER: Final = _FOUND.format(
    index="INDEXED BY carried_least_of_tier", where="tier = ?", order="precedence,"
)
_LEAST_OF_ONE: Final = _FOUND.format(
    index="INDEXED BY carried_least_of_tier",
    where="tier = ? AND came_from = ?",
    order="precedence,",
)


def note_holder(db: sqlite3.Connection, operation: NoteHolder) -> tuple[bytes, ...]:
    """Note who carries messages of ours; return those for which that is new."""
    changed = []
    for record_id in operation.messages:
        added = db.execute(
            "INSERT INTO holders (message, station) SELECT messages.number, ? FROM records"
            " LEFT JOIN resealed ON resealed.record = records.number"
            " JOIN messages ON messages.number = coalesce(resealed.message, records.number)"
            " WHERE records.id = ? AND outgoing ON CONFLICT DO NOTHING RETURNING message",
            (operation.station.key, record_id),
        ).fetchone()
        if added is not None:
            (message,) = db.execute("SELECT id FROM records WHERE number = ?", added).fetchone()
            changed.append(message)
    return tuple(changed)


# -- What is asked for


def overdue(db: sqlite3.Connection, operation: Overdue) -> tuple[bytes, ...]:
    """Return what waits for somebody, or is for everyone, and has never been carried."""
    rows = db.execute(
        "SELECT DISTINCT raw FROM records LEFT JOIN resealed ON resealed.record = records.number"
        " LEFT JOIN messages ON messages.number = coalesce(resealed.message, records.number)"
        " WHERE records.number IN ("
        " SELECT record FROM outbox UNION ALL"
        " SELECT number FROM messages WHERE outgoing AND conversation = x'')"
        " AND NOT EXISTS (SELECT 1 FROM carried WHERE carried.record = records.number)"
        " AND NOT EXISTS (SELECT 1 FROM known WHERE id = records.id)"
        " AND raw != x''"  # the text of a message alone was saved
        " AND (messages.expires_awake_s IS NULL OR messages.expires_awake_s > ?)"
        " ORDER BY records.urgency DESC, records.position LIMIT ?",
        (operation.awake_s, operation.limit),
    )
    return tuple(raw for (raw,) in rows)


def get_carried(
    db: sqlite3.Connection, operation: GetCarried
) -> tuple[tuple[bytes, float, bytes], ...]:
    """Return those records that are still carried, with their ages."""
    found = []
    for record_id in operation.records:
        row = db.execute(
            "SELECT born_awake_s, raw FROM records JOIN carried ON carried.record = records.number"
            " WHERE id = ? AND expires_awake_s > ?",
            (record_id, operation.awake_s),
        ).fetchone()
        if row is not None:
            found.append((record_id, max(operation.awake_s - row[0], 0.0), row[1]))
    return tuple(found)


def get_cargo(db: sqlite3.Connection, _: GetCargo) -> Cargo:
    """Return all ids that are known."""
    carried = db.execute(
        "SELECT id, iif(tier = ? AND precedence < ?, ?, urgency), tier FROM records"
        " JOIN carried ON carried.record = records.number",
        (int(Tier.NEW), int(Precedence.EMERGENCY), LAST),
    )
    known = db.execute("SELECT id FROM known").fetchall()
    here = tuple((record, urgency, tier == Tier.OWN) for record, urgency, tier in carried)
    return Cargo(here, tuple(record_id for (record_id,) in known))


def expire(db: sqlite3.Connection, operation: Expire) -> Expired:
    """Drop what is too old, and forget about what nobody can bring any more."""
    old = db.execute(
        "SELECT record, id, tier = ? AND recipient = x'' FROM carried INDEXED BY carried_until"
        " JOIN records ON records.number = carried.record WHERE carried.expires_awake_s <= ?"
        " ORDER BY carried.expires_awake_s LIMIT ?",
        (int(Tier.OWN), operation.awake_s, operation.limit),
    ).fetchall()
    for number, record_id, is_ours_to_all in old:
        # Others may be a little behind with its age, and bring it again.
        linger_s = FOREVER_S if is_ours_to_all else LINGER_S
        _drop(db, number, record_id, operation.awake_s + linger_s)
    gone = [
        record_id
        for (record_id,) in db.execute(
            "SELECT id FROM known WHERE until_awake_s <= ? ORDER BY until_awake_s LIMIT ?",
            (operation.awake_s, operation.limit),
        )
    ]
    db.executemany("DELETE FROM known WHERE id = ?", [(record_id,) for record_id in gone])
    db.execute(
        "DELETE FROM had WHERE (message, station) IN"
        " (SELECT message, station FROM had WHERE until_awake_s <= ? LIMIT ?)",
        (operation.awake_s, operation.limit),
    )
    return Expired(tuple(record_id for _, record_id, _ in old), tuple(gone))
