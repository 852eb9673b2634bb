"""``/v1/blobs``: blobs over HTTP, for stations that have proved their keys.

    GET /v1/blobs/ROOT/manifest   the digests of its chunks
    GET /v1/blobs/ROOT            the blob as it travels; Range: bytes=a-b for some chunks of it

404: it is not here, or not whole.  503: too many ask.  Every request shows the token that came with
the proof of the session, and whoever asks checks that the certificate holds the key of whom it asks
before that token leaves.  So both sides of a session can ask, whoever has called whom.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import socket
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import aiohttp
from aiohttp import web
from yarl import URL

from appliance.adapters.blobs import Blobs
from appliance.adapters.certificate import station_of
from appliance.adapters.dscp import Dscp, mark
from appliance.adapters.session import Session, tune
from appliance.model.attachment import CHUNK, ROOT_SIZE
from appliance.model.identity import IdentityError, StationId
from appliance.protocol.chunks import DIGEST_SIZE, chunk_count, chunk_size

log = logging.getLogger(__name__)

NOT_SENT_LOW_WATER: Final = 512 * 1024
"""Bytes that the kernel may hold unsent: enough to keep a fast link busy while the event loop is at
something else (128 KiB: 0.6 times the throughput on a busy machine). Without it a slow link would
make it hold megabytes."""

MAX_SERVED: Final = 16
MAX_SERVED_EACH: Final = 4
"""Requests that are answered at a time, in all and over one session; each holds a chunk."""

SLOW_S: Final = 20.0
"""Where too many ask, whoever has taken longer over one chunk makes room: it can go on later where
it was.  Else whoever asks and then takes nothing would keep all others from being answered."""


class BulkError(Exception):
    """A station did not give what it was asked for; `code` is for programs."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        """``has-not``, ``busy``, ``broken`` or ``odd``."""


def tune_bulk(sock: socket.socket) -> None:
    """Set what the socket of a bulk transfer needs: last in every queue, its own kept short."""
    tune(sock)
    mark(sock, Dscp.BULK)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, NOT_SENT_LOW_WATER)


@dataclass(eq=False)
class _Answer:
    """A request for a blob that is being answered."""

    session: Session
    """Over which."""

    transport: asyncio.Transport
    """Its connection."""

    moved_at: float
    """When something of it was taken, as far as is known."""


class BulkServer:
    """The side that has blobs."""

    def __init__(
        self,
        blobs: Blobs,
        sessions: Callable[[], Iterable[Session]],
        on_proved: Callable[[web.Request, Session], None],
    ) -> None:
        """`on_proved` is told of a request that showed a good token, and whose."""
        self._blobs = blobs
        self._sessions = sessions
        self._on_proved = on_proved
        self._served: set[_Answer] = set()

    def routes(self) -> list[web.RouteDef]:
        """Return what the session listener serves beside ``/v1/session``."""
        return [
            web.get("/v1/blobs/{root}/manifest", self._manifest, allow_head=False),
            web.get("/v1/blobs/{root}", self._get, allow_head=False),
        ]

    def serves(self, peer: StationId) -> bool:
        """Tell whether a station is being sent something now."""
        return any(answer.session.proved.peer == peer for answer in self._served)

    def _check_token(self, request: web.Request) -> Session:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        given = token.encode(errors="surrogateescape")
        matches = [
            session
            for session in self._sessions()
            if hmac.compare_digest(given, session.proved.take_token.hex().encode())
        ]
        if scheme != "Bearer" or not matches:
            raise web.HTTPUnauthorized(text="bulk needs the token of a proved session\n")
        self._on_proved(request, matches[0])
        if request.transport is not None:
            tune_bulk(request.transport.get_extra_info("socket"))
        return matches[0]

    def _find(self, request: web.Request) -> tuple[bytes, int]:
        """Return root and size of the blob that is asked for."""
        name = request.match_info["root"]
        try:
            root = bytes.fromhex(name) if len(name) == 2 * ROOT_SIZE else b""
        except ValueError:
            root = b""
        size = self._blobs.size(root)
        if size is None:
            raise web.HTTPNotFound(text="this blob is not here\n")
        return root, size

    async def _manifest(self, request: web.Request) -> web.Response:
        self._check_token(request)
        root, _ = self._find(request)
        digests = await asyncio.to_thread(self._blobs.manifest, root)
        if digests is None:
            raise web.HTTPNotFound(text="this blob is not here\n")
        return web.Response(body=digests)

    async def _get(self, request: web.Request) -> web.StreamResponse:
        session = self._check_token(request)
        root, size = self._find(request)
        start, end = _range(request, size)
        response = web.StreamResponse(status=206)
        response.content_length = end - start
        response.content_type = "application/octet-stream"
        response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        answer = self._admit(request, session)
        try:
            await response.prepare(request)
            while start < end:
                length = min(CHUNK, end - start)
                data = await asyncio.to_thread(self._blobs.read, root, start, length)
                if data is None or len(data) != length:
                    # It was dropped meanwhile; a short answer must not look like a whole one.
                    answer.transport.abort()
                    break
                await response.write(data)
                answer.moved_at = asyncio.get_running_loop().time()
                start += length
        except ConnectionError:
            log.info("%s asks no more for a blob", session.proved.peer.tag)
        finally:
            self._served.discard(answer)
        return response

    def _admit(self, request: web.Request, session: Session) -> _Answer:
        """Let a request be answered, in the place of a slow one if need be; or refuse it."""
        now = asyncio.get_running_loop().time()
        full = len(self._served) >= MAX_SERVED
        slowest = min(self._served, key=lambda each: each.moved_at) if full else None
        each = sum(other.session is session for other in self._served)
        waits = slowest is not None and now - slowest.moved_at < SLOW_S
        if each >= MAX_SERVED_EACH or waits or request.transport is None:
            raise web.HTTPServiceUnavailable(text="too many ask for blobs\n")
        if slowest is not None:
            log.info("%s takes too long over a blob", slowest.session.proved.peer.tag)
            slowest.transport.abort()
            self._served.discard(slowest)
        answer = _Answer(session, request.transport, now)
        self._served.add(answer)
        return answer


def _range(request: web.Request, size: int) -> tuple[int, int]:
    """Return which bytes are asked for; raises HTTPRequestRangeNotSatisfiable."""
    try:
        asked = request.http_range
        start, stop, _ = asked.indices(size)
    except ValueError:
        start = stop = 0
    if start >= stop:
        raise web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{size}"})
    return start, stop


def url_of(host: str, port: int, path: str) -> URL:
    """Return the URL of a path at a host; raises aiohttp.InvalidURL when that can't be a host.

    Built from its parts: out of a URL as text, yarl hands the scope of a link-local address to the
    resolver as ``%25eth0``, which finds nothing.
    """
    try:
        return URL.build(scheme="https", host=host, port=port, path=path)
    except ValueError as error:
        raise aiohttp.InvalidURL(host, str(error)) from None


class StationPin(aiohttp.Fingerprint):
    """Lets a request out only to whoever has proved a station's key in the TLS handshake."""

    def __init__(self, station: StationId) -> None:
        super().__init__(station.key)
        self._station = station

    def check(self, transport: asyncio.Transport) -> None:
        """Raise ServerFingerprintMismatch unless the certificate holds the station's key."""
        tls = transport.get_extra_info("ssl_object")
        try:
            found = station_of(tls.getpeercert(True) if tls is not None else None)
        except IdentityError:
            found = None
        if found != self._station:
            host, port, *_ = transport.get_extra_info("peername")
            got = found.key if found is not None else b""
            raise aiohttp.ServerFingerprintMismatch(self._station.key, got, host, port)

    def __eq__(self, other: object) -> bool:
        """Connections to one station are one as good as the other."""
        return isinstance(other, StationPin) and other._station == self._station

    def __hash__(self) -> int:
        return hash(self._station)


@dataclass
class Tail:
    """A chunk of which only the beginning has come: the rest may come later, from anybody."""

    index: int
    """Its place."""

    source: StationId | None
    """From whom the beginning is; None: from more than one."""

    data: bytearray = field(default_factory=bytearray)
    """What is here of it."""


class BulkClient:
    """The side that wants blobs: gets them from a station that it has a session with."""

    def __init__(self, http: aiohttp.ClientSession, session: Session) -> None:
        path = session.path
        port = path.remote_port if session.outgoing else session.proved.peer_port
        self._base = url_of(path.remote_host, port, "/v1/blobs")
        self._http = http
        self._headers = {"Authorization": f"Bearer {session.proved.send_token.hex()}"}
        self._pin = StationPin(session.proved.peer)

    async def manifest(self, root: bytes, size: int) -> bytes:
        """Get what is said to be the digests of a blob; raises BulkError."""
        length = DIGEST_SIZE * chunk_count(size)
        try:
            async with self._http.get(
                self._base / root.hex() / "manifest", headers=self._headers, ssl=self._pin
            ) as response:
                if response.status != 200:
                    raise _refusal(response)
                if response.content_length != length:
                    raise BulkError("odd", "the manifest has a wrong size")
                return await response.content.readexactly(length)
        except (aiohttp.ClientError, OSError, EOFError) as error:
            raise BulkError("broken", str(error) or type(error).__name__) from None

    async def chunks(
        self, root: bytes, size: int, first: int, count: int, tail: Tail
    ) -> AsyncGenerator[tuple[int, bytes], None]:
        """Get chunks in a row, each as it has come, and not checked; raises BulkError.

        `tail` is what is here of the first one, and afterwards of the one that was not whole.
        """
        if tail.index != first:
            raise ValueError("this is not the beginning of the first chunk")
        start = first * CHUNK + len(tail.data)
        end = min(size, (first + count) * CHUNK)
        asked = {**self._headers, "Range": f"bytes={start}-{end - 1}"}
        try:
            async with self._http.get(
                self._base / root.hex(), headers=asked, ssl=self._pin
            ) as response:
                if response.status != 206:
                    raise _refusal(response)
                if response.headers.get("Content-Range") != f"bytes {start}-{end - 1}/{size}":
                    raise BulkError("odd", "it sends other bytes than those asked for")
                while start < end:
                    want = chunk_size(size, tail.index) - len(tail.data)
                    piece = await response.content.read(want)
                    if not piece:
                        raise BulkError("broken", "it ended too soon")
                    start += len(piece)
                    tail.data += piece
                    if len(piece) == want:
                        index, chunk = tail.index, bytes(tail.data)
                        tail.index += 1
                        tail.data.clear()
                        yield index, chunk
        except (aiohttp.ClientError, OSError, EOFError) as error:
            raise BulkError("broken", str(error) or type(error).__name__) from None


def _refusal(response: aiohttp.ClientResponse) -> BulkError:
    code = {404: "has-not", 503: "busy"}.get(response.status, "broken")
    return BulkError(code, f"it answers {response.status}")
