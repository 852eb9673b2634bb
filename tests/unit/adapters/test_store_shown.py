"""What an operator was shown stays as it was shown, though no commit succeeds for a while."""

import asyncio
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from store_samples import ANN, BOB, got, incoming, outgoing

from appliance.adapters.store import Store, operations, worker
from appliance.model.message import DeliveryState
from appliance.node.ports import GetMessage, Operation, SaveReceipt, SetValue, StoreError


@contextmanager
def commits_fail(path: Path, *, room: int = 0) -> Iterator[None]:
    """Let the log grow by `room` bytes and no more: whatever else is written to it fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = path.with_name("store.db-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def state_of(store: Store, message: bytes) -> DeliveryState:
    found = await store.perform(GetMessage(message))
    assert found is not None
    (recipient,) = found.recipients
    return recipient.state


def state_on_disk(path: Path, message: bytes) -> DeliveryState:
    """What somebody else sees."""
    with closing(sqlite3.connect(path)) as other:
        (state,) = other.execute(
            "SELECT state FROM recipients JOIN records ON message = number WHERE id = ?", (message,)
        ).fetchone()
        return DeliveryState(state)


class Shown:
    """A lazy operation that is given to a store, and what is told of it."""

    def __init__(self, store: Store, operation: Operation[Any]) -> None:
        loop = asyncio.get_running_loop()
        self.applied, self.durable = loop.create_future(), loop.create_future()
        self.failed = loop.create_future()
        store.submit(
            operation,
            lazy=True,
            on_applied=self.applied.set_result,
            on_durable=self.durable.set_result,
            on_failed=self.failed.set_result,
        )


async def refused(store: Store, size: int = 200) -> None:
    """Have something stored that can't be, which fails the commit of all that waits."""
    with pytest.raises(StoreError) as failure:
        await store.perform(incoming(BOB, size=size))
    assert failure.value.code == "disk-error"


async def test_a_state_that_was_shown_stays_while_commits_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "RETRY_S", 0.02)
    path = tmp_path / "store.db"
    store = Store.open(path)
    first, second = outgoing(ANN), outgoing(ANN)
    await store.perform(first)
    await store.perform(second)
    ids = first.record.id, second.record.id
    with commits_fail(path):
        one = Shown(store, got(ANN, DeliveryState.DELIVERED, ids[0]))
        nothing_new = Shown(store, got(ANN, DeliveryState.DELIVERED, ids[0]))
        assert await one.applied == ids[:1]
        assert await nothing_new.applied == ()
        untold = asyncio.get_running_loop().create_future()
        store.submit(SetValue("x", b""), lazy=True, on_failed=untold.set_result)
        await refused(store)
        # What nobody has seen fails, what somebody has seen stays.
        assert (await nothing_new.failed).code == (await untold).code == "disk-error"
        assert await state_of(store, ids[0]) is DeliveryState.DELIVERED
        two = Shown(store, got(ANN, DeliveryState.READ, *ids))
        assert await two.applied == ids
        for _ in range(3):
            await refused(store)
            assert await state_of(store, ids[0]) is DeliveryState.READ
            assert await state_of(store, ids[1]) is DeliveryState.READ
        assert state_on_disk(path, ids[0]) is DeliveryState.QUEUED
        assert not any(future.done() for future in (one.durable, one.failed, two.durable))
    async with asyncio.timeout(5):
        await asyncio.gather(one.durable, two.durable)
    assert [state_on_disk(path, id_) for id_ in ids] == [DeliveryState.READ] * 2
    await store.perform(incoming(BOB))
    await store.close()


async def test_what_was_shown_is_stored_though_what_is_too_long_fails_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "RETRY_S", 0.02)
    path = tmp_path / "store.db"
    store = Store.open(path)
    message = outgoing(ANN)
    await store.perform(message)
    with commits_fail(path, room=64 * 1024):
        shown = Shown(store, got(ANN, DeliveryState.DELIVERED, message.record.id))
        await shown.applied
        async with asyncio.timeout(5):
            while not shown.durable.done():
                await refused(store, size=100_000)
    assert state_on_disk(path, message.record.id) is DeliveryState.DELIVERED
    await store.close()


async def test_while_commits_fail_only_so_much_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "MAX_SHOWN", 2)
    path = tmp_path / "store.db"
    store = Store.open(path)
    messages = [outgoing(ANN) for _ in range(3)]
    for message in messages:
        await store.perform(message)
    receipts = [got(ANN, DeliveryState.DELIVERED, message.record.id) for message in messages]
    with commits_fail(path):
        shown = [Shown(store, receipt) for receipt in receipts[:2]]
        await refused(store)
        late = Shown(store, receipts[2])
        assert (await late.failed).code == "disk-error"
        assert not late.applied.done()
        # Told to finish, the store has to say that it could not keep its word.
        await store.close()
        assert [(await one.failed).code for one in shown] == ["disk-error"] * 2
    assert state_on_disk(path, messages[0].record.id) is DeliveryState.QUEUED


async def test_what_was_shown_waits_until_it_can_be_carried_out_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "RETRY_S", 0.02)
    path = tmp_path / "store.db"
    store = Store.open(path)
    messages = [outgoing(ANN) for _ in range(3)]
    for message in messages:
        await store.perform(message)
    ids = [message.record.id for message in messages]
    real = operations.WRITES[SaveReceipt]
    trouble: dict[bytes, Exception] = {}

    def save(db: sqlite3.Connection, receipt: SaveReceipt) -> Any:
        if receipt.records[0] in trouble:
            raise trouble[receipt.records[0]]
        return real(db, receipt)

    monkeypatch.setitem(operations.WRITES, SaveReceipt, save)
    with commits_fail(path):
        shown = [Shown(store, got(ANN, DeliveryState.DELIVERED, id_)) for id_ in ids]
        await shown[2].applied
        unreadable = sqlite3.OperationalError("disk I/O error")
        unreadable.sqlite_errorcode = sqlite3.SQLITE_IOERR_READ
        trouble[ids[1]] = unreadable
        await refused(store)
        # They come first, so nothing else is stored before them.
        await refused(store)
        assert not any(one.failed.done() for one in shown)
        del trouble[ids[1]]
        trouble[ids[2]] = StoreError("never", "It can't be stored any more.")
        assert (await shown[2].failed).code == "never"
        assert await state_of(store, ids[1]) is DeliveryState.DELIVERED
    async with asyncio.timeout(5):
        await asyncio.gather(shown[0].durable, shown[1].durable)
    states = [state_on_disk(path, id_) for id_ in ids]
    assert states == [DeliveryState.DELIVERED] * 2 + [DeliveryState.QUEUED]
    await store.close()


async def test_at_the_end_what_was_shown_is_tried_once_more_and_else_it_is_said_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "RETRY_S", 3600.0)
    path = tmp_path / "store.db"
    store = Store.open(path)
    message = outgoing(ANN)
    await store.perform(message)
    with commits_fail(path):
        shown = Shown(store, got(ANN, DeliveryState.DELIVERED, message.record.id))
        await shown.applied
        await refused(store)
    await store.close()
    assert await shown.durable == (message.record.id,)

    store = Store.open(path)
    await store.perform(SetValue("x", b"y"))
    with commits_fail(path):
        shown = Shown(store, got(ANN, DeliveryState.READ, message.record.id))
        await shown.applied
        await store.close()
        assert (await shown.failed).code == "disk-error"
    assert state_on_disk(path, message.record.id) is DeliveryState.DELIVERED


async def test_what_was_shown_and_can_not_be_done_again_does_not_keep_the_thread_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "RETRY_S", 0.02)
    patiences: list[float | None] = []
    patience = worker.Worker._patience_s

    def noted(self: worker.Worker) -> float | None:
        patiences.append(patience(self))
        return patiences[-1]

    calls = 0

    def once(_: sqlite3.Connection, __: SetValue) -> str:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise StoreError("store-failed", "Not again.")
        return "done"

    monkeypatch.setattr(worker.Worker, "_patience_s", noted)
    path = tmp_path / "store.db"
    store = Store.open(path)
    await store.perform(outgoing(ANN))
    with monkeypatch.context() as patch, commits_fail(path):
        patch.setitem(operations.WRITES, SetValue, once)
        shown = Shown(store, SetValue("x", b""))
        await shown.applied
        await refused(store)
        assert (await shown.failed).code == "store-failed"
    await store.perform(GetMessage(bytes(32)))
    await store.perform(GetMessage(bytes(32)))
    assert patiences[-1] is None
    await store.close()
