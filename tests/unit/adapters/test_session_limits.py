"""What strangers, silent peers and stops may cost a station: bounded, and nothing left behind."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from session_ends import KEYS, LIMIT_S, LOOPBACK, answering, caller, ends, web_socket_to

from appliance.adapters import session as session_module
from appliance.adapters.acceptor import Limits
from appliance.adapters.certificate import client_context
from appliance.adapters.sessions import DialError
from appliance.model.codec import encode
from appliance.protocol import keepalive
from appliance.protocol.frames import MAX_FRAME, Channel
from appliance.protocol.hello import MAX_BEFORE_PROOF

QUICK = Limits(handshake_s=0.4, unproved=5, unproved_per_host=3, sessions=1)


async def test_who_proves_nothing_is_cut_off(tmp_path: Path) -> None:
    """Silence, half a TLS greeting, and HTTP letter by letter, all at once."""
    async with ends(tmp_path, limits=QUICK) as (a, b):
        silent = await asyncio.open_connection(*LOOPBACK, b.sessions.port)
        half = await asyncio.open_connection(*LOOPBACK, b.sessions.port)
        half[1].write(b"\x16\x03\x01\x02\x00\x01\x00")
        slow = await asyncio.open_connection(*LOOPBACK, b.sessions.port, ssl=client_context())
        slow[1].write(b"GET /v1/session HTTP/1.1\r\nX-Slow: ")
        await b.until_held(lambda held: held == 3)
        async with asyncio.timeout(LIMIT_S):
            # One more from here has to wait until these are gone.
            more = await asyncio.open_connection(*LOOPBACK, b.sessions.port)
            assert await more[0].read() == b""
            for reader, _ in (silent, half, slow):
                with suppress(ConnectionError, ssl.SSLError):
                    assert b"101" not in await reader.read()
        for _, writer in (silent, half, slow, more):
            writer.close()
        await b.until_held(lambda held: not held)
        await a.dial(b, wanted=b)


async def test_garbage_leaves_the_listener_working(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with ends(tmp_path, limits=Limits(handshake_s=2.0)) as (a, b):
        plain = (b"", os.urandom(4096), b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" * 100)
        for data in plain:
            await _say(data, b.sessions.port, None)
        secured = (
            b"",
            os.urandom(4096),
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            b"GET /v1/session HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            b"PUT /v1/blobs/" + b"0" * 64 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            b"Authorization: Bearer \xff\xfe\r\nContent-Length: 3\r\n\r\nabc",
            b"GET /v1/session HTTP/1.1\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
        )
        for data in secured:
            await _say(data, b.sessions.port, client_context())
        await b.until_held(lambda held: not held)
        assert not caplog.records
        for payload in (b"", os.urandom(100), b"\xa0", encode({}), bytes(MAX_BEFORE_PROOF)):
            async with web_socket_to(b.sessions.port) as web_socket:
                await web_socket.receive_bytes()
                await web_socket.send_bytes(payload)
                await web_socket.send_bytes(payload)
                assert (await web_socket.receive()).type is aiohttp.WSMsgType.CLOSE
        await a.dial(b, wanted=b)
        await b.until(lambda: b.opened)
        await b.until_held(lambda held: held == 1)


async def _say(data: bytes, port: int, context: ssl.SSLContext | None) -> None:
    async with asyncio.timeout(LIMIT_S):
        reader, writer = await asyncio.open_connection(*LOOPBACK, port, ssl=context)
        try:
            writer.write(data)
            if context is None:
                writer.write_eof()
            if data or context is None:
                await reader.read()
        except (ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.transport.abort()


async def test_only_so_many_bytes_before_the_proof(tmp_path: Path) -> None:
    async with ends(tmp_path) as (_, b):
        for size in (MAX_BEFORE_PROOF + 1, MAX_FRAME + 2):
            async with web_socket_to(b.sessions.port) as web_socket:
                await web_socket.receive_bytes()
                await web_socket.send_bytes(bytes(size))
                assert (await web_socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert not b.opened


BAD_FRAMES = {
    "long": bytes(MAX_FRAME + 1),
    "too long for a message": bytes(MAX_FRAME + 2),
    "empty": b"",
    "cut": b"\x00",
    "garbage": b"\x00\x01garbage",
}


@pytest.mark.parametrize("frame", BAD_FRAMES.values(), ids=BAD_FRAMES)
async def test_a_bad_frame_ends_the_session(tmp_path: Path, frame: bytes) -> None:
    async with ends(tmp_path) as (_, b), web_socket_to(b.sessions.port) as web_socket:
        for message in caller(KEYS["A"], seen=b.key).answer(await web_socket.receive_bytes()):
            await web_socket.send_bytes(message)
        await web_socket.receive_bytes()
        await web_socket.send_bytes(frame)
        await b.until(lambda: b.closed)
        assert b.closed[0][1] in {"protocol-error", "lost"}


async def test_there_are_only_so_many_sessions(tmp_path: Path) -> None:
    async with ends(tmp_path, "ABM", limits=Limits(sessions=1)) as (a, b, m):
        await a.dial(b)
        await b.until(lambda: b.opened)
        with pytest.raises(DialError, match="as many sessions as it can hold") as error:
            await m.dial(b)
        assert error.value.code == "refused"
        with pytest.raises(DialError) as error:
            await a.dial(m)
        assert error.value.code == "full"
        assert len(b.opened) == 1


async def test_a_peer_that_falls_silent_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keepalive, "FIRST_PING_S", 0.0)
    monkeypatch.setattr(session_module, "PING_EVERY_S", 0.1)
    async with ends(tmp_path) as (a, b), web_socket_to(b.sessions.port) as web_socket:
        for message in caller(KEYS["M"], seen=b.key).answer(await web_socket.receive_bytes()):
            await web_socket.send_bytes(message)
        living = await a.dial(b)
        await b.until(lambda: b.closed)
        (silent, reason) = b.closed[0]
        assert (silent.proved.peer, reason) == (KEYS["M"].id, "silent")
        assert not a.closed
        assert living.rtt_s is not None


async def test_signalling_has_its_own_bound_and_records_yield(tmp_path: Path) -> None:
    """Whoever reads slowly fills a queue of bounded size; pings that do not fit break nothing."""
    async with ends(tmp_path) as (a, b):
        session = await a.dial(b)
        room = 2 * 1024 * 1024
        while session.send(Channel.SIP, bytes(32 * 1024)):
            room -= 32 * 1024
        assert room == 0
        assert not session.send(Channel.CARD, bytes(100))
        session._keepalive._ping_at = 0.0
        await b.until(lambda: len(b.messages) == 64)
        assert session.send(Channel.CARD, b"now there is room")
        await b.until(lambda: b.messages[-1] == (Channel.CARD, b"now there is room"))


async def test_a_stop_under_a_pending_dial_is_quiet(tmp_path: Path) -> None:
    """In whatever step the dial is: TCP, the upgrade, the hello, the welcome."""

    async def no_hello(web_socket: web.WebSocketResponse) -> None:
        await web_socket.receive()

    limits = Limits(handshake_s=1.0)
    with socket.create_server((LOOPBACK[0], 0)) as deaf:
        async with answering("M", no_hello) as port:
            for target in (deaf.getsockname()[1], port):
                async with ends(tmp_path, limits=limits) as (a, b):
                    dials = [
                        asyncio.create_task(a.sessions.dial(LOOPBACK[0], target, None)),
                        asyncio.create_task(a.dial(b)),
                    ]
                    for _ in range(20):
                        await asyncio.sleep(0)
                    await a.sessions.close()
                    async with asyncio.timeout(LIMIT_S):
                        results = await asyncio.gather(*dials, return_exceptions=True)
                    assert isinstance(results[0], DialError)
                    assert isinstance(results[1], DialError) or a.closed
                    with pytest.raises(DialError) as error:
                        await a.dial(b)
                    assert error.value.code == "stopping"


async def test_a_cancelled_dial_leaves_nothing(tmp_path: Path) -> None:
    """At whatever step: either a session runs that both know of, or none is left."""
    async with ends(tmp_path) as (a, b):
        for turns in range(0, 60, 3):
            dial = asyncio.create_task(a.dial(b))
            for _ in range(turns):
                await asyncio.sleep(0.0005)
            dial.cancel()
            await asyncio.gather(dial, return_exceptions=True)
        for session in a.opened:
            session.end("test")
        await a.until(lambda: len(a.opened) == len(a.closed))
        await b.until(lambda: len(b.opened) == len(b.closed))
        await b.until_held(lambda held: not held)
