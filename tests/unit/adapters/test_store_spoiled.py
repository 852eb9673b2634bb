"""Damage that is seen late, or in one row only: it takes nothing else along, and says nothing."""

import asyncio
import logging
import random
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from store_damage import fill, hit, mine, opened
from store_samples import ANN, BOB, CLEO, got, station

from appliance.adapters.store import Store, database, salvage, schema
from appliance.model.group import GroupId
from appliance.model.message import DeliveryState
from appliance.node.ports import GetMessages, Pending, SaveStation, StoreError
from appliance.node.ports.carrying import GetCargo, Overdue
from appliance.node.ports.grouping import ShareHistory
from appliance.node.ports.receipting import GetUnopened

VECTORS = Path(__file__).parents[2] / "vectors" / "store"
MESSAGES = 120
GROUP = GroupId(b"g" * 32)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[bytes]]:
    """A store that was closed, and what waits in it."""
    path = tmp_path_factory.mktemp("sound") / "store.db"
    return path, set(asyncio.run(fill(path, MESSAGES)))


@pytest.fixture
def path(tmp_path: Path, sound: tuple[Path, set[bytes]]) -> Path:
    """A copy of it to damage."""
    return Path(shutil.copy(sound[0], tmp_path / "store.db"))


@pytest.mark.parametrize("place", [18, 19, 20, 47, 59])
def test_one_bad_byte_of_the_head_takes_nothing_along(
    path: Path, sound: tuple[Path, set[bytes]], place: int
) -> None:
    """Versions of the format (18, 19, 47), bytes that are set apart (20), sort of text (59)."""
    data = bytearray(path.read_bytes())
    data[place] = 200
    path.write_bytes(data)
    kept, texts, counts = opened(path)
    assert kept == sound[1]
    assert len(texts) == counts["messages"] == MESSAGES
    assert counts["stations"] == 3
    with closing(database.open_database(path)) as used:
        used.connection.execute("INSERT INTO vals VALUES ('works', x'')")


def test_damage_that_can_not_be_put_in_words_is_mended_too(
    path: Path, sound: tuple[Path, set[bytes]]
) -> None:
    data = path.read_bytes()
    assert data.count(b"removed (until_awake_s)") == 1
    path.write_bytes(data.replace(b"removed (until_awake_s)", b"removed (until\x8bawake_s)"))
    assert not database.SlowCheck(path).run()
    kept, texts, _ = opened(path)
    assert kept == sound[1]
    assert len(texts) == MESSAGES


def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not every page is looked at before a store is used."""
    monkeypatch.setattr(database, "FULL_CHECK_SIZE", 0)


def middle_of(path: Path, table: str) -> int:
    """A page in the middle of a table or index; the first of all is 0."""
    with closing(sqlite3.connect(path)) as db:
        pages = db.execute(
            "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf'", (table,)
        ).fetchall()
    return int(pages[len(pages) // 2][0]) - 1


async def test_damage_that_keeps_a_station_from_starting_is_mended_at_the_next_start(
    path: Path, sound: tuple[Path, set[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    large(monkeypatch)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(
            "INSERT INTO carried SELECT number, x'', author, 1, 0, 400, 0.0, 9e9 FROM records"
        )
    hit(path, [middle_of(path, "carried_least_of_tier")], random.Random(1))
    store = Store.open(path)
    with pytest.raises(StoreError) as refused:
        await store.perform(GetCargo())
    assert refused.value.code == "store-corrupt"
    assert "Start this station again" in str(refused.value)
    await store.close()
    store = Store.open(path)
    assert len((await store.perform(GetCargo())).carried) >= MESSAGES
    await store.close()
    assert opened(path)[0] == sound[1]
    assert salvage.set_aside(path) is not None


def older(path: Path, count: int) -> None:
    """A database of version 0.2 with many messages."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript((VECTORS / "v0.2.0.sql").read_text())
        db.execute("PRAGMA journal_mode = WAL").fetchall()
        (columns,) = db.execute(
            "SELECT group_concat(name) FROM pragma_table_info('messages') WHERE name != 'number'"
        ).fetchone()
        db.execute("BEGIN")
        for number in range(100, 100 + count):
            db.execute(
                f"INSERT INTO messages (number, {columns}) SELECT ?, {columns} FROM messages"
                " WHERE NOT outgoing LIMIT 1",
                (number,),
            )
            db.execute(
                "INSERT INTO records SELECT ?, randomblob(32), kind, author, urgency, position,"
                " kept, randomblob(300) FROM records LIMIT 1",
                (number,),
            )
        db.execute("COMMIT")


def test_an_older_database_whose_damage_is_met_on_the_way_to_this_version_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large(monkeypatch)
    path = tmp_path / "store.db"
    older(path, MESSAGES)
    hit(
        path,
        [2 * middle_of(path, "messages"), 2 * middle_of(path, "messages") + 1],
        random.Random(1),
    )
    _, _, counts = opened(path)
    assert counts["messages"] > MESSAGES // 2
    with closing(sqlite3.connect(path)) as db:
        assert schema.version_of(db) == schema.VERSION
    assert salvage.set_aside(path) is not None


async def test_a_spoiled_text_hides_no_other_and_is_not_in_the_log(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        (number,) = db.execute("SELECT max(number) FROM messages").fetchone()
        db.execute(
            "UPDATE messages SET text = CAST(? AS TEXT) WHERE number = ?",
            (b"meet \xff at noon", number),
        )
    store = Store.open(path)
    with caplog.at_level(logging.DEBUG):
        shown = await store.perform(GetMessages(None, True, None, 2 * MESSAGES))
    await store.close()
    assert len(shown) == MESSAGES
    assert [one.text for one in shown if "noon" in one.text] == ["meet \ufffd at noon"]
    assert "noon" not in caplog.text


def lose_record(path: Path, record_id: bytes) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE records SET raw = zeroblob(length(raw)) WHERE id = ?", (record_id,))
    salvage.mend(path)


async def id_of(store: Store, text: str) -> bytes:
    shown = await store.perform(GetMessages(None, True, None, 2 * MESSAGES))
    return next(one.id for one in shown if one.text == text)


async def test_what_went_to_everyone_and_is_lost_is_not_sent_as_nothing(path: Path) -> None:
    ours = mine(order=500)
    ours = replace(ours, message=replace(ours.message, conversation=None), recipients=())
    store = Store.open(path)
    await store.perform(ours)
    await store.perform(got(ANN, DeliveryState.DELIVERED, ours.record.id))
    await store.close()
    lose_record(path, ours.record.id)
    store = Store.open(path)
    assert b"" not in await store.perform(Overdue(0.0, 1000))
    found = await store.perform(Pending(CLEO, 0.0, frozenset(), 1000, for_everyone=True))
    assert b"" not in {raw for _, raw in found}
    await store.close()


async def test_of_a_lost_message_to_a_group_it_is_said_that_one_will_not_get_it(
    path: Path,
) -> None:
    ours = mine(order=500)
    ours = replace(ours, message=replace(ours.message, conversation=GROUP), recipients=(ANN, BOB))
    store = Store.open(path)
    await store.perform(ours)
    await store.perform(got(ANN, DeliveryState.DELIVERED, ours.record.id))
    await store.close()
    lose_record(path, ours.record.id)
    store = Store.open(path)
    shown = await store.perform(GetMessages(GROUP, False, None, 1))
    assert shown[0].problem == salvage.LOST
    # Nor does it go to others as a part of the history, or again.
    await store.perform(SaveStation(station(CLEO, "known")))
    assert await store.perform(ShareHistory(GROUP, CLEO)) == 0
    assert await store.perform(Pending(CLEO, 0.0, frozenset(), 10)) == ()
    assert await store.perform(GetUnopened(BOB, (shown[0].id,), 0.0)) == ()
    await store.close()


async def test_a_record_that_is_gone_does_not_block_what_waits_behind_it(
    path: Path, sound: tuple[Path, set[bytes]]
) -> None:
    """A page of a large database that holds what was there before is seen by no check."""
    gone = min(sound[1])
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("DELETE FROM records WHERE id = ?", (gone,))
    store = Store.open(path)
    found = await store.perform(Pending(BOB, 0.0, frozenset(), 1000))
    assert {record for record, _ in found} == sound[1] - {gone}
    await store.close()
