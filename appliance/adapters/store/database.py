"""The database file: locked, made whole or not at all, checked, and brought to this version.

A file that belongs to something else or was written by a newer version is refused and left as it
is.  A damaged one is set aside, and what can be read of it is saved (see `salvage`).  A new one is
made only where there is nothing.

Damage is looked for at start: in all pages of a small database, in what a second allows of a large
one, whose every page `SlowCheck` reads later while it is in use.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
import sys
import threading
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from appliance.adapters.store import failures, salvage, schema
from appliance.adapters.store.pages import MAGIC, PAGE_SIZE, Log
from appliance.adapters.store.salvage import beside
from appliance.node.ports import StoreError

log = logging.getLogger(__name__)

WAL_SIZE: Final = 4 * 1024 * 1024
"""Bytes to which the log is cut when it starts again.  It is not cut to nothing: writing over what
is there costs a card about half of what making a file longer does."""

FULL_CHECK_SIZE: Final = 16 * 1024 * 1024
"""Bytes of a database up to which every page is read at start, about a second on a card."""

_SETTINGS: Final = (
    "PRAGMA synchronous = FULL",
    # Each record that is dropped would have all messages searched for receipts that refer to it.
    "PRAGMA foreign_keys = OFF",
    "PRAGMA wal_autocheckpoint = 0",
    f"PRAGMA journal_size_limit = {WAL_SIZE}",
    # In memory: a full disk must not stop a sort, and cards wear.
    "PRAGMA temp_store = MEMORY",
)


_FORMATS: Final = frozenset({1, 2})
"""Versions of the file format to write and to read (sqlite.org/fileformat2.html, 1.3)."""


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
        return beside(self.path, "-wal")


def open_database(path: Path) -> Database:
    """Open the database at `path`, mend it if it is damaged, or make it; raises StoreError."""
    try:
        lock = _lock(path)
    except OSError as error:
        raise failures.explain_os(error) from error
    connection = None
    try:
        salvage.finish(path)
        if not path.exists():
            _create(path)
        sound = _is_sound(path)
        # What opens all the same goes on as it is where there is no room to mend it.
        if not sound or (beside(path, ".suspect").exists() and salvage.has_room(path)):
            _mend(path)
        connection = _connect(path)
        if schema.version_of(connection) < schema.VERSION:
            try:
                schema.migrate(connection)
            except sqlite3.Error as error:
                if not failures.is_damage(error):
                    raise
                # It reads more of a large one than was looked at.
                connection.close()
                connection = None
                _mend(path)
                connection = _connect(path)
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


def _mend(path: Path) -> None:
    log.error("the message store %s is damaged; saving what can be read", path)
    salvage.mend(path)


def _lock(path: Path) -> int:
    lock = os.open(beside(path, ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
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
    if any(beside(path, ending).exists() for ending in ("-wal", "-journal")):
        # SQLite would play this log into the new file.
        raise StoreError(
            "store-corrupt",
            f"The message store {path} is gone, but {path.name}-wal beside it is still there. "
            "Nothing was changed. Put the store back, or move what is left of it elsewhere.",
        )
    draft = beside(path, ".new")
    for ending in ("", "-journal", "-wal", "-shm"):
        beside(draft, ending).unlink(missing_ok=True)
    os.close(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        with closing(sqlite3.connect(draft, isolation_level=None)) as db:
            db.execute(f"PRAGMA page_size = {PAGE_SIZE}")  # before anything else
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


def _is_sound(path: Path) -> bool:
    """Look for damage, and refuse what is not ours or too new, without changing a byte.

    A connection that may write would copy what is left in the log into the file when it closes.
    """
    with path.open("rb") as file:
        head = file.read(len(MAGIC) + 4)
        # SQLite takes a file of a later format for one that may be read only.
        if not head.startswith(MAGIC) or not set(head[-2:]) <= _FORMATS:
            return False
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            (application,) = db.execute("PRAGMA application_id").fetchone()
            version = schema.version_of(db)
            names = {name for (name,) in db.execute("SELECT name FROM sqlite_schema")}
            if application != schema.APPLICATION_ID and "records" not in names:
                raise StoreError(
                    "store-corrupt",
                    f"{path} is no message store of Fencewire. Nothing was changed. "
                    "Move it elsewhere.",
                )
            if version > schema.VERSION:
                raise StoreError(
                    "store-newer",
                    f"The message store {path} was written by a newer Fencewire. "
                    "Nothing was changed. Update this one.",
                )
            named = application == schema.APPLICATION_ID and version > 0
            return named and _reads_well(db, path) and not _log_has_hole(path)
    except sqlite3.Error as error:
        # What was asked is right for each database that we have written, if it is as it was.
        if failures.is_damage(error) or failures.makes_no_sense(error):
            return False
        raise
    except UnicodeDecodeError:
        # SQLite's words for damage quote it, and Python can't read that.
        return False


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise failures.disk_error(f"no write-ahead log is possible, only {mode}")
        for setting in _SETTINGS:
            connection.execute(setting).fetchall()
        # What the card has spoiled of one text must not hide all that is shown with it.
        connection.text_factory = partial(str, encoding="utf-8", errors="replace")
    except BaseException:
        connection.close()
        raise
    return connection


def _reads_well(db: sqlite3.Connection, path: Path) -> bool:
    """Look for damage: in every page of a small database, at the ends of a large one's tables."""
    (page_size,) = db.execute("PRAGMA page_size").fetchone()
    (page_count,) = db.execute("PRAGMA page_count").fetchone()
    if page_size * page_count <= FULL_CHECK_SIZE:
        (answer,) = db.execute("PRAGMA quick_check(1)").fetchone()
        return bool(answer == "ok")
    if path.stat().st_size < page_size * page_count and not beside(path, "-wal").exists():
        return False
    for name in _tables(db):
        for direction in ("ASC", "DESC"):
            db.execute(f'SELECT * FROM "{name}" ORDER BY 1 {direction} LIMIT 1').fetchall()  # noqa: S608
    return True


def _log_has_hole(path: Path) -> bool:
    """Tell whether SQLite, which stops at the first bad frame of the log, misses commits behind it.

    The last commit may be torn by a power cut, which is no damage: nobody was told of it.  Nor is
    what others have left there that failed.  One before the last was on disk before that began.
    How far SQLite has read stands in the index of the log (sqlite.org/walformat.html, 2.1); nobody
    else has a lock on that file now.
    """
    try:
        index = beside(path, "-shm").read_bytes()[:20]
        frames = Log(beside(path, "-wal"))
    except FileNotFoundError:
        return False
    try:
        return frames.misses_commits(int.from_bytes(index[16:20], sys.byteorder))
    finally:
        frames.close()


def _tables(db: sqlite3.Connection) -> list[str]:
    rows = db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    return [str(name) for (name,) in rows]


def suspect(path: Path) -> None:
    """Have a database mended when it is opened next."""
    beside(path, ".suspect").touch(mode=0o600)


class SlowCheck:
    """Reads every page of a database that is in use, once."""

    def __init__(self, path: Path) -> None:
        """Nothing is read before `run`."""
        self._path = path
        self._stopped = False
        self._db: sqlite3.Connection | None = None

    def run(self) -> bool:
        """Tell whether it is sound, as far as it was read; for a thread of its own.

        One table after the other, each in a transaction of its own: while one lasts, the log
        can't begin anew.
        """
        # Of this thread alone, on Linux; the disk serves it last, too.
        with suppress(PermissionError):  # a service manager may forbid even that
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        uri = f"{self._path.absolute().as_uri()}?mode=ro"
        try:
            with closing(sqlite3.connect(uri, uri=True, check_same_thread=False)) as db:
                self._db = db
                for name in _tables(db):
                    if self._stopped:
                        break
                    (answer,) = db.execute(f'PRAGMA quick_check("{name}")').fetchone()
                    if answer != "ok":
                        return False
        except sqlite3.Error as error:
            return not failures.is_damage(error)
        except UnicodeDecodeError:  # as in `_is_sound`
            return False
        finally:
            self._db = None
        return True

    def stop(self) -> None:
        """Have `run` end soon."""
        self._stopped = True
        if (db := self._db) is not None:
            # It may be closed by now.
            with suppress(sqlite3.ProgrammingError):
                db.interrupt()
