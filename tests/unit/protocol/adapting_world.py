"""Calls over a link in virtual time: what they send, what a queue and chance make of it."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from appliance.protocol.adaptation import Adaptation, Decision, Takes
from appliance.protocol.rtp import Reception

HEADER_OCTETS = 76
RED_OCTETS = 5


@dataclass
class Link:
    """One direction of a path: a rate with a queue before it, chance, and a way."""

    bit_s: float = 1e9
    loss: float = 0.0
    burst: float = 1.0
    way_s: float = 0.02
    jitter_s: float = 0.0
    longest_queue_s: float = 2.0
    free_at: float = 0.0
    bad: bool = False
    octets: int = 0

    def carry(self, octets: int, now: float, chance: random.Random) -> float | None:
        """When it arrives; None: never."""
        queued_s = max(0.0, self.free_at - now)
        if queued_s > self.longest_queue_s:
            return None
        self.free_at = now + queued_s + 8 * octets / self.bit_s
        self.octets += octets
        if self._lost(chance):
            return None
        return self.free_at + self.way_s + chance.uniform(0.0, self.jitter_s)

    def queue_s(self, now: float) -> float:
        return max(0.0, self.free_at - now)

    def _lost(self, chance: random.Random) -> bool:
        if self.burst <= 1.0:
            return chance.random() < self.loss
        leave = 1 / self.burst
        enter = self.loss / (1 - self.loss) * leave
        self.bad = chance.random() >= leave if self.bad else chance.random() < enter
        return self.bad


@dataclass
class Call:
    """One direction of a call: what it decided, second by second."""

    adaptation: Adaptation
    reception: Reception = field(default_factory=lambda: Reception(48_000))
    sequence: int = 65_000
    timestamp: int = 0
    due: float = 0.0
    log: list[tuple[float, Decision]] = field(default_factory=list)


class World:
    """Some calls over one link, and their reports over another."""

    def __init__(
        self, link: Link, *, calls: int = 1, seed: int = 1, red: bool = True, stall_s: float = 0.0
    ) -> None:
        """`stall_s`: once in 2 s the sender stands still for so long, and then catches up."""
        self.link, self.back = link, Link(way_s=0.02)
        self.stall_s = stall_s
        self.now = 0.0
        self.chance = random.Random(seed)
        self._future: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self.calls = [
            Call(Adaptation(Takes(red=red), header_octets=HEADER_OCTETS)) for _ in range(calls)
        ]
        for number, call in enumerate(self.calls):
            call.due = 0.003 * number
            self._at(call.due, partial(self._send, call))
            self._at(0.2, partial(self._report, call))
            self._at(1.0, partial(self._tick, call))

    def run(self, seconds: float) -> list[Decision]:
        """Go on; what each call does at the end."""
        until = self.now + seconds
        while self._future[0][0] <= until:
            self.now, _, what = heapq.heappop(self._future)
            what()
        self.now = until
        return [call.adaptation.decision for call in self.calls]

    def decided(self, since: float = 0.0, number: int = 0) -> list[Decision]:
        """What a call did each second."""
        return [decision for at, decision in self.calls[number].log if at >= since]

    def _at(self, when: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._future, (when, next(self._order), what))

    def _send(self, call: Call) -> None:
        decision = call.adaptation.decision
        blocks = 1 + len(decision.copies)
        red = RED_OCTETS * len(decision.copies)
        payload = decision.bitrate * decision.frame_ms * blocks // 8_000 + red
        call.adaptation.sent(call.sequence & 0xFFFF, payload, self.now)
        arrives_at = self.link.carry(payload + HEADER_OCTETS, self.now, self.chance)
        if arrives_at is not None:
            sequence, timestamp = call.sequence, call.timestamp
            self._at(
                arrives_at,
                lambda: call.reception.add(sequence=sequence, timestamp=timestamp, now=self.now),
            )
        call.sequence += 1
        call.timestamp += 48 * decision.frame_ms
        call.due += decision.frame_ms / 1000
        since_stall = call.due % 2.0
        self._at(call.due + max(0.0, self.stall_s - since_stall), lambda: self._send(call))

    def _report(self, call: Call) -> None:
        if call.reception.received:
            block = call.reception.report()
            seen = call.reception.arrived(160)
            written_at = self.now + 5_000.0  # Another machine's clock.
            arrives_at = self.back.carry(200, self.now, self.chance)

            def heard() -> None:
                call.adaptation.record.take(*seen)
                call.adaptation.heard(block.highest_sequence & 0xFFFF, written_at, self.now)

            if arrives_at is not None:
                self._at(arrives_at, heard)
        self._at(self.now + self.chance.uniform(0.5, 0.9), lambda: self._report(call))

    def _tick(self, call: Call) -> None:
        call.log.append((self.now, call.adaptation.tick(self.now)))
        self._at(self.now + 1.0, lambda: self._tick(call))
