"""Both ends of sessions for tests: listeners on loopback, and strangers who speak raw bytes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import aiohttp
from aiohttp import web

from appliance.adapters.acceptor import Limits
from appliance.adapters.blobs import Blobs
from appliance.adapters.certificate import client_context, server_context
from appliance.adapters.session import Session
from appliance.adapters.sessions import Hooks, Sessions
from appliance.model.identity import StationKey
from appliance.protocol.frames import Channel
from appliance.protocol.hello import Caller

T = TypeVar("T")
LOOPBACK = ("127.0.0.1",)
LIMIT_S = 10.0
KEYS = {name: StationKey.from_bytes(name.encode() * 32) for name in "ABM"}
BOOT = b"one boot"
DEFAULTS = Limits()


class End:
    """A station's sessions, and what was heard of them."""

    def __init__(self, name: str, directory: Path, limits: Limits) -> None:
        self.key = KEYS[name]
        self.id = self.key.id
        self.opened: list[Session] = []
        self.closed: list[tuple[Session, str]] = []
        self.messages: list[tuple[Channel, bytes]] = []
        self.refused: list[str] = []
        self.blobs = Blobs(directory / name)
        self._changed = asyncio.Event()
        hooks = Hooks(
            on_open=lambda session: self._note(self.opened, session),
            on_message=lambda _, channel, data: self._note(self.messages, (channel, data)),
            on_close=lambda session, reason: self._note(self.closed, (session, reason)),
            on_refused=lambda _, code, __: self._note(self.refused, code),
        )
        self.sessions = Sessions(self.key, boot=BOOT, blobs=self.blobs, hooks=hooks, limits=limits)

    def _note(self, where: list[T], what: T) -> None:
        where.append(what)
        self._changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for something to have been heard."""
        async with asyncio.timeout(LIMIT_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def dial(self, other: End, wanted: End | None = None) -> Session:
        """Open a session to another end."""
        return await self.sessions.dial(
            "127.0.0.1", other.sessions.port, wanted.id if wanted else None
        )

    async def until_held(self, condition: Callable[[int], bool]) -> None:
        """Wait for a number of accepted connections."""
        async with asyncio.timeout(LIMIT_S):
            while not condition(len(self.sessions._acceptor._accepted)):  # noqa: ASYNC110
                await asyncio.sleep(0.002)


@asynccontextmanager
async def ends(
    directory: Path, names: str = "AB", *, limits: Limits = DEFAULTS
) -> AsyncIterator[list[End]]:
    """Run stations that listen on loopback."""
    made = [End(name, directory, limits) for name in names]
    try:
        for end in made:
            await end.sessions.listen(0, LOOPBACK)
        yield made
    finally:
        await asyncio.gather(*(end.sessions.close() for end in made))


@asynccontextmanager
async def web_socket_to(port: int) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """Connect as a stranger would who knows the protocol as far as the upgrade."""
    async with (
        aiohttp.ClientSession() as http,
        asyncio.timeout(LIMIT_S),
        http.ws_connect(
            f"https://127.0.0.1:{port}/v1/session",
            ssl=client_context(),
            timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
        ) as web_socket,
    ):
        yield web_socket


def caller(key: StationKey, *, seen: StationKey, versions: tuple[int, ...] = (1,)) -> Caller:
    """Make the caller's half of a proof."""
    return Caller(
        key,
        seen=seen.id,
        wanted=None,
        nonce=os.urandom(32),
        boot=BOOT,
        token=os.urandom(16),
        port=1,
        versions=versions,
    )


@asynccontextmanager
async def answering(
    name: str, handle: Callable[[web.WebSocketResponse], Awaitable[None]]
) -> AsyncIterator[int]:
    """Answer on loopback with the key of `name`, and do as `handle` says."""

    async def serve(request: web.Request) -> web.WebSocketResponse:
        web_socket = web.WebSocketResponse(timeout=1.0)
        await web_socket.prepare(request)
        await handle(web_socket)
        await web_socket.close()
        return web_socket

    app = web.Application()
    app.router.add_get("/v1/session", serve)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, LOOPBACK[0], 0, ssl_context=server_context(KEYS[name]))
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
