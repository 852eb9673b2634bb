"""Carries the frames between the two ports of a cable, late and with loss, in a process of its own.

It reads each port with a packet socket and sends what is due out of the other; both keep the
kernel's offload header, so that segments of up to 64 kB and unfinished checksums cross as they are.
Frames never overtake each other. Each direction holds at most `MAX_QUEUED_FRAMES` and
`MAX_QUEUED_BYTES`; what does not fit is dropped at the tail and counted.
"""

import contextlib
import errno
import json
import os
import random
import select
import signal
import socket
import sys
import time
from collections import deque
from dataclasses import dataclass, field

from appliance.village.errors import VillageError
from appliance.village.settings import LinkSettings

MAX_QUEUED_FRAMES = 20_000
"""Two seconds of 10,000 frames a second, which is about what the relay can carry."""

MAX_QUEUED_BYTES = 32 << 20
"""Half a second of 500 Mbit/s."""

_BATCH = 64
"""Frames read from one port before the other has its turn."""

_FRAME_BYTES = 1 << 17
"""Above the longest segment (64 kB and headers)."""

_SOCKET_BUFFER_BYTES = 4 << 20
"""Asked for; the kernel gives an ordinary user less."""

_ANSWER_TIMEOUT_S = 5.0

_SOL_PACKET = 263
_PACKET_VNET_HDR = 15
_PACKET_IGNORE_OUTGOING = 23
_ETH_P_ALL = 3

_DROPPED_BY_KERNEL = frozenset(
    {errno.ENETDOWN, errno.ENOBUFS, errno.EAGAIN, errno.EMSGSIZE, errno.EINVAL, errno.ENXIO}
)
"""Port down, queue full, or a segment of a kind that the offload header cannot say."""


class RelayProcess:
    """The keeper's handle of one relay."""

    def __init__(self, ports: tuple[str, str]) -> None:
        """Start it between two ports; it listens but sends nothing before the first `set`."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control = ours
        ours.settimeout(_ANSWER_TIMEOUT_S)
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            _child(theirs, ports)
        theirs.close()
        self._receive()

    def set(self, settings: LinkSettings) -> dict[str, int]:
        """Tell it what to do; its counters."""
        try:
            self._control.send(json.dumps([settings.delay_ms, settings.loss_pct]).encode())
        except OSError as error:
            raise VillageError(f"The relay of this link is gone: {error}") from error
        return self._receive()

    def close(self) -> None:
        """End it; the keeper collects it as it does every child.

        A shutdown reaches it although relays that were forked later hold copies of the socket.
        """
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        self._control.close()

    def _receive(self) -> dict[str, int]:
        try:
            answer = self._control.recv(4096)
        except OSError as error:
            raise VillageError(f"The relay of this link does not answer: {error}") from error
        if not answer:
            raise VillageError("The relay of this link could not start; see the village's log.")
        counters: dict[str, int] = json.loads(answer)
        return counters


def _child(control: socket.socket, ports: tuple[str, str]) -> None:
    """All that the forked process does."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        Relay(control, ports).run()
        status = 0
    except Exception as error:  # noqa: BLE001 - a forked child must not return into the keeper
        sys.stderr.write(f"relay {ports}: {error!r}\n")
    finally:
        sys.stderr.flush()
        os._exit(status)


@dataclass
class _Direction:
    """One way through a cable."""

    source: socket.socket
    """Where frames come in."""
    sink: socket.socket
    """Where they go out."""
    queue: deque[tuple[float, bytes]] = field(default_factory=deque)
    """Frames with the time when they are due, earliest first."""
    queued_bytes: int = 0
    """Bytes in the queue."""
    last_due: float = 0.0
    """When the newest frame is due; a later one is never due earlier."""


class Relay:
    """The loop over two packet sockets and the keeper's control socket."""

    def __init__(self, control: socket.socket, ports: tuple[str, str]) -> None:
        """`control` carries JSON lists [delay_ms, loss_pct], each answered by the counters."""
        self._control = control
        a, b = (_packet_socket(port) for port in ports)
        self._directions = (_Direction(a, b), _Direction(b, a))
        self._buffer = bytearray(_FRAME_BYTES)
        self._random = random.Random()  # noqa: S311 - loss, not secrets
        self._delay_s = 0.0
        self._loss = 0.0
        self._open = False
        self.counters = {"carried": 0, "lost": 0, "overflowed": 0, "refused": 0}

    def run(self) -> None:
        """Carry frames until the control socket is closed."""
        self._answer()
        sources = {direction.source.fileno(): direction for direction in self._directions}
        watched = [*sources, self._control.fileno()]
        while True:
            ready, _, _ = select.select(watched, [], [], self._wait_s())
            now = time.monotonic()
            for descriptor in ready:
                if descriptor in sources:
                    self._take(sources[descriptor], now)
                elif not self._obey():
                    return
            now = time.monotonic()
            for direction in self._directions:
                self._send_due(direction, now)

    def _wait_s(self) -> float | None:
        due = [direction.queue[0][0] for direction in self._directions if direction.queue]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _obey(self) -> bool:
        message = self._control.recv(4096)
        if not message:
            return False
        delay_ms, loss_pct = json.loads(message)
        self._delay_s, self._loss = delay_ms / 1000, loss_pct / 100
        if not self._open:
            self._discard_backlog()
            self._open = True
        self._answer()
        return True

    def _discard_backlog(self) -> None:
        """Forget what arrived before the ports were parted: the bridge has carried it already."""
        for direction in self._directions:
            while self._read(direction.source) >= 0:
                pass

    def _answer(self) -> None:
        self._control.send(json.dumps(self.counters).encode())

    def _read(self, source: socket.socket) -> int:
        """Bytes of the next frame, now in the buffer; 0 for one that was lost, -1 for none."""
        try:
            return source.recv_into(self._buffer)
        except BlockingIOError:
            return -1
        except OSError as error:
            if error.errno not in _DROPPED_BY_KERNEL:
                raise
            self.counters["refused"] += 1
            return 0

    def _take(self, direction: _Direction, now: float) -> None:
        """Queue what has arrived on one port."""
        if not self._open:
            select.select([self._control], [], [], _ANSWER_TIMEOUT_S)
            return
        due = direction.last_due = max(direction.last_due, now + self._delay_s)
        for _ in range(_BATCH):
            length = self._read(direction.source)
            if length < 0:
                return
            if length == 0:
                continue
            if self._loss and self._random.random() < self._loss:
                self.counters["lost"] += 1
            elif (
                len(direction.queue) >= MAX_QUEUED_FRAMES
                or direction.queued_bytes + length > MAX_QUEUED_BYTES
            ):
                self.counters["overflowed"] += 1
            else:
                direction.queue.append((due, bytes(memoryview(self._buffer)[:length])))
                direction.queued_bytes += length

    def _send_due(self, direction: _Direction, now: float) -> None:
        queue = direction.queue
        while queue and queue[0][0] <= now:
            frame = queue.popleft()[1]
            direction.queued_bytes -= len(frame)
            try:
                direction.sink.send(frame)
                self.counters["carried"] += 1
            except OSError as error:
                if error.errno not in _DROPPED_BY_KERNEL:
                    raise
                self.counters["refused"] += 1


def _packet_socket(port: str) -> socket.socket:
    """A socket that gets every frame that enters a port, with the kernel's offload header."""
    handle = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK)
    handle.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
    handle.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        handle.setsockopt(socket.SOL_SOCKET, option, _SOCKET_BUFFER_BYTES)
    handle.bind((port, _ETH_P_ALL))
    return handle
