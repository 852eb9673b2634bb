"""A copy of the database while it is used, and what is to be known of one before it is trusted.

Which other files belong to a station, and how they are kept together, is said elsewhere.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from appliance.adapters.store import failures, schema
from appliance.adapters.store.database import open_database
from appliance.adapters.store.stations import get_value, set_value
from appliance.model.codec import FormatError
from appliance.model.record import read_record
from appliance.node.ports import GetValue, SetValue, StoreError

_WAIT_S: Final = 10.0
"""For another program's lock, which is held for moments only."""


def copy_database(path: Path, to: Path) -> None:
    """Write a consistent copy of the database at `path`, as of one moment, to the new file `to`.

    Whoever uses the database goes on.  The copy holds nothing of what was deleted.  Raises
    StoreError.
    """
    try:
        with closing(_read_only(path)) as db:
            (application,) = db.execute("PRAGMA application_id").fetchone()
            if application != schema.APPLICATION_ID:
                raise failures.damaged(path)
            db.execute("VACUUM INTO ?", (str(to),))
        with closing(_read_only(to)) as db:
            if not _is_sound(db):
                raise failures.damaged(path)
    except sqlite3.Error as error:
        # What the copy lacks room for is no fault of the original.
        where = to if failures.primary_code(error) == sqlite3.SQLITE_FULL else path
        raise failures.explain(error, where) from error


def owners(path: Path, *, card_value: str) -> frozenset[bytes]:
    """Check all of a database that nobody uses, and return the keys of the stations whose it is.

    There is none where it is still empty, and more than one only where something is wrong.
    `card_value` is the name of the value with the station's own card.  Raises StoreError.
    """
    try:
        with closing(_read_only(path)) as db:
            (application,) = db.execute("PRAGMA application_id").fetchone()
            if application != schema.APPLICATION_ID or not _is_sound(db):
                raise failures.damaged(path)
            keys = {key for (key,) in db.execute("SELECT author FROM messages WHERE outgoing")}
            card = get_value(db, GetValue(card_value))
    except sqlite3.Error as error:
        raise failures.explain(error, path) from error
    if card is not None:
        try:
            keys.add(read_record(card).author.key)
        except FormatError:
            raise failures.damaged(path) from None
    return frozenset(keys)


def _is_sound(db: sqlite3.Connection) -> bool:
    answers: list[tuple[str]] = db.execute("PRAGMA integrity_check(1)").fetchall()
    return answers == [("ok",)]


def note_value(path: Path, name: str, value: bytes) -> None:
    """Bring a copy to this version and keep a value in it; raises StoreError."""
    with closing(open_database(path)) as database:
        try:
            set_value(database.connection, SetValue(name, value))
        except sqlite3.Error as error:
            raise failures.explain(error, path) from error


@contextmanager
def nobody_uses(path: Path) -> Iterator[None]:
    """Keep every daemon from the database at `path`; raises StoreError where one has it."""
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(
                "in-use", f"A station runs with {path}. Stop it first: fencewire stop"
            ) from None
        yield
    finally:
        os.close(lock)


def _read_only(path: Path) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=ro"
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_WAIT_S)
