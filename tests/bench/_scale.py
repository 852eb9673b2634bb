"""One simulated net of some size: what it costs to come together, to be idle, and to write."""

from __future__ import annotations

import math
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from sim.board import Board
from sim.checkers import AllAgree
from sim.scenario import Scenario
from sim.world import World, world

from appliance.model.message import DeliveryState
from appliance.protocol.frames import Channel

SEED: Final = 1

SETTLE_S: Final = 900.0
"""After all cards are there, until neighbours compare as seldom as they ever do."""

IDLE_S: Final = 600.0
"""For which nobody does anything: about as long as from one comparison to the next."""

ALONE: Final = 10
"""Messages to one station, of which the mean is taken."""

RESTARTS: Final = 3
"""Stations that start again, of which the mean is taken."""

QUIET_S: Final = 60.0
"""What something has led to is over when for so long nobody has passed on anything ..."""

AFTERMATH_S: Final = 600.0
"""... or is cut off after so long.  Then the bytes that are told are too few, and the row says for
how many of its figures that is so."""

COMPARE: Final = frozenset({Channel.GOSSIP, Channel.SYNC})
"""What neighbours say though there is nothing to pass on; with it nothing would ever be over."""

PATIENCE_S: Final = 1800.0

STEP_S: Final = 0.25

LOOK_S: Final = 10.0
"""How often it is asked whether there is time for more."""


@dataclass(frozen=True)
class Costs:
    """What one net of some size takes; NaN: not measured."""

    stations: int
    """How many."""

    cards_s: float = math.nan
    """From the first start until all have each other's cards."""

    join_bytes: float = math.nan
    """Received by each station until then."""

    idle_bytes_per_s: float = math.nan
    """Received by each station while nobody does anything, when one message to everyone and its
    receipts are carried: neighbours compare them."""

    to_all_s: float = math.nan
    """From writing to everyone until all have it on disk."""

    confirmed_s: float = math.nan
    """And until the author knows of all."""

    spread_bytes: float = math.nan
    """Received by all together until all have a message to everyone, before most receipts."""

    to_all_bytes: float = math.nan
    """Received by all together for one message to everyone, receipts and all."""

    to_one_s: float = math.nan
    """From writing to one station until its author knows that it is there; the mean."""

    to_one_bytes: float = math.nan
    """Received by all together for one message to somebody."""

    restart_bytes: float = math.nan
    """Received by all together when one station starts again."""

    memory_mb: float = math.nan
    """Of one station, its database included, when all cards are there."""

    took_s: float = 0.0
    """Seconds of one processor."""

    cut_off: int = 0
    """Messages and starts whose bytes are too few: see `AFTERMATH_S`."""

    whole: bool = True
    """There was time for all of it."""

    def per_day(self, *, to_all: float, to_one: float, restarts: float) -> float:
        """Return the bytes that one station receives in a day in which each does so much."""
        once = to_all * self.to_all_bytes + to_one * self.to_one_bytes
        return 86_400 * self.idle_bytes_per_s + once + restarts * self.restart_bytes


class OutOfTimeError(Exception):
    """The time that one size may take is over, or the net did not do what was waited for."""


def scenario(stations: int) -> Scenario:
    """Return a net of good radio links, one between each two that are neighbours."""
    never = 1e12
    return Scenario(
        seed=SEED,
        stations=stations,
        minutes=1.0,
        settle_s=PATIENCE_S,
        segment_size=2,
        islands=False,
        couriers=0,
        stay_s=never,
        loss=0.02,
        latency_s=0.005,
        rate=250e3,
        session_s=never,
        write_every_s=never,
        to_everyone=0.0,
        crash_every_s=never,
        partition_every_s=never,
        full_every_s=never,
        bad_clocks=0.0,
        lost_for_good=0.0,
    )


def grid(stations: int) -> list[list[int]]:
    """Return links that join each station of a grid with those beside it."""
    width = math.ceil(math.sqrt(stations))
    right = [[at, at + 1] for at in range(stations - 1) if (at + 1) % width]
    below = [[at, at + width] for at in range(stations - width)]
    return right + below


def measure(stations: int, *, receipts: bool = True, budget_s: float = math.inf) -> Costs:
    """Run one net; without `receipts` a message to everyone counts only until all have it.

    `budget_s` are seconds of one processor.  When they are over, what was measured until then is
    returned.
    """
    started = time.process_time()
    before = _memory()
    measured = Costs(stations)
    with world(scenario(stations), checkers=(), homes=grid(stations), shared=False) as made:
        net = _Net(made, started + budget_s)
        try:
            for measured in _steps(net, stations, before, receipts=receipts):
                _progress(measured, time.process_time() - started)
        except OutOfTimeError as error:
            print(f"  {stations} stations: given up, {error}", flush=True)
            measured = replace(measured, whole=False)
    return replace(measured, cut_off=net.cut_off, took_s=time.process_time() - started)


def _steps(net: _Net, stations: int, memory_before: float, *, receipts: bool) -> Iterator[Costs]:
    """Do one thing after the other, and say what is known after each."""
    cards_s, joined = net.join()
    memory_mb = (_memory() - memory_before) / stations / 1e6
    costs = Costs(stations, cards_s=cards_s, join_bytes=joined / stations, memory_mb=memory_mb)
    yield costs
    net.rest(SETTLE_S)
    letter = net.to_all()
    spread = letter.there
    costs = replace(costs, to_all_s=spread.took_s)
    yield costs
    after = net.receipts(letter) if receipts else NOT_FOLLOWED
    costs = replace(costs, confirmed_s=after.took_s)
    yield costs
    idle = net.idle()
    costs = replace(
        costs,
        idle_bytes_per_s=idle / stations,
        spread_bytes=spread.beyond(idle),
        to_all_bytes=after.beyond(idle),
    )
    yield costs
    ones = [net.to_one(number) for number in range(ALONE)]
    costs = replace(
        costs,
        to_one_s=sum(one.took_s for one in ones) / ALONE,
        to_one_bytes=sum(one.beyond(idle) for one in ones) / ALONE,
    )
    yield costs
    restarts = [net.restart(number) for number in range(RESTARTS)]
    yield replace(costs, restart_bytes=sum(one.beyond(idle) for one in restarts) / RESTARTS)


def _progress(costs: Costs, took_s: float) -> None:
    """Say what is known of a size that is still being measured."""
    known = [
        f"{text} {value:.1f} {unit}"
        for text, value, unit in (
            ("cards", costs.cards_s, "s"),
            ("to all", costs.to_all_s, "s"),
            ("told", costs.confirmed_s, "s"),
            ("idle", costs.idle_bytes_per_s, "B/s"),
            ("to one", costs.to_one_s, "s"),
            ("restart", costs.restart_bytes / 1e3, "kB of all"),
        )
        if not math.isnan(value)
    ]
    print(f"  {costs.stations} stations, {took_s:.0f} s: {', '.join(known)}", flush=True)


def _memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


@dataclass(frozen=True)
class _Said:
    """What something has led to."""

    took_s: float
    """Until it was there."""

    bytes: int
    """That all together have received until it was over, and ..."""

    over_s: float
    """... how long that was."""

    def beyond(self, idle: float) -> float:
        """Return what would not have been said otherwise."""
        return self.bytes - idle * self.over_s


@dataclass(frozen=True)
class _Letter:
    """A message to everyone that all have."""

    id: bytes
    """Which."""

    author: Board
    """Whose."""

    before: int
    """The bytes that all had received when it was written, and ..."""

    began: float
    """... when that was."""

    there: _Said
    """What it has led to until all had it."""


NOT_FOLLOWED: Final = _Said(math.nan, 0, math.nan)


class _Net:
    """A world that is driven step by step."""

    def __init__(self, made: World, deadline: float) -> None:
        """`deadline` is when there is no more time, on the clock of this process's processor."""
        self._world, self._deadline = made, deadline
        self._agree = AllAgree(made)
        self.cut_off = 0
        """How often something was not over in time."""

    def _run(self, seconds: float) -> None:
        if time.process_time() > self._deadline:
            raise OutOfTimeError("its time is over (--minutes)")
        self._world.time.run(seconds)

    def rest(self, seconds: float) -> None:
        """Let time pass."""
        until = self._world.time.now + seconds
        while (left := until - self._world.time.now) > 1e-6:
            self._run(min(left, LOOK_S))

    def _until(self, there: Callable[[], bool], step_s: float = STEP_S) -> float:
        """Let time pass until something is so; return how long that took."""
        began = self._world.time.now
        while not there():
            if self._world.time.now - began > PATIENCE_S:
                raise OutOfTimeError("what was waited for has not come to be")
            self._run(step_s)
        return self._world.time.now - began

    def _passed_on(self) -> int:
        return sum(n for channel, n in self._world.said.items() if channel not in COMPARE)

    def _aftermath(self, began: float) -> None:
        """Wait until what has begun is over, or for so long as is waited."""
        while self._world.time.now - began < AFTERMATH_S:
            before = self._passed_on()
            self.rest(QUIET_S)
            if self._passed_on() == before:
                return
        self.cut_off += 1

    def _agreed(self) -> bool:
        return next(iter(self._agree.unsettled()), None) is None

    def join(self) -> tuple[float, int]:
        """Start all stations; return the seconds and bytes until all have all cards."""
        for board in self._world.boards:
            board.start()
        return self._until(self._agreed, 0.5), self._world.bytes

    def idle(self) -> float:
        """Return what all together say in a second when nothing happens."""
        before = self._world.bytes
        self.rest(IDLE_S)
        return (self._world.bytes - before) / IDLE_S

    def _write(self, author: Board, to: int | None) -> bytes:
        people = self._world.people
        known = set(people.letters)
        people.write(author, to)
        self._until(lambda: len(people.letters) > len(known), 0.05)
        (letter,) = set(people.letters) - known
        return letter

    def to_all(self) -> _Letter:
        """Let one in the corner write to everyone, and wait until all have it."""
        boards, net = self._world.boards, self._world
        before, began = net.bytes, net.time.now
        letter = self._write(boards[0], None)
        self._until(lambda: all(letter in board.disk.kept for board in boards[1:]), 0.1)
        arrived_s = net.time.now - began
        there = _Said(arrived_s, net.bytes - before, arrived_s)
        return _Letter(letter, boards[0], before, began, there)

    def receipts(self, letter: _Letter) -> _Said:
        """Wait until the author knows that all have it."""
        others = len(self._world.boards) - 1
        self._until(lambda: _delivered_to(letter.author, letter.id) == others)
        return self._over(self._world.time.now - letter.began, letter.before, letter.began)

    def _over(self, took_s: float, before: int, began: float) -> _Said:
        self._aftermath(began)
        return _Said(took_s, self._world.bytes - before, self._world.time.now - began)

    def to_one(self, number: int) -> _Said:
        """Let somebody write to somebody."""
        boards = self._world.boards
        author = (7 * number) % len(boards)
        to = (author + len(boards) // 2 + number) % len(boards)
        if to == author:
            to = (to + 1) % len(boards)
        before, began = self._world.bytes, self._world.time.now
        letter = self._write(boards[author], to)
        self._until(lambda: _delivered_to(boards[author], letter) == 1, 0.1)
        return self._over(self._world.time.now - began, before, began)

    def restart(self, number: int) -> _Said:
        """Let a station start again."""
        board = self._world.boards[(5 * number + 2) % len(self._world.boards)]
        before, began = self._world.bytes, self._world.time.now
        board.die(power=False)
        self.rest(5.0)
        board.start()
        took_s = self._until(self._agreed, 0.5)
        return self._over(took_s, before, began)


def _delivered_to(author: Board, letter: bytes) -> int:
    stored = author.message(letter)
    if stored is None:
        return 0
    told = sum(one.state >= DeliveryState.DELIVERED for one in stored.recipients)
    return max(stored.delivered_to, told)
