"""``/v1/blobs``: bulk data over HTTP, for stations that have proved their keys.

Every request shows the token that came with the proof of its session, and the caller pins the
certificate that it proved, so bulk is as authentic as the session that it belongs to.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp import web
from yarl import URL

from appliance.adapters.blobs import BlobError, Blobs
from appliance.adapters.dscp import Dscp, mark
from appliance.adapters.session import Session, tune

log = logging.getLogger(__name__)

_STATUS = {"too-large": 413, "wrong-hash": 422, "disk-full": 507, "bad-name": 404}
_CHUNK = 64 * 1024

NOT_SENT_LOW_WATER: Final = 128 * 1024
"""Bytes that the kernel may hold unsent: enough to keep a fast link busy while the event loop is at
something else. Without it a slow link would make it hold megabytes."""


def tune_bulk(sock: socket.socket) -> None:
    """Set what the socket of a bulk transfer needs: last in every queue, its own kept short."""
    tune(sock)
    mark(sock, Dscp.BULK)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, NOT_SENT_LOW_WATER)


class BulkServer:
    """The callee's side of bulk requests."""

    def __init__(
        self,
        blobs: Blobs,
        sessions: Callable[[], Iterable[Session]],
        on_proved: Callable[[web.Request], None],
    ) -> None:
        """`on_proved` is told of a request that showed a good token."""
        self._blobs = blobs
        self._sessions = sessions
        self._on_proved = on_proved

    def routes(self) -> list[web.RouteDef]:
        """Return what the session listener serves beside ``/v1/session``."""
        return [
            web.put("/v1/blobs/{digest}", self._put),
            web.get("/v1/blobs/{digest}", self._get, allow_head=True),
        ]

    def _check_token(self, request: web.Request) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        given = token.encode(errors="surrogateescape")
        matches = [
            hmac.compare_digest(given, session.proved.take_token.hex().encode())
            for session in self._sessions()
        ]
        if scheme != "Bearer" or not any(matches):
            raise web.HTTPUnauthorized(text="bulk needs the token of a proved session\n")
        self._on_proved(request)
        if request.transport is not None:
            tune_bulk(request.transport.get_extra_info("socket"))

    async def _put(self, request: web.Request) -> web.Response:
        self._check_token(request)
        digest = request.match_info["digest"]
        try:
            if self._blobs.has(digest):
                return web.Response(status=200)
            upload = self._blobs.begin(digest)
        except BlobError as error:
            return web.Response(status=_STATUS[error.code], text=f"{error}\n")
        try:
            async for chunk in request.content.iter_chunked(_CHUNK):
                upload.write(chunk)
            # A card takes seconds to have written a large one.
            await asyncio.to_thread(upload.finish)
        except BlobError as error:
            return web.Response(status=_STATUS[error.code], text=f"{error}\n")
        finally:
            upload.close()
        return web.Response(status=201)

    async def _get(self, request: web.Request) -> web.StreamResponse:
        self._check_token(request)
        try:
            if not self._blobs.has(request.match_info["digest"]):
                raise web.HTTPNotFound(text="this blob is not here\n")
            path = self._blobs.path(request.match_info["digest"])
        except BlobError as error:
            return web.Response(status=_STATUS[error.code], text=f"{error}\n")
        return web.FileResponse(path, chunk_size=_CHUNK)


def url_of(host: str, port: int, path: str) -> URL:
    """Return the URL of a path at a host; raises aiohttp.InvalidURL when that can't be a host.

    Built from its parts: out of a URL as text, yarl hands the scope of a link-local address to the
    resolver as ``%25eth0``, which finds nothing.
    """
    try:
        return URL.build(scheme="https", host=host, port=port, path=path)
    except ValueError as error:
        raise aiohttp.InvalidURL(host, str(error)) from None


class BulkClient:
    """The caller's side: puts to and gets from a station that it has a session with."""

    def __init__(self, http: aiohttp.ClientSession, session: Session) -> None:
        if session.certificate_digest is None:
            raise ValueError("bulk requests go to a station that we have called")
        self._base = url_of(session.path.remote_host, session.path.remote_port, "/v1/blobs")
        self._http = http
        self._headers = {"Authorization": f"Bearer {session.proved.send_token.hex()}"}
        self._pin = aiohttp.Fingerprint(session.certificate_digest)

    async def put(self, digest: str, file: Path) -> None:
        """Send a file; raises BlobError when the other side refuses it."""
        with file.open("rb") as data:
            async with self._http.put(
                self._base / digest, data=data, headers=self._headers, ssl=self._pin
            ) as response:
                if response.status not in {200, 201}:
                    raise BlobError(f"http-{response.status}", (await response.text()).strip())

    async def get(self, digest: str, blobs: Blobs) -> None:
        """Fetch a blob into `blobs`; raises BlobError when it is not there or is a wrong one."""
        upload = blobs.begin(digest)
        try:
            async with self._http.get(
                self._base / digest, headers=self._headers, ssl=self._pin
            ) as response:
                if response.status != 200:
                    raise BlobError(f"http-{response.status}", (await response.text()).strip())
                async for chunk in response.content.iter_chunked(_CHUNK):
                    upload.write(chunk)
            await asyncio.to_thread(upload.finish)
        finally:
            upload.close()
