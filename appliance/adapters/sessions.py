"""Takes sessions from other stations and opens sessions to them.

One TCP listener serves both the session's WebSocket (``/v1/session``) and bulk requests.  Until a
caller has proved its key it gets little: few connections, few bytes, a few seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import logging
import os
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import aiohttp
from aiohttp import web

from appliance.adapters.blobs import Blobs
from appliance.adapters.bulk import BulkClient, BulkServer, url_of
from appliance.adapters.certificate import client_context, server_context, station_of
from appliance.adapters.session import Session, WebSocket, path_of, tune
from appliance.model.codec import FormatError
from appliance.model.identity import IdentityError, StationId, StationKey
from appliance.protocol.frames import MAX_FRAME, Channel
from appliance.protocol.hello import (
    BOOT_SIZE,
    MAX_BEFORE_PROOF,
    NONCE_SIZE,
    TOKEN_SIZE,
    Callee,
    Caller,
    ProofError,
    Proved,
)

log = logging.getLogger(__name__)

DEFAULT_PORT: Final = 18950
"""TCP port of sessions and bulk; unassigned by IANA."""

ANY_HOST: Final = ("::", "0.0.0.0")  # noqa: S104  (any neighbour may call; it then proves its key)

HANDSHAKE_S: Final = 6.0
"""From accepting or dialling a connection to its proof."""

IDLE_CHECK_S: Final = 5.0
"""How often a connection that is only used for bulk is looked at."""

REFUSED_CODE: Final = 4003
"""WebSocket close code (RFC 6455 section 7.4.2, private use): your proof does not convince."""

MAX_UNPROVED: Final = 32
MAX_UNPROVED_PER_HOST: Final = 6
MAX_CONNECTIONS: Final = 320
"""Accepted TCP connections in all, sessions and bulk; each costs some 290 KiB."""


class DialError(Exception):
    """No session came to be; `code` is for programs, the text for the operator."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class Hooks:
    """Whom to tell.  All are called on the event loop."""

    on_open: Callable[[Session], None]
    """A session stands; its messages follow."""

    on_message: Callable[[Session, Channel, bytes], None]
    """A message came."""

    on_close: Callable[[Session, str], None]
    """A session is over, and why."""

    on_refused: Callable[[str, str, str], None]
    """Someone at a host failed to prove a key: host, code, text."""


class _Accepted:
    """A connection that was accepted, until it ends."""

    def __init__(self, sock: socket.socket, host: str) -> None:
        self.sock = sock
        self.host = host
        self.proved = False
        self.over = asyncio.Event()


class Sessions:
    """All sessions of this station."""

    def __init__(
        self, key: StationKey, *, boot: bytes, blobs: Blobs, hooks: Hooks, max_sessions: int = 256
    ) -> None:
        if len(boot) != BOOT_SIZE:
            raise ValueError(f"a boot id has {BOOT_SIZE} bytes")
        self.port = 0
        """Where we listen."""

        self._key, self._boot, self._hooks = key, boot, hooks
        self._max_sessions = max_sessions
        self._server_context = server_context(key)
        self._client_context = client_context()
        self._open: set[Session] = set()
        self._accepted: dict[tuple[str, int], _Accepted] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._listeners: list[socket.socket] = []
        self._bulk = BulkServer(blobs, lambda: self._open, self._bulk_proved)
        self._http: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None

    async def listen(self, port: int, hosts: tuple[str, ...] = ANY_HOST) -> None:
        """Take sessions on `port` (0: any free one) of `hosts`; raises OSError when it is taken."""
        for listener in _bind(port, hosts):
            self.port = listener.getsockname()[1]
            self._listeners.append(listener)
        app = web.Application(client_max_size=0)
        app.router.add_get("/v1/session", self._serve)
        app.router.add_routes(self._bulk.routes())
        self._runner = web.AppRunner(
            app, access_log=None, handle_signals=False, keepalive_timeout=30.0
        )
        await self._runner.setup()
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=64, force_close=True, use_dns_cache=False),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=HANDSHAKE_S, sock_read=60.0),
            auto_decompress=False,
        )
        for listener in self._listeners:
            self._spawn(self._accept(listener))

    async def close(self) -> None:
        """End all sessions politely and stop listening."""
        for session in list(self._open):
            session.end("stopping")
        for listener in self._listeners:
            listener.close()
        if self._open:
            await asyncio.sleep(0)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()
        if self._http is not None:
            await self._http.close()

    def bulk(self, session: Session) -> BulkClient:
        """Return the way to move blobs to and from a station that we have called."""
        if self._http is None:
            raise RuntimeError("listen comes first")
        return BulkClient(self._http, session)

    def _spawn(self, work: Awaitable[None]) -> asyncio.Task[None]:
        async def run() -> None:
            await work

        task = asyncio.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # -- Taking sessions

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, address = await loop.sock_accept(listener)
            except OSError as error:
                if listener.fileno() < 0:
                    return
                # Out of descriptors, most likely: those in use have to end first.
                log.warning("can't accept a connection: %s", error)
                await asyncio.sleep(0.5)
                continue
            unproved = Counter(c.host for c in self._accepted.values() if not c.proved)
            if (
                len(self._accepted) >= MAX_CONNECTIONS
                or unproved.total() >= MAX_UNPROVED
                or unproved[address[0]] >= MAX_UNPROVED_PER_HOST
            ):
                sock.close()
                continue
            accepted = _Accepted(sock, address[0])
            self._accepted[address[:2]] = accepted
            self._spawn(self._connect_accepted(accepted, address[:2]))

    async def _connect_accepted(self, accepted: _Accepted, address: tuple[str, int]) -> None:
        if self._runner is None or self._runner.server is None:
            raise RuntimeError("listen comes first")
        loop = asyncio.get_running_loop()
        try:
            accepted.sock.setblocking(False)
            tune(accepted.sock)
            transport, _ = await loop.connect_accepted_socket(
                self._runner.server,
                accepted.sock,
                ssl=self._server_context,
                ssl_handshake_timeout=HANDSHAKE_S,
            )
        except (TimeoutError, OSError, ssl.SSLError) as error:
            log.debug("no TLS with %s: %s", accepted.host, error)
            self._forget(accepted, address)
            accepted.sock.close()
            return
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(accepted.over.wait(), HANDSHAKE_S)
            if not accepted.proved and not transport.is_closing():
                log.info("%s proved nothing in time", accepted.host)
            while accepted.proved and not (accepted.over.is_set() or transport.is_closing()):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(accepted.over.wait(), IDLE_CHECK_S)
        finally:
            self._forget(accepted, address)
            transport.abort()

    def _forget(self, accepted: _Accepted, address: tuple[str, int]) -> None:
        if self._accepted.get(address) is accepted:
            del self._accepted[address]

    def _accepted_for(self, request: web.Request) -> _Accepted:
        if request.transport is not None:
            accepted = self._accepted.get(request.transport.get_extra_info("peername")[:2])
            if accepted is not None:
                return accepted
        raise web.HTTPServiceUnavailable(text="this connection is closing\n")

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        accepted = self._accepted_for(request)
        response = web.WebSocketResponse(
            max_msg_size=MAX_FRAME + 1, autoping=True, compress=False, timeout=1.0
        )
        await response.prepare(request)
        try:
            proved = await asyncio.wait_for(self._prove_caller(response), HANDSHAKE_S)
            accepted.proved = True
            if request.transport is None:
                raise EOFError
            session = Session(
                response,
                proved,
                path_of(request.transport.get_extra_info),
                outgoing=False,
                certificate_digest=None,
                on_message=self._hooks.on_message,
            )
            await self._run(session)
        except (ProofError, FormatError, IdentityError) as error:
            self._refuse(accepted.host, error)
            await response.close(code=REFUSED_CODE, message=str(error).encode()[:120])
        except (TimeoutError, ConnectionError, EOFError):
            await response.close(code=aiohttp.WSCloseCode.POLICY_VIOLATION)
        finally:
            accepted.over.set()
        return response

    async def _prove_caller(self, response: web.WebSocketResponse) -> Proved:
        callee = Callee(
            self._key,
            nonce=os.urandom(NONCE_SIZE),
            boot=self._boot,
            token=os.urandom(TOKEN_SIZE),
            port=self.port,
        )
        await response.send_bytes(callee.hello)
        budget = MAX_BEFORE_PROOF
        hello = await _receive(response, budget)
        proof = await _receive(response, budget - len(hello))
        welcome, proved = callee.verify(hello, proof)
        if len(self._open) >= self._max_sessions:
            raise ProofError("full", "this station has as many sessions as it can hold")
        await response.send_bytes(welcome)
        return proved

    def _refuse(self, host: str, error: Exception) -> None:
        code = error.code if isinstance(error, ProofError) else "malformed"
        log.warning("refused %s (%s): %s", host, code, error)
        self._hooks.on_refused(host, code, str(error))

    def _bulk_proved(self, request: web.Request) -> None:
        self._accepted_for(request).proved = True

    # -- Opening sessions

    async def dial(self, host: str, port: int, wanted: StationId | None) -> Session:
        """Open a session to whoever answers at an address; raises DialError.

        `wanted` is whom we mean to reach; None: learn who it is.  The session's messages begin to
        flow, and `on_open` is called, before this returns.
        """
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                session = await self._dial(host, port, wanted)
        except (ProofError, FormatError, IdentityError) as error:
            self._refuse(host, error)
            code = error.code if isinstance(error, ProofError) else "malformed"
            raise DialError(code, str(error)) from None
        except (TimeoutError, EOFError):
            raise DialError("timeout", "it does not answer") from None
        except (OSError, aiohttp.ClientError) as error:
            raise DialError("unreachable", f"no connection: {_reason(error)}") from None
        opened = asyncio.get_running_loop().create_future()

        async def run() -> None:
            await self._run(session, opened)

        self._spawn(run())
        await opened
        return session

    async def _dial(self, host: str, port: int, wanted: StationId | None) -> Session:
        if self._http is None:
            raise RuntimeError("listen comes first")
        web_socket = await self._http.ws_connect(
            url_of(host, port, "/v1/session"),
            ssl=self._client_context,
            max_msg_size=MAX_FRAME + 1,
            compress=0,
            timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
        )
        try:
            tls = web_socket.get_extra_info("ssl_object")
            certificate = tls.getpeercert(True)
            caller = Caller(
                self._key,
                seen=station_of(certificate),
                wanted=wanted,
                nonce=os.urandom(NONCE_SIZE),
                boot=self._boot,
                token=os.urandom(TOKEN_SIZE),
                port=self.port,
            )
            for message in caller.answer(await _receive(web_socket, MAX_BEFORE_PROOF)):
                await web_socket.send_bytes(message)
            proved = caller.finish(await _receive(web_socket, MAX_BEFORE_PROOF))
            sock = web_socket.get_extra_info("socket")
            tune(sock)
            path = path_of(web_socket.get_extra_info)
        except BaseException:
            with contextlib.suppress(asyncio.CancelledError):
                await web_socket.close()
            raise
        return Session(
            web_socket,
            proved,
            path,
            outgoing=True,
            certificate_digest=hashlib.sha256(certificate).digest(),
            on_message=self._hooks.on_message,
        )

    async def _run(self, session: Session, opened: asyncio.Future[None] | None = None) -> None:
        self._open.add(session)
        reason = "lost"
        try:
            self._hooks.on_open(session)
            if opened is not None:
                opened.set_result(None)
            reason = await session.run()
        finally:
            self._open.discard(session)
            self._hooks.on_close(session, reason)


def _bind(port: int, hosts: tuple[str, ...]) -> list[socket.socket]:
    """Listen on all hosts at one port, or on none; raises OSError."""
    listeners: list[socket.socket] = []
    missing: OSError | None = None
    for host in hosts:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            listener = socket.create_server((host, port), family=family, backlog=64)
        except OSError as error:
            missing = error
            # A kernel without IPv6, or without IPv4, still has the other one.
            if error.errno in {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}:
                continue
            for bound in listeners:
                bound.close()
            raise
        listener.setblocking(False)
        port = listener.getsockname()[1]
        listeners.append(listener)
    if not listeners and missing is not None:
        raise missing
    return listeners


async def _receive(web_socket: WebSocket, budget: int) -> bytes:
    message = await web_socket.receive()
    if message.type is not aiohttp.WSMsgType.BINARY:
        code = message.data if message.type is aiohttp.WSMsgType.CLOSE else None
        if code == REFUSED_CODE:
            raise ProofError("refused", f"it refused us: {message.extra}")
        raise EOFError
    data: bytes = message.data
    if len(data) > budget:
        raise FormatError("too many bytes before the proof")
    return data


def _reason(error: Exception) -> str:
    cause = getattr(error, "os_error", error)
    return getattr(cause, "strerror", None) or str(error) or type(error).__name__
