"""Carries frames between a station's two ports and does to a call what a trace says.

Run in the station between two others: `_voice_relay.py`. Orders come as lines of JSON, each is
answered by one: `{"row": ..., "seed": ...}` begins another call, `{}` asks for the figures so far.
The trace meets RTP and RTCP, encrypted or not, and nothing else: signalling is the same for all.
"""

from __future__ import annotations

import contextlib
import heapq
import json
import select
import socket
import struct
import sys
import time
from dataclasses import dataclass, field
from itertools import count

from _traces import Trace, row

PORTS = ("eth0", "eth1")
"""The first is where who speaks is; the script is said that way."""

ETHERNET_BYTES = 14
OFFLOAD_BYTES = 10
"""Before each frame: what the kernel has left to do, as checksums (struct virtio_net_hdr)."""

LARGEST = 1 << 17
BATCH = 64
MAX_HELD = 10_000
"""Frames that wait; a call has some five at a time."""

_SOL_PACKET = 263
_PACKET_VNET_HDR = 15
_PACKET_IGNORE_OUTGOING = 23
_ETH_P_ALL = 3
_SO_TIMESTAMPNS = 35
_IPV4, _IPV6, _UDP = 0x0800, 0x86DD, 17
_TIMESPEC = struct.Struct("=qq")


@dataclass
class Second:
    """What went one way in one second of a call, lost or not."""

    packets: int = 0
    """Of RTP."""

    payload: int = 0
    """Bytes of RTP payload, with what authenticates them."""

    wire: int = 0
    """Bytes of IP packets of RTP and RTCP."""


@dataclass
class Way:
    """One direction."""

    source: socket.socket
    sink: socket.socket
    back: bool
    trace: Trace | None = None
    begun_at: float | None = None
    """First packet of the call's sound."""

    seconds: list[Second] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)
    """Of each packet of sound: how much later it left than its trace wanted, all that we add."""

    def second(self, now: float) -> Second:
        """The one that is now."""
        if self.begun_at is None:
            self.begun_at = now
        while len(self.seconds) <= now - self.begun_at:
            self.seconds.append(Second())
        return self.seconds[int(now - self.begun_at)]


def packet_socket(port: str) -> socket.socket:
    """All that enters a port, with the kernel's offload header and the moment when it came."""
    handle = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK)
    handle.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
    handle.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    handle.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        handle.setsockopt(socket.SOL_SOCKET, option, 4 << 20)
    handle.bind((port, _ETH_P_ALL))
    return handle


def datagram(frame: memoryview) -> memoryview | None:
    """What a UDP datagram carries, if the frame is one that is whole."""
    kind = int.from_bytes(frame[12:14], "big")
    ip = frame[ETHERNET_BYTES:]
    if kind == _IPV4 and len(ip) >= 28 and ip[9] == _UDP:
        return ip[4 * (ip[0] & 0x0F) + 8 : int.from_bytes(ip[2:4], "big")]
    if kind == _IPV6 and len(ip) >= 48 and ip[6] == _UDP:
        return ip[48 : 40 + int.from_bytes(ip[4:6], "big")]
    return None


def payload_bytes(packet: memoryview) -> int:
    """Of an RTP packet, without headers (RFC 3550 section 5.1)."""
    at = 12 + 4 * (packet[0] & 0x0F)
    if packet[0] & 0x10:
        at += 4 + 4 * int.from_bytes(packet[at + 2 : at + 4], "big")
    return max(0, len(packet) - at)


class Relay:
    """The loop."""

    def __init__(self) -> None:
        a, b = map(packet_socket, PORTS)
        self._ways = [Way(a, b, back=False), Way(b, a, back=True)]
        self._held: list[tuple[float, int, Way, bytes, bool]] = []
        self._order = count()
        self._buffer = bytearray(LARGEST)
        self._ahead_s = time.time() - time.monotonic()

    def run(self) -> None:
        """Carry frames until nobody gives orders any more."""
        sources = {way.source.fileno(): way for way in self._ways}
        orders = sys.stdin.fileno()
        while True:
            wait_s = max(0.0, self._held[0][0] - time.monotonic()) if self._held else None
            ready, _, _ = select.select([*sources, orders], [], [], wait_s)
            for one in ready:
                if one in sources:
                    for _ in range(BATCH):
                        if not self._take(sources[one]):
                            break
            self._release(time.monotonic())
            if orders in ready and not self._obey(sys.stdin.buffer.readline()):
                return

    def _obey(self, line: bytes) -> bool:
        if not line:
            return False
        order = json.loads(line)
        if "row" in order:
            kind = row(order["row"])
            self._held.clear()
            self._ahead_s = time.time() - time.monotonic()
            for way in self._ways:
                way.trace = Trace(kind, order["seed"], back=way.back)
                way.begun_at = None
                way.seconds, way.late_ms = [], []
        print(json.dumps([self._figures(way) for way in self._ways]), flush=True)
        return True

    def _figures(self, way: Way) -> dict[str, object]:
        return {
            "packets": way.trace.packets if way.trace else 0,
            "lost": way.trace.lost if way.trace else 0,
            "seconds": [[s.packets, s.payload, s.wire] for s in way.seconds],
            "late_ms": way.late_ms,
        }

    def _take(self, way: Way) -> bool:
        """Read a frame, if there is one, and decide about it."""
        try:
            size, extra, _, _ = way.source.recvmsg_into([self._buffer], 256)
        except BlockingIOError:
            return False
        now = time.monotonic()
        came = now
        for _, kind, value in extra:
            if kind == _SO_TIMESTAMPNS:
                seconds, nanoseconds = _TIMESPEC.unpack(value[:16])
                came = min(now, seconds + nanoseconds / 1e9 - self._ahead_s)
        frame = memoryview(self._buffer)[OFFLOAD_BYTES:size]
        fate, sound = self._fate(way, frame, now)
        if fate is not None and len(self._held) < MAX_HELD:
            entry = (came + fate, next(self._order), way, bytes(self._buffer[:size]), sound)
            heapq.heappush(self._held, entry)
        return True

    def _fate(self, way: Way, frame: memoryview, now: float) -> tuple[float | None, bool]:
        """Seconds that it is held, or None: lost; and whether it is sound."""
        packet = datagram(frame)
        if way.trace is None or packet is None or len(packet) < 8 or packet[0] >> 6 != 2:
            return 0.0, False
        wire = len(frame) - ETHERNET_BYTES
        if 192 <= packet[1] <= 223:
            if way.begun_at is not None:
                way.second(now).wire += wire
            return way.trace.report(now), False
        second = way.second(now)
        second.packets += 1
        second.payload += payload_bytes(packet)
        second.wire += wire
        return way.trace.sound(now), True

    def _release(self, now: float) -> None:
        while self._held and self._held[0][0] <= now:
            due, _, way, frame, sound = heapq.heappop(self._held)
            with contextlib.suppress(BlockingIOError):  # the kernel's queue is full: lost
                way.sink.send(frame)
            if sound:
                way.late_ms.append(round((time.monotonic() - due) * 1000, 3))


if __name__ == "__main__":
    Relay().run()
