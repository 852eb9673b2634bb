"""HTTP/1.1 over a Unix socket, one request a connection, for the client library.

h11 does the protocol and asyncio the socket.  aiohttp's client would do both, but costs 18 MB and
0.2 s more at every start of a command, which on a small board is seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

import h11

from appliance.api.errors import ConnectionLost, NotRunning, NotYetRunning, RequestError
from appliance.api.paths import SERVICE_SOCKET, trouble_path

MAX_ANSWER_BYTES: Final = 32 * 1024 * 1024
"""200 messages of full length take 13 MB."""

_READ_BYTES: Final = 65_536
_SEND_BYTES: Final = 262_144
_STALLED_S: Final = 60.0
"""A daemon that takes nothing of a file for so long does not live."""

_UPLOADED_S: Final = 180.0
"""For it to bring the last of a file to a slow disk."""

_MAX_TROUBLE_CHARS: Final = 500
"""Of what a daemon that could not start has left to say."""

_GONE: Final = ("The daemon went away.", "Look whether it runs: fencewire status")
_SILENT: Final = ("The daemon does not answer.", "Restart it if that stays.")


class _SourceError(Exception):
    """What is to be sent can't be read; the daemon has nothing to do with it."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error.strerror)
        self.error = error


class Exchange:
    """One request and its answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT)

    async def ask(self, method: str, target: str, body: bytes | None) -> int:
        """Send the request and return the status of the answer."""
        headers = [("Host", "fencewire"), ("Accept", "application/json"), ("Connection", "close")]
        if body is not None:
            headers += [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        request = h11.Request(method=method, target=target, headers=headers)
        out = self._http.send(request) or b""
        if body:
            out += self._http.send(h11.Data(data=body)) or b""
        out += self._http.send(h11.EndOfMessage()) or b""
        self._writer.write(out)
        with suppress(OSError):  # refused early: the answer that says why is still to be read
            await self._writer.drain()
        event = await self._next()
        if not isinstance(event, h11.Response):
            raise ConnectionLost(*_GONE)
        return event.status_code

    async def give(self, target: str, source: BinaryIO, size: int) -> int:
        """Send so many bytes of a file as a request and return the status of the answer.

        Whoever refuses it early is heard at once.
        """
        sending = asyncio.get_running_loop().create_task(self._send(target, source, size))
        answering = asyncio.ensure_future(self._next())
        try:
            await asyncio.wait((sending, answering), return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                with suppress(OSError):  # gone, or refused: the answer says which
                    await sending
            async with asyncio.timeout(_UPLOADED_S):
                event = await answering
        finally:
            sending.cancel()
            answering.cancel()
            await asyncio.gather(sending, answering, return_exceptions=True)
        if not isinstance(event, h11.Response):
            raise ConnectionLost(*_GONE)
        return event.status_code

    async def _send(self, target: str, source: BinaryIO, size: int) -> None:
        headers = [
            ("Host", "fencewire"),
            ("Accept", "application/json"),
            ("Connection", "close"),
            ("Content-Type", "application/octet-stream"),
            ("Content-Length", str(size)),
        ]
        request = h11.Request(method="POST", target=target, headers=headers)
        self._writer.write(self._http.send(request) or b"")
        while size:
            try:
                piece = await asyncio.to_thread(source.read, min(size, _SEND_BYTES))
            except OSError as error:
                raise _SourceError(error) from error
            if not piece:
                raise _SourceError(OSError(0, "the file became shorter while it was read"))
            size -= len(piece)
            self._writer.write(self._http.send(h11.Data(data=piece)) or b"")
            async with asyncio.timeout(_STALLED_S):
                await self._writer.drain()
        self._writer.write(self._http.send(h11.EndOfMessage()) or b"")
        await self._writer.drain()

    async def chunk(self) -> bytes | None:
        """Return the next piece of the answer's body; None at its end."""
        event = await self._next()
        return bytes(event.data) if isinstance(event, h11.Data) else None

    async def _next(self) -> h11.Event:
        while True:
            try:
                event = self._http.next_event()
                if event is h11.NEED_DATA:
                    self._http.receive_data(await self._reader.read(_READ_BYTES))
                elif isinstance(event, h11.Event) and not isinstance(
                    event, h11.InformationalResponse
                ):
                    return event
            except (OSError, h11.RemoteProtocolError) as error:
                raise ConnectionLost(*_GONE) from error


def _not_running(path: Path) -> NotRunning:
    """Say why nobody listens there, as far as it is known."""
    try:
        return NotRunning(trouble_path(path).read_text(errors="replace")[:_MAX_TROUBLE_CHARS], "")
    except OSError:
        pass  # nobody has left a reason
    if path == SERVICE_SOCKET and path.parent.is_dir():
        return NotYetRunning(
            "Fencewire does not run at the moment.", "The system starts it; wait a minute."
        )
    return NotRunning(f"No daemon is running at {path}.", "Start it with: fencewire run")


@asynccontextmanager
async def exchange(path: Path) -> AsyncGenerator[Exchange]:
    """Connect for one request; raises NotRunning, or RequestError when we may not."""
    try:
        reader, writer = await asyncio.open_unix_connection(str(path))
    except PermissionError as error:
        raise RequestError(
            403,
            "not-allowed",
            f"You may not use the daemon at {path}.",
            "Join the group that owns this socket and log in again, or run this as its user.",
        ) from error
    except OSError as error:
        raise _not_running(path) from error
    try:
        yield Exchange(reader, writer)
    finally:
        writer.transport.abort()


async def fetch(
    path: Path, method: str, target: str, body: bytes | None, *, timeout_s: float
) -> tuple[int, bytes]:
    """Make one request; return status and body."""
    try:
        async with asyncio.timeout(timeout_s), exchange(path) as one:
            status = await one.ask(method, target, body)
            pieces, size = [], 0
            while (piece := await one.chunk()) is not None:
                pieces.append(piece)
                size += len(piece)
                if size > MAX_ANSWER_BYTES:
                    raise ConnectionLost(
                        "The daemon's answer is far too long.", "Is this the right socket?"
                    )
            return status, b"".join(pieces)
    except TimeoutError as error:
        raise ConnectionLost(*_SILENT) from error


async def upload(
    path: Path, target: str, source: BinaryIO, size: int, *, timeout_s: float
) -> tuple[int, bytes]:
    """Send so many bytes of a file; return status and body of the answer.

    However long it takes, but with nothing at all from the daemon for `timeout_s` at the end.
    Raises OSError when the file can't be read.
    """
    try:
        async with exchange(path) as one:
            status = await one.give(target, source, size)
            pieces = []
            async with asyncio.timeout(timeout_s):
                while (piece := await one.chunk()) is not None:
                    pieces.append(piece)
            return status, b"".join(pieces)
    except _SourceError as error:
        raise error.error from None
    except TimeoutError as error:
        raise ConnectionLost(*_SILENT) from error


async def download(
    path: Path, target: str, *, timeout_s: float
) -> AsyncGenerator[tuple[int, bytes]]:
    """Yield status and pieces of an answer of any length; it broke off: ConnectionLost."""
    try:
        async with exchange(path) as one:
            async with asyncio.timeout(timeout_s):
                status = await one.ask("GET", target, None)
            while True:
                async with asyncio.timeout(timeout_s):
                    piece = await one.chunk()
                if piece is None:
                    return
                yield status, piece
    except TimeoutError as error:
        raise ConnectionLost(*_SILENT) from error


async def lines(
    path: Path, target: str, *, timeout_s: float, silence_s: float
) -> AsyncGenerator[tuple[int, bytes]]:
    """Follow a stream of lines: (status, b"") as soon as it stands, then (status, line) for each.

    Raises ConnectionLost when it breaks off, or when not even an empty line came for `silence_s`.
    An answer that is no success comes as one line.
    """
    try:
        async with exchange(path) as one:
            async with asyncio.timeout(timeout_s):
                status = await one.ask("GET", target, None)
            yield status, b""
            rest = b""
            while True:
                async with asyncio.timeout(silence_s):
                    piece = await one.chunk()
                if piece is None:
                    if rest:
                        yield status, rest
                    break
                *whole, rest = (rest + piece).split(b"\n")
                if len(rest) > MAX_ANSWER_BYTES:
                    raise ConnectionLost(
                        "The daemon's answer is far too long.", "Is this the right socket?"
                    )
                for line in whole:
                    if line:
                        yield status, line
    except TimeoutError as error:
        raise ConnectionLost(*_SILENT) from error
    if status == 200:
        raise ConnectionLost(*_GONE)
