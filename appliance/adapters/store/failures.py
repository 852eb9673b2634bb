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

_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

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


def is_damage(error: sqlite3.Error) -> bool:
    """Tell whether the file is not what we wrote."""
    return primary_code(error) in _DAMAGE


def makes_no_sense(error: sqlite3.Error) -> bool:
    """Tell whether SQLite, or Python's module, could make nothing of what was asked or found."""
    return primary_code(error) in {sqlite3.SQLITE_ERROR, None}


def disk_full() -> StoreError:
    """There is no room."""
    return StoreError(
        "disk-full",
        "The disk is full, so nothing more can be stored. Delete something or use a larger card.",
    )


def stopped() -> StoreError:
    """Nothing is stored any more."""
    return StoreError("store-failed", "The store has stopped. Restart this station.")


def unreadable(path: Path) -> StoreError:
    """A part of the file that is in use is not what we wrote."""
    return StoreError(
        "store-corrupt",
        f"A part of the message store {path} can't be read any more. Start this station again: "
        "what can be read is saved then, for which the disk needs as much room again.",
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
    if code in _DAMAGE:
        return damaged(path)
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return StoreError(
            "store-locked",
            f"Another program keeps the message store {path} locked. Close it and try again.",
        )
    # What Python's module says by itself may hold what stands in the database.
    why = error if code is not None else "what stands in it makes no sense"
    return StoreError("store-failed", f"The message store could not do this: {why}.")


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
