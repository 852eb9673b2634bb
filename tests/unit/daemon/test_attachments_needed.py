"""Files that others send: which of them a whole daemon wants, and what of all stays."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from file_daemon import (
    carry_out,
    file_of,
    files_of,
    know,
    life,
    looked_through,
    put,
    read,
    send,
    stored_files,
    upload,
    with_blob,
)
from store_samples import ANN, BOB, NOW, incoming, record

from appliance.api.backend import ApiError
from appliance.api.storage import SetStorage
from appliance.daemon import attachments as attachments_module
from appliance.daemon.attachments import Attachments
from appliance.daemon.backend import DaemonBackend
from appliance.model.cargo import Load, Tier
from appliance.node.effects import Transact
from appliance.node.ports import Operation, SaveStation, StoredStation, StoreError
from appliance.node.ports.attaching import GetUses
from appliance.node.ports.blobs import BlobArrived
from appliance.node.ports.carrying import Ship
from appliance.node.ports.keeping import Evict, GetCandidates


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[DaemonBackend]:
    async with life(tmp_path) as made:
        yield made


async def test_what_strangers_send_waits_for_a_wish_when_it_is_large(
    daemon: DaemonBackend,
) -> None:
    core = files_of(daemon).core
    small, large, huge = file_of(900_000), file_of(2_000_000), file_of(500_000_000)
    ids = []
    for order, one in enumerate((small, large, huge)):
        operation = with_blob(incoming(ANN, order=order), one)
        await carry_out(daemon, operation)
        ids.append(operation.message.id.hex())
    assert core.roots() == {small.root}
    states = [(await daemon.message(one)).attachments[0].state for one in ids]
    assert states == ["waiting", "waiting", "refused"]
    await daemon.attachments.fetch(ids[1], 0)
    assert core.roots() == {small.root, large.root}
    with pytest.raises(ApiError, match="larger"):
        await daemon.attachments.fetch(ids[2], 0)
    await looked_through(daemon)
    assert core.roots() == {small.root, large.root}, "a wish lasts"
    with pytest.raises(ApiError, match="not here yet") as error:
        await read(daemon, ids[0])
    assert (error.value.status, error.value.code) == (409, "not-here")


async def test_what_somebody_known_sends_is_wanted_up_to_the_limit(daemon: DaemonBackend) -> None:
    await know(daemon, ANN)
    large = file_of(100_000_000)
    await carry_out(daemon, with_blob(incoming(ANN), large))
    assert files_of(daemon).core.roots() == {large.root}


async def test_who_becomes_known_needs_no_wish(daemon: DaemonBackend) -> None:
    large, others = file_of(2_000_000), file_of(2_000_000)
    await carry_out(daemon, with_blob(incoming(ANN, order=1), large))
    await carry_out(daemon, with_blob(incoming(BOB, order=2), others))
    files = files_of(daemon)
    assert files.core.roots() == set()
    known = SaveStation(StoredStation(ANN, None, "known", None, None, seen_sure=False))
    await carry_out(daemon, known)
    await files.settle(large.root)
    assert files.core.roots() == {large.root}
    assert set(files._of_strangers) == {others.root}


async def test_strangers_together_have_a_part_of_the_room(daemon: DaemonBackend) -> None:
    await daemon.set_storage(SetStorage(max_attachments_bytes=4_000_000))
    for order in range(8):
        await carry_out(daemon, with_blob(incoming(ANN, order=order), file_of(400_000)))
    assert len(files_of(daemon).core.roots()) == 2


async def test_a_wrong_size_under_somebodys_root_is_not_believed(daemon: DaemonBackend) -> None:
    await know(daemon, ANN)
    right = file_of(300_000)
    await carry_out(daemon, with_blob(incoming(BOB, order=1), file_of(5_000, right.root)))
    await carry_out(daemon, with_blob(incoming(ANN, order=2), right))
    assert files_of(daemon).core.progress(right.root) == (0, right.blob.size)


async def evict_all(daemon: DaemonBackend) -> None:
    store = daemon.views.runtime.store
    there = await store.perform(GetCandidates(0, 100))
    await store.perform(Evict(tuple(one.number for one in there), 1.0))


async def test_a_file_goes_when_nothing_needs_it_any_more(
    tmp_path: Path, daemon: DaemonBackend
) -> None:
    blob, other = put(daemon, b"map"), put(daemon, b"nobody's")
    first, second = (with_blob(incoming(ANN, order=n), file_of(3, blob.root)) for n in (1, 2))
    attached = replace(first.message.attachments[0], key=None)
    for one in (first, second):
        await carry_out(
            daemon,
            replace(
                one,
                record=replace(one.record, blobs=(blob,)),
                message=replace(one.message, attachments=(attached,)),
            ),
        )
    await looked_through(daemon)
    assert stored_files(tmp_path) == {f"{blob.root.hex()}.blob"}, other
    assert await read(daemon, first.message.id.hex()) == b"map"
    await evict_all(daemon)
    await looked_through(daemon)
    assert not stored_files(tmp_path)


async def test_what_is_named_while_the_unused_are_looked_for_stays(
    tmp_path: Path, daemon: DaemonBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = put(daemon, b"map")
    named = with_blob(incoming(ANN), replace(file_of(3, blob.root), key=None))
    files = files_of(daemon)
    collect = files.blobs.collect

    def late(before: set[bytes], used: set[bytes]) -> int:
        # Given to the store after it was asked, and not on disk yet.
        assert blob.root in used
        return collect(before, used)

    monkeypatch.setattr(files.blobs, "collect", late)
    store = daemon.views.runtime.store
    perform = store.perform

    async def meanwhile(operation: Operation[object]) -> object:
        answer = await perform(operation)
        monkeypatch.setattr(store, "perform", perform)
        daemon.views.runtime.carry_out([Transact(named, lambda _: ())])
        return answer

    monkeypatch.setattr(store, "perform", meanwhile)
    await looked_through(daemon)
    assert stored_files(tmp_path) == {f"{blob.root.hex()}.blob"}


async def test_small_files_are_carried_with_their_records_and_go_with_them(
    daemon: DaemonBackend,
) -> None:
    core = files_of(daemon).core
    small, large = file_of(50_000), file_of(1_000_000)
    made = replace(record(ANN), blobs=(small.blob, large.blob))
    load = Load(made, BOB, (), BOB, Tier.NEW, age_s=0.0, lifetime_s=1000.0, awake_s=NOW.awake_s)
    await carry_out(daemon, Ship(load))
    assert core.roots() == {small.root}
    receipt = record(BOB, seed=b"receipt")
    covers = Load(receipt, ANN, (made.id,), BOB, Tier.NEW, 0.0, 1000.0, NOW.awake_s)
    await carry_out(daemon, Ship(covers))
    await looked_through(daemon)
    assert core.roots() == set()


async def test_what_is_carried_makes_room_for_our_operator(
    tmp_path: Path, daemon: DaemonBackend
) -> None:
    await daemon.set_storage(SetStorage(max_attachments_bytes=1_000_000))
    blobs = [put(daemon, os.urandom(200_000)) for _ in range(4)]
    for number, blob in enumerate(blobs):
        made = replace(record(ANN, seed=bytes([number])), blobs=(blob,))
        await carry_out(
            daemon, Ship(Load(made, BOB, (), BOB, Tier.NEW, 0.0, 1000.0, NOW.awake_s + number))
        )
    files = files_of(daemon)
    assert files.rules.roots() == {blob.root for blob in blobs}
    sent = await send(daemon, (await upload(daemon, os.urandom(350_000))).id)
    assert sent.attachments[0].state == "here"
    assert sum(files.blobs.has(blob.root) for blob in blobs) < 4


async def test_what_the_disk_has_damaged_is_wanted_again(
    tmp_path: Path, daemon: DaemonBackend
) -> None:
    sent = await send(daemon, (await upload(daemon, b"x" * 5_000)).id)
    (file,) = (tmp_path / "blobs").iterdir()
    with file.open("r+b") as damaged:
        damaged.write(b"\0\0\0")
    with pytest.raises(ApiError, match="damaged"):
        await read(daemon, sent.id)
    await files_of(daemon).settle(bytes.fromhex(file.stem))
    assert files_of(daemon).core.roots() == {bytes.fromhex(file.stem)}
    (shown,) = (await daemon.message(sent.id)).attachments
    assert shown.state in {"waiting", "fetching"}


async def test_many_at_once_are_all_looked_up(
    daemon: DaemonBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attachments_module, "MAX_WAITING", 2)
    monkeypatch.setattr(attachments_module, "SCANNED", 2)
    ones = [with_blob(incoming(ANN, order=n), file_of(1000)) for n in range(5)]
    roots = {blob.root for one in ones for blob in one.record.blobs}
    for one in ones:
        await daemon.views.runtime.store.perform(one)
        files_of(daemon).stored(one)
    await looked_through(daemon)
    assert files_of(daemon).core.roots() == roots


async def test_what_waits_for_its_turn_says_so(daemon: DaemonBackend) -> None:
    await know(daemon, ANN)
    first, second = (with_blob(incoming(ANN, order=n), file_of(5_000_000)) for n in (1, 2))
    for one in (first, second):
        await carry_out(daemon, one)

    async def problems() -> set[str | None]:
        shown = [await daemon.message(one.message.id.hex()) for one in (first, second)]
        return {one.attachments[0].problem for one in shown}

    assert await problems() == {"Nobody who has it is in reach."}
    # A session stands with somebody; what follows from that is not carried out here.
    now = asyncio.get_running_loop().time()
    core = files_of(daemon).core
    core.session_up(ANN, now)
    for root in sorted(core.roots()):
        core.looked(root, range(20), now)
    assert await problems() == {None, "It waits for its turn."}
    core.session_down(ANN, now)


async def test_what_names_many_blobs_does_not_keep_us_looking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []
    look_through = Attachments._look_through
    loop = asyncio.get_running_loop()

    async def counted(files: Attachments) -> None:
        looks.append(loop.time())
        await look_through(files)
        files._left_out = True

    monkeypatch.setattr(Attachments, "_look_through", counted)
    monkeypatch.setattr(attachments_module, "REST_S", 0.2)
    async with life(tmp_path) as daemon, asyncio.timeout(10):
        files = files_of(daemon)
        while len(looks) < 3:
            files._told(BlobArrived(os.urandom(32)))
            await daemon.views.runtime.store.perform(GetCandidates(0, 1))
    gaps = [after - before for before, after in pairwise(looks)]
    assert min(gaps) >= 0.2


async def test_a_wish_that_is_noted_holds_though_the_store_fails_then(
    daemon: DaemonBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = file_of(2_000_000)
    operation = with_blob(incoming(ANN), large)
    await carry_out(daemon, operation)
    store = daemon.views.runtime.store
    perform = store.perform

    async def failing(asked: Operation[object]) -> object:
        if isinstance(asked, GetUses):
            monkeypatch.setattr(store, "perform", perform)
            raise StoreError("store-failed", "The disk fails.")
        return await perform(asked)

    monkeypatch.setattr(store, "perform", failing)
    assert (await daemon.attachments.fetch(operation.message.id.hex(), 0)).attachments
    async with asyncio.timeout(10):
        while files_of(daemon).core.roots() != {large.root}:  # noqa: ASYNC110
            await asyncio.sleep(0.002)
