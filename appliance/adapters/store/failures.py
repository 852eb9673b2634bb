"""What went wrong below, as a sentence for the operator and a code for programs."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path
from typing import Final

from appliance.node.ports import StoreError

_PRIMARY: Final = 0xFF
"""SQLite's extended result codes carry the plain one in their low byte."""

_FULL_ERRNOS: Final = frozenset({errno.ENOSPC, errno.EDQUOT})

_LOSES_TRANSACTION: Final = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_INTERRUPT,
    }
)
"""Results after which SQLite may have rolled back everything, or should."""


def primary_code(error: sqlite3.Error) -> int | None:
    """Return SQLite's plain result code; None when the error came from Python's module."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & _PRIMARY


def loses_transaction(error: sqlite3.Error) -> bool:
    """Tell whether the whole transaction is lost, and not just one operation."""
    return primary_code(error) in _LOSES_TRANSACTION


def disk_full() -> StoreError:
    """There is no room."""
    return StoreError(
        "disk-full",
        "The disk is full, so nothing more can be stored. Delete something or use a larger card.",
    )


def damaged(path: Path) -> StoreError:
    """The file is not what we wrote."""
    return StoreError(
        "store-corrupt",
        f"The message store {path} is damaged. Nothing was changed. Put a copy of it back, or move "
        f"it and {path.name}-wal elsewhere to start with an empty one.",
    )


def explain(error: sqlite3.Error, path: Path) -> StoreError:
    """Say what an error of SQLite means for the operator."""
    code = primary_code(error)
    if code == sqlite3.SQLITE_FULL:
        return disk_full()
    if code in {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}:
        # A full disk also fails in ways that SQLite does not call full: no room for the index of
        # the log, no room in the operator's quota.
        return disk_full() if _no_room(path) else disk_error(str(error))
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return damaged(path)
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return StoreError(
            "store-locked",
            f"Another program keeps the message store {path} locked. Close it and try again.",
        )
    return StoreError("store-failed", f"The message store could not do this: {error}.")


def explain_os(error: OSError) -> StoreError:
    """Say what an error of the file system means for the operator."""
    if error.errno in _FULL_ERRNOS:
        return disk_full()
    return disk_error(error.strerror or str(error))


def disk_error(why: str) -> StoreError:
    """The disk does not do what it should."""
    return StoreError(
        "disk-error",
        f"The disk does not take or give data ({why}). Check that the card sits well and may be "
        "written to, or use another one.",
    )


def _no_room(path: Path) -> bool:
    try:
        return os.statvfs(path.parent).f_bavail == 0
    except OSError:
        return False
