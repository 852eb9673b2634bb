"""The store against stations that want more of it than is theirs."""

import asyncio
from pathlib import Path

import pytest
from store_samples import ANN, BOB, incoming, outgoing

from appliance.adapters.store import Store, worker
from appliance.adapters.store import store as store_module
from appliance.node.ports import GetValue, Incoming, StoreError


async def test_a_message_that_is_here_already_costs_no_commit_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "LAZY_S", 3600.0)
    store = Store.open(tmp_path / "store.db")
    message = incoming(ANN)
    assert (await store.perform(message)).new
    again: list[Incoming] = []
    for _ in range(20):
        store.submit(message, on_durable=again.append)
    # A read waits for no disk, but for all that was given before it.
    assert await store.perform(GetValue("x")) is None
    assert again == []
    await store.perform(outgoing(BOB))
    assert [one.new for one in again] == [False] * 20
    await store.close()


async def test_other_stations_leave_our_operator_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "MAX_WAITING", 8)
    store = Store.open(tmp_path / "store.db")
    refused: list[StoreError] = []
    stored = asyncio.get_running_loop().create_future()
    for _ in range(20):
        store.submit(incoming(ANN), on_failed=refused.append)
    store.submit(outgoing(BOB), on_durable=stored.set_result)
    await stored
    assert [one.code for one in refused] == ["store-busy"] * 14
    await store.close()
