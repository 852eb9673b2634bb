"""Files that our operator sends: kept, refused and given back by a whole daemon."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from file_daemon import Body, life, looked_through, read, send, stored_files, upload

from appliance.adapters import blobs as blobs_module
from appliance.adapters.blobs import BlobLimits
from appliance.adapters.oggopus import OggOpusWriter
from appliance.api.backend import ApiError
from appliance.api.storage import SetStorage
from appliance.daemon import attachment_desk
from appliance.daemon.backend import DaemonBackend
from appliance.media.pcm import SILENCE


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[DaemonBackend]:
    async with life(tmp_path) as made:
        yield made


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


async def test_what_is_never_sent_goes_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attachment_desk, "UPLOAD_KEPT_S", 0.1)
    async with life(tmp_path) as daemon, asyncio.timeout(10):
        kept = await upload(daemon, b"draft")
        assert stored_files(tmp_path)
        while stored_files(tmp_path):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        with pytest.raises(ApiError, match="not here any more"):
            await send(daemon, kept.id)


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
