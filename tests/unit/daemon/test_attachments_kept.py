"""Files of messages in a whole daemon that nobody else hears: what stays, what goes, and when."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from store_samples import ANN, BOB, NOW, incoming, record

from appliance.adapters import blobs as blobs_module
from appliance.adapters.blobs import BlobLimits, Blobs
from appliance.adapters.oggopus import OggOpusWriter
from appliance.adapters.store import Store
from appliance.api.attachments import Upload
from appliance.api.backend import ApiError
from appliance.api.event_log import EventLog
from appliance.api.schema import EVERYONE, Message
from appliance.api.storage import SetStorage
from appliance.daemon import attachments as attachments_module
from appliance.daemon.announcer import Announcer
from appliance.daemon.attachments import Attachments
from appliance.daemon.backend import DaemonBackend
from appliance.daemon.main import _build
from appliance.daemon.settings import Settings
from appliance.media.pcm import SILENCE
from appliance.model.attachment import Attachment
from appliance.model.cargo import Load, Tier
from appliance.model.identity import StationId, StationKey
from appliance.model.record import BlobRef, Record
from appliance.node.effects import Transact
from appliance.node.ports import Operation, SaveIncoming, SaveStation, StoredStation
from appliance.node.ports.carrying import Ship
from appliance.node.ports.keeping import Evict, GetCandidates


class Body:
    """What a client sends, and whether it breaks off."""

    def __init__(self, data: bytes, *, breaks: bool = False) -> None:
        self._data, self._breaks = BytesIO(data), breaks

    async def read(self, size: int) -> bytes:
        await asyncio.sleep(0)
        piece = self._data.read(min(size, 100_000))
        if not piece and self._breaks:
            raise OSError(0, "it broke off")
        return piece


@asynccontextmanager
async def life(folder: Path) -> AsyncIterator[DaemonBackend]:
    """A daemon from its start to its end."""
    store = Store.open(folder / "station.db")
    settings = Settings(store, folder, b"bootboot")
    announcer = Announcer(EventLog("b"))
    key = StationKey.from_bytes(bytes(32))
    runtime = await _build(key, settings, announcer, Blobs(folder / "blobs"))
    made = DaemonBackend(runtime, announcer, settings)
    runtime.spawn(runtime.attachments.run())
    yield made
    await runtime.stop()


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[DaemonBackend]:
    async with life(tmp_path) as made:
        yield made


def files_of(daemon: DaemonBackend) -> Attachments:
    return daemon.views.runtime.attachments


async def upload(daemon: DaemonBackend, data: bytes, name: str = "a.txt") -> Upload:
    return await daemon.attachments.upload(name, "text/plain", len(data), Body(data))


async def send(daemon: DaemonBackend, *ids: str, text: str = "") -> Message:
    return await daemon.send_message(
        EVERYONE, text, line="console", precedence="routine", lifetime_s=None, attachments=ids
    )


async def read(daemon: DaemonBackend, message: str, index: int = 0) -> bytes:
    opened = await daemon.attachments.open(message, index)
    return b"".join([piece async for piece in opened.pieces])


def stored_files(folder: Path) -> set[str]:
    return {file.name for file in (folder / "blobs").iterdir()}


async def looked_through(daemon: DaemonBackend) -> None:
    """Let all that is needed be compared with all that is here."""
    await files_of(daemon)._look_through()
    await files_of(daemon)._transfers.settled(list(files_of(daemon)._transfers._chains))


async def carry_out(daemon: DaemonBackend, operation: Operation[object]) -> None:
    """Store something as the station does, and let what follows happen."""
    done = asyncio.Event()

    def stored(_: object) -> tuple[()]:
        done.set()
        return ()

    daemon.views.runtime.carry_out([Transact(operation, stored)])
    await done.wait()
    for root in attachments_module._roots(operation):
        await files_of(daemon).settle(root)


def with_blob(
    operation: SaveIncoming, attachment: Attachment, made: Record | None = None
) -> SaveIncoming:
    """A message with a file."""
    named = replace(made or operation.record, blobs=(attachment.blob,))
    return replace(
        operation,
        record=named,
        message=replace(operation.message, attachments=(attachment,)),
    )


def file_of(size: int, root: bytes | None = None) -> Attachment:
    return Attachment(root or os.urandom(32), size, "map.png", key=bytes(32))


async def know(daemon: DaemonBackend, station: StationId) -> None:
    stored = StoredStation(station, None, "known", None, None, seen_sure=False)
    await daemon.views.runtime.store.perform(SaveStation(stored))


# -- What our operator sends


async def test_what_was_uploaded_goes_with_a_message_and_outlives_a_restart(tmp_path: Path) -> None:
    data = "Grüße\n".encode() + os.urandom(700_000)
    async with life(tmp_path) as daemon:
        kept = await upload(daemon, data, "../up/notes.txt")
        assert (kept.name, kept.bytes) == ("notes.txt", len(data))
        sent = await send(daemon, kept.id)
        (shown,) = sent.attachments
        assert (shown.name, shown.state, shown.bytes) == ("notes.txt", "here", len(data))
        with pytest.raises(ApiError, match="not here any more"):
            await send(daemon, kept.id)
    async with life(tmp_path) as daemon:
        await looked_through(daemon)
        assert await read(daemon, sent.id) == data
    assert data[:7] not in b"".join(file.read_bytes() for file in (tmp_path / "blobs").iterdir())


async def test_what_was_uploaded_and_not_sent_goes_with_the_next_start(tmp_path: Path) -> None:
    async with life(tmp_path) as daemon:
        kept = await upload(daemon, b"draft")
        await looked_through(daemon)
        assert len(stored_files(tmp_path)) == 1, "its message may still come"
        assert kept.preview == "draft"
    async with life(tmp_path) as daemon:
        await looked_through(daemon)
        assert not stored_files(tmp_path)


async def test_an_upload_can_be_thrown_away_or_break_off(
    tmp_path: Path, daemon: DaemonBackend
) -> None:
    kept = await upload(daemon, b"secret")
    await daemon.attachments.discard(kept.id)
    with pytest.raises(ApiError) as error:
        await daemon.attachments.upload("a", "", 300_000, Body(b"x" * 200_000, breaks=True))
    assert error.value.code == "source"
    assert not stored_files(tmp_path)
    with pytest.raises(ApiError) as error:
        await upload(daemon, b"")
    assert error.value.code == "empty"


async def test_limits_are_said_and_last(tmp_path: Path) -> None:
    async with life(tmp_path) as daemon:
        await daemon.set_storage(SetStorage(max_attachment_bytes=64_000))
        with pytest.raises(ApiError) as error:
            await upload(daemon, bytes(64_001))
        assert (error.value.status, error.value.code) == (413, "too-large")
        await upload(daemon, bytes(64_000))
    async with life(tmp_path) as daemon:
        await looked_through(daemon)
        kept = await daemon.storage()
        assert kept.max_attachment_bytes == 64_000
        (row,) = [one for one in kept.classes if one.name == "attachments"]
        assert (row.records, row.max_bytes) == (0, BlobLimits().total)
        with pytest.raises(ApiError, match="should be"):
            await daemon.set_storage(SetStorage(max_attachment_bytes=10**10))


async def test_a_full_disk_is_said_and_nothing_is_lost(
    tmp_path: Path, daemon: DaemonBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = await upload(daemon, b"before")
    monkeypatch.setattr(blobs_module, "MIN_FREE", 1 << 60)
    with pytest.raises(ApiError) as error:
        await upload(daemon, b"after")
    assert (error.value.status, error.value.code) == (507, "disk-full")
    assert len(stored_files(tmp_path)) == 1
    sent = await send(daemon, kept.id)
    assert await read(daemon, sent.id) == b"before"


async def test_previews_make_room_for_a_long_text(daemon: DaemonBackend) -> None:
    ids = [(await upload(daemon, ("é" * 400 + str(n)).encode())).id for n in range(16)]
    sent = await send(daemon, *ids, text="😀" * 15_000)
    assert len(sent.attachments) == 16
    assert {one.preview for one in sent.attachments} == {""}
    kept = await upload(daemon, b"hello")
    with pytest.raises(ApiError, match="different"):
        await send(daemon, kept.id, kept.id)


async def test_a_message_that_can_not_be_sent_leaves_its_files(daemon: DaemonBackend) -> None:
    kept = await upload(daemon, b"hello")
    with pytest.raises(ApiError, match="characters"):
        await send(daemon, kept.id, text="x" * 16_001)
    assert (await send(daemon, kept.id)).attachments


async def test_a_voice_message_leaves_the_shelf_and_can_be_played(
    tmp_path: Path, daemon: DaemonBackend
) -> None:
    shelf = daemon.recordings._shelf
    assert await daemon.recordings.all() == ()
    recording, path = shelf.new(0.0)
    writer = OggOpusWriter(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    for _ in range(50):
        writer.write(SILENCE)
    writer.close()
    shelf.complete(recording, path)
    sound = path.read_bytes()
    with pytest.raises(ApiError, match="characters"):
        await send(daemon, recording, text="x" * 16_001)
    assert not stored_files(tmp_path)
    sent = await send(daemon, recording)
    assert (sent.attachments[0].media_type, sent.attachments[0].duration_ms) == ("audio/ogg", 1000)
    assert not path.exists()
    assert daemon.recordings.open_attachment is not None
    opened = await daemon.recordings.open_attachment(sent.id, 0)
    with os.fdopen(opened.descriptor, "rb") as file:
        file.seek(0)
        assert file.read() == sound
    with pytest.raises(ApiError, match="no such file"):
        await daemon.recordings.open_attachment(sent.id, 1)


# -- What others send


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


# -- What stays


def put(daemon: DaemonBackend, data: bytes) -> BlobRef:
    """Let a blob be here as if it had been fetched."""
    added = files_of(daemon).blobs.add(BytesIO(data), len(data), sealed=False)
    files_of(daemon).blobs._fresh.clear()
    return BlobRef(added.root, len(data))


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
