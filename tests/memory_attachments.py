"""Files that are only memory: the fake of `AttachmentBackend`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from functools import cached_property

from appliance.api.attachments import Attachment, AttachmentBackend, Body, Opened, Upload
from appliance.api.backend import ApiError
from appliance.api.schema import Message

MAX_BYTES = 4_000_000


class MemoryAttachments(AttachmentBackend):
    """What was uploaded can be sent, and what was sent can be read."""

    def __init__(self) -> None:
        self.uploads: dict[str, tuple[Upload, bytes]] = {}
        self.sent: dict[str, list[tuple[Attachment, bytes]]] = {}
        """By message; what is not in state ``here`` can't be read."""
        self.wished: list[tuple[str, int]] = []

    async def upload(self, name: str, media_type: str, size: int, body: Body) -> Upload:
        if size > MAX_BYTES:
            raise ApiError(413, "too-large", "It is too large.", "Send a smaller one.")
        data = bytearray()
        while len(data) < size:
            try:
                data += await body.read(size - len(data))
            except OSError as error:
                raise ApiError(400, "source", f"It can't be read: {error.strerror}.") from None
        upload = Upload(f"{len(self.uploads):024x}", name, size, media_type, "")
        self.uploads[upload.id] = (upload, bytes(data))
        return upload

    async def discard(self, upload: str) -> None:
        if self.uploads.pop(upload, None) is None:
            raise ApiError(404, "unknown-upload", "This file is not here any more.", "Again.")

    def attach(self, message: Message, ids: tuple[str, ...]) -> Message:
        """Let uploads belong to a message."""
        files = []
        for index, one in enumerate(ids):
            if one not in self.uploads:
                raise ApiError(404, "unknown-upload", "This file is not here any more.", "Again.")
            upload, data = self.uploads[one]
            files.append((described(upload, index), data))
        self.sent[message.id] = files
        return replace(message, attachments=tuple(one for one, _ in files))

    async def open(self, message: str, index: int) -> Opened:
        attachment, data = self.sent[message][index]
        if attachment.state != "here":
            raise ApiError(409, "not-here", "This attachment is not here yet.", "Wait.")

        async def pieces() -> AsyncIterator[bytes]:
            for start in range(0, len(data), 100_000):
                yield data[start : start + 100_000]

        return Opened(len(data), pieces())

    async def fetch(self, message: str, index: int) -> Message:
        self.wished.append((message, index))
        raise ApiError(404, "unknown-message", "There is no such message.")


def described(upload: Upload, index: int) -> Attachment:
    """Return an upload as it stands in a message."""
    return Attachment(
        index=index,
        name=upload.name,
        bytes=upload.bytes,
        media_type=upload.media_type,
        preview=upload.preview,
        duration_ms=0,
        state="here",
        have_bytes=upload.bytes,
        problem=None,
    )


class WithAttachments:
    """A part of `MemoryBackend`."""

    @cached_property
    def attachments(self) -> MemoryAttachments:
        """See `Backend`."""
        return MemoryAttachments()
