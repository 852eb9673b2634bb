"""The API server on a real socket: errors, limits, streams, the socket file, credentials."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from pathlib import Path

import aiohttp
import pytest
from memory_backend import CLINIC, MemoryBackend

from appliance.api import streams
from appliance.api.client import Client
from appliance.api.errors import ConnectionLost, RequestError
from appliance.api.event_log import EventLog
from appliance.api.schema import Event
from appliance.api.server import ApiServer, Limits, SocketError

HEAD = b"GET /v1/status HTTP/1.1\r\nHost: x\r\n"


async def raw(path: Path, data: bytes, *, timeout_s: float = 5) -> bytes:
    """Send bytes and return all that comes back until the server closes."""
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_unix_connection(str(path))
        try:
            writer.write(data)
            return await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()


def error_of(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    error = json.loads(body)["error"]
    assert set(error) == {"code", "text", "fix"}
    assert error["text"]
    assert error["fix"]
    return int(head.split()[1]), error["code"]


@pytest.mark.parametrize(
    ("request_bytes", "status", "code"),
    [
        (b"\0\xff garbage\r\n\r\n", 400, "bad-request"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "bad-request"),
        (HEAD + b"X: " + b"y" * 9000 + b"\r\n\r\n", 400, "bad-request"),
        (HEAD + b"Content-Length: x\r\n\r\n", 400, "bad-request"),
        (b"GET /nope HTTP/1.1\r\nHost: x\r\n\r\n", 404, "not-found"),
        (b"PUT /v1/status HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 405, "wrong-method"),
        (HEAD + b"Origin: http://evil.example\r\n\r\n", 403, "no-browsers"),
        (HEAD + b"Sec-Fetch-Site: cross-site\r\n\r\n", 403, "no-browsers"),
        (b"GET /v1/messages?limit=0 HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad-request"),
        (b"GET /v1/messages?before=-1 HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad-request"),
    ],
)
async def test_every_error_is_json(
    server: ApiServer, request_bytes: bytes, status: int, code: str
) -> None:
    assert error_of(await raw(server.path, request_bytes)) == (status, code)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "bad-request"),
        (b"[" * 100_000, 400, "bad-request"),
        (b"[]", 400, "bad-request"),
        (b'{"to": "clinic"}', 400, "bad-request"),
        (b'{"to": "clinic", "text": "a", "precedense": "emergency"}', 400, "bad-request"),
        (b'{"to": "clinic", "text": "\\ud800"}', 400, "bad-request"),
        (b'{"to": "nobody", "text": "a"}', 404, "unknown-station"),
        (b'{"to": "clinic", "text": "' + b"a" * 16_001 + b'"}', 413, "text-too-long"),
        (b" " * (128 * 1024 + 1), 413, "too-large"),
    ],
)
async def test_wrong_bodies(server: ApiServer, body: bytes, status: int, code: str) -> None:
    head = f"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    assert error_of(await raw(server.path, head.encode() + body)) == (status, code)


async def test_a_fault_is_logged_without_its_words(
    server: ApiServer, backend: MemoryBackend, caplog: pytest.LogCaptureFixture
) -> None:
    backend.fault = RuntimeError("meet at the old mill")
    assert error_of(await raw(server.path, HEAD + b"\r\n")) == (500, "internal")
    assert "RuntimeError" in caplog.text
    assert "memory_backend.py" in caplog.text
    assert "mill" not in caplog.text


async def test_who_stops_speaking_half_way_is_hung_up_on(
    backend: MemoryBackend, tmp_path: Path
) -> None:
    server = ApiServer(backend, tmp_path / "api.sock", limits=Limits(read_s=0.2))
    await server.start()
    try:
        assert await raw(server.path, b"") == b""
        assert await raw(server.path, HEAD) == b""
        half = b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"
        assert error_of(await raw(server.path, half)) == (408, "too-slow")
    finally:
        await server.stop()


async def test_at_most_so_many_connections_and_streams(
    backend: MemoryBackend, tmp_path: Path
) -> None:
    limits = Limits(connections=3, streams=2)
    server = ApiServer(backend, tmp_path / "api.sock", limits=limits)
    await server.start()
    client = Client(server.path, timeout_s=5)
    try:
        async with aclosing(client.events()) as first, aclosing(client.events()) as second:
            await anext(first)
            await anext(second)
            with pytest.raises(RequestError, match="following"):
                await anext(client.events())
            reader, writer = await asyncio.open_unix_connection(str(server.path))
            with pytest.raises(RequestError, match="Too many programs are using"):
                await client.status()
            writer.close()
            assert await reader.read() == b""
            await until_served(client)
            await first.aclose()
            async with asyncio.timeout(5), aclosing(client.follow()) as third:
                async for item in third:
                    if type(item).__name__ == "Event":
                        break
    finally:
        await server.stop()


async def until_served(client: Client) -> None:
    """Wait until the server has noticed that somebody left."""
    async with asyncio.timeout(5):
        while True:
            try:
                await client.status()
            except RequestError:
                await asyncio.sleep(0)
            else:
                return


async def test_a_websocket_carries_the_same_events(
    server: ApiServer, backend: MemoryBackend
) -> None:
    connector = aiohttp.UnixConnector(str(server.path))
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.timeout(5):
        async with session.ws_connect("http://x/v1/events") as websocket:
            first = await websocket.receive_json()
            assert first["type"] == "reset"
            backend.store(CLINIC, "Are you there?", author=CLINIC)
            second = await websocket.receive_json()
            assert second["data"]["text"] == "Are you there?"
        async with session.ws_connect(f"http://x/v1/events?cursor={first['cursor']}") as websocket:
            assert await websocket.receive_json() == second
            closed, _ = await asyncio.gather(websocket.receive(), server.stop())
            assert closed.type is aiohttp.WSMsgType.CLOSE
            assert closed.data == aiohttp.WSCloseCode.GOING_AWAY


async def test_a_slow_reader_is_dropped_and_can_go_on(
    backend: MemoryBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropped = asyncio.Event()
    monkeypatch.setattr(streams.log, "info", lambda _text: dropped.set())
    server = ApiServer(backend, tmp_path / "api.sock", limits=Limits(write_s=0.2))
    await server.start()
    connector = aiohttp.UnixConnector(str(server.path))
    try:
        async with aiohttp.ClientSession(connector=connector) as session, asyncio.timeout(10):
            async with session.ws_connect("http://x/v1/events", max_msg_size=0) as websocket:
                first = await websocket.receive_json()
                assert websocket._conn is not None
                transport = websocket._conn.transport
                assert isinstance(transport, asyncio.Transport)
                transport.pause_reading()
                # More than the buffers of both sides hold, less than the log does.
                for number in range(60):
                    backend.store(CLINIC, f"{number} " + "x" * 15_000, author=CLINIC)
                await dropped.wait()
                transport.resume_reading()
                last = first["cursor"]
                while (message := await websocket.receive()).type is aiohttp.WSMsgType.TEXT:
                    last = json.loads(message.data)["cursor"]
                assert message.type is aiohttp.WSMsgType.CLOSE
                assert message.data == aiohttp.WSCloseCode.TRY_AGAIN_LATER
            assert 0 < int(last.split("-")[1]) < 60
            async with aclosing(Client(server.path).events(last)) as events:
                event = await anext(events)
                assert int(event.cursor.split("-")[1]) == int(last.split("-")[1]) + 1
    finally:
        await server.stop()


async def test_a_stream_is_given_up_when_its_reader_leaves(
    server: ApiServer, backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_up = asyncio.Event()

    async def watched(cursor: str | None) -> AsyncGenerator[Event]:
        try:
            async for event in EventLog("b0").follow(cursor):
                yield event
        finally:
            given_up.set()

    monkeypatch.setattr(server._streams, "_events", watched)
    async with aclosing(Client(server.path).events()) as events:
        await anext(events)
        assert not given_up.is_set()
    await asyncio.wait_for(given_up.wait(), 5)


async def test_a_broken_stream_is_told_apart_from_its_end(
    server: ApiServer, client: Client
) -> None:
    async with aclosing(client.events()) as events:
        await anext(events)
        await server.stop()
        with pytest.raises(ConnectionLost):
            await anext(events)


async def test_the_socket_is_for_owner_and_group_from_its_first_moment(
    backend: MemoryBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    bind = socket.socket.bind

    def watched(self: socket.socket, address: str) -> None:
        bind(self, address)
        seen.append(stat.S_IMODE(Path(address).stat().st_mode))

    monkeypatch.setattr(socket.socket, "bind", watched)
    umask = os.umask(0)
    server = ApiServer(backend, tmp_path / "api.sock")
    try:
        await server.start()
    finally:
        os.umask(umask)
    assert seen == [0o660]
    assert stat.S_IMODE(server.path.stat().st_mode) == 0o660
    await server.stop()
    assert not server.path.exists()


async def test_a_dead_daemons_socket_is_replaced_and_a_live_ones_is_not(
    server: ApiServer, backend: MemoryBackend, tmp_path: Path, client: Client
) -> None:
    with pytest.raises(SocketError, match="Another daemon already serves"):
        await ApiServer(backend, server.path).start()
    await client.status()
    stale = tmp_path / "stale.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(stale))
    other = ApiServer(backend, stale)
    await other.start()
    await Client(stale).status()
    await other.stop()


async def test_a_path_that_can_not_be_used_is_named(backend: MemoryBackend, tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("mine")
    for path, why in ((notes, "no socket"), (tmp_path / ("x" * 120), "too long")):
        with pytest.raises(SocketError, match=why):
            await ApiServer(backend, path).start()
    assert notes.read_text() == "mine"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
@pytest.mark.parametrize(
    ("gid", "groups", "allowed"), [(65534, [], False), (65534, [4242], True), (4242, [], True)]
)
async def test_the_kernel_says_who_is_there(
    backend: MemoryBackend, open_folder: Path, gid: int, groups: list[int], allowed: bool
) -> None:
    server = ApiServer(backend, open_folder / "api.sock")
    os.setegid(4242)  # the socket takes the group of its maker
    try:
        await server.start()
    finally:
        os.setegid(0)
    server.path.chmod(0o666)  # so that only the credentials decide
    program = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
        "s.sendall(b'GET /v1/status HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n');"
        "print(s.makefile('rb').read().decode())"
    )
    client = await asyncio.to_thread(
        subprocess.run,
        ["/usr/bin/python3", "-I", "-c", program, str(server.path)],
        user=65534,
        group=gid,
        extra_groups=groups,
        capture_output=True,
        text=True,
        timeout=10,
        cwd="/",
    )
    await server.stop()
    assert client.stderr == ""
    status = client.stdout.split()[1]
    assert status == ("200" if allowed else "403")
    assert ("not-allowed" in client.stdout) is not allowed
