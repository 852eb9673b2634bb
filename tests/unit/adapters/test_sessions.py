"""Sessions over real TLS on loopback: who is believed, and what becomes of everybody else."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from session_ends import KEYS, LIMIT_S, LOOPBACK, answering, caller, ends, web_socket_to

from appliance.adapters.certificate import server_context
from appliance.adapters.sessions import REFUSED_CODE, DialError
from appliance.model.codec import decode, encode
from appliance.protocol.frames import MAX_FRAME, Channel
from appliance.protocol.hello import VERSIONS, Hello


async def test_both_sides_are_proved(tmp_path: Path) -> None:
    async with ends(tmp_path) as (a, b):
        ours = await a.dial(b, wanted=b)
        await b.until(lambda: b.opened)
        theirs = b.opened[0]
        assert (ours.proved.peer, theirs.proved.peer) == (b.id, a.id)
        assert (ours.outgoing, theirs.outgoing) == (True, False)
        assert ours.proved.send_token == theirs.proved.take_token
        assert ours.proved.take_token == theirs.proved.send_token
        assert (ours.proved.peer_port, theirs.proved.peer_port) == (
            b.sessions.port,
            a.sessions.port,
        )
        assert ours.path.remote_host == theirs.path.remote_host == "127.0.0.1"

        long = os.urandom(3 * MAX_FRAME)
        ours.send(Channel.RECORD, long)
        ours.send(Channel.SIP, b"INVITE")
        theirs.send(Channel.ACK, b"")
        await b.until(lambda: len(b.messages) == 2)
        await a.until(lambda: a.messages)
        assert sorted(b.messages) == [(Channel.SIP, b"INVITE"), (Channel.RECORD, long)]
        assert a.messages == [(Channel.ACK, b"")]

        ours.end("enough")
        await a.until(lambda: a.closed)
        await b.until(lambda: b.closed)
        assert b.closed == [(theirs, "enough")]


async def test_a_peer_by_address_is_learnt(tmp_path: Path) -> None:
    async with ends(tmp_path) as (a, b):
        session = await a.dial(b)
        assert session.proved.peer == b.id


async def test_a_station_that_stops_says_so(tmp_path: Path) -> None:
    async with ends(tmp_path) as (a, b):
        await a.dial(b)
        await b.until(lambda: b.opened)
        await a.sessions.close()
        await b.until(lambda: b.closed)
        assert b.closed[0][1] == "stopping"


# -- People who are not who they say


async def test_an_impostor_gets_nothing_but_the_upgrade_request(tmp_path: Path) -> None:
    received: list[bytes] = []
    ended = asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        received.append(request)
        key = next(h for h in request.split(b"\r\n") if h.lower().startswith(b"sec-websocket-key"))
        magic = key.split(b": ")[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(magic).digest())
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        received.append(await reader.read())
        writer.close()
        ended.set()

    async with ends(tmp_path) as (a, b):
        server = await asyncio.start_server(listen, *LOOPBACK, 0, ssl=server_context(KEYS["M"]))
        async with server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(DialError) as error:
                await a.sessions.dial(LOOPBACK[0], port, b.id)
            await asyncio.wait_for(ended.wait(), LIMIT_S)
        assert error.value.code == "impostor"
        assert a.refused == ["impostor"]
        assert not a.opened
        request, rest = received
        assert request.startswith(b"GET /v1/session HTTP/1.1\r\n")
        said = request + rest
        assert not any(a.id.key in said or word in said for word in (a.id.text.encode(), b"Cookie"))
        # One close frame at most: opcode 8, and no data frame.
        assert not rest or (rest[0] == 0x88 and len(rest) <= 2 + 4 + 125)


async def test_a_replayed_hello_is_refused(tmp_path: Path) -> None:
    async with ends(tmp_path) as (_, b):
        async with web_socket_to(b.sessions.port) as first:
            recorded = caller(KEYS["A"], seen=b.key).answer(await first.receive_bytes())
            for message in recorded:
                await first.send_bytes(message)
            await first.receive_bytes()
            await b.until(lambda: b.opened)
        async with web_socket_to(b.sessions.port) as second:
            await second.receive_bytes()
            for message in recorded:
                await second.send_bytes(message)
            ending = await second.receive()
        assert ending.type is aiohttp.WSMsgType.CLOSE
        assert ending.data == REFUSED_CODE
        assert b.refused == ["proof"]
        assert len(b.opened) == 1


RELAYS = {
    "as it is": (False, False, None),
    "its own name in B's hello": (True, False, "relayed"),
    "and B's name in A's": (True, True, "proof"),
}


@pytest.mark.parametrize(("own_name", "their_name", "refusal"), RELAYS.values(), ids=RELAYS)
async def test_a_man_in_the_middle_is_refused(
    tmp_path: Path, own_name: bool, their_name: bool, refusal: str | None
) -> None:
    """M answers A with its own certificate and relays what it hears to B."""

    def renamed(hello: bytes, key: int, station: str) -> bytes:
        fields = decode(hello, limit=1024)
        assert isinstance(fields, dict)
        return encode({**fields, key: KEYS[station].id.key})

    async with ends(tmp_path) as (a, b):

        async def relay(to_a: web.WebSocketResponse) -> None:
            async with web_socket_to(b.sessions.port) as to_b:
                hello = await to_b.receive_bytes()
                await to_a.send_bytes(renamed(hello, 1, "M") if own_name else hello)
                message = await to_a.receive()
                if message.type is not aiohttp.WSMsgType.BINARY:
                    return
                await to_b.send_bytes(renamed(message.data, 5, "B") if their_name else message.data)
                await to_b.send_bytes(await to_a.receive_bytes())
                assert (await to_b.receive()).data == REFUSED_CODE

        async with answering("M", relay) as port:
            with pytest.raises(DialError) as error:
                await a.sessions.dial(LOOPBACK[0], port, None)
        assert error.value.code == ("closed" if own_name else "impostor")
        assert not a.opened
        assert not b.opened
        assert b.refused == ([refusal] if refusal else [])


async def test_a_newer_station_is_understood(tmp_path: Path) -> None:
    """More versions, keys from 64 on and unknown channels do not disturb."""
    async with ends(tmp_path) as (_, b), web_socket_to(b.sessions.port) as web_socket:
        half = caller(KEYS["A"], seen=b.key, versions=(1, 2, 900))
        for message in half.answer(await web_socket.receive_bytes()):
            await web_socket.send_bytes(message)
        assert half.finish(await web_socket.receive_bytes()).version == max(VERSIONS)
        await web_socket.send_bytes(b"\x63\x01for later versions")
        await web_socket.send_bytes(bytes((Channel.SIP, 0xFF)) + b"flags")
        await b.until(lambda: b.messages)
        assert b.messages == [(Channel.SIP, b"flags")]


async def test_no_version_in_common_is_a_clear_error(tmp_path: Path) -> None:
    async def old_station(web_socket: web.WebSocketResponse) -> None:
        key = KEYS["M"]
        await web_socket.send_bytes(Hello((7,), key.id, bytes(32), bytes(8), 1).encode())
        await web_socket.receive()

    async with ends(tmp_path) as (a, _), answering("M", old_station) as port:
        with pytest.raises(DialError, match="no protocol version in common") as error:
            await a.sessions.dial(LOOPBACK[0], port, None)
        assert error.value.code == "version"


async def test_nobody_is_followed_elsewhere(tmp_path: Path) -> None:
    """A redirect would make us send requests wherever the other side likes."""
    visited: list[str] = []

    async def visit(request: web.Request) -> web.Response:
        visited.append(request.path)
        raise web.HTTPFound("/elsewhere")

    app = web.Application()
    app.router.add_get("/{path:.*}", visit)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK[0], 0, ssl_context=server_context(KEYS["M"])).start()
    try:
        async with ends(tmp_path) as (a, _):
            with pytest.raises(DialError) as error:
                await a.sessions.dial(LOOPBACK[0], runner.addresses[0][1], None)
        assert error.value.code == "unreachable"
    finally:
        await runner.cleanup()
    assert visited == ["/v1/session"]


async def test_who_hangs_up_after_the_upgrade_is_no_accident(tmp_path: Path) -> None:
    async def hang_up(web_socket: web.WebSocketResponse) -> None:
        transport = web_socket._req.transport if web_socket._req else None
        assert transport is not None
        transport.abort()

    async with ends(tmp_path) as (a, _), answering("M", hang_up) as port:
        with pytest.raises(DialError):
            await a.sessions.dial(LOOPBACK[0], port, None)
        for host, bad_port in (("no host", 1), ("127.0.0.1", 1), ("", 9), ("[::1", 9)):
            with pytest.raises(DialError):
                await a.sessions.dial(host, bad_port, None)
