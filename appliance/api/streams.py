"""Event streams of the local API: JSON lines or a WebSocket, with the same contents.

Nothing is queued here: a stream asks for its next event when the one before has left, and the event
log tells it when it has fallen too far behind.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Final, Protocol, cast

from aiohttp import WSCloseCode, web

from appliance.api.backend import ApiError
from appliance.api.jsonable import as_text, to_json
from appliance.api.schema import Event

log = logging.getLogger(__name__)

_MAX_FRAME_BYTES: Final = 4096
"""Clients have nothing to say on an event stream."""

_CLOSE_S: Final = 2.0
"""For a dropped reader to take the rest and say goodbye."""


class _Connection(Protocol):
    """The connection underneath, which ends the stream when it is lost."""

    stream: asyncio.Task[None] | None


class EventStreams:
    """All that follow events at one server."""

    def __init__(
        self,
        events: Callable[[str | None], AsyncIterator[Event]],
        complete: Callable[[Event], Event],
        *,
        most: int,
        write_s: float,
        keep_alive_s: float,
    ) -> None:
        self._events = events
        self._complete = complete
        self._most = most
        self._write_s = write_s
        self._keep_alive_s = keep_alive_s
        self._running: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def stop(self) -> None:
        """End them all."""
        self._stopping = True
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer GET /v1/events."""
        if len(self._running) >= self._most or self._stopping:
            raise ApiError(
                503,
                "too-many-streams",
                "Too many programs are following the daemon just now.",
                "Close some of them, or try again.",
            )
        cursor = request.query.get("cursor")
        websocket = web.WebSocketResponse(
            heartbeat=self._keep_alive_s,
            compress=False,
            max_msg_size=_MAX_FRAME_BYTES,
            timeout=_CLOSE_S,
        )
        if websocket.can_prepare(request):
            work = self._websocket(request, websocket, cursor)
            response: web.StreamResponse = websocket
        else:
            response = web.StreamResponse(
                headers={"Content-Type": "application/jsonl", "Cache-Control": "no-store"}
            )
            response.force_close()
            response.enable_chunked_encoding()
            work = self._lines(request, response, cursor)
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        cast(_Connection, request.protocol).stream = task
        try:
            await asyncio.wait({task})
        finally:
            task.cancel()
        fault = None if task.cancelled() else task.exception()
        if fault is not None and not isinstance(fault, ConnectionError):
            log.error("an event stream broke: %s", type(fault).__name__)
            if request.transport is not None:
                request.transport.abort()
        return response

    async def _lines(
        self, request: web.Request, response: web.StreamResponse, cursor: str | None
    ) -> None:
        await response.prepare(request)

        async def alive() -> None:
            await response.write(b"\n")

        async def send(line: str) -> None:
            await response.write(line.encode() + b"\n")

        try:
            await self._pump(cursor, send, alive)
        except (TimeoutError, asyncio.CancelledError) as error:
            # No last chunk: the client sees that the stream broke off, and comes back.
            if request.transport is not None:
                request.transport.abort()
            if isinstance(error, asyncio.CancelledError):
                raise
            log.info("dropped an event reader that was too slow")

    async def _websocket(
        self, request: web.Request, websocket: web.WebSocketResponse, cursor: str | None
    ) -> None:
        await websocket.prepare(request)
        listener = asyncio.create_task(_answer_pings(websocket))
        pump = asyncio.create_task(self._pump(cursor, websocket.send_str, None))
        code, reason = WSCloseCode.OK, b""
        try:
            await asyncio.wait({listener, pump}, return_when=asyncio.FIRST_COMPLETED)
            if pump.done() and isinstance(pump.exception(), TimeoutError):
                log.info("dropped an event reader that was too slow")
                code, reason = WSCloseCode.TRY_AGAIN_LATER, b"too slow: go on from your last cursor"
        except asyncio.CancelledError:
            code, reason = WSCloseCode.GOING_AWAY, b"the daemon stops"
        finally:
            # aiohttp waits for the reader's goodbye only when nobody else is listening for it.
            for task in (pump, listener):
                task.cancel()
                with suppress(asyncio.CancelledError, ConnectionError, TimeoutError):
                    await task
            if not websocket.closed:
                with suppress(ConnectionError):
                    await websocket.close(code=code, message=reason, drain=False)
            if request.transport is not None:
                request.transport.abort()

    async def _pump(
        self,
        cursor: str | None,
        send: Callable[[str], Awaitable[None]],
        alive: Callable[[], Awaitable[None]] | None,
    ) -> None:
        """Send events as they come; TimeoutError when one can't leave in time."""
        loop = asyncio.get_running_loop()
        quiet_since = loop.time()

        async def tell() -> None:
            nonlocal quiet_since
            events = self._events(cursor)
            try:
                async for event in events:
                    line = as_text(json.dumps(to_json(self._complete(event)), ensure_ascii=False))
                    async with asyncio.timeout(self._write_s):
                        await send(line)
                    quiet_since = loop.time()
            finally:
                close = getattr(events, "aclose", None)
                if close is not None:
                    await close()

        async def stay_alive(sign: Callable[[], Awaitable[None]]) -> None:
            nonlocal quiet_since
            while True:
                left_s = quiet_since + self._keep_alive_s - loop.time()
                if left_s > 0:
                    await asyncio.sleep(left_s)
                    continue
                quiet_since = loop.time()
                async with asyncio.timeout(self._write_s):
                    await sign()

        # Two tasks, since waiting for one event at a time in one would cost each event a task.
        tasks = [asyncio.create_task(tell())]
        if alive is not None:
            tasks.append(asyncio.create_task(stay_alive(alive)))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _answer_pings(websocket: web.WebSocketResponse) -> None:
    """Read, so that pings are answered and a goodbye is heard; what a client says is ignored."""
    async for _ in websocket:
        pass
