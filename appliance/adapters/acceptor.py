"""Accepts TCP connections for the session listener, and bounds what strangers may cost.

Until a caller has proved its key it gets little: few connections, few bytes, a few seconds.  What
is said on a connection is decided elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from collections import Counter
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from appliance.adapters.dscp import Dscp, mark
from appliance.adapters.session import tune

log = logging.getLogger(__name__)

CHECK_S: Final = 5.0
"""How often a connection that is only used for bulk is looked at."""

STRANGER_CHECK_S: Final = 0.1
"""How often one that has proved nothing is: its place is free when it is gone."""

BUSY_S: Final = 0.5
"""After a failed accept; those connections that are there have to end first."""


@dataclass(frozen=True)
class Limits:
    """What connections and sessions may cost this station."""

    handshake_s: float = 6.0
    """From accepting or dialling a connection to its proof."""

    unproved: int = 32
    """Accepted connections that have proved nothing."""

    unproved_per_host: int = 6
    """The same, from one host."""

    connections: int = 320
    """Accepted connections in all, sessions and bulk; each costs some 290 KiB."""

    sessions: int = 256
    """Sessions, accepted and dialled."""

    dials: int = 32
    """Dials under way at a time; more wait for their turn."""


class Accepted:
    """A connection that was accepted, until it ends."""

    def __init__(self, sock: socket.socket, host: str) -> None:
        self.sock = sock
        self.host = host
        self.proved = False
        """Its caller has proved its key, or shown the token of a session."""

        self.over = asyncio.Event()
        """Set when the connection is of no more use."""


class Acceptor:
    """The listening sockets and the connections that came in over them."""

    def __init__(self, context: ssl.SSLContext, limits: Limits) -> None:
        self.port = 0
        """Where we listen."""

        self._context, self._limits = context, limits
        self._server: web.Server | None = None
        self._accepted: dict[tuple[str | int, ...], Accepted] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._listeners: list[socket.socket] = []

    def listen(self, server: web.Server, port: int, hosts: tuple[str, ...]) -> None:
        """Accept connections on `port` (0: any free one) of `hosts` and hand them to `server`.

        Raises OSError when the port is taken, or none of the hosts is an address of ours.
        """
        self._server = server
        self.port = port
        missing: OSError | None = None
        for host in hosts:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            try:
                listener = socket.create_server((host, self.port), family=family, backlog=64)
            except OSError as error:
                # A kernel without IPv6, or without IPv4, still has the other one.
                if error.errno not in {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}:
                    raise
                missing = error
                continue
            listener.setblocking(False)
            mark(listener, Dscp.SESSION)  # for the answer to the first packet
            self.port = listener.getsockname()[1]
            self._listeners.append(listener)
            self._spawn(self._accept(listener))
        if not self._listeners and missing is not None:
            raise missing

    def stop_listening(self) -> None:
        """Take no more connections; those that are there go on."""
        for task in self._tasks:
            if task.get_name() == "accept":
                task.cancel()
        for listener in self._listeners:
            listener.close()

    async def close(self) -> None:
        """Cut all connections."""
        self.stop_listening()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def of(self, request: web.Request) -> Accepted:
        """Return the connection that a request came on; raises HTTPServiceUnavailable."""
        if request.transport is not None:
            accepted = self._accepted.get(request.transport.get_extra_info("peername"))
            if accepted is not None:
                return accepted
        raise web.HTTPServiceUnavailable(text="this connection is closing\n")

    def _spawn(self, work: asyncio._CoroutineLike[None], name: str = "accept") -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _has_room(self, host: str) -> bool:
        unproved = Counter(each.host for each in self._accepted.values() if not each.proved)
        return (
            len(self._accepted) < self._limits.connections
            and unproved.total() < self._limits.unproved
            and unproved[host] < self._limits.unproved_per_host
        )

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
                await asyncio.sleep(BUSY_S)
                continue
            if not self._has_room(address[0]):
                sock.close()
                continue
            accepted = Accepted(sock, address[0])
            self._accepted[address] = accepted
            self._spawn(self._serve(accepted, address), "connection")

    async def _serve(self, accepted: Accepted, address: tuple[str | int, ...]) -> None:
        """See one connection through: TLS, a bounded time for the proof, its end."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._limits.handshake_s
        try:
            try:
                transport = await self._secure(accepted)
            except BaseException as error:
                accepted.sock.close()
                if not isinstance(error, OSError):
                    raise
                log.debug("no TLS with %s: %s", accepted.host, error)
                return
            try:
                while not (accepted.over.is_set() or transport.is_closing()):
                    left = deadline - loop.time()
                    if not accepted.proved and left <= 0:
                        log.info("%s proved nothing in time", accepted.host)
                        break
                    await _wait(
                        accepted.over, CHECK_S if accepted.proved else min(left, STRANGER_CHECK_S)
                    )
            finally:
                transport.abort()
                # A TLS transport that was closed twice no longer aborts.  Closing the socket under
                # it would leave its number in the loop, and whoever gets that number next unheard;
                # so the socket is shut down, and the transport closes it.
                with contextlib.suppress(OSError):
                    accepted.sock.shutdown(socket.SHUT_RDWR)
        finally:
            del self._accepted[address]

    async def _secure(self, accepted: Accepted) -> asyncio.Transport:
        if self._server is None:
            raise RuntimeError("listen comes first")
        accepted.sock.setblocking(False)
        tune(accepted.sock)
        transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
            self._server,
            accepted.sock,
            ssl=self._context,
            ssl_handshake_timeout=self._limits.handshake_s,
        )
        return transport


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()
