"""The helper's side of its Unix socket: one daemon at a time, one message per packet.

Who may connect is decided by the kernel's credentials; who joins takes the place of the one before.
A daemon can say two things, and whatever else it says ends its connection.  It is told the latest,
as fast as it reads, and no faster than every 50 ms.  What commands do stays out (`service`).
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Final

from appliance.model.net import Avoid, Join, Joined, NetCommand, NetEvent, NetRefused
from appliance.net.budget import Budget
from appliance.net.known import Known
from appliance.protocol.net_wire import MAX_FRAME_BYTES, NetWireError, decode_command, encode

log = logging.getLogger(__name__)

NEWS_S: Final = 0.05
"""Least time between two tellings.  The first is at once."""

STUCK_S: Final = 10.0
"""A daemon that does not read for so long is dropped; it may come again."""

BURST: Final = 8
"""Commands read at a time."""

COMMANDS: Final = 64
COMMAND_S: Final = 1.0
"""So many commands at once, and then one in so many seconds; with one more it is dropped.  That
bounds the answers that wait, too."""

CONNECTIONS: Final = 8
CONNECTION_S: Final = 0.5
"""So many connections at once, and then one in so many seconds: each is told everything."""

JOIN_S: Final = 5.0
"""Who connects has so long to join."""

BACKLOG: Final = 8
NO_DESCRIPTORS_S: Final = 1.0
"""Pause when the kernel gives no connection."""

_UCRED: Final = struct.Struct("3i")


class Control:
    """Where commands come from and events go."""

    def __init__(
        self,
        listener: socket.socket,
        *,
        allowed: frozenset[int],
        known: Known,
        obey: Callable[[NetCommand], Joined | NetRefused | None],
    ) -> None:
        """Take daemons of the users `allowed` at `listener`, which is ours from now on.

        `obey` does what a command says and returns the answer.
        """
        self._listener = listener
        self._allowed = allowed
        self._known = known
        self._obey = obey
        self._daemon: _Peer | None = None
        self._guest: _Peer | None = None
        self._connections = Budget(burst=CONNECTIONS, every_s=CONNECTION_S)
        self._resume: asyncio.TimerHandle | None = None

    @property
    def connected(self) -> bool:
        """A daemon has joined and is there."""
        return self._daemon is not None

    def start(self) -> None:
        """Take daemons from now on, in the running loop."""
        self._listener.setblocking(False)
        self._listener.listen(BACKLOG)
        self._listen()

    def changed(self) -> None:
        """Tell the daemon, soon, what `known` has for it."""
        if self._daemon is not None:
            self._daemon.changed()

    def close(self) -> None:
        """Hang up."""
        for peer in (self._daemon, self._guest):
            if peer is not None:
                peer.close()
        if self._resume is not None:
            self._resume.cancel()
        asyncio.get_running_loop().remove_reader(self._listener)
        self._listener.close()

    def _listen(self) -> None:
        self._resume = None
        asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def _pause(self, pause_s: float) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._listener)
        self._resume = loop.call_later(pause_s, self._listen)

    def _accept(self) -> None:
        """Listen to somebody new, in place of whoever has not joined yet, if the user may."""
        try:
            peer, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            log.warning("No daemon can connect: %s", error)
            self._pause(NO_DESCRIPTORS_S)
            return
        credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        pid, uid, _ = _UCRED.unpack(credentials)
        if uid not in self._allowed:
            log.warning("Process %d of user %d may not connect", pid, uid)
            peer.close()
            return
        if self._guest is not None:
            self._guest.close()
        peer.setblocking(False)
        self._guest = _Peer(peer, self._known, self._follow, self._lost)
        log.debug("Process %d of user %d has connected", pid, uid)
        wait_s = self._connections.take(asyncio.get_running_loop().time())
        if wait_s:
            self._pause(wait_s)

    def _follow(self, peer: _Peer, command: NetCommand) -> Joined | NetRefused | None:
        """Do what a daemon says, who is ours from when it has joined."""
        answer = self._obey(command)
        if isinstance(answer, Joined):
            if self._daemon is not None:
                self._daemon.close()
            self._daemon, self._guest = peer, None
            self._known.begin()
        return answer

    def _lost(self, peer: _Peer) -> None:
        if self._daemon is peer:
            self._daemon = None
            self._known.end()
        elif self._guest is peer:
            self._guest = None


class _Peer:
    """One connection."""

    def __init__(
        self,
        peer: socket.socket,
        known: Known,
        follow: Callable[[_Peer, NetCommand], Joined | NetRefused | None],
        lost: Callable[[_Peer], None],
    ) -> None:
        self._peer = peer
        self._known = known
        self._obey = follow
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._joined = False
        self._commands = Budget(burst=COMMANDS, every_s=COMMAND_S)
        self._replies: deque[bytes] = deque()
        self._unsent: bytes | None = None
        self._told_at = float("-inf")
        self._news: asyncio.TimerHandle | None = None
        self._stuck: asyncio.TimerHandle | None = None
        self._late: asyncio.TimerHandle | None = self._loop.call_later(
            JOIN_S, self._drop, "Somebody has connected and does not join"
        )
        self._loop.add_reader(peer, self._readable)

    def changed(self) -> None:
        """Tell what `known` has, soon."""
        if self._joined and self._known.behind:
            self._drop("A daemon reads too slowly")
        elif self._joined and self._news is None and self._stuck is None:
            wait_s = max(0.0, self._told_at + NEWS_S - self._loop.time())
            self._news = self._loop.call_later(wait_s, self._tell)

    def close(self) -> None:
        """Hang up."""
        for timer in (self._news, self._stuck, self._late):
            if timer is not None:
                timer.cancel()
        self._loop.remove_reader(self._peer)
        self._loop.remove_writer(self._peer)
        self._peer.close()
        self._lost(self)

    def _drop(self, why: str) -> None:
        log.warning("%s; it may connect again", why)
        self.close()

    # -- What it says

    def _readable(self) -> None:
        for _ in range(BURST):
            try:
                data = self._peer.recv(MAX_FRAME_BYTES + 1)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                log.debug("A daemon has gone")
                self.close()
                return
            try:
                command = decode_command(data)
            except NetWireError as error:
                self._refuse(f"That is no command: {error}.")
                return
            if not self._follow(command):
                return

    def _follow(self, command: NetCommand) -> bool:
        """Do what it says; false: the connection is over."""
        if self._commands.take(self._loop.time()):
            self._refuse("These are too many commands.")
            return False
        if self._joined and isinstance(command, Join):
            self._refuse("This connection has joined already.")
            return False
        if not self._joined and isinstance(command, Avoid):
            self._refuse("Join first.")
            return False
        answer = self._obey(self, command)
        if isinstance(answer, NetRefused) and not self._joined:
            self._refuse(answer.text)
            return False
        if self._late is not None:
            self._late.cancel()
        self._joined, self._late = True, None
        if answer is not None:
            self._replies.append(encode(answer))
        self._tell()
        return self._peer.fileno() >= 0

    def _refuse(self, text: str) -> None:
        """Say why, if there is room for it, and hang up."""
        try:
            self._peer.send(encode(NetRefused(text)))
        except OSError as error:
            log.debug("It does not hear that: %s", error)
        self._drop(f"A daemon was refused: {text}")

    # -- What it hears

    def _tell(self) -> None:
        """Send what there is until the daemon knows everything or does not keep up."""
        if self._news is not None:
            self._news.cancel()
            self._news = None
        self._told_at = self._loop.time()
        while (data := self._next()) is not None:
            try:
                self._peer.send(data)
            except BlockingIOError:
                self._wait()
                return
            except OSError:
                self.close()
                return
            self._unsent = None
            if self._stuck is not None:
                self._stuck.cancel()
                self._stuck = None
                self._loop.remove_writer(self._peer)

    def _wait(self) -> None:
        """Go on when the daemon has read."""
        if self._stuck is None:
            self._loop.add_writer(self._peer, self._tell)
            self._stuck = self._loop.call_later(
                STUCK_S, self._drop, "A daemon does not read what it is told"
            )

    def _next(self) -> bytes | None:
        """The next packet, which is remembered until it is sent."""
        if self._unsent is None and self._replies:
            self._unsent = self._replies.popleft()
        while self._unsent is None and self._joined:
            event = self._known.take()
            if event is None:
                return None
            self._unsent = _encoded(event)
        return self._unsent


def _encoded(event: NetEvent) -> bytes | None:
    try:
        return encode(event)
    except NetWireError as error:  # A name that is no text: the kernel takes any bytes.
        log.warning("The daemon can't be told of %s: %s", type(event).__name__, error)
        return None
