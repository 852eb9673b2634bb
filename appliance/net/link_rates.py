"""Watches how long small packets to neighbours take, and holds our sending where they must wait.

What is decided is in `protocol/link_rate.py`. Here are the packets: link-local UDP on a port of
their own, 17 bytes there and as many back, marked like voice, since voice is whom the waiting would
hurt. Nothing in them is trusted: a neighbour that lies makes us send less over the link that it is
on, to a bound, which it could have by sending noise. Links that the operator gave a rate to are not
watched, nor radios of ours, whose queues are in order themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import struct
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from appliance.adapters.dscp import Dscp, mark
from appliance.model.net import LinkKind, NetLink, NetNeighbour
from appliance.net.config import NetConfig
from appliance.net.queues import Queues
from appliance.protocol.link_rate import IDLE_TICK_S, TICK_S, LinkRate

log = logging.getLogger(__name__)

PORT: Final = 18951
"""UDP; unassigned by IANA."""

WATCHED: Final = frozenset({LinkKind.ETHERNET, LinkKind.TUNNEL})
"""Kinds of links that may be slower further on."""

NEIGHBOURS: Final = 4
"""Of a link, that are asked."""

UNANSWERED: Final = 64
"""Questions to a neighbour whose answers are waited for; older ones are forgotten."""

PACKETS: Final = 64
"""Read at a time; a flood of them must not keep us from everything else."""

ANSWERS_PER_S: Final = 400
"""More questions are a flood, and are not answered."""

WORTH_PCT: Final = 2
"""A rate that changed less is not worth telling the kernel."""

_ASK, _ANSWER = 1, 2
_PACKET: Final = struct.Struct("!B8sQ")
"""Kind, what tells questions apart, and in answers when the question came, in ns of any clock."""


class _Watched:
    """A link, and its neighbours that are asked."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.rate = LinkRate()
        self.asked: dict[str, dict[bytes, int]] = {}
        """Neighbour's address -> question -> when it left, in ns."""

    def set_neighbours(self, addresses: Iterable[str]) -> None:
        chosen = sorted(addresses)[:NEIGHBOURS]
        self.asked = {address: self.asked.get(address, {}) for address in chosen}
        self.rate.neighbours(frozenset(chosen))


class LinkRates:
    """Measures links by `run`, and has `Queues` hold what is too much for them."""

    def __init__(self, queues: Queues, config: NetConfig, on_change: Callable[[], None]) -> None:
        """`on_change` is called when a link is held to another rate."""
        self._queues, self._on_change = queues, on_change
        self._told = frozenset(config.rate_kbit)
        self._watched: dict[str, _Watched] = {}
        self._answer_on: frozenset[int] = frozenset()
        self._held: dict[str, int] = {}
        self._answers_left = ANSWERS_PER_S
        self._answers_since = 0.0

    def follow(self, links: Iterable[NetLink], neighbours: Iterable[NetNeighbour]) -> None:
        """Take over what there is now; to be called whenever it changes."""
        near: dict[str, list[str]] = {}
        for neighbour in neighbours:
            near.setdefault(neighbour.interface, []).append(neighbour.address)
        before, self._watched = self._watched, {}
        used = [link for link in links if link.used]
        self._answer_on = frozenset(link.index for link in used)
        for link in used:
            if link.kind in WATCHED and link.name not in self._told:
                known = before.get(link.name)
                if known is None or known.index != link.index:
                    known = _Watched(link.index)
                known.set_neighbours(near.get(link.name, ()))
                self._watched[link.name] = known

    async def run(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            try:
                self._open(sock)
            except OSError as error:
                log.warning("links are not measured: %s", error)
                await asyncio.Event().wait()
            loop.add_reader(sock, self._receive, sock)
            try:
                while True:
                    await self._turn(loop.time(), sock)
                    busy = any(each.rate.busy(loop.time()) for each in self._watched.values())
                    await asyncio.sleep(TICK_S if busy else IDLE_TICK_S)
            finally:
                loop.remove_reader(sock)

    def _open(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        mark(sock, Dscp.VOICE)
        sock.bind(("::", PORT))

    async def _turn(self, now: float, sock: socket.socket) -> None:
        """Look at all links once."""
        for name, link in self._watched.items():
            sent = _sent_bytes(name)
            if sent is not None:
                link.rate.tick(sent, now)
                if link.rate.probe_due(now):
                    _ask(sock, link)
        rates = {
            name: link.rate.rate_kbit
            for name, link in self._watched.items()
            if link.rate.rate_kbit is not None
        }
        if rates.keys() != self._held.keys() or any(
            abs(rate - self._held[name]) * 100 >= WORTH_PCT * rate for name, rate in rates.items()
        ):
            self._held = rates
            await self._queues.hold(rates)
            self._on_change()

    def _receive(self, sock: socket.socket) -> None:
        """Answer questions, and note how long ours took."""
        with contextlib.suppress(OSError):  # Nothing more, or a neighbour that has no such port.
            for _ in range(PACKETS):
                data, (host, port, _, index) = sock.recvfrom(_PACKET.size + 1)
                came_ns = time.monotonic_ns()
                if port == PORT and host.startswith("fe80:") and len(data) == _PACKET.size:
                    self._take(sock, data, came_ns, host.partition("%")[0], index)

    def _take(self, sock: socket.socket, data: bytes, came_ns: int, host: str, index: int) -> None:
        kind, question, at_ns = _PACKET.unpack(data)
        link = next((each for each in self._watched.values() if each.index == index), None)
        if kind == _ASK and index in self._answer_on:
            if self._may_answer(came_ns / 1e9):
                _send(sock, _PACKET.pack(_ANSWER, question, came_ns), host, index)
        elif kind == _ANSWER and link is not None:
            left_ns = link.asked.get(host, {}).pop(question, None)
            if left_ns is not None:
                link.rate.sample(host, (at_ns - left_ns) / 1e9, came_ns / 1e9)

    def _may_answer(self, now: float) -> bool:
        if now - self._answers_since >= 1.0:
            self._answers_since, self._answers_left = now, ANSWERS_PER_S
        self._answers_left -= 1
        return self._answers_left >= 0


def _ask(sock: socket.socket, link: _Watched) -> None:
    for address, asked in link.asked.items():
        if len(asked) >= UNANSWERED:
            del asked[next(iter(asked))]
        question = os.urandom(8)
        asked[question] = time.monotonic_ns()
        _send(sock, _PACKET.pack(_ASK, question, 0), address, link.index)


def _send(sock: socket.socket, data: bytes, host: str, index: int) -> None:
    """Send it, or lose it as the network would."""
    with contextlib.suppress(OSError):
        sock.sendto(data, (host, PORT, 0, index))


def _sent_bytes(interface: str) -> int | None:
    """All that an interface has sent; None: it is gone."""
    try:
        path = Path("/sys/class/net", interface, "statistics/tx_bytes")
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
