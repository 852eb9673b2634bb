"""Messages that changed are read and told of, whatever becomes of some of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from store_samples import ANN, BOB, got, incoming, outgoing

from appliance.adapters.store import Store
from appliance.daemon.message_news import MessageNews
from appliance.model.group import Conversation
from appliance.model.message import DeliveryState
from appliance.node.ports import CountUnread, StoredMessage, StoreError


class Told:
    """What was told."""

    def __init__(self, store: Store) -> None:
        self.messages: list[bytes] = []
        self.states: list[DeliveryState] = []
        self.counts: list[dict[Conversation, int]] = []
        self.failures: list[str] = []
        self.fault = False
        self._something = asyncio.Event()
        self.news = MessageNews(store, tell=self._tell, counted=self._counted, failed=self._failed)

    def _tell(self, message: StoredMessage) -> None:
        self.messages.append(message.id)
        self.states += [one.state for one in message.recipients]
        self._something.set()
        if self.fault:
            raise RuntimeError("a screen can't show it")

    def _counted(self, counts: dict[Conversation, int]) -> None:
        self.counts.append(counts)
        self._something.set()

    def _failed(self, error: StoreError) -> None:
        self.failures.append(error.code)
        self._something.set()

    async def until(self, messages: int, *, counts: int = 0, failures: int = 0) -> None:
        async with asyncio.timeout(5):
            while (
                len(self.messages) < messages
                or len(self.counts) < counts
                or len(self.failures) < failures
            ):
                self._something.clear()
                await self._something.wait()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = Store.open(tmp_path / "store.db")
    yield opened
    await opened.close()


async def test_a_burst_is_told_of_once_each_and_counted_seldom(store: Store) -> None:
    came = [incoming(ANN) for _ in range(100)]
    for one in came:
        await store.perform(one)
    told = Told(store)
    for one in [*came, *came]:
        told.news.changed(one.record.id)
    await told.until(100, counts=4)
    assert sorted(told.messages[1:]) == sorted(one.record.id for one in came[1:] + came[:1])
    assert told.counts[-1] == {ANN: 100}
    assert len(told.counts) <= 5


async def test_what_we_write_is_not_counted(store: Store) -> None:
    written, came = outgoing(ANN), incoming(ANN)
    await store.perform(written)
    await store.perform(came)
    told = Told(store)
    told.news.changed(written.record.id)
    await told.until(1)
    assert told.counts == []
    told.news.changed(came.record.id)
    await told.until(2, counts=1)
    assert told.messages == [written.record.id, came.record.id]


async def test_a_fault_in_telling_does_not_keep_others_from_being_told(store: Store) -> None:
    first, second = outgoing(ANN), outgoing(ANN)
    await store.perform(first)
    await store.perform(second)
    told = Told(store)
    told.fault = True
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: faults.append(what))
    told.news.changed(first.record.id)
    await told.until(1)
    told.news.changed(second.record.id)
    await told.until(2)
    assert len(faults) == 2


async def test_a_store_that_can_not_be_read_is_said_once_for_many(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store.db")
    told = Told(store)
    await store.close()
    for number in range(10):
        told.news.changed(bytes([number]) * 32)
    await told.until(0, failures=2)
    assert set(told.failures) == {"store-closed"}
    assert told.messages == []


async def test_a_change_that_was_foreseen_is_told_of_once_and_as_it_is_then(store: Store) -> None:
    written = outgoing(ANN)
    await store.perform(written)
    told = Told(store)
    applied = asyncio.Event()

    def changed(messages: tuple[bytes, ...]) -> None:
        told.news.changed(*messages)
        applied.set()

    delivered = got(ANN, DeliveryState.DELIVERED, written.record.id)
    store.submit(delivered, lazy=True, on_applied=changed)
    told.news.foreseen(written.record.id)
    await applied.wait()
    await store.perform(CountUnread())
    assert told.states == [DeliveryState.DELIVERED]
    told.news.changed(written.record.id)
    await told.until(2)


async def test_what_was_foreseen_and_did_not_happen_is_not_told_of(store: Store) -> None:
    written = outgoing(ANN)
    await store.perform(written)
    told = Told(store)
    store.submit(got(BOB, DeliveryState.DELIVERED, written.record.id), lazy=True)
    told.news.foreseen(written.record.id)
    told.news.foreseen(bytes(32))
    await store.perform(CountUnread())
    assert told.messages == []
    told.news.changed(written.record.id)
    await told.until(1)
