"""When the operator is told that nothing can be stored, and when that is over."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from store_damage import fill, hit

from appliance.daemon import main, store_health
from appliance.daemon.store_health import StoreHealth, can_mend, mended, open_store, until_damaged
from appliance.node.effects import Transact
from appliance.node.ports import GetMessages, GetValue, Operation, SetValue, StoreError

FULL = StoreError("disk-full", "The disk is full.")


def transact(operation: Operation[Any], *, lazy: bool = False) -> Transact[Any]:
    return Transact(operation, lambda _: (), lazy=lazy)


def test_a_full_disk_is_over_when_there_is_room_and_what_failed_succeeds() -> None:
    said: list[str] = []
    room = False
    health = StoreHealth(lambda: room, said.append, lambda: said.append("works"))
    write, read = transact(SetValue("card", b"x")), transact(GetValue("card"))
    health.stored(write)
    assert not said
    health.failed(write, FULL)
    health.stored(read)
    health.stored(write)  # it was small
    assert said == ["The disk is full."]
    health.failed(write, FULL)
    room = True
    health.stored(read)
    assert said[-1] == "The disk is full."
    health.stored(write)
    health.stored(write)
    assert said[-2:] == ["The disk is full.", "works"]


def test_what_is_lazy_need_not_come_again() -> None:
    said: list[str] = []
    health = StoreHealth(lambda: True, said.append, lambda: said.append("works"))
    health.failed(transact(SetValue("awake", b"1"), lazy=True), FULL)
    health.stored(transact(GetValue("card")))
    assert said == ["The disk is full.", "works"]


def test_damage_is_told_in_words_that_fit_a_store_in_use() -> None:
    said: list[str] = []
    health = StoreHealth(lambda: True, said.append, lambda: said.append("works"))
    health.failed(transact(GetValue("card")), StoreError("store-corrupt", "Nothing was changed."))
    assert said == [store_health.DAMAGED.text]


async def test_a_store_that_rots_while_it_is_used_is_found_mended_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / main.STORE_NAME
    await fill(path, 40)
    assert mended(path) is None
    with closing(sqlite3.connect(path)) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'records'").fetchone()
    store = await open_store(path)
    monkeypatch.setattr(store_health, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(store_health, "CHECK_AFTER_S", 0.0)
    monkeypatch.setattr(store_health, "CHECK_EVERY_S", 0.0)
    watching = asyncio.create_task(until_damaged(path, troubled=lambda: False))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not watching.done()
    hit(path, [page - 1], random.Random(3))
    await watching
    assert can_mend(path)
    await store.close()

    store = await open_store(path)
    assert len(await store.perform(GetMessages(None, True, None, 99))) == 40
    await store.close()
    problem = mended(path)
    assert problem is not None
    assert "40 messages and 3 stations could be saved" in problem.text
    assert str(path.with_name(f"{path.name}.damaged-1")) in problem.fix
