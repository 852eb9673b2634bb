"""The rate of links that are slower further on, found in virtual time against a queue of 200 ms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from statistics import mean, median

import pytest

from appliance.protocol.link_rate import (
    FORGET_S,
    IDLE_TICK_S,
    LEAST_KBIT,
    TICK_S,
    LinkRate,
)

STEP_S = 0.01
FIFO_S = 0.2
EPOCHS_APART_S = 123_456.7
"""Between what the clocks of two stations call zero."""


def greedy(_: float) -> float:
    return 1e9


@dataclass
class Link:
    """A station that sends over a link with a plain queue at its end."""

    capacity_kbit: Callable[[float], float]
    offered_kbit: Callable[[float], float] = greedy
    noise_s: Callable[[Random, float], float] = lambda random, _: random.random() * 0.002
    drift: float = 0.0
    """Of the neighbour's clock."""

    back_s: Callable[[float], float] = lambda _: 0.0
    """What answers wait for in the other direction."""

    rate: LinkRate = field(default_factory=LinkRate)
    now: float = 0.0
    delays: list[tuple[float, float]] = field(default_factory=list)
    rates: list[tuple[float, int | None]] = field(default_factory=list)
    carried_bytes: float = 0.0

    def __post_init__(self) -> None:
        self.random = Random(1)
        self.queue_bytes = self.sent_bytes = 0.0
        self.window_kbit = 500.0
        self.next_tick = self.next_cut = 0.0
        self.on_the_way: list[tuple[float, float]] = []
        self.rate.neighbours(frozenset({"fe80::1"}))

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self._move()
            while self.on_the_way and self.on_the_way[0][0] <= self.now:
                _, delay_s = self.on_the_way.pop(0)
                skew_s = EPOCHS_APART_S + self.drift * self.now
                self.rate.sample("fe80::1", delay_s + skew_s, self.now)
            if self.now >= self.next_tick:
                self._tick()
            self.now += STEP_S

    def _move(self) -> None:
        """A step of one TCP connection, much simplified: it grows until something is dropped."""
        capacity = self.capacity_kbit(self.now)
        held = self.rate.rate_kbit or 1e9
        out_kbit = min(self.offered_kbit(self.now), self.window_kbit, held)
        step_bytes = 125 * STEP_S
        self.sent_bytes += out_kbit * step_bytes
        self.queue_bytes += out_kbit * step_bytes
        carried = min(self.queue_bytes, capacity * step_bytes)
        self.queue_bytes -= carried
        self.carried_bytes += carried
        dropped = self.queue_bytes > capacity * 125 * FIFO_S
        self.queue_bytes = min(self.queue_bytes, capacity * 125 * FIFO_S)
        if not dropped and self.window_kbit <= held * 1.1:
            self.window_kbit *= 1 + 0.4 * STEP_S
        elif self.now >= self.next_cut:
            self.window_kbit = max(100.0, min(self.window_kbit, capacity * 1.3) * 0.7)
            self.next_cut = self.now + 0.3

    def _tick(self) -> None:
        self.rate.tick(int(self.sent_bytes), self.now)
        self.rates.append((self.now, self.rate.rate_kbit))
        self.next_tick = self.now + (TICK_S if self.rate.busy(self.now) else IDLE_TICK_S)
        if self.rate.probe_due(self.now):
            waits_s = self.queue_bytes / (self.capacity_kbit(self.now) * 125)
            delay_s = 0.001 + waits_s + self.noise_s(self.random, self.now)
            self.delays.append((self.now, delay_s))
            self.on_the_way.append((self.now + delay_s + self.back_s(self.now), delay_s))

    def late(self, since: float) -> list[float]:
        return sorted(delay for moment, delay in self.delays if moment >= since)


@pytest.mark.parametrize("capacity", [500.0, 2_000.0, 20_000.0])
@pytest.mark.parametrize("drift", [0.0, 1e-4, -1e-4])
def test_a_slow_link_is_held_just_below_what_it_carries(capacity: float, drift: float) -> None:
    link = Link(lambda _: capacity, drift=drift)
    link.window_kbit = capacity / 4
    link.run(20)
    link.carried_bytes = 0.0
    link.run(40)
    assert link.carried_bytes * 8 / 1000 / 40 > 0.8 * capacity
    late = link.late(20)
    assert median(late) < 0.015
    assert late[int(0.95 * len(late))] < 0.08


@pytest.mark.parametrize(("before", "after"), [(2_000.0, 8_000.0), (8_000.0, 1_000.0)])
def test_it_follows_a_link_that_changes(before: float, after: float) -> None:
    link = Link(lambda now: before if now < 30 else after)
    link.run(60)
    found = [rate for moment, rate in link.rates if moment > 55 and rate is not None]
    assert 0.75 * after < mean(found) < 1.1 * after
    assert median(link.late(50)) < 0.03


def test_a_transfer_that_ends_and_begins_again_is_held_from_the_start() -> None:
    link = Link(lambda _: 2_000.0, lambda now: 1e9 if now < 30 or now > 200 else 80.0)
    link.run(200)
    link.run(20)
    assert median(link.late(201)) < 0.03
    assert max(link.late(201)) < 0.1


def test_after_a_long_rest_it_is_not_held() -> None:
    link = Link(lambda _: 2_000.0, lambda now: 1e9 if now < 20 else 0.0)
    link.run(20)
    assert link.rate.rate_kbit is not None
    for second in range(int(FORGET_S) + 30):
        link.rate.tick(int(link.sent_bytes), link.now + second)
    assert link.rate.rate_kbit is None


@pytest.mark.parametrize(
    "link",
    [
        Link(lambda _: 2_000.0, lambda _: 150.0),
        Link(lambda _: 1e6, lambda _: 3e5),
        Link(lambda _: 30_000.0, lambda _: 10_000.0, lambda r, _: r.expovariate(100)),
        Link(
            lambda _: 30_000.0,
            lambda _: 10_000.0,
            lambda _, now: 0.1 if int(now * 10) % 50 < 5 else 0.0,
        ),
        Link(lambda _: 30_000.0, lambda _: 1_000.0, back_s=lambda now: 0.3 if now > 10 else 0.0),
    ],
    ids=["idle", "fast", "unsteady", "fits", "full-the-other-way"],
)
def test_links_that_need_no_holding(link: Link) -> None:
    link.run(60)
    assert all(rate is None for _, rate in link.rates)


def test_a_liar_alone_can_lower_it_only_so_far_and_not_where_others_say_otherwise() -> None:
    alone, among = LinkRate(), LinkRate()
    alone.neighbours(frozenset({"liar"}))
    among.neighbours(frozenset({"liar", "other"}))
    for number in range(500):
        now = number * TICK_S
        for rate in (alone, among):
            rate.sample("liar", number * 1e6 % 7e6, now)
            rate.sample("other", 5.0, now)
            rate.tick(number * 100_000, now)
    assert alone.rate_kbit is not None
    assert alone.rate_kbit >= LEAST_KBIT
    assert among.rate_kbit is None


def test_without_answers_it_stays_as_it_is() -> None:
    rate = LinkRate()
    rate.neighbours(frozenset({"mute"}))
    for number in range(100):
        rate.tick(number * 100_000, number * TICK_S)
    assert rate.rate_kbit is None


def test_a_counter_that_begins_anew_is_no_load() -> None:
    rate = LinkRate()
    for number, sent in enumerate((10**9, 0, 0, 0)):
        rate.tick(sent, float(number))
    assert not rate.busy(3.0)
