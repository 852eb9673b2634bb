"""Who gets the packets of one spurt: each child one copy, and a late one what it has missed.

A spurt is one time of holding the key.  Packets go on as they came; whether they are genuine is
the business of those who have the key.  A child whose link is thin gets what it takes, and one
whose link takes no sound at all gets nothing (`talk_paths`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from appliance.adapters.udp import Address, HopSocket
from appliance.media.talk_paths import TalkPath, TalkPaths, Worst, worst
from appliance.model.talk_media import CATCH_UP_S, MAX_CHILDREN, TalkHop, TalkReport
from appliance.protocol.rtcp import is_rtcp
from appliance.protocol.rtp import HEADER_BYTES, VERSION

MIN_PACKET_BYTES = HEADER_BYTES + 1 + 10
"""RTP's header, something in it and the shortest authentication tag (RFC 3711 section 4.2.1)."""

MAX_PACKET_BYTES = 1_200
"""What is passed on; 120 ms with two copies are less."""

RATE = 120.0
"""Packets that are passed on in a second.  Sound has 50; what is caught up comes twice as fast."""

RATE_BURST = 64.0
"""Packets that may come at once, behind a radio that was jammed for a second."""

MAX_KEPT = 64
"""Packets kept for late children; a second has 50."""

PACE = 2
"""Packets in 20 ms to a child that catches up."""

MAX_RECENT = 512
"""Packets that are known when they come again, as after a change of the route."""


class _Child:
    """A neighbour that gets the packets; what waits for it goes first."""

    def __init__(
        self, socket: HopSocket, address: Address, missed: list[bytes], path: TalkPath
    ) -> None:
        self._socket = socket
        self._address = address
        self.path = path
        self.waiting = deque(missed)
        path.begin()

    def give(self, data: bytes, now: float) -> int:
        """Send it in its turn; returns the packets that left."""
        if self.waiting:
            self.waiting.append(data)
            return 0
        return self._send(data, now)

    def _send(self, data: bytes, now: float) -> int:
        if self.path.is_cut(now) or not self.path.takes(len(data), now):
            return 0
        self._socket.send(data, self._address)
        self.path.sent(data, now)
        return 1

    def beat(self, now: float) -> int:
        """20 ms have passed; returns the packets that left."""
        count = min(PACE, len(self.waiting))
        return sum(self._send(self.waiting.popleft(), now) for _ in range(count))


class Relay:
    """The children of one spurt."""

    def __init__(self, ssrc: int, now: float, paths: TalkPaths) -> None:
        """``ssrc``: of all its packets, 32 bits; ``paths``: what is known of the links."""
        self._paths = paths
        self._ssrc = ssrc.to_bytes(4, "big")
        self._children: dict[TalkHop, _Child] = {}
        self._kept: list[bytes] = []
        self._began: float | None = None
        self._recent: set[int] = set()
        self._order: deque[int] = deque()
        self._allowed = RATE_BURST
        self._allowed_at = now

    def fits(self, data: bytes) -> bool:
        """Whether it looks like a packet of this spurt."""
        return (
            MIN_PACKET_BYTES <= len(data) <= MAX_PACKET_BYTES
            and data[0] >> 6 == VERSION
            and not is_rtcp(data)
            and data[8:HEADER_BYTES] == self._ssrc
        )

    def admits(self, data: bytes, now: float) -> bool:
        """Whether it is new and not one too many.

        What was changed on the way is another packet: without the key nobody can tell which of
        them is genuine, and going by their number would let a forged one keep the genuine one out.
        """
        mark = hash(data)
        if mark in self._recent:
            return False
        self._allowed = min(RATE_BURST, self._allowed + RATE * (now - self._allowed_at))
        self._allowed_at = now
        if self._allowed < 1:
            return False
        self._allowed -= 1
        self._remember(mark)
        return True

    def _remember(self, mark: int) -> None:
        self._recent.add(mark)
        self._order.append(mark)
        if len(self._order) > MAX_RECENT:
            self._recent.discard(self._order.popleft())

    def set_children(
        self, children: Mapping[TalkHop, tuple[HopSocket, Address]], now: float
    ) -> None:
        """Send to these from now on; those that are new get what they missed of the beginning."""
        wanted = dict(list(children.items())[:MAX_CHILDREN])
        self._children = {
            hop: self._children.get(hop) or _Child(*way, self._kept, self._paths.to(hop, now))
            for hop, way in wanted.items()
        }

    def heard(self, hop: TalkHop, report: TalkReport, now: float) -> None:
        """A child reports."""
        if hop in self._children:
            self._children[hop].path.heard(report, now)

    def tick(self, now: float) -> None:
        """About every second."""
        for child in self._children.values():
            child.path.tick(now)

    def worst(self, now: float) -> Worst:
        """Of all children, and of those behind them."""
        return worst((child.path for child in self._children.values()), now)

    def cut(self, now: float) -> tuple[TalkHop, ...]:
        """The children that are left out."""
        return tuple(hop for hop, child in self._children.items() if child.path.is_cut(now))

    def spread(self, data: bytes, now: float) -> int:
        """Give a packet to all children; returns the packets that left."""
        if self._began is None:
            self._began = now
        if now - self._began <= CATCH_UP_S and len(self._kept) < MAX_KEPT:
            self._kept.append(data)
        else:
            self._kept.clear()  # A late child shall hear what is said now, without a hole.
            self._began = float("-inf")
        return sum(child.give(data, now) for child in self._children.values())

    @property
    def behind(self) -> bool:
        """Some child has not got all yet."""
        return any(child.waiting for child in self._children.values())

    def beat(self, now: float) -> int:
        """20 ms have passed; returns the packets that left."""
        return sum(child.beat(now) for child in self._children.values() if child.waiting)
