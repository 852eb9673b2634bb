"""Takes sessions from other stations and opens sessions to them.

One TCP listener serves both the session's WebSocket (``/v1/session``) and bulk requests.  Until a
caller has proved its key it gets little: few connections, few bytes, a few seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import aiohttp
from aiohttp import web
from aiohttp.http import HttpProcessingError

from appliance.adapters.acceptor import Acceptor, Limits
from appliance.adapters.blobs import Blobs
from appliance.adapters.bulk import BulkClient, BulkServer, tune_bulk, url_of
from appliance.adapters.certificate import client_context, server_context, station_of
from appliance.adapters.session import Clock, Session, WebSocket, path_of, tune
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
_http_log = logging.getLogger(f"{__name__}.http")

DEFAULT_PORT: Final = 18950
"""TCP port of sessions and bulk; unassigned by IANA."""

ANY_HOST: Final = ("::", "0.0.0.0")  # noqa: S104  (any neighbour may call; it then proves its key)

REFUSED_CODE: Final = 4003
"""WebSocket close code (RFC 6455 section 7.4.2, private use): your proof does not convince."""

FAREWELL_S: Final = 1.0
"""How long a stop waits for the goodbyes of all sessions."""

BULK_CONNECT_S: Final = 6.0
BULK_SILENT_S: Final = 60.0
BULK_KEEP_S: Final = 15.0
"""How long a connection for bulk waits for the next request; less than the server's patience."""

SERVER_KEEP_S: Final = 30.0
READ_AHEAD: Final = 256 * 1024
"""Bytes of an answer that wait in memory before the other side is slowed down."""


FULL: Final = "this station has as many sessions as it can hold"


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

    clock: Clock | None = None
    """What time it is; None: nothing is said of it."""

    on_bulk: Callable[[Session], None] | None = None
    """The other side of a session asks for a blob, so the session is in use."""


class Sessions:
    """All sessions of this station."""

    def __init__(
        self,
        key: StationKey,
        *,
        boot: bytes,
        blobs: Blobs,
        hooks: Hooks,
        limits: Limits = Limits(),  # noqa: B008 (immutable)
    ) -> None:
        if len(boot) != BOOT_SIZE:
            raise ValueError(f"a boot id has {BOOT_SIZE} bytes")
        self._key, self._boot, self._hooks, self._limits = key, boot, hooks, limits
        self._acceptor = Acceptor(server_context(key), limits)
        self._client_context = client_context()
        self._open: set[Session] = set()
        self._all_ended = asyncio.Event()
        self._dials = asyncio.Semaphore(limits.dials)
        self._closing = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._bulk = BulkServer(blobs, lambda: self._open, self._bulk_proved)
        self._http: aiohttp.ClientSession | None = None
        self._bulk_http: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        """Where we listen."""
        return self._acceptor.port

    async def listen(self, port: int, hosts: tuple[str, ...] = ANY_HOST) -> None:
        """Take sessions on `port` (0: any free one) of `hosts`; raises OSError when it is taken."""
        app = web.Application()
        app.router.add_get("/v1/session", self._serve)
        app.router.add_routes(self._bulk.routes())
        self._runner = web.AppRunner(
            app,
            access_log=None,
            logger=_http_log,
            handle_signals=False,
            keepalive_timeout=SERVER_KEEP_S,
            shutdown_timeout=FAREWELL_S,
        )
        await self._runner.setup()
        self._http = _http_client(tune)
        self._bulk_http = _http_client(tune_bulk, keep_s=BULK_KEEP_S)
        if self._runner.server is None:
            raise RuntimeError("a runner that was set up has a server")
        self._acceptor.listen(self._runner.server, port, hosts)

    async def close(self) -> None:
        """Stop listening and end all sessions politely; dials that are under way fail."""
        self._closing = True
        self._acceptor.stop_listening()
        for session in list(self._open):
            session.end("stopping")
        if self._open:
            self._all_ended.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FAREWELL_S):
                    await self._all_ended.wait()
        await self._acceptor.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()
        for http in (self._http, self._bulk_http):
            if http is not None:
                await http.close()

    def bulk(self, session: Session) -> BulkClient:
        """Return the way to get blobs from a station with a session, whoever has called whom."""
        if self._bulk_http is None:
            raise RuntimeError("listen comes first")
        return BulkClient(self._bulk_http, session)

    def sends_to(self, peer: StationId) -> bool:
        """Tell whether a station is being sent a blob now."""
        return self._bulk.serves(peer)

    # -- Taking sessions

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        accepted = self._acceptor.of(request)
        response = web.WebSocketResponse(
            max_msg_size=MAX_FRAME + 1, autoping=True, compress=False, timeout=1.0
        )
        await response.prepare(request)
        try:
            async with asyncio.timeout(self._limits.handshake_s):
                proved = await self._prove_caller(response)
            accepted.proved = True
            if request.transport is None:
                raise EOFError
            session = Session(
                response,
                proved,
                path_of(request.transport.get_extra_info),
                outgoing=False,
                on_message=self._hooks.on_message,
                clock=self._hooks.clock,
            )
            self._hold(session)
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
        if len(self._open) >= self._limits.sessions or self._closing:
            raise ProofError("full", FULL)
        await response.send_bytes(welcome)
        return proved

    def _refuse(self, host: str, error: Exception) -> None:
        code = error.code if isinstance(error, ProofError) else "malformed"
        log.warning("refused %s (%s): %s", host, code, error)
        self._hooks.on_refused(host, code, str(error))

    def _bulk_proved(self, request: web.Request, session: Session) -> None:
        self._acceptor.of(request).proved = True
        if self._hooks.on_bulk is not None:
            self._hooks.on_bulk(session)

    # -- Opening sessions

    async def dial(self, host: str, port: int, wanted: StationId | None) -> Session:
        """Open a session to whoever answers at an address; raises DialError.

        `wanted` is whom we mean to reach; None: learn who it is.  `on_open` is called before this
        returns, and the session's messages begin to flow after.
        """
        async with self._dials:
            try:
                async with asyncio.timeout(self._limits.handshake_s):
                    session = await self._dial(host, port, wanted)
            except (ProofError, FormatError, IdentityError) as error:
                self._refuse(host, error)
                code = error.code if isinstance(error, ProofError) else "malformed"
                raise DialError(code, str(error)) from None
            except TimeoutError:
                raise DialError("timeout", "it does not answer") from None
            except EOFError:
                raise DialError("closed", "it ended the connection") from None
            except (OSError, aiohttp.ClientError) as error:
                raise DialError("unreachable", f"no connection: {_reason(error)}") from None
            # From here to the end nothing waits, so nobody can cancel us in between.
            self._hold(session)
            task = asyncio.create_task(self._run(session), name="session")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return session

    def _check_room(self) -> None:
        if self._closing:
            raise DialError("stopping", "this station is stopping")
        if len(self._open) >= self._limits.sessions:
            raise DialError("full", FULL)

    async def _dial(self, host: str, port: int, wanted: StationId | None) -> Session:
        if self._http is None:
            raise RuntimeError("listen comes first")
        self._check_room()
        web_socket = await self._http.ws_connect(
            url_of(host, port, "/v1/session"),
            ssl=self._client_context,
            max_msg_size=MAX_FRAME + 1,
            compress=0,
            timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
        )
        try:
            tls = web_socket.get_extra_info("ssl_object")
            if tls is None:
                raise EOFError
            path = path_of(web_socket.get_extra_info)
            caller = Caller(
                self._key,
                seen=station_of(tls.getpeercert(True)),
                wanted=wanted,
                nonce=os.urandom(NONCE_SIZE),
                boot=self._boot,
                token=os.urandom(TOKEN_SIZE),
                port=self.port,
            )
            for message in caller.answer(await _receive(web_socket, MAX_BEFORE_PROOF)):
                await web_socket.send_bytes(message)
            proved = caller.finish(await _receive(web_socket, MAX_BEFORE_PROOF))
            self._check_room()
        except BaseException:
            with contextlib.suppress(asyncio.CancelledError):
                await web_socket.close()
            raise
        return Session(
            web_socket,
            proved,
            path,
            outgoing=True,
            on_message=self._hooks.on_message,
            clock=self._hooks.clock,
        )

    def _hold(self, session: Session) -> None:
        self._open.add(session)
        self._hooks.on_open(session)

    async def _run(self, session: Session) -> None:
        reason = "lost"
        try:
            reason = await session.run()
        finally:
            self._open.discard(session)
            if not self._open:
                self._all_ended.set()
            self._hooks.on_close(session, reason)


def _is_our_fault(record: logging.LogRecord) -> bool:
    """Strangers who speak no proper HTTP must not fill the log with tracebacks."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


_http_log.addFilter(_is_our_fault)


def _http_client(
    tune_socket: Callable[[socket.socket], None], *, keep_s: float | None = None
) -> aiohttp.ClientSession:
    """Make the client of sessions or bulk: it remembers nothing and goes only where it is told."""

    def make_socket(address: aiohttp.AddrInfoType) -> socket.socket:
        sock = socket.socket(*address[:3])
        sock.setblocking(False)
        # Before it connects, so that the first packets are marked too.
        tune_socket(sock)
        return sock

    async def refuse(*_: object) -> None:
        raise aiohttp.ClientError("it points somewhere else")

    trace = aiohttp.TraceConfig()
    # Whoever answers in a station's place must not make us knock on other doors.
    trace.on_request_redirect.append(refuse)
    return aiohttp.ClientSession(
        # No limit here: each session keeps its connection, and `Limits` counts them.
        connector=aiohttp.TCPConnector(
            limit=0,
            force_close=keep_s is None,
            keepalive_timeout=keep_s,
            use_dns_cache=False,
            socket_factory=make_socket,
        ),
        timeout=aiohttp.ClientTimeout(
            total=None, sock_connect=BULK_CONNECT_S, sock_read=BULK_SILENT_S
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        trace_configs=[trace],
        auto_decompress=False,
        read_bufsize=READ_AHEAD,
    )


async def _receive(web_socket: WebSocket, budget: int) -> bytes:
    message = await web_socket.receive()
    if message.type is not aiohttp.WSMsgType.BINARY:
        code = message.data if message.type is aiohttp.WSMsgType.CLOSE else None
        if code == REFUSED_CODE:
            raise ProofError("refused", f"it refused us: {message.extra}")
        if message.type is aiohttp.WSMsgType.TEXT:
            raise FormatError("text where bytes are due")
        raise EOFError
    data: bytes = message.data
    if len(data) > budget:
        raise FormatError("too many bytes before the proof")
    return data


def _reason(error: Exception) -> str:
    cause = getattr(error, "os_error", error)
    return getattr(cause, "strerror", None) or str(error) or type(error).__name__
