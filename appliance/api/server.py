"""The local API's server: HTTP on a Unix socket for clients on this machine.

One request per connection, at most `Limits.connections` of them, JSON in and out, every error as
``{"error": {code, text, fix}}``.  Peers are checked by the kernel's credentials; no browser is
served, since whatever would stand between a web page and this socket hands over everything.  What
the endpoints mean is `routes`' matter, how events are written `streams`'.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import socket
import stat
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Final, cast

from aiohttp import web

from appliance.api import requests as ask
from appliance.api.backend import ApiError, Backend
from appliance.api.jsonable import as_text, to_json
from appliance.api.peercred import may_use
from appliance.api.records import MAX_RECORDS_BYTES
from appliance.api.routes import EVENTS, ROUTES
from appliance.api.routing import Route
from appliance.api.schema import ErrorBody, Event
from appliance.api.streams import EventStreams

log = logging.getLogger(__name__)

_MODE: Final = 0o660
_BROWSER_HEADERS: Final = ("Origin", "Sec-Fetch-Site")
_BROWSER: Final = ErrorBody(
    "no-browsers",
    "This interface is for programs on this machine, not for web pages.",
    "Use fencewire, curl --unix-socket or appliance.api.client.",
)
_FULL: Final = ErrorBody(
    "too-many-connections",
    "Too many programs are using the daemon just now.",
    "Close some of them, or try again.",
)
_DENIED: Final = ErrorBody(
    "not-allowed",
    "The daemon belongs to another user.",
    "Join the group that owns its socket and log in again, or run this as its user.",
)
_NO_HTTP: Final = ErrorBody(
    "bad-request",
    "This is no HTTP request.",
    "Speak HTTP/1.1 with heads below 8 kB; GET /v1 lists what there is.",
)
_HTTP_FIX: Final = {
    404: ("not-found", "There is no such path.", "GET /v1 lists what there is."),
    405: ("wrong-method", "This path does not take that method.", "GET /v1 lists what there is."),
    413: (
        "too-large",
        f"A request's body has at most {ask.MAX_BODY_BYTES // 1024} kB; one with records"
        f" {MAX_RECORDS_BYTES // 1024} kB.",
        "Send less at once.",
    ),
}


@dataclass(frozen=True)
class Limits:
    """What one server takes; tests make it smaller."""

    connections: int = 32
    """At once; more are told to come back."""

    streams: int = 16
    """Of those, how many may follow events, so that commands always find room."""

    body_bytes: int = ask.MAX_BODY_BYTES
    """Of one request."""

    read_s: float = 10.0
    """For a whole head, and again for a whole body."""

    write_s: float = 10.0
    """For one event to leave; a reader slower than that is dropped."""

    keep_alive_s: float = 15.0
    """Between two signs of life on an event stream."""


class SocketError(Exception):
    """The API's socket can't be made; says what happened and what to do."""


class ApiServer:
    """Serves a `Backend` at a path until it is stopped."""

    def __init__(self, backend: Backend, path: Path, *, limits: Limits | None = None) -> None:
        self.path = path
        self._backend = backend
        self._limits = limits or Limits()
        self._streams = EventStreams(
            backend.events,
            self._complete,
            most=self._limits.streams,
            write_s=self._limits.write_s,
            keep_alive_s=self._limits.keep_alive_s,
        )
        self._lock_fd: int | None = None
        self._owner_gid = -1
        self._listener: asyncio.Server | None = None
        self._runner: web.AppRunner | None = None
        self._open: set[asyncio.BaseTransport] = set()

    async def start(self) -> None:
        """Listen; raises SocketError when another daemon does or the path can't be used."""
        app = web.Application(
            middlewares=[self._errors_as_json], client_max_size=self._limits.body_bytes
        )
        for route in ROUTES:
            app.router.add_route(route.method, route.path, self._handler(route))
        app.router.add_route(EVENTS.method, EVENTS.path, self._streams.serve)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=5)
        listening = self._bind()
        self._runner = runner
        await runner.setup()
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_unix_server(
            self._gate, sock=listening, backlog=self._limits.connections
        )

    async def stop(self) -> None:
        """End all streams, let other requests finish for a moment, and remove the socket."""
        if self._listener is not None:
            self._listener.close()
            self.path.unlink(missing_ok=True)
        await self._streams.stop()
        if self._runner is not None:
            await self._runner.cleanup()
        for transport in tuple(self._open):
            transport.close()
        if self._lock_fd is not None:
            os.close(self._lock_fd)
        self._lock_fd = self._listener = self._runner = None

    def _bind(self) -> socket.socket:
        """Make the socket, replacing one that a dead daemon left behind.

        The lock, which the kernel drops with its holder, tells dead from alive without a race.
        """
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock_fd = os.open(
                self.path.with_name(self.path.name + ".lock"),
                os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW,
                0o600,
            )
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return self._bind_locked()
        except OSError as error:
            if self._lock_fd is not None:
                os.close(self._lock_fd)
                self._lock_fd = None
            if isinstance(error, BlockingIOError):
                raise SocketError(
                    f"Another daemon already serves {self.path}. Use that one, stop it first, or"
                    " give this one a path of its own with --api."
                ) from error
            raise SocketError(
                f"The daemon can't listen at {self.path}: {error.strerror or error}."
                " Give it another path with --api."
            ) from error

    def _bind_locked(self) -> socket.socket:
        if self.path.exists() and not stat.S_ISSOCK(self.path.lstat().st_mode):
            raise OSError(0, "there is something else that is no socket")
        self.path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # Linux gives the file the mode of the socket, less the umask: so it is never wider
            # than this, not even between bind() and chmod().
            os.fchmod(listening.fileno(), _MODE)
            listening.bind(str(self.path))
            self.path.chmod(_MODE)
            self._owner_gid = self.path.stat().st_gid
        except OSError:
            listening.close()
            raise
        return listening

    def _complete(self, event: Event) -> Event:
        """Fill in a ``status`` without data: what counts is how we are when it leaves."""
        if event.type != "status" or event.data:
            return event
        data = to_json(self._backend.status())
        assert isinstance(data, dict)
        return replace(event, data=data)

    def _gate(self) -> asyncio.Protocol:
        return _Gate(self)

    def admit(self, transport: asyncio.Transport) -> ErrorBody | asyncio.Protocol:
        """Count a new connection; return what handles it, or why it is refused."""
        if not may_use(transport.get_extra_info("socket"), self._owner_gid):
            log.warning("refused a connection of another user")
            return _DENIED
        if len(self._open) >= self._limits.connections:
            return _FULL
        assert self._runner is not None
        server = self._runner.server
        assert server is not None
        self._open.add(transport)
        return _Connection(
            server,
            loop=asyncio.get_running_loop(),
            when_lost=lambda: self._open.discard(transport),
            head_timeout_s=self._limits.read_s,
        )

    def _handler(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            if route.body_bytes is not None:
                request = request.clone(client_max_size=route.body_bytes)
            # Only the arrival of the request is bounded here: how long the work may take is for
            # the daemon to say, and to break it off half-way would be worse than to wait.
            try:
                async with asyncio.timeout(self._limits.read_s):
                    if not route.streams:
                        await request.read()
            except TimeoutError:
                raise ApiError(
                    408, "too-slow", "The request did not come to its end.", "Try again."
                ) from None
            result = await route.action(self._backend, request)
            if isinstance(result, web.StreamResponse):
                result.force_close()
                return result
            return _answer(200, {} if result is None else to_json(result))

        return handle

    @web.middleware
    async def _errors_as_json(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        if any(name in request.headers for name in _BROWSER_HEADERS):
            return _error(403, _BROWSER)
        try:
            return await handler(request)
        except ApiError as error:
            return _error(error.status, ErrorBody(error.code, error.text, error.fix))
        except web.HTTPException as error:
            return _http_error(error)
        except ConnectionError:
            raise  # the client has gone; nobody is there to be told
        except Exception as error:  # noqa: BLE001 - the last line of defence, logged
            _log_fault(f"{request.method} {request.path.split('/')[2:3]}", error)
            return _error(
                500,
                ErrorBody(
                    "internal",
                    "The daemon made a mistake.",
                    "Try again; if it stays, look at its log and report it.",
                ),
            )


class _Connection(web.RequestHandler):
    """One HTTP connection; aiohttp's, but with our words for what is no HTTP."""

    def __init__(
        self,
        server: web.Server,
        *,
        loop: asyncio.AbstractEventLoop,
        when_lost: Callable[[], None],
        head_timeout_s: float,
    ) -> None:
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=head_timeout_s,  # aiohttp drops whoever has sent no head by then
            tcp_keepalive=False,
            access_log=None,  # type: ignore[arg-type]  # how aiohttp itself says: no log
            lingering_time=1.0,
            max_headers=64,
        )
        self._when_lost = when_lost
        self.stream: asyncio.Task[None] | None = None
        """What follows events on this connection, to be ended with it."""

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._when_lost()
        if self.stream is not None:
            self.stream.cancel()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if exc is not None and status >= 500 and not isinstance(exc, ConnectionError):
            _log_fault("request", exc)
        return _error(status, _NO_HTTP)


class _Gate(asyncio.Protocol):
    """Decides about a connection before a byte of it is parsed."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._refusal: ErrorBody | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        verdict = self._server.admit(self._transport)
        if isinstance(verdict, ErrorBody):
            self._refusal = verdict
            # Answered when its request comes, since many clients do not look before.
            asyncio.get_running_loop().call_later(1.0, self._transport.abort)
            return
        self._transport.set_protocol(verdict)
        verdict.connection_made(self._transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        if self._refusal is not None:
            status = 403 if self._refusal is _DENIED else 503
            content = json.dumps({"error": to_json(self._refusal)}).encode()
            self._transport.write(
                f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
                "Content-Type: application/json\r\nConnection: close\r\n"
                f"Content-Length: {len(content)}\r\n\r\n".encode()
                + content
            )
            self._refusal = None
            self._transport.close()


def _answer(status: int, value: object) -> web.Response:
    response = web.Response(
        status=status,
        text=as_text(json.dumps(value, ensure_ascii=False, allow_nan=False)) + "\n",
        content_type="application/json",
    )
    response.force_close()
    return response


def _error(status: int, error: ErrorBody) -> web.Response:
    return _answer(status, {"error": to_json(error)})


def _http_error(error: web.HTTPException) -> web.Response:
    code, text, fix = _HTTP_FIX.get(
        error.status,
        ("bad-request", f"{error.reason}.", "GET /v1 lists what there is."),
    )
    response = _error(error.status, ErrorBody(code, text, fix))
    if "Allow" in error.headers:
        response.headers["Allow"] = error.headers["Allow"]
    return response


def _log_fault(what: str, error: BaseException) -> None:
    """Log where it happened but not the error's own words: they may repeat a message's text."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    log.error("fault in %s: %s\n%s", what, type(error).__name__, frames)
