"""The network and the disk around the transfers of one station, in virtual time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any

from appliance.model.attachment import CHUNK
from appliance.model.identity import StationId
from appliance.node import transfers as transfers_module
from appliance.node.ports.blobs import (
    BlobArrived,
    BlobEffect,
    Fetch,
    Finish,
    Leave,
    Look,
    RunEnd,
    StopFetch,
)
from appliance.node.transfers import Transfers
from appliance.node.wanted import Want
from appliance.protocol.chunks import chunk_count

OWN, ANA, BEN, EVE = (StationId(bytes([number]) * 32) for number in range(4))
BIG = 40 * CHUNK


def root(number: int) -> bytes:
    return number.to_bytes(32, "big")


class World:
    """The network and the disk around one station's transfers."""

    def __init__(self, seed: int = 1, *, chunk_s: float = 0.1) -> None:
        self.core = Transfers(OWN, Random(seed).random)
        self.now = 0.0
        self.chunk_s = chunk_s
        self.has: dict[StationId, set[bytes]] = {ANA: set(), BEN: set(), EVE: set()}
        self.lies: set[StationId] = set()
        self.silent: set[StationId] = set()
        self.up: set[StationId] = set()
        self.disk: dict[bytes, set[int]] = {}
        """What is missing, by root."""
        self.news: list[tuple[float, BlobEffect]] = []
        self.fetches: list[tuple[float, Fetch]] = []
        self.got: Counter[tuple[bytes, int]] = Counter()
        self.running: dict[tuple[bytes, StationId], Fetch] = {}
        self._open: set[bytes] = set()
        self._events: list[tuple[float, int, Any]] = []
        self._number = count()

    def tell(self, effects: Iterable[BlobEffect]) -> None:
        for effect in effects:
            match effect:
                case Look(name):
                    assert name not in self._open
                    self._open.add(name)
                    assert len(self._open) <= transfers_module.MAX_OPEN
                    self._later(0.0, self._looked, name)
                case Fetch(name, _, peer):
                    assert (name, peer) not in self.running
                    assert peer in self.up
                    self.running[name, peer] = effect
                    self.fetches.append((self.now, effect))
                    self._later(0.01, self._step, effect, effect.first)
                case StopFetch(name, peer):
                    if (name, peer) in self.running:
                        self._later(0.0, self._end, self.running[name, peer], RunEnd.BROKEN)
                case Finish(name):
                    assert self.disk[name] == set()
                    self._later(0.0, self._finished, name)
                case Leave(name, drop):
                    self._open.discard(name)
                    for key in [key for key in self.running if key[0] == name]:
                        del self.running[key]
                    if drop:
                        self.disk.pop(name, None)
                case _:
                    self.news.append((self.now, effect))

    def _later(self, after_s: float, what: Any, *words: Any) -> None:
        heappush(self._events, (self.now + after_s, next(self._number), (what, words)))

    def _looked(self, name: bytes) -> None:
        self.tell(self.core.looked(name, self.disk.get(name), self.now))

    def _finished(self, name: bytes) -> None:
        self._open.discard(name)
        self.tell(self.core.finished(name, self.now, kept=True))

    def _end(self, fetch: Fetch, end: RunEnd, stored: int = 0) -> None:
        if self.running.get((fetch.root, fetch.peer)) is fetch:
            del self.running[fetch.root, fetch.peer]
            self.tell(self.core.over(fetch.root, fetch.peer, end, self.now, stored=stored))

    def _step(self, fetch: Fetch, index: int) -> None:
        name, peer = fetch.root, fetch.peer
        if self.running.get((name, peer)) is not fetch or peer in self.silent:
            return
        stored = index - fetch.first
        if peer not in self.up:
            self._end(fetch, RunEnd.BROKEN, stored)
        elif name not in self.has[peer]:
            self._end(fetch, RunEnd.HAS_NOT)
        elif peer in self.lies:
            self._end(fetch, RunEnd.LIED)
        elif stored == fetch.count:
            self._end(fetch, RunEnd.DONE, stored)
        else:
            if name not in self.disk:
                self.disk[name] = set(range(chunk_count(fetch.size)))
                self.tell(self.core.looked(name, self.disk[name], self.now))
            self.disk[name].discard(index)
            self.got[name, index] += 1
            self.tell(self.core.stored(name, peer, index, self.now))
            self._later(self.chunk_s, self._step, fetch, index + 1)

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        while True:
            wakeup = self.core.next_wakeup()
            at = min(self._events[0][0] if self._events else until, wakeup or until)
            if at >= until:
                break
            self.now = max(self.now, at)
            if self._events and self._events[0][0] <= self.now:
                what, words = heappop(self._events)[2]
                what(*words)
            else:
                self.tell(self.core.wakeup(self.now))
        self.now = until

    def meet(self, *peers: StationId) -> None:
        for peer in peers:
            self.up.add(peer)
            self.tell(self.core.session_up(peer, self.now))

    def part(self, *peers: StationId) -> None:
        for peer in peers:
            self.up.discard(peer)
            self.tell(self.core.session_down(peer, self.now))

    def want(self, number: int, size: int = BIG, **words: Any) -> None:
        self.tell(self.core.wanted(Want(root(number), size, **words), self.now))

    def arrived(self) -> list[int]:
        return [
            int.from_bytes(news.root, "big")
            for _, news in self.news
            if isinstance(news, BlobArrived)
        ]

    def asked(self, peer: StationId) -> list[float]:
        return [at for at, fetch in self.fetches if fetch.peer == peer]
