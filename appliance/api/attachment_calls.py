"""The part of the client library that is about attachments."""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing
from mimetypes import guess_type
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from appliance.api import unix_http
from appliance.api.attachments import Upload
from appliance.api.calling import Caller, parsed, quoted, refusal, shaped
from appliance.api.schema import Message

_OCTETS: Final = "application/octet-stream"


class AttachmentCalls(Caller):
    """Uploading, downloading, asking for what is large."""

    async def upload(
        self, path: Path, *, name: str | None = None, media_type: str | None = None
    ) -> Upload:
        """Hand a file to the daemon, for a message that is sent within a day.

        Raises OSError when it can't be read.
        """
        kind = media_type or guess_type(path.name)[0] or _OCTETS
        query = urlencode({"name": name or path.name, "type": kind}, errors="replace")
        with await asyncio.to_thread(path.open, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            status, answer = await unix_http.upload(
                self.path, f"/v1/attachments?{query}", file, size, timeout_s=self._timeout_s
            )
        if status != 200:
            raise refusal(status, answer)
        return shaped(Upload, parsed(answer))

    async def discard(self, upload: str) -> None:
        """Throw an upload away that is not to be sent."""
        await self._call("DELETE", f"/v1/attachments/{quoted(upload)}")

    async def fetch(self, message: str, index: int) -> Message:
        """Ask for an attachment that is not fetched by itself."""
        target = f"/v1/messages/{quoted(message)}/attachments/{index}/fetch"
        return shaped(Message, await self._call("POST", target))

    async def download(self, message: str, index: int, path: Path) -> int:
        """Write an attachment into a new file; returns its bytes.

        Raises FileExistsError when there is such a file already, and OSError when it can't be
        written; then nothing of it is left.
        """
        target = f"/v1/messages/{quoted(message)}/attachments/{index}"
        made = _NewFile(path)
        await asyncio.to_thread(made.open)
        pieces = unix_http.download(self.path, target, timeout_s=self._timeout_s)
        try:
            async with aclosing(pieces) as answer:
                async for status, piece in answer:
                    if status != 200:
                        raise refusal(status, piece)
                    await asyncio.to_thread(made.write, piece)
            return await asyncio.to_thread(made.finish)
        except BaseException:
            made.drop()
            raise


class _NewFile:
    """A file that is new, and whole or not there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = 0

    def open(self) -> None:
        self._file = self._path.open("xb")

    def write(self, piece: bytes) -> None:
        self._file.write(piece)
        self._size += len(piece)

    def finish(self) -> int:
        with self._file:
            self._file.flush()
            os.fsync(self._file.fileno())
        return self._size

    def drop(self) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)
