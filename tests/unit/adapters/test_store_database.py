"""Which files are opened, which are refused, and that a refused one is left as it is."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from store_samples import ANN, incoming

from appliance.adapters.store import Store, database, schema
from appliance.node.ports import GetMessage, StoreError

PAGE = 4096
"""Bytes of a page, SQLite's default."""


def refusal(path: Path) -> str:
    """Why a store is not opened; nothing of it may have changed."""
    ours = [file for file in path.parent.iterdir() if file.suffix in {".db", ".db-wal"}]
    files = {file: content for file in ours if (content := file.read_bytes()) or file == path}
    with pytest.raises(StoreError) as refused:
        database.open_database(path)
    assert str(path) in str(refused.value)
    for file, content in files.items():
        assert file.read_bytes() == content, file
    return refused.value.code


async def filled(path: Path, count: int = 200) -> None:
    store = Store.open(path)
    for _ in range(count - 1):
        store.submit(incoming(ANN, size=1000))
    await store.perform(incoming(ANN))
    await store.close()


async def test_all_files_are_the_operators_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = Store.open(tmp_path / "store.db")
        await store.perform(incoming(ANN))
        modes = {entry.name: oct(entry.stat().st_mode & 0o777) for entry in os.scandir(tmp_path)}
        await store.close()
    finally:
        os.umask(before)
    assert "store.db-wal" in modes
    assert set(modes.values()) == {"0o600"}


async def test_a_second_station_on_the_same_store_is_refused(tmp_path: Path) -> None:
    first = Store.open(tmp_path / "store.db")
    assert refusal(tmp_path / "store.db") == "in-use"
    await first.close()
    second = Store.open(tmp_path / "store.db")
    await second.close()


@pytest.mark.parametrize("limit", [database.FULL_CHECK_SIZE, 0], ids=["small", "large"])
async def test_a_damaged_store_is_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(database, "FULL_CHECK_SIZE", limit)
    path = tmp_path / "store.db"
    await filled(path)
    sound = path.read_bytes()
    with closing(sqlite3.connect(path)) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'records'").fetchone()
    start = (page - 1) * PAGE
    damaged = {
        "emptied": b"",
        "cut": sound[: len(sound) // 2],
        "no header": b"\xff" * 100 + sound[100:],
        "no database": b"no database at all" * 100,
        "a page of garbage": sound[:start] + b"\xa5" * PAGE + sound[start + PAGE :],
    }
    for number, (what, content) in enumerate(damaged.items(), start=1):
        path.write_bytes(content)
        database.open_database(path).close()
        assert (tmp_path / f"store.db.damaged-{number}").read_bytes() == content, what
    path.write_bytes(sound)
    database.open_database(path).close()
    assert not (tmp_path / f"store.db.damaged-{len(damaged) + 1}").exists()


def test_somebody_elses_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE theirs (x)")
    assert refusal(path) == "store-corrupt"


async def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    await filled(path, 2)
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    assert refusal(path) == "store-newer"


async def test_an_older_store_goes_up_the_ladder_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store.db"
    saved = incoming(ANN)
    store = Store.open(path)
    await store.perform(saved)
    await store.close()
    step = ("ALTER TABLE messages ADD COLUMN colour TEXT", "CREATE TABLE paints (x) STRICT")
    before, newest = schema.MIGRATIONS, schema.VERSION
    monkeypatch.setattr(schema, "VERSION", newest + 1)
    monkeypatch.setattr(schema, "MIGRATIONS", (*before, step))
    with pytest.raises(StoreError):
        database.open_database(path)
    with closing(sqlite3.connect(path)) as db:
        assert schema.version_of(db) == newest
        assert "colour" not in {row[1] for row in db.execute("PRAGMA table_info (messages)")}

    monkeypatch.setattr(schema, "MIGRATIONS", (*before, step[:1]))
    store = Store.open(path)
    assert await store.perform(GetMessage(saved.record.id)) == saved.message
    await store.close()
    with closing(sqlite3.connect(path)) as db:
        assert schema.version_of(db) == newest + 1


async def test_a_store_whose_main_file_is_gone_is_not_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = Store.open(path)
    await store.perform(incoming(ANN))
    log = path.with_name("store.db-wal").read_bytes()
    await store.close()
    path.unlink()
    path.with_name("store.db-wal").write_bytes(log)
    assert refusal(path) == "store-corrupt"
    assert not path.exists()


def test_what_a_broken_start_left_is_begun_anew(tmp_path: Path) -> None:
    for ending in ("", "-journal", "-wal", "-shm"):
        (tmp_path / f"store.db.new{ending}").write_bytes(b"half of it")
    database.open_database(tmp_path / "store.db").close()
    assert list(tmp_path.glob("store.db.new*")) == []


def test_a_store_has_its_kind_of_journal_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut while that changes leaves a journal that only a writer could play back."""
    journals: list[bytes] = []

    def rename(draft: Path, path: Path) -> None:
        journals.append(draft.read_bytes()[18:20])
        draft.replace(path)

    monkeypatch.setattr(Path, "rename", rename)
    database.open_database(tmp_path / "store.db").close()
    assert journals == [b"\2\2"]


def test_a_directory_that_is_not_there_is_an_error_for_people(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as refused:
        database.open_database(tmp_path / "missing" / "store.db")
    assert refused.value.code == "disk-error"
