"""The database file: locked, made whole or not at all, checked, and brought to this version.

A file that is damaged, belongs to something else or was written by a newer version is refused and
left as it is; a new one is made only where there is nothing.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.adapters.store import failures, schema
from appliance.node.ports import StoreError

WAL_SIZE: Final = 4 * 1024 * 1024
"""Bytes to which the log is cut when it starts again.  It is not cut to nothing: writing over what
is there costs a card about half of what making a file longer does."""

FULL_CHECK_SIZE: Final = 16 * 1024 * 1024
"""Bytes of a database up to which every page is read at start, about a second on a card."""

_SETTINGS: Final = (
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA wal_autocheckpoint = 0",
    f"PRAGMA journal_size_limit = {WAL_SIZE}",
    # In memory: a full disk must not stop a sort, and cards wear.
    "PRAGMA temp_store = MEMORY",
)


@dataclass(frozen=True)
class Database:
    """An open database that nobody else has open."""

    path: Path
    """Its file."""

    connection: sqlite3.Connection
    """For one thread at a time; begins and ends no transaction by itself."""

    lock: int
    """Descriptor of the lock file; closing it lets others in."""

    def close(self) -> None:
        """Close the file, then let others in."""
        try:
            self.connection.close()
        finally:
            os.close(self.lock)

    @property
    def wal_path(self) -> Path:
        """Where SQLite keeps the log."""
        return _beside(self.path, "-wal")


def open_database(path: Path) -> Database:
    """Open the database at `path`, or make it; raises StoreError."""
    try:
        lock = _lock(path)
    except OSError as error:
        raise failures.explain_os(error) from error
    connection = None
    try:
        if not path.exists():
            _create(path)
        _look_before_touching(path)
        connection = _connect(path)
        if schema.version_of(connection) < schema.VERSION:
            schema.migrate(connection)
        return Database(path, connection, lock)
    except BaseException as error:
        if connection is not None:
            connection.close()
        os.close(lock)
        if isinstance(error, sqlite3.Error):
            raise failures.explain(error, path) from error
        if isinstance(error, OSError):
            raise failures.explain_os(error) from error
        raise


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _lock(path: Path) -> int:
    lock = os.open(_beside(path, ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise StoreError(
            "in-use",
            f"Another station already runs with the message store {path}. Stop it, or give this "
            "one a state directory of its own.",
        ) from None
    except OSError:
        os.close(lock)
        raise
    return lock


def _create(path: Path) -> None:
    """Make an empty database under another name, and give it its own when it is whole."""
    if any(_beside(path, ending).exists() for ending in ("-wal", "-journal")):
        # SQLite would play this log into the new file.
        raise StoreError(
            "store-corrupt",
            f"The message store {path} is gone, but {path.name}-wal beside it is still there. "
            "Nothing was changed. Put the store back, or move what is left of it elsewhere.",
        )
    draft = _beside(path, ".new")
    for ending in ("", "-journal", "-wal", "-shm"):
        _beside(draft, ending).unlink(missing_ok=True)
    os.close(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        with closing(sqlite3.connect(draft, isolation_level=None)) as db:
            db.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
            schema.migrate(db)
            # Later, a power cut during this change would leave a rollback journal, which
            # `_look_before_touching` could not play back.
            db.execute("PRAGMA journal_mode = WAL").fetchall()
        draft.rename(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _look_before_touching(path: Path) -> None:
    """Refuse what is not ours, too new or damaged, without changing a byte of it.

    A connection that may write would copy what is left in the log into the file when it closes.
    """
    if path.stat().st_size == 0:
        raise failures.damaged(path)
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        (application,) = db.execute("PRAGMA application_id").fetchone()
        version = schema.version_of(db)
        if application != schema.APPLICATION_ID or version == 0:
            raise StoreError(
                "store-corrupt",
                f"{path} is no message store of Fencewire. Nothing was changed. Move it elsewhere.",
            )
        if version > schema.VERSION:
            raise StoreError(
                "store-newer",
                f"The message store {path} was written by a newer Fencewire. Nothing was changed. "
                "Update this one.",
            )
        _check(db, path)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise failures.disk_error(f"no write-ahead log is possible, only {mode}")
        for setting in _SETTINGS:
            connection.execute(setting).fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def _check(db: sqlite3.Connection, path: Path) -> None:
    """Look for damage: in every page of a small database, at the ends of a large one's tables."""
    (page_size,) = db.execute("PRAGMA page_size").fetchone()
    (page_count,) = db.execute("PRAGMA page_count").fetchone()
    if page_size * page_count <= FULL_CHECK_SIZE:
        (answer,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if answer != "ok":
            raise failures.damaged(path)
        return
    if path.stat().st_size < page_size * page_count and not _beside(path, "-wal").exists():
        raise failures.damaged(path)
    names = db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    for (name,) in names:
        for direction in ("ASC", "DESC"):
            db.execute(f'SELECT * FROM "{name}" ORDER BY 1 {direction} LIMIT 1').fetchall()  # noqa: S608
