"""Files over the local API: in pieces, refused early, broken off, never overwriting."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from memory_attachments import MAX_BYTES
from memory_backend import CLINIC, MemoryBackend

from appliance.api import attachment_routes
from appliance.api.attachments import Opened
from appliance.api.backend import ApiError
from appliance.api.client import Client
from appliance.api.errors import ConnectionLost, RequestError
from appliance.api.server import ApiServer


async def sent_with(client: Client, path: Path) -> str:
    upload = await client.upload(path)
    sent = await client.send(CLINIC, "", attachments=[upload.id])
    assert [one.name for one in sent.attachments] == [path.name]
    return sent.id


async def test_a_file_goes_there_and_back(client: Client, tmp_path: Path) -> None:
    path, back = tmp_path / "Straße.txt", tmp_path / "back"
    path.write_bytes(os.urandom(3_000_000))
    upload = await client.upload(path)
    assert (upload.name, upload.bytes, upload.media_type) == ("Straße.txt", 3_000_000, "text/plain")
    message = await sent_with(client, path)
    assert await client.download(message, 0, back) == 3_000_000
    assert back.read_bytes() == path.read_bytes()
    with pytest.raises(FileExistsError):
        await client.download(message, 0, back)
    assert back.read_bytes() == path.read_bytes()


async def test_what_is_too_large_is_refused_before_it_is_all_sent(
    client: Client, tmp_path: Path
) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES * 100)
    with pytest.raises(RequestError) as error:
        await client.upload(path)
    assert (error.value.status, error.value.code) == (413, "too-large")


async def test_what_is_not_here_leaves_no_file(
    client: Client, backend: MemoryBackend, tmp_path: Path
) -> None:
    path, back = tmp_path / "a", tmp_path / "back"
    path.write_bytes(b"data")
    message = await sent_with(client, path)
    [(attachment, data)] = backend.attachments.sent[message]
    backend.attachments.sent[message] = [(replace(attachment, state="waiting"), data)]
    with pytest.raises(RequestError) as error:
        await client.download(message, 0, back)
    assert (error.value.status, error.value.code) == (409, "not-here")
    assert not back.exists()
    with pytest.raises(RequestError) as error:
        await client.send(CLINIC, "x", attachments=["nothing"])
    assert error.value.code == "unknown-upload"
    with pytest.raises(RequestError, match="At most 16"):
        await client.send(CLINIC, "x", attachments=[str(n) for n in range(17)])


async def test_what_breaks_off_is_never_taken_for_whole(
    client: Client, backend: MemoryBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(message: str, index: int) -> Opened:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"x" * 100_000
            raise ApiError(409, "not-here", "The disk has damaged it.")

        return Opened(200_000, pieces())

    monkeypatch.setattr(backend.attachments, "open", broken)
    with pytest.raises(ConnectionLost):
        await client.download("0" * 64, 0, tmp_path / "back")
    assert not (tmp_path / "back").exists()


async def test_an_upload_that_stalls_or_is_cut_short_is_given_up(
    server: ApiServer, backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attachment_routes, "STALLED_S", 0.05)
    head = b"POST /v1/attachments?name=a HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
    reader, writer = await asyncio.open_unix_connection(str(server.path))
    writer.write(head + b"half")
    assert b"source" in await reader.readuntil(b"}}")
    writer.close()
    reader, writer = await asyncio.open_unix_connection(str(server.path))
    writer.write(head.replace(b"Content-Length: 100", b"Transfer-Encoding: chunked"))
    assert b"Content-Length" in await reader.readuntil(b"}}")
    writer.close()
    assert not backend.attachments.uploads


async def test_uploads_are_thrown_away_and_files_asked_for(
    client: Client, backend: MemoryBackend, tmp_path: Path
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"data")
    upload = await client.upload(path, name="b", media_type="image/png")
    assert (upload.name, upload.media_type) == ("b", "image/png")
    await client.discard(upload.id)
    with pytest.raises(RequestError):
        await client.discard(upload.id)
    with pytest.raises(RequestError):
        await client.fetch("0" * 64, 3)
    assert backend.attachments.wished == [("0" * 64, 3)]
