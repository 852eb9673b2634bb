"""What failed commits leave in the log never counts, not even when damage is mended."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from appliance.adapters.store import database

ROWS = 400


def _fill(db: sqlite3.Connection) -> None:
    """Make many pages that come before the one that all of the test is about."""
    ids = [(number.to_bytes(2, "big") * 16, 1.0) for number in range(ROWS)]
    db.execute("BEGIN")
    db.executemany("INSERT INTO known VALUES (?, ?)", ids)
    rows = [(f"row {number}", bytes(1500)) for number in range(10)]
    db.executemany("INSERT INTO vals VALUES (?, ?)", [*rows, ("state", b"queued")])
    db.execute("COMMIT")


def _attempt(at: Path, copy: Path, state: bytes, others: int) -> bytes:
    """Write to a copy; return its log, with the frame of `state` behind those of others."""
    copy.mkdir()
    for ending in ("", "-wal"):
        shutil.copy(f"{at}{ending}", copy / f"store.db{ending}")
    with closing(sqlite3.connect(copy / "store.db", isolation_level=None)) as db:
        db.execute("PRAGMA wal_autocheckpoint = 0")
        before = (copy / "store.db-wal").stat().st_size
        db.execute("BEGIN")
        db.execute(
            "UPDATE known SET until_awake_s = 9.0 WHERE id IN (SELECT id FROM known LIMIT ?)",
            (others,),
        )
        db.execute("UPDATE vals SET value = ? WHERE name = 'state'", (state,))
        db.execute("COMMIT")
        log = (copy / "store.db-wal").read_bytes()
    assert len(log) > before
    return log


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """A store that was killed after two commits had failed and a shorter one went well."""
    path = tmp_path / "store.db"
    snapshot = tmp_path / "snapshot.db"
    made = database.open_database(path)
    for name in ("a", "b"):
        made.connection.execute("INSERT INTO vals VALUES (?, x'00')", (name,))
    _fill(made.connection)
    for ending in ("", "-wal"):
        shutil.copy(f"{path}{ending}", f"{snapshot}{ending}")
    made.close()
    long = _attempt(snapshot, tmp_path / "long", b"never said", ROWS)
    middle = _attempt(snapshot, tmp_path / "middle", b"never said", ROWS // 3)
    acknowledged = _attempt(snapshot, tmp_path / "short", b"delivered", 0)
    assert len(acknowledged) < len(middle) < len(long)
    log = acknowledged + middle[len(acknowledged) :] + long[len(middle) :]
    found = tmp_path / "left" / "store.db"
    found.parent.mkdir()
    shutil.copy(snapshot, found)
    found.with_name("store.db-wal").write_bytes(log)
    return found


def _leave(_: Path) -> None:
    pass


@pytest.mark.parametrize("note", [_leave, database.suspect])
def test_what_was_acknowledged_outlives_what_failed_before_it(
    left: Path, note: Callable[[Path], None]
) -> None:
    note(left)
    database.open_database(left).close()
    with closing(sqlite3.connect(left)) as db:
        (state,) = db.execute("SELECT value FROM vals WHERE name = 'state'").fetchone()
        changed = db.execute("SELECT count(*) FROM known WHERE until_awake_s = 9.0").fetchone()
    assert (state, changed) == (b"delivered", (0,))
    assert left.with_name("store.db.damaged-1").exists() == (note is database.suspect)
