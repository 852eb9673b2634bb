"""Files between clients and messages (`api.attachments.AttachmentBackend` answered).

What a client uploads is sealed with a key of its own while it comes, so that it is written once and
never lies readable on the disk; the key goes into the message.  It waits in memory for that: when
the daemon ends first, the file is dropped at the next start and has to be attached again.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import BinaryIO, Final, cast

from appliance.adapters.blob_parts import BlobError
from appliance.adapters.blobs import Added
from appliance.api.attachments import UPLOAD_KEPT_S, Body, Upload
from appliance.api.attachments import Opened as Download
from appliance.api.backend import ApiError
from appliance.api.schema import Message
from appliance.daemon.attachments import Attachments
from appliance.daemon.lookup import Lookup
from appliance.daemon.recording_shelf import Kept
from appliance.daemon.recordings import MAX_IN_MEMORY, Opened, Recordings, in_memory
from appliance.daemon.views import Views
from appliance.model.attachment import (
    OCTETS,
    Attachment,
    file_name_of,
    is_media_type,
    preview_of,
    travelling_size,
)
from appliance.model.message import MAX_ATTACHMENTS, Text
from appliance.node.ports import GetMessage, StoredMessage, StoreError
from appliance.node.ports.attaching import Wish

MAX_UPLOADS: Final = 64
"""That wait for their messages."""

AT_ONCE: Final = 2
"""Uploads that come at a time; each holds a thread."""

MAX_WITH_TEXT: Final = 70_000
"""Bytes of a message's text and what it says of its files; what can be sealed has 72 KiB."""

_LOOKED_AT: Final = 4096
"""Bytes of a text from which its preview is made."""

_STATUS: Final = {"empty": 422, "too-large": 413, "source": 400}
_FIXES: Final = {
    "too-large": "Send a smaller one, or allow more: fencewire storage --attachment-mb N",
    "disk-full": "Make room on the disk, or allow more: fencewire storage --attachments-mb N",
    "source": "Try again.",
}


@dataclass
class _Kept:
    """An upload that waits for its message."""

    upload: Upload
    attachment: Attachment
    until: float
    taken: bool = False


@dataclass
class _Taken:
    """What goes with a message that is being written."""

    attachments: list[Attachment] = field(default_factory=list)
    uploads: list[str] = field(default_factory=list)
    recordings: list[str] = field(default_factory=list)
    added: list[bytes] = field(default_factory=list)


class AttachmentDesk:
    """Takes files, and gives those that are here."""

    def __init__(
        self, attachments: Attachments, lookup: Lookup, views: Views, recordings: Recordings
    ) -> None:
        self._attachments, self._lookup = attachments, lookup
        self._views, self._recordings = views, recordings
        self._blobs = attachments.blobs
        self._kept: dict[str, _Kept] = {}
        self._coming = 0
        recordings.open_attachment = self._to_play

    # -- Uploads

    async def upload(self, name: str, media_type: str, size: int, body: Body) -> Upload:
        """See `AttachmentBackend`."""
        await self._prune()
        if self._coming >= AT_ONCE or self._coming + len(self._kept) >= MAX_UPLOADS:
            raise ApiError(
                503, "too-many-uploads", "Too many files are being attached.", "Try again later."
            )
        source = _Source(body)
        self._coming += 1
        try:
            added = await self._add(cast(BinaryIO, source), size)
        finally:
            source.close()
            self._coming -= 1
        kind = media_type if is_media_type(media_type) else OCTETS
        upload = Upload(
            id=os.urandom(12).hex(),
            name=file_name_of(name),
            bytes=size,
            media_type=kind,
            preview=_preview(source.beginning, kind),
        )
        attachment = Attachment(added.root, size, upload.name, kind, added.key, upload.preview)
        loop = asyncio.get_running_loop()
        until = loop.time() + UPLOAD_KEPT_S
        self._kept[upload.id] = _Kept(upload, attachment, until)
        loop.call_at(until + 0.01, self._expire)
        return upload

    async def discard(self, upload: str) -> None:
        """See `AttachmentBackend`."""
        kept = self._kept.get(upload)
        if kept is None:
            raise _unknown_upload()
        if kept.taken:
            raise ApiError(409, "being-sent", "This file is being sent.", "Wait a moment.")
        del self._kept[upload]
        await asyncio.to_thread(self._blobs.delete, kept.attachment.root)

    def _expire(self) -> None:
        """Give room back also where nothing more is uploaded: others' files may wait for it."""
        self._views.runtime.spawn(self._prune())

    async def _prune(self) -> None:
        now = asyncio.get_running_loop().time()
        old = [one for one, kept in self._kept.items() if kept.until <= now and not kept.taken]
        for gone in [self._kept.pop(one) for one in old]:
            with suppress(OSError):  # else it goes at the next start
                await asyncio.to_thread(self._blobs.delete, gone.attachment.root)

    async def _add(self, source: BinaryIO, size: int) -> Added:
        """Make a blob; raises ApiError.  What is only carried makes room for it."""
        try:
            try:
                return await asyncio.to_thread(self._blobs.add, source, size, sealed=True)
            except BlobError as error:
                begun = isinstance(source, _Source) and bool(source.beginning)
                if error.code != "disk-full" or begun:
                    raise
                if not await self._attachments.make_room(travelling_size(size, sealed=True)):
                    raise
                return await asyncio.to_thread(self._blobs.add, source, size, sealed=True)
        except BlobError as error:
            status = _STATUS.get(error.code, 507)
            fix = _FIXES.get(error.code, "Make room, or try another disk.")
            raise ApiError(status, error.code, str(error), fix) from None

    # -- Into messages

    @asynccontextmanager
    async def with_message(
        self, text: str, ids: tuple[str, ...]
    ) -> AsyncIterator[tuple[Attachment, ...]]:
        """Hold files for a message; when that is stored inside, they are its own from then on."""
        if len(set(ids)) < len(ids) or len(ids) > MAX_ATTACHMENTS:
            raise ApiError(
                422, "bad-attachments", f"A message takes up to {MAX_ATTACHMENTS} different files."
            )
        taken = _Taken()
        try:
            for one in ids:
                await self._take(one, taken)
            yield self._fitting(text, taken)
        except ApiError:
            # Not for anything else: the message may be stored, or about to be.
            for root in taken.added:
                await asyncio.to_thread(self._blobs.delete, root)
            self._give_back(taken)
            raise
        except BaseException:
            self._give_back(taken)
            raise
        for upload in taken.uploads:
            del self._kept[upload]
        for recording in taken.recordings:
            await self._recordings.sent(recording)

    def _give_back(self, taken: _Taken) -> None:
        for upload in taken.uploads:
            self._kept[upload].taken = False
        for recording in taken.recordings:
            self._recordings.give_back(recording)

    async def _take(self, one: str, taken: _Taken) -> None:
        kept = self._kept.get(one)
        if kept is not None:
            if kept.taken:
                raise ApiError(409, "being-sent", "This file is being sent.", "Wait a moment.")
            kept.taken = True
            taken.uploads.append(one)
            taken.attachments.append(kept.attachment)
            return
        try:
            recording = await self._recordings.take(one)
        except ApiError as error:
            raise (_unknown_upload() if error.code == "unknown-recording" else error) from None
        taken.recordings.append(one)
        added = await self._add_recording(recording)
        taken.added.append(added.root)
        taken.attachments.append(
            Attachment(
                added.root,
                added.size,
                "voice message.ogg",
                "audio/ogg",
                added.key,
                duration_ms=recording.duration_ms,
            )
        )

    async def _add_recording(self, recording: Kept) -> Added:
        try:
            file = await asyncio.to_thread(recording.path.open, "rb")
        except OSError as error:
            raise ApiError(
                507, "disk", f"The recording can't be read: {error.strerror}.", "Record it again."
            ) from None
        with file:
            return await self._add(file, recording.bytes)

    def _fitting(self, text: str, taken: _Taken) -> tuple[Attachment, ...]:
        """Leave previews out where they are too much together with a long text."""
        own = self._views.runtime.station.id
        shown = tuple(taken.attachments)
        for attachments in (shown, tuple(replace(one, preview="") for one in shown)):
            said = Text(own, text.encode(errors="replace").decode(), attachments).encode()
            if not attachments or len(said) <= MAX_WITH_TEXT:
                return attachments
        raise ApiError(413, "too-long", "The text is too long for so many files.", "Shorten it.")

    # -- Out of messages

    async def open(self, message: str, index: int) -> Download:
        """See `AttachmentBackend`."""
        _, attachment = await self._find(message, index)
        plain = self._blobs.plain(attachment)
        first = await self._next(attachment, plain)
        return Download(attachment.size, self._pieces(attachment, first, plain))

    async def fetch(self, message: str, index: int) -> Message:
        """See `AttachmentBackend`."""
        stored, attachment = await self._find(message, index)
        if self._attachments.rules.too_large(attachment.blob.size):
            raise ApiError(
                413,
                "too-large",
                "This file is larger than is allowed here.",
                _FIXES["too-large"].split(", or ")[1].capitalize(),
            )
        await self._lookup.perform(Wish(stored.id, attachment.root))
        try:
            await self._attachments.settle(attachment.root)
        except StoreError:
            self._attachments.look_at(attachment.root)  # the wish is noted
        return self._views.message(stored)

    async def _find(self, message: str, index: int) -> tuple[StoredMessage, Attachment]:
        try:
            stored = await self._lookup.perform(GetMessage(bytes.fromhex(message)))
        except ValueError:
            stored = None
        if stored is None:
            raise ApiError(404, "unknown-message", "There is no such message.")
        if index >= len(stored.attachments):
            raise ApiError(404, "unknown-attachment", "This message has no such file.")
        return stored, stored.attachments[index]

    async def _next(self, attachment: Attachment, plain: Iterator[bytes]) -> bytes:
        """Return the next piece, none at the end; raises ApiError."""
        try:
            return await asyncio.to_thread(next, plain, b"")
        except BlobError as error:
            if error.code in {"missing", "damaged"}:
                self._attachments.look_at(attachment.root)
                raise ApiError(409, "not-here", str(error), "Wait until it has come.") from None
            raise ApiError(422, error.code, str(error), "Ask its author for another.") from None

    async def _pieces(
        self, attachment: Attachment, first: bytes, plain: Iterator[bytes]
    ) -> AsyncIterator[bytes]:
        piece = first
        while piece:
            yield piece
            piece = await self._next(attachment, plain)

    async def _to_play(self, message: str, index: int) -> Opened:
        _, attachment = await self._find(message, index)
        if attachment.size > MAX_IN_MEMORY:
            raise ApiError(413, "too-large", "This is too long to be played here.", "Save it.")
        download = await self.open(message, index)
        sound = b"".join([piece async for piece in download.pieces])
        return Opened(in_memory(sound), attachment.duration_ms)


class _Source:
    """A request's body, for a thread that reads it as a file."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self._loop = asyncio.get_running_loop()
        self._reading: Future[bytes] | None = None
        self._closed = False
        self.beginning = b""
        """The first of what was read."""

    def read(self, size: int) -> bytes:
        """See `Body`; blocks."""
        if self._closed:
            raise OSError(0, "it broke off")
        self._reading = asyncio.run_coroutine_threadsafe(self._body.read(size), self._loop)
        piece = self._reading.result()
        if len(self.beginning) < _LOOKED_AT:
            self.beginning += piece[: _LOOKED_AT - len(self.beginning)]
        return piece

    def close(self) -> None:
        """Whoever still reads gets nothing more."""
        self._closed = True
        if self._reading is not None:
            self._reading.cancel()


def _preview(beginning: bytes, media_type: str) -> str:
    """Return the beginning of a text, nothing of anything else."""
    if not media_type.startswith("text/"):
        return ""
    for cut in range(4):  # a character may have been cut
        try:
            return preview_of(beginning[: len(beginning) - cut].decode())
        except UnicodeDecodeError:
            continue
    return ""


def _unknown_upload() -> ApiError:
    return ApiError(
        404, "unknown-upload", "This file is not here any more.", "Attach it once more."
    )
