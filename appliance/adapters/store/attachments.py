"""What comes with messages, and which bulk data that needs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from appliance.model import codec
from appliance.model.attachment import Attachment
from appliance.model.cargo import Tier
from appliance.model.codec import FormatError
from appliance.model.identity import StationId
from appliance.model.record import BlobRef, Precedence, read_record
from appliance.node.ports.attaching import MAX_USES, BlobUse, GetUses, ScanUses, Wish

MAX_ENCODED: Final = 64 * 1024
_WISHED: Final = 2
"""In the place of 1, where a message that is shown here needs it: our operator has asked for it."""

_TIERS: Final = {"known": Tier.KNOWN, "verified": Tier.VERIFIED}


def encode(attachments: tuple[Attachment, ...]) -> bytes | None:
    """Return what a row keeps; None: nothing."""
    if not attachments:
        return None
    return codec.encode([attachment.encode() for attachment in attachments])


def decode(data: bytes | None) -> tuple[Attachment, ...]:
    """Read what a row keeps; raises FormatError."""
    if data is None:
        return ()
    items = codec.decode(data, limit=MAX_ENCODED)
    if type(items) is not list:
        raise FormatError("attachments: not a list")
    return tuple(Attachment.decode(item) for item in items)


def use(db: sqlite3.Connection, record: int, blobs: Iterable[BlobRef], *, mine: bool) -> None:
    """Note that a record needs bulk data; `mine`: it is a message that is shown here."""
    db.executemany(
        "INSERT INTO blob_uses (root, record, bytes, mine) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET mine = max(mine, excluded.mine)",
        [(blob.root, record, blob.size, mine) for blob in blobs],
    )


_USES = f"""
    SELECT used.bytes, records.id, used.mine, records.author,
        coalesce(messages.outgoing, carried.tier = {int(Tier.OWN)}, 0), stations.trust,
        coalesce(carried.precedence, messages.precedence, 0), carried.came_from,
        coalesce(carried.born_awake_s, 0.0)
    FROM (
        SELECT blob_uses.* FROM blob_uses
        JOIN records ON records.number = blob_uses.record
        LEFT JOIN stations ON stations.id = records.author
        WHERE root = ?
        ORDER BY mine DESC, stations.trust IN ('known', 'verified') DESC, record LIMIT {MAX_USES}
    ) AS used
    JOIN records ON records.number = used.record
    LEFT JOIN messages ON messages.number = used.record
    LEFT JOIN carried ON carried.record = used.record
    LEFT JOIN stations ON stations.id = records.author
    ORDER BY used.mine DESC, used.record
"""  # noqa: S608


def get_uses(db: sqlite3.Connection, operation: GetUses) -> tuple[BlobUse, ...]:
    """Return what needs a blob."""
    return _uses(db, operation.root)


def scan_uses(
    db: sqlite3.Connection, operation: ScanUses
) -> tuple[tuple[bytes, tuple[BlobUse, ...]], ...]:
    """Return a part of all blobs with what needs them."""
    roots = db.execute(
        "SELECT DISTINCT root FROM blob_uses WHERE root > ? ORDER BY root LIMIT ?",
        (operation.after, operation.limit),
    ).fetchall()
    return tuple((root, _uses(db, root)) for (root,) in roots)


def _uses(db: sqlite3.Connection, root: bytes) -> tuple[BlobUse, ...]:
    return tuple(
        BlobUse(
            size=size,
            record=record,
            mine=mine > 0,
            wished=mine >= _WISHED,
            author=StationId(author),
            tier=Tier.OWN if own else _TIERS.get(trust, Tier.NEW),
            precedence=Precedence(precedence),
            came_from=None if came_from is None else StationId(came_from),
            born_awake_s=born,
        )
        for size, record, mine, author, own, trust, precedence, came_from, born in db.execute(
            _USES, (root,)
        )
    )


def wish(db: sqlite3.Connection, operation: Wish) -> bool:
    """Note that our operator wants a blob."""
    noted = db.execute(
        "UPDATE blob_uses SET mine = ? WHERE root = ? AND mine"
        " AND record = (SELECT number FROM records WHERE id = ?)",
        (_WISHED, operation.root, operation.message),
    )
    return noted.rowcount > 0


def mend(db: sqlite3.Connection) -> None:
    """Note once more what needs bulk data, where damage has taken those notes: none may be lost.

    By the messages themselves, of which only the texts may be left, and what is carried.
    """
    shown = db.execute("SELECT number, attachments FROM messages WHERE attachments IS NOT NULL")
    for number, encoded in shown.fetchall():
        with suppress(FormatError):
            use(db, number, (one.blob for one in decode(encoded)), mine=True)
    for number, raw in db.execute(
        "SELECT number, raw FROM records JOIN carried ON carried.record = records.number"
    ):
        with suppress(FormatError):
            use(db, number, read_record(raw).blobs, mine=False)
