"""What comes with messages, and which bulk data that needs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from appliance.model import codec
from appliance.model.attachment import Attachment
from appliance.model.codec import FormatError
from appliance.model.record import BlobRef

MAX_ENCODED = 64 * 1024


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
