"""When operations are carried out, when they are on disk, and who is told what in which order."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from store_samples import ANN, BOB, incoming, outgoing

from appliance.adapters.store import Store, worker
from appliance.adapters.store import store as store_module
from appliance.adapters.store.database import WAL_SIZE
from appliance.node.ports import CountUnread, GetValue, MarkRead, Pending, SetValue, StoreError


def count_on_disk(path: Path) -> int:
    """What somebody else sees, which is what is committed."""
    with closing(sqlite3.connect(path)) as other:
        (count,) = other.execute("SELECT count(*) FROM messages").fetchone()
        return int(count)


async def test_answers_come_in_order_and_reads_see_what_is_not_on_disk_yet(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store.db")
    told: list[Any] = []

    def tell(what: str) -> Callable[[Any], None]:
        return lambda result: told.append((what, result))

    for number in (1, 2):
        value = SetValue("x", bytes([number]))
        store.submit(value, on_applied=tell("never"), on_durable=tell(f"set {number}"))
        store.submit(GetValue("x"), on_applied=tell("never"), on_durable=tell(f"got {number}"))
    assert told == []
    await store.perform(SetValue("y", b""))
    got = [("got 1", b"\1"), ("got 2", b"\2")]
    assert [entry for entry in told if entry in got] == got
    assert [entry for entry in told if entry not in got] == [("set 1", None), ("set 2", None)]
    await store.close()


async def test_what_is_to_be_sent_is_on_disk_when_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = Store.open(path)
    on_disk: list[int] = []
    blocked = threading.Event()
    store.submit(SetValue("first", b""), on_durable=lambda _: None)
    real = worker.Worker._commit

    def slow(self: worker.Worker) -> None:
        blocked.wait(5.0)
        real(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker.Worker, "_commit", slow)
        store.submit(incoming(ANN), on_durable=lambda _: None)
        found = asyncio.get_running_loop().create_future()

        def tell(pending: tuple[tuple[bytes, bytes], ...]) -> None:
            on_disk.append(count_on_disk(path))
            found.set_result(pending)

        store.submit(Pending(ANN, 0.0, frozenset(), 10), on_durable=tell)
        # A mere look is answered meanwhile.
        assert await store.perform(CountUnread()) == {ANN: 1}
        assert not found.done()
        blocked.set()
        assert len(await asyncio.wait_for(found, 5)) == 1
        assert on_disk == [1]
        await store.close()


async def test_a_lazy_operation_is_seen_at_once_and_on_disk_soon(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = Store.open(path)
    loop = asyncio.get_running_loop()
    applied, durable = loop.create_future(), loop.create_future()
    store.submit(
        incoming(ANN), lazy=True, on_applied=applied.set_result, on_durable=durable.set_result
    )
    assert (await applied).new
    assert not durable.done()
    assert await store.perform(CountUnread()) == {ANN: 1}
    assert count_on_disk(path) == 0
    await asyncio.wait_for(durable, 5)
    assert count_on_disk(path) == 1
    await store.close()


async def test_a_lazy_operation_shares_the_next_commit_and_is_answered_behind_it(
    tmp_path: Path,
) -> None:
    store = Store.open(tmp_path / "store.db")
    told: list[str] = []
    ended = asyncio.Event()

    def lazily(_: object) -> None:
        told.append("lazy")
        ended.set()

    store.submit(
        incoming(ANN),
        lazy=True,
        on_applied=lambda _: told.append("applied"),
        on_durable=lazily,
    )
    store.submit(outgoing(ANN), on_durable=lambda _: told.append("durable"))
    async with asyncio.timeout(worker.LAZY_S / 2):
        await store.perform(MarkRead((), ()))
        await ended.wait()
    assert told == ["applied", "durable", "lazy"]
    await store.close()


async def test_many_lazy_operations_do_not_wait_for_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "LAZY_S", 3600.0)
    store = Store.open(tmp_path / "store.db")
    durable = asyncio.get_running_loop().create_future()
    store.submit(SetValue("first", b""), lazy=True, on_durable=durable.set_result)
    for number in range(worker.MAX_BATCH):
        store.submit(SetValue(str(number), b""), lazy=True)
    await asyncio.wait_for(durable, 5)
    await store.close()


async def test_what_is_too_much_is_refused_and_room_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "MAX_WAITING", 3)
    store = Store.open(tmp_path / "store.db")
    failures: list[StoreError] = []
    last = asyncio.get_running_loop().create_future()
    for _ in range(2):
        store.submit(outgoing(ANN))
    store.submit(outgoing(ANN), on_durable=last.set_result)
    store.submit(outgoing(BOB), on_failed=failures.append)
    assert failures == []
    await last
    assert [failure.code for failure in failures] == ["store-busy"]
    await store.perform(outgoing(BOB))

    monkeypatch.setattr(store_module, "MAX_WAITING_BYTES", 1000)
    with pytest.raises(StoreError) as refused:
        await store.perform(outgoing(BOB, size=1000))
    assert refused.value.code == "store-busy"
    await store.perform(outgoing(BOB, size=100))
    await store.close()


async def test_one_who_fails_when_called_keeps_no_other_waiting(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store.db")
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))

    def fail(_: object) -> None:
        raise ValueError("mine")

    store.submit(SetValue("x", b""), on_durable=fail)
    await store.perform(SetValue("x", b""))
    assert [str(complaint["exception"]) for complaint in complaints] == ["mine"]
    await store.close()


async def test_who_is_cancelled_does_not_stop_the_operation(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store.db")
    task = asyncio.create_task(store.perform(SetValue("x", b"kept")))
    await asyncio.sleep(0)
    task.cancel()
    assert await store.perform(GetValue("x")) == b"kept"
    assert task.cancelled()
    await store.close()


async def test_closing_stores_what_waits_and_refuses_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = Store.open(path)
    told: list[object] = []
    for _ in range(300):
        store.submit(outgoing(ANN), on_durable=told.append)
    store.submit(SetValue("x", b""), lazy=True, on_durable=told.append)
    await asyncio.gather(store.close(), store.close())
    assert len(told) == 301
    with pytest.raises(StoreError) as refused:
        await store.perform(CountUnread())
    assert refused.value.code == "store-closed"
    assert not path.with_name("store.db-wal").exists()
    assert count_on_disk(path) == 300


async def test_the_log_stays_short_under_load_and_is_copied_when_idle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "IDLE_S", 0.05)
    path = tmp_path / "store.db"
    store = Store.open(path)
    longest = 0
    for _ in range(25):
        await asyncio.gather(*(store.perform(incoming(ANN, size=20_000)) for _ in range(64)))
        longest = max(longest, path.with_name("store.db-wal").stat().st_size)
    assert WAL_SIZE < longest < worker.WAL_LIMIT + 2 * WAL_SIZE

    for _ in range(worker.MIN_COMMITS):
        await store.perform(SetValue("x", b"last"))

    def copied() -> bool:
        # The log alone does not count here: a copy of the main file without it is opened.
        copy = tmp_path / "copy.db"
        copy.write_bytes(path.read_bytes())
        with closing(sqlite3.connect(f"file:{copy}?immutable=1", uri=True)) as main:
            return main.execute("SELECT value FROM vals").fetchall() == [(b"last",)]

    async with asyncio.timeout(5):
        while not copied():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await store.close()


async def test_a_thread_that_breaks_down_leaves_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(tmp_path / "store.db")
    await store.perform(SetValue("x", b""))

    def break_down(_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(worker.Worker, "_carry_out", lambda _, job: break_down(job))
    answers = await asyncio.gather(
        *(store.perform(SetValue("x", b"")) for _ in range(3)), return_exceptions=True
    )
    assert all(isinstance(answer, StoreError) for answer in answers)
    with pytest.raises(StoreError):
        await store.perform(CountUnread())
    await store.close()


async def test_what_breaks_down_tells_all_though_one_who_is_told_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    go_on = threading.Event()

    def end(self: worker.Worker) -> None:
        go_on.wait(5.0)
        self._database.close()

    def fail(_: object) -> None:
        raise ValueError("mine")

    monkeypatch.setattr(worker.Worker, "run", end)
    store = Store.open(tmp_path / "store.db")
    told: list[StoreError] = []
    store.submit(SetValue("x", b""), on_failed=fail)
    store.submit(SetValue("x", b""), on_failed=told.append)
    go_on.set()
    await asyncio.wait_for(store.close(), 5)
    await asyncio.sleep(0)
    assert [one.code for one in told] == ["store-closed"]
    assert [str(complaint["exception"]) for complaint in complaints] == ["mine"]
