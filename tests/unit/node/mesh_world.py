"""Stations, cables and the mesh over them, in virtual time: what they dial is carried out.

Cables come and go, and stations restart.  Over a cable two see each other's announcements; with a
network helper they also have routes to all that hang together.  A session dies with its cable, or
with the last way through the mesh, some time after.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import pytest
from core_node import Node
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from test_mesh_routes import route

from appliance.model.identity import Address, StationId, StationKey
from appliance.model.net import Joined, NetNews
from appliance.node.carry import LIFETIME_S
from appliance.node.effects import Dial, EndSession, Send
from appliance.node.usage import SessionInfo
from appliance.node.writing import Draft

Cable = frozenset[int]


@dataclass
class Line:
    """One session."""

    ends: tuple[int, int]
    """Who dialled, and who took it."""

    handles: tuple[int, int]
    over_mesh: bool
    deaf: set[int] = field(default_factory=set)
    """Those who say nothing more: they have said goodbye, or it is over for them."""
    closed: set[int] = field(default_factory=set)
    stuck: deque[Callable[[], None]] = field(default_factory=deque)
    """What waits for a way."""


class World:
    """All of them."""

    def __init__(self, seed: int, number: int, *, helpers: bool) -> None:
        self.rng = random.Random(seed)
        self.helpers = helpers
        self.now = 100.0
        self.nodes = [self._new_node() for _ in range(number)]
        self.cables: set[Cable] = set()
        self.lines: list[Line] = []
        self.routes: list[set[int]] = [set() for _ in self.nodes]
        self.written: list[tuple[int, int | None, bytes]] = []
        self.dials = 0
        self._handles = itertools.count(1)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        for index in range(number):
            self._begin(index)

    def _new_node(self) -> Node:
        """A station whose keys come from the seed, as all that it does."""
        return Node(
            key=StationKey.from_bytes(self.rng.randbytes(32)),
            prekey_id=self.rng.randbytes(8),
            prekey_secret=X25519PrivateKey.from_private_bytes(self.rng.randbytes(32)),
            random=self.rng.random,
            random_bytes=self.rng.randbytes,
        )

    # -- Time

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._numbers), what))

    def soon(self, what: Callable[[], None], most: float = 0.3) -> None:
        self.after(most * self.rng.random(), what)

    def run(self, seconds: float) -> None:
        until, steps = self.now + seconds, 0
        while True:
            wakes = [self._wake(index) for index in range(len(self.nodes))]
            first = min(wakes)
            event = self._events[0][0] if self._events else until
            self.now = max(self.now, min(first, event, until))
            if self.now >= until:
                return
            steps += 1
            assert steps < 200 * len(self.nodes) * seconds + 10_000, "it spins"
            if event <= self.now:
                heapq.heappop(self._events)[2]()
            else:
                index = wakes.index(first)
                node = self._node(index)
                self._do(index, partial(self._wakeup, node))

    def _wakeup(self, node: Node) -> None:
        node.do(node.station.wakeup(node.now))

    def _wake(self, index: int) -> float:
        node = self._node(index)
        at = node.station.next_wakeup(node.now)
        return float("inf") if at is None else at

    def _node(self, index: int) -> Node:
        self.nodes[index].at = self.now
        return self.nodes[index]

    def _do(self, index: int, what: Callable[[], None]) -> None:
        """Give a station an input, and carry out what it wants."""
        node = self._node(index)
        what()
        node.settle()
        sent, node.sent = node.sent, []
        for send in sent:
            self._send(index, send)
        ended, node.ended = node.ended, []
        for end in ended:
            self._goodbye(index, end)
        changes, node.changes = node.changes, []
        for change in changes:
            if isinstance(change, Dial):
                self._dial(index, change)

    # -- What happens to them

    def connect(self, a: int, b: int) -> None:
        self.cables.add(frozenset((a, b)))
        for here, there in ((a, b), (b, a)):
            self.soon(partial(self._announce, here, there), 1.0)
        self._reroute()

    def cut(self, a: int, b: int) -> None:
        self.cables.discard(frozenset((a, b)))
        for here, there in ((a, b), (b, a)):
            self.soon(partial(self._announce, here, there), 5.0)
        self._reroute()
        for line in self.lines:
            if not self._works(line):
                for end in line.ends:
                    self.soon(partial(self._notice, line, end), 15.0)

    def restart(self, index: int) -> None:
        old = self._node(index)
        for line in [line for line in self.lines if index in line.ends]:
            line.deaf.add(index)
            line.closed.add(index)
            other = sum(line.ends) - index
            self.soon(partial(self._close, line, other, "lost"), 10.0)
        self.nodes[index] = Node(
            key=old.key,
            db=old.db,
            at=self.now,
            prekey_id=old.prekey_id,
            prekey_secret=old.prekey_secret,
            random=self.rng.random,
            random_bytes=self.rng.randbytes,
        )
        self.routes[index] = set()
        self._begin(index)
        for other in range(len(self.nodes)):
            self.soon(partial(self._announce, index, other))
        self._reroute()

    def _begin(self, index: int) -> None:
        node = self._node(index)
        if self.helpers:
            node.station.whereabouts.net_said(Joined(1, str(node.id.address)), node.now)

    def rename(self, index: int, name: str) -> None:
        node = self._node(index)
        set_name = node.station.set_name
        self._do(
            index,
            lambda: node.do(set_name(name, node.now, done=lambda: None, failed=pytest.fail)),
        )

    def write(self, index: int, to: int | None) -> None:
        node = self._node(index)
        address = Address(self.nodes[to].id) if to is not None else None
        if address is not None and node.station.directory.get(address.station).card is None:
            return
        draft = Draft(address, "hello", lifetime_s=int(LIFETIME_S))
        done = self.written
        self._do(
            index,
            lambda: node.do(
                node.station.write(
                    draft,
                    node.now,
                    done=lambda message: done.append((index, to, message.id)),
                    failed=pytest.fail,
                )
            ),
        )

    # -- Links and routes

    def _announce(self, here: int, there: int) -> None:
        """`here` sees whether `there` is on the cable between the two."""
        node, other = self._node(here), self.nodes[there]
        cable = f"e{min(here, there)}-{max(here, there)}"
        if frozenset((here, there)) in self.cables:
            where = ((f"fe80::{there}%{cable}", 18950),)
            sighted = node.station.whereabouts.sighted
            self._do(here, lambda: node.do(sighted(cable, other.id, where, (cable,), node.now)))
        else:
            self._do(here, lambda: node.do(node.station.whereabouts.gone(cable, other.id)))

    def together(self, index: int) -> set[int]:
        """All that hang together with a station, itself among them."""
        found, edge = {index}, [index]
        while edge:
            here = edge.pop()
            for cable in self.cables:
                if here in cable and (there := sum(cable) - here) not in found:
                    found.add(there)
                    edge.append(there)
        return found

    def _reroute(self) -> None:
        if self.helpers:
            for index in range(len(self.nodes)):
                self.soon(partial(self._routes_change, index), 3.0)
        self.soon(self._unstick, 3.0)

    def _routes_change(self, index: int) -> None:
        node = self._node(index)
        now, before = self.together(index) - {index}, self.routes[index]
        self.routes[index] = now
        near = {one for one in now if frozenset((index, one)) in self.cables}
        ways = {
            one: route(self.nodes[one].id, refmetric=0 if one in near else 256)
            for one in now | before
        }
        news = NetNews(
            routes=tuple(ways[one] for one in now),
            routes_gone=tuple(
                (ways[one].prefix, ways[one].interface, ways[one].via) for one in before - now
            ),
        )
        self._do(index, lambda: node.do(node.station.whereabouts.net_said(news, node.now)))

    # -- Sessions

    def _works(self, line: Line) -> bool:
        a, b = line.ends
        return b in self.together(a) if line.over_mesh else frozenset((a, b)) in self.cables

    def _dial(self, index: int, dial: Dial) -> None:
        self.dials += 1
        station, mesh = None, False
        for host, _ in dial.candidates:
            for other, node in enumerate(self.nodes):
                over_mesh = self.helpers and host == str(node.id.address)
                near = host.startswith(f"fe80::{other}%")
                if other == index or not (over_mesh or near) or station is not None:
                    continue
                if self._works(Line((index, other), (0, 0), over_mesh)):
                    station, mesh = other, over_mesh
        node = self.nodes[index]
        if station is None:
            self.after(
                self.rng.choice((0.1, 6.0)), lambda: self._dial_failed(index, node, dial.attempt)
            )
        else:
            there = station
            self.after(
                0.05 + 0.3 * self.rng.random(), lambda: self._meet(index, node, there, mesh, dial)
            )

    def _dial_failed(self, index: int, node: Node, attempt: int) -> None:
        if self.nodes[index] is node:
            self._do(
                index, lambda: node.do(node.station.whereabouts.dial_failed(attempt, node.now))
            )

    def _meet(self, index: int, node: Node, there: int, mesh: bool, dial: Dial) -> None:
        if self.nodes[index] is not node:
            return
        line = Line((index, there), (next(self._handles), next(self._handles)), mesh)
        if not self._works(line):
            self._dial_failed(index, node, dial.attempt)
            return
        self.lines.append(line)
        self._open(line, 1)
        self._open(line, 0)
        peer = self.nodes[there].id
        success = node.station.peers.dial_succeeded
        self._do(index, lambda: node.do(success(dial.attempt, peer, self.now)))

    def _open(self, line: Line, end: int) -> None:
        here, there = line.ends[end], line.ends[1 - end]
        node, other = self._node(here), self.nodes[there]
        host = str(other.id.address) if line.over_mesh else f"fe80::{there}"
        info = SessionInfo(
            line.handles[end], other.id, other.boot, end == 0, "here", host, self.now
        )
        self._do(here, lambda: node.do(node.station.session_opened(info, node.now)))

    def _line_of(self, index: int, peer: StationId) -> Line | None:
        info = self.nodes[index].station.peers.session(peer)
        if info is None:
            return None
        return next(line for line in self.lines if info.handle in line.handles)

    def _send(self, index: int, send: Send) -> None:
        line = self._line_of(index, send.peer)
        if line is not None and index not in line.deaf:
            line.stuck.append(lambda: self._hear(line, index, send))
            self.after(0.02, self._unstick)

    def _unstick(self) -> None:
        for line in list(self.lines):
            while line.stuck and self._works(line):
                line.stuck.popleft()()

    def _hear(self, line: Line, sender: int, send: Send) -> None:
        here = sum(line.ends) - sender
        if here in line.closed:
            return
        node, peer = self._node(here), self.nodes[sender].id
        handle = line.handles[line.ends.index(here)]
        hear = node.station.message_received
        self._do(here, lambda: node.do(hear(handle, peer, send.channel, send.data, node.now)))

    def _goodbye(self, index: int, end: EndSession) -> None:
        line = next((line for line in self.lines if end.handle in line.handles), None)
        if line is None or index in line.deaf:
            return
        line.deaf.add(index)
        other = sum(line.ends) - index
        if self.rng.random() < 0.3:  # of all moments, somebody writes in this one
            writer = self.rng.choice(line.ends)
            self.soon(lambda: self.write(writer, sum(line.ends) - writer), 0.1)
        line.stuck.append(lambda: self._close(line, other, end.reason))
        self.after(0.02, self._unstick)
        self.after(2.0, lambda: self._close(line, index, end.reason))

    def _notice(self, line: Line, index: int) -> None:
        if not self._works(line):
            self._close(line, index, "silent")

    def _close(self, line: Line, index: int, reason: str) -> None:
        if index in line.closed:
            return
        line.closed.add(index)
        line.deaf.add(index)
        other = sum(line.ends) - index
        if len(line.closed) == 2:
            self.lines.remove(line)
        else:
            self.after(0.05, lambda: self._close(line, other, reason))
        node, peer = self._node(index), self.nodes[other].id
        handle = line.handles[line.ends.index(index)]
        closed = node.station.session_closed
        self._do(index, lambda: node.do(closed(handle, peer, node.now, reason)))
