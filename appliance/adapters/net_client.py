"""The daemon's side of the network helper: finds it, joins, and tells what it says.

The helper may start later, restart or never be there: the client looks for it in the background for
as long as it runs, and joins again on each connection.  What news mean stays out (`node.mesh`).
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

from appliance.model.net import NET_VERSION, Join, Joined, NetCommand, NetEvent, NetRefused
from appliance.protocol.net_wire import MAX_FRAME_BYTES, NetWireError, decode_event, encode

log = logging.getLogger(__name__)

JOIN_S: Final = 10.0
"""Longest wait for the answer to `Join`."""

BACKOFF_S: Final = (0.2, 0.5, 1.0, 2.0)
"""Waits before the next try; the last one repeats."""

LASTING_S: Final = 5.0
"""After a connection that lasted so long the waits begin anew."""

BURST: Final = 64
"""Events read at a time."""


class NetClient:
    """Commands in, events out; keeps looking for the helper."""

    def __init__(
        self, path: Path, station: bytes, on_event: Callable[[NetEvent | None], None]
    ) -> None:
        """`path`: the helper's socket.  `station`: the public key that joins, 32 bytes.

        `on_event` is called in the loop's thread, with `Joined` first and with None when the helper
        is lost, and with it all that it said.
        """
        self._path = path
        self._station = station
        self._on_event = on_event
        self._socket: socket.socket | None = None
        self._joined = False
        self._failure = ""

    @property
    def joined(self) -> bool:
        """There is a helper, and it has taken our station."""
        return self._joined

    def send(self, command: NetCommand) -> bool:
        """Give a command; false: there is nobody to take it now."""
        if self._socket is None or not self._joined:
            return False
        try:
            self._socket.send(encode(command))
        except OSError as error:  # A full queue too: whoever reads so late shall hear it anew.
            log.warning("The network helper does not listen: %s", error)
            return False
        return True

    async def run(self) -> None:
        """Look for the helper and listen to it, until cancelled."""
        loop = asyncio.get_running_loop()
        attempt = 0
        while True:
            began = loop.time()
            await self._converse()
            if loop.time() - began >= LASTING_S:
                attempt = 0
            await asyncio.sleep(BACKOFF_S[min(attempt, len(BACKOFF_S) - 1)])
            attempt += 1

    async def _converse(self) -> None:
        """One connection, from its beginning to its end."""
        loop = asyncio.get_running_loop()
        sock = self._connect()
        if sock is None:
            return
        over: asyncio.Future[str] = loop.create_future()
        late = loop.call_later(JOIN_S, _end, over, "it does not answer")
        self._socket = sock
        loop.add_reader(sock, self._readable, sock, over, late)
        try:
            self._say_once(f"The network helper is lost: {await over}")
        finally:
            late.cancel()
            loop.remove_reader(sock)
            sock.close()
            self._socket = None
            if self._joined:
                self._joined = False
                self._on_event(None)

    def _connect(self) -> socket.socket | None:
        sock: socket.socket | None = None
        try:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
            sock.connect(os.fspath(self._path))
            sock.send(encode(Join(NET_VERSION, self._station)))
        except OSError as error:
            if sock is not None:
                sock.close()
            if not isinstance(error, FileNotFoundError):
                self._say_once(f"The network helper can't be reached: {error.strerror}")
            return None
        return sock

    def _readable(
        self, sock: socket.socket, over: asyncio.Future[str], late: asyncio.TimerHandle
    ) -> None:
        for _ in range(BURST):
            try:
                data = sock.recv(MAX_FRAME_BYTES + 1)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                _end(over, "it has gone")
                return
            try:
                event = decode_event(data)
            except NetWireError as error:
                _end(over, f"it says what nobody understands: {error}")
                return
            if not self._take(event, over):
                return
            if self._joined:
                late.cancel()

    def _take(self, event: NetEvent, over: asyncio.Future[str]) -> bool:
        """Pass an event on; false: the connection is over."""
        if isinstance(event, NetRefused) and not self._joined:
            _end(over, f"it refuses: {event.text}")
            return False
        if isinstance(event, Joined) == self._joined:
            _end(over, "it says things out of order")
            return False
        if isinstance(event, Joined):
            if event.version != NET_VERSION:
                _end(over, "it is of another version; restart it")
                return False
            log.info("Joined the mesh as %s", event.address)
            self._joined, self._failure = True, ""
        self._on_event(event)
        return not over.done()

    def _say_once(self, failure: str) -> None:
        """Log what is wrong, and not again with each try."""
        if failure != self._failure:
            self._failure = failure
            log.warning("%s", failure)


def _end(over: asyncio.Future[str], why: str) -> None:
    if not over.done():
        over.set_result(why)
