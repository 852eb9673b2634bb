"""A whole daemon that nobody else hears, and the files of its messages."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path

from appliance.adapters.blobs import Blobs
from appliance.adapters.store import Store
from appliance.api.attachments import Upload
from appliance.api.event_log import EventLog
from appliance.api.schema import EVERYONE, Message
from appliance.daemon.announcer import Announcer
from appliance.daemon.attachment_uses import roots_of
from appliance.daemon.attachments import Attachments
from appliance.daemon.backend import DaemonBackend
from appliance.daemon.main import _build
from appliance.daemon.settings import Settings
from appliance.model.attachment import Attachment
from appliance.model.identity import StationId, StationKey
from appliance.model.record import BlobRef, Record
from appliance.node.effects import Transact
from appliance.node.ports import Operation, SaveIncoming, SaveStation, StoredStation


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
    for root in roots_of(operation):
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


def put(daemon: DaemonBackend, data: bytes) -> BlobRef:
    """Let a blob be here as if it had been fetched."""
    added = files_of(daemon).blobs.add(BytesIO(data), len(data), sealed=False)
    files_of(daemon).blobs._fresh.clear()
    return BlobRef(added.root, len(data))
