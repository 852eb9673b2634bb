"""What is saved of a damaged store, and that nothing interrupts it for good."""

import asyncio
import errno
import os
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from store_damage import PAGE, fill, hit, opened

from appliance.adapters.store import database, salvage, schema
from appliance.node.ports import StoreError

MESSAGES = 200


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, set[bytes]]:
    """A store that was closed, one that a power cut left with its log, and what waits in both."""
    path = tmp_path_factory.mktemp("sound") / "store.db"
    cut = path.with_name("cut.db")
    waiting = asyncio.run(fill(path, MESSAGES, left_open=cut))
    return path, cut, set(waiting)


def copied(source: Path, directory: Path) -> Path:
    """A copy to damage."""
    directory.mkdir(exist_ok=True)
    path = directory / "store.db"
    for ending in ("", "-wal"):
        if source.with_name(source.name + ending).exists():
            shutil.copy(source.with_name(source.name + ending), f"{path}{ending}")
    return path


def root(path: Path, name: str) -> int:
    """The first page of a table; the first of all is 0."""
    with closing(sqlite3.connect(path)) as db:
        (page,) = db.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = ?", (name,)
        ).fetchone()
        return int(page) - 1


@pytest.mark.parametrize(
    "table",
    ["sqlite_schema", "records", "messages", "recipients", "outbox", "messages_by_position"],
)
def test_no_single_page_takes_what_waits_along(
    tmp_path: Path, sound: tuple[Path, Path, set[bytes]], table: str
) -> None:
    path = copied(sound[0], tmp_path)
    before = path.read_bytes()
    page = 0 if table == "sqlite_schema" else root(path, table)
    hit(path, [page], random.Random(1))
    damaged = path.read_bytes()
    assert damaged != before
    kept, texts, counts = opened(path)
    assert kept >= sound[2]
    assert counts["messages"] == MESSAGES
    assert len(texts) == MESSAGES
    assert counts["stations"] == 3
    assert counts["vals"] == 2
    assert path.with_name("store.db.damaged-1").read_bytes() == damaged
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "store.db",
        "store.db.damaged-1",
        "store.db.damaged-1.txt",
        "store.db.lock",
    ]


@pytest.mark.parametrize("seed", range(6))
def test_of_a_store_with_many_bad_pages_the_others_are_read(
    tmp_path: Path, sound: tuple[Path, Path, set[bytes]], seed: int
) -> None:
    path = copied(sound[0], tmp_path)
    count = path.stat().st_size // PAGE
    dice = random.Random(seed)
    hit(path, dice.sample(range(count), count // 20), dice)
    kept, _, counts = opened(path)
    assert len(sound[2] - kept) <= len(sound[2]) // 3
    assert counts["messages"] > MESSAGES * 0.7


def test_a_cut_an_emptied_and_a_headless_file_are_mended(
    tmp_path: Path, sound: tuple[Path, Path, set[bytes]]
) -> None:
    path = copied(sound[0], tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3 + 100])
    _, _, counts = opened(path)
    assert counts["messages"] > MESSAGES // 3
    path.write_bytes(b"\xff" * 100 + whole[100:])
    kept, _, counts = opened(path)
    assert kept >= sound[2]
    assert counts["messages"] == MESSAGES
    path.write_bytes(b"")
    assert opened(path)[2]["messages"] == 0
    # The oldest of the three is gone.
    names = {file.name for file in tmp_path.glob("store.db.damaged-*")}
    assert names == {f"store.db.damaged-{n}{ending}" for n in (2, 3) for ending in ("", ".txt")}
    found = salvage.set_aside(path)
    assert found is not None
    assert found[0].name == "store.db.damaged-3"
    assert found[1].startswith("The message store was damaged. 0 messages")


def test_a_store_with_a_log_is_mended_with_what_is_in_the_log(
    tmp_path: Path, sound: tuple[Path, Path, set[bytes]]
) -> None:
    path = copied(sound[1], tmp_path)
    log = path.with_name("store.db-wal").read_bytes()
    assert len(log) > 3 * PAGE
    hit(path, [0], random.Random(1))
    path.with_name("store.db.suspect").touch()
    kept, _, counts = opened(path)
    assert kept >= sound[2]
    assert counts["messages"] == MESSAGES
    assert path.with_name("store.db.damaged-1-wal").read_bytes() == log


def test_a_hole_in_the_log_does_not_silently_take_what_came_after_it(
    tmp_path: Path, sound: tuple[Path, Path, set[bytes]]
) -> None:
    for where in (0, 32 + 24 + 100, 32 + (24 + PAGE) + 8):
        path = copied(sound[1], tmp_path / str(where))
        log = path.with_name("store.db-wal")
        content = bytearray(log.read_bytes())
        content[where : where + 4] = b"\xa5" * 4
        log.write_bytes(content)
        kept, _, counts = opened(path)
        assert path.with_name("store.db.damaged-1").exists(), where
        assert len(sound[2] - kept) <= 1, where
        assert counts["messages"] > MESSAGES * 0.9, where


def test_a_log_that_a_power_cut_tore_is_no_damage(
    tmp_path: Path, sound: tuple[Path, Path, set[bytes]]
) -> None:
    path = copied(sound[1], tmp_path)
    log = path.with_name("store.db-wal")
    log.write_bytes(log.read_bytes()[:-PAGE])
    kept, _, _ = opened(path)
    assert kept >= sound[2]
    assert not path.with_name("store.db.damaged-1").exists()


class CutOffError(Exception):
    """The process ends here."""


def test_a_mending_that_is_cut_off_anywhere_goes_on(
    tmp_path: Path, sound: tuple[Path, Path, set[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Path.rename
    left = 0

    def rename(self: Path, target: Path) -> Path:
        nonlocal left
        left -= 1
        if left < 0:
            raise CutOffError
        return original(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    for renames in range(6):
        path = copied(sound[1], tmp_path / str(renames))
        hit(path, [0, 1, 2], random.Random(1))
        damaged = path.read_bytes()
        path.with_name("store.db.suspect").touch()
        left = renames
        if renames < 5:
            with pytest.raises(CutOffError):
                database.open_database(path)
        left = 99
        kept, _, counts = opened(path)
        assert kept >= sound[2]
        assert counts["messages"] == MESSAGES
        aside = list(path.parent.glob("store.db.damaged-?"))
        assert [file.read_bytes() for file in aside] == [damaged]
        assert len(list(path.parent.glob("store.db.damaged-?-wal"))) == 1
        assert not path.with_name("store.db.suspect").exists()


def test_of_a_message_whose_record_is_lost_the_text_stays_and_nothing_broken_is_sent(
    tmp_path: Path, sound: tuple[Path, Path, set[bytes]]
) -> None:
    path = copied(sound[0], tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        number, record_id = db.execute(
            "SELECT number, id FROM records JOIN outbox ON record = number WHERE id = ?",
            (min(sound[2]),),
        ).fetchone()
        db.execute("UPDATE records SET raw = zeroblob(length(raw)) WHERE id = ?", (record_id,))
    salvage.mend(path)
    kept, texts, _ = opened(path)
    assert sound[2] - kept == {record_id}
    assert len(texts) == MESSAGES
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute(
            "SELECT problem, expires_awake_s FROM messages WHERE number = ?", (number,)
        ).fetchall()
    assert rows == [(salvage.LOST, 0.0)]


def test_every_table_is_copied_and_what_fills_itself_is_not_doubled(
    tmp_path: Path, sound: tuple[Path, Path, set[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = copied(sound[0], tmp_path)
    step = (
        "CREATE TABLE paints (id BLOB PRIMARY KEY, amount REAL NOT NULL) STRICT, WITHOUT ROWID",
        "CREATE TABLE sums (name TEXT PRIMARY KEY, amount REAL NOT NULL) STRICT",
        "CREATE TRIGGER added AFTER INSERT ON paints BEGIN INSERT INTO sums"
        " VALUES ('all', new.amount) ON CONFLICT DO UPDATE SET amount = amount + new.amount; END",
        "ALTER TABLE stations ADD COLUMN colour TEXT",
    )
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, step))
    monkeypatch.setattr(schema, "VERSION", len(schema.MIGRATIONS))
    database.open_database(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        paints = [(bytes([number]) * 40, number / 2) for number in range(150)]
        db.executemany("INSERT INTO paints VALUES (?, ?)", paints)
    hit(path, [0, root(path, "paints")], random.Random(1))
    _, _, counts = opened(path)
    assert counts["stations"] == 3
    with closing(sqlite3.connect(path)) as db:
        found = db.execute("SELECT * FROM paints").fetchall()
        (total,) = db.execute("SELECT amount FROM sums").fetchone()
    # The page at the head of this table holds some rows of its own.
    assert len(found) >= 145
    assert set(found) <= set(paints)
    assert total == sum(amount for _, amount in found)


def test_a_database_of_version_0_2_without_its_head_is_read_with_its_larger_pages(
    tmp_path: Path, sound: tuple[Path, Path, set[bytes]]
) -> None:
    path = copied(sound[0], tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = DELETE").fetchall()
        db.execute("PRAGMA page_size = 4096")
        db.execute("VACUUM")
        db.execute("PRAGMA journal_mode = WAL").fetchall()
    data = bytearray(path.read_bytes())
    assert int.from_bytes(data[16:18], "big") == 4096
    data[:100] = bytes(100)
    path.write_bytes(data)
    kept, texts, _ = opened(path)
    assert len(texts) >= MESSAGES * 0.9
    assert len(sound[2] & kept) >= len(sound[2]) * 0.9


def test_without_room_nothing_is_changed(
    tmp_path: Path, sound: tuple[Path, Path, set[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = copied(sound[0], tmp_path)
    hit(path, [0], random.Random(1))
    damaged = path.read_bytes()

    def write_text(self: Path, words: str) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", write_text)
        with pytest.raises(StoreError) as refused:
            database.open_database(path)
    assert refused.value.code == "disk-full"
    assert path.read_bytes() == damaged
    assert opened(path)[0] >= sound[2]


def test_what_opens_all_the_same_goes_on_where_there_is_no_room_to_mend_it(
    tmp_path: Path, sound: tuple[Path, Path, set[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = copied(sound[0], tmp_path)
    database.suspect(path)
    with monkeypatch.context() as patch:
        patch.setattr(salvage, "has_room", lambda _: False)
        assert opened(path)[2]["messages"] == MESSAGES
    assert not path.with_name("store.db.damaged-1").exists()
    assert opened(path)[2]["messages"] == MESSAGES
    assert path.with_name("store.db.damaged-1").exists()


def test_a_store_in_use_is_read_whole_beside(
    tmp_path: Path, sound: tuple[Path, Path, set[bytes]]
) -> None:
    path = copied(sound[0], tmp_path)
    in_use = database.open_database(path)
    assert database.SlowCheck(path).run()
    pages = path.stat().st_size // PAGE
    in_use.close()
    hit(path, list(range(pages // 2, pages // 2 + 3)), random.Random(2))
    assert not database.SlowCheck(path).run()


def test_a_service_manager_that_forbids_other_priorities_stops_no_look(
    tmp_path: Path, sound: tuple[Path, Path, set[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: int) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "setpriority", refused)
    assert database.SlowCheck(copied(sound[0], tmp_path)).run()
