"""One proved session: frames in and out of a WebSocket, and its keep-alive.

What the messages mean is decided elsewhere; this moves them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import aiohttp

from appliance.adapters.dscp import Dscp, mark
from appliance.model.codec import FormatError
from appliance.model.identity import StationId
from appliance.protocol.frames import Channel, OverflowedError, Receiver, Sender
from appliance.protocol.hello import Proved
from appliance.protocol.keepalive import (
    MESH_PING_EVERY_S,
    PING_EVERY_S,
    Control,
    ControlKind,
    KeepAlive,
)
from appliance.protocol.time_claim import TimeClaim

log = logging.getLogger(__name__)

USER_TIMEOUT_MS: Final = 10_000
"""TCP gives up on unacknowledged data after this (RFC 5482), not after a quarter of an hour."""

KEEP_IDLE_S: Final = 60
KEEP_INTERVAL_S: Final = 5
KEEP_COUNT: Final = 3
"""TCP's own keep-alive, for when our loop is stuck: ours asks sooner."""

TCP_THIN_LINEAR_TIMEOUTS: Final = 16
TCP_RTO_MAX_MS: Final = 44
"""linux/tcp.h; Python has no names for them."""

RTO_MAX_MS: Final = 1000
"""Longest time between two retransmissions: when another route is found, it is used at once and
not only after a doubled and doubled again one.  The least that Linux (6.15) takes; elsewhere the
linear timeouts of thin streams do the same for the first six."""

NOT_SENT_LOW_WATER: Final = 32 * 1024
"""Bytes that the kernel may hold unsent; more would make signalling wait behind records."""

BYE_GRACE_S: Final = 2.0
"""How long a goodbye may take to get out and be answered."""

CLOSE_S: Final = 1.0
"""How long the WebSocket's own goodbye may take (RFC 6455 section 7)."""

ABORT_S: Final = 0.05
"""The same where no answer is to be expected."""

TURN_S: Final = 0.005
"""How long the messages of one session are handled before it is somebody else's turn."""

PROTOCOL_ERROR: Final = "protocol-error"
"""Reason for ending a session whose other side does not keep to the format; nothing more of it is
read."""

_REASON: Final = re.compile("[a-z-]{1,32}")
"""A reason as the other side may give it; it goes into the log."""

_ENDS: Final = {
    aiohttp.WSMsgType.ERROR: "lost",
    aiohttp.WSMsgType.TEXT: PROTOCOL_ERROR,
}
"""Why a session ends by what came in place of a frame; else the other side closed it."""


class WebSocket(Protocol):
    """What client and server WebSockets of aiohttp have in common."""

    async def send_bytes(self, data: bytes, compress: int | None = None) -> None: ...
    async def receive(self, timeout: float | None = None) -> aiohttp.WSMessage: ...
    async def close(self, *, code: int = ..., message: bytes = ...) -> bool: ...


class Clock(Protocol):
    """Tells others the time, and takes what they say of it."""

    def tell(self) -> TimeClaim:
        """Return what to answer."""

    def heard(self, peer: StationId, claim: TimeClaim, round_trip_s: float) -> None:
        """Take what a station has just answered."""


@dataclass(frozen=True)
class Path:
    """The addresses that the session has just proved to work; voice takes the same way."""

    local_host: str
    """Ours; with scope where it is link-local."""

    remote_host: str
    """Theirs; with scope where it is link-local."""

    remote_port: int
    """Their TCP port on this connection."""


def tune(sock: socket.socket) -> None:
    """Set what a session's TCP socket needs; what this kernel does not have is left alone."""
    mark(sock, Dscp.SESSION)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, NOT_SENT_LOW_WATER)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEP_IDLE_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEP_INTERVAL_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEP_COUNT)
    sock.setsockopt(socket.IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, 1)
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, TCP_RTO_MAX_MS, RTO_MAX_MS)
    # An ordinary user may only choose what tcp_allowed_congestion_control lists; doctor says so.
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"bbr")


def _host_text(address: tuple[str, int] | tuple[str, int, int, int]) -> str:
    host = address[0].split("%")[0]
    if host.startswith("::ffff:") and "." in host:
        return host.removeprefix("::ffff:")
    if len(address) == 4 and address[3] and host.startswith("fe80:"):
        try:
            return f"{host}%{socket.if_indextoname(address[3])}"
        except OSError:
            return host
    return host


def path_of(extra_info: Callable[[str], Any]) -> Path:
    """Read the two ends of a connection from its `get_extra_info`."""
    remote, local = extra_info("peername"), extra_info("sockname")
    return Path(_host_text(local), _host_text(remote), remote[1])


class Session:
    """A session that stands.  `run` moves messages until it ends and says why it did."""

    def __init__(
        self,
        socket_: WebSocket,
        proved: Proved,
        path: Path,
        *,
        outgoing: bool,
        on_message: Callable[[Session, Channel, bytes], None],
        clock: Clock | None = None,
    ) -> None:
        self.proved = proved
        self.path = path
        self.outgoing = outgoing
        self._socket = socket_
        self._on_message = on_message
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self.since = self._loop.time()
        over_mesh = path.remote_host == proved.peer.host
        every_s = MESH_PING_EVERY_S if over_mesh else PING_EVERY_S
        self._keepalive = KeepAlive(self.since, every_s=every_s)
        self._sender = Sender()
        self._wake = asyncio.Event()
        self._asked = asyncio.Event()
        self._ending: str | None = None
        self._grace: asyncio.TimerHandle | None = None
        self._aborted: asyncio.Future[str] = self._loop.create_future()

    @property
    def rtt_s(self) -> float | None:
        """Smoothed round trip; None until the first answer."""
        return self._keepalive.rtt_s

    @property
    def heard_at(self) -> float:
        """When something of theirs last arrived."""
        return self._keepalive.heard_at

    def ask(self) -> None:
        """Find out now whether the other side is still there, and end if it is not."""
        self._keepalive.ask(self._loop.time())
        self._wake.set()
        self._asked.set()

    def send(self, channel: Channel, message: bytes, *, urgent: bool = False) -> bool:
        """Queue a message; False when so much waits that it was dropped."""
        if self._ending is not None:
            return False
        try:
            self._sender.put(channel, message, urgent=urgent)
        except OverflowedError:
            return False
        self._wake.set()
        return True

    def end(self, reason: str) -> None:
        """Say goodbye and end once what was queued is out, or soon in any case."""
        if self._ending is None:
            self.send(Channel.CONTROL, Control(ControlKind.BYE, reason=reason).encode())
            self._ending = reason
            self._wake.set()
            # The other side closes when it has read that.  It may not, and may not even read.
            self._grace = self._loop.call_later(BYE_GRACE_S, self.abort, reason)

    def abort(self, reason: str) -> None:
        """End at once and without a goodbye, which would not arrive."""
        if not self._aborted.done():
            self._aborted.set_result(reason)

    async def run(self) -> str:
        """Move messages until the session ends; returns why, for programs."""
        tasks = {
            asyncio.create_task(self._read(), name="session-read"),
            asyncio.create_task(self._write(), name="session-write"),
            asyncio.create_task(self._watch(), name="session-watch"),
        }
        try:
            done, _ = await asyncio.wait(
                {self._aborted, *tasks}, return_when=asyncio.FIRST_COMPLETED
            )
            return min(end.result() for end in done)
        finally:
            if self._grace is not None:
                self._grace.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            patience_s = ABORT_S if self._aborted.done() else CLOSE_S
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(patience_s):
                    await self._socket.close()

    async def _read(self) -> str:
        receiver = Receiver()
        busy_s = 0.0
        while True:
            if busy_s > TURN_S:
                # `receive` does not wait while there is something, so a flood would hold the loop.
                busy_s = 0.0
                await asyncio.sleep(0)
            message = await self._socket.receive()
            if message.type is not aiohttp.WSMsgType.BINARY:
                return _ENDS.get(message.type, "closed")
            began = self._loop.time()
            self._keepalive.heard(began)
            try:
                reason = self._take(receiver.feed(message.data))
            except FormatError as error:
                log.warning("session with %s: %s", self.proved.peer.tag, error)
                return PROTOCOL_ERROR
            if reason is not None:
                return reason
            busy_s += self._loop.time() - began

    def _take(self, complete: tuple[Channel, bytes] | None) -> str | None:
        """Hand on what is complete; returns why the session is over, if it is."""
        if complete is None:
            return None
        channel, data = complete
        if channel is Channel.CONTROL:
            return self._control(Control.decode(data))
        if self._ending != PROTOCOL_ERROR:
            self._on_message(self, channel, data)
        return None

    def _control(self, control: Control | None) -> str | None:
        if control is None:
            return None
        if control.kind is ControlKind.PING:
            self._keepalive.pinged(self._loop.time())
            time = self._clock.tell() if self._clock is not None else None
            pong = Control(ControlKind.PONG, control.number, time=time)
            self.send(Channel.CONTROL, pong.encode())
        elif control.kind is ControlKind.PONG:
            took_s = self._keepalive.pong(control.number, self._loop.time())
            if took_s is not None and control.time is not None and self._clock is not None:
                self._clock.heard(self.proved.peer, control.time, took_s)
        else:
            return control.reason if _REASON.fullmatch(control.reason) else "closed"
        return None

    async def _watch(self) -> str:
        """Notice silence even while writing is stuck."""
        while True:
            self._asked.clear()
            left = self._keepalive.dead_at - self._loop.time()
            if left <= 0:
                return "silent"
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._asked.wait()

    async def _write(self) -> str:
        while True:
            now = self._loop.time()
            if self._ending is None and (ping := self._keepalive.ping(now)) is not None:
                # Where there is no room even for this, silence will end the session.
                self.send(Channel.CONTROL, ping.encode())
            frame = self._sender.take()
            try:
                if frame is not None:
                    await self._socket.send_bytes(frame)
                    continue
            except (ConnectionError, ssl.SSLError, aiohttp.ClientError):
                return "lost"
            # After our goodbye the other side closes; until then its last words are still read.
            self._wake.clear()
            timer = None
            if self._ending is None:
                timer = self._loop.call_at(self._keepalive.next_ping, self._wake.set)
            try:
                await self._wake.wait()
            finally:
                if timer is not None:
                    timer.cancel()
