"""One simulated net of some size: what it costs to come together, to be idle, and to write."""

from __future__ import annotations

import math
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sim.board import Board
from sim.checkers import AllAgree
from sim.scenario import Scenario
from sim.world import World, world

from appliance.model.message import DeliveryState

SEED: Final = 1

SETTLE_S: Final = 900.0
"""After all cards are there, until it is called idle: intervals grow for so long."""

IDLE_S: Final = 600.0

ALONE: Final = 10
"""Messages to one station, of which the mean is taken."""

RESTARTS: Final = 3
"""Stations that start again, of which the mean is taken."""

QUIET_S: Final = 60.0
"""What one event costs is over when so little more comes of it in so long as in any idle time."""

PATIENCE_S: Final = 1800.0

STEP_S: Final = 0.25


@dataclass(frozen=True)
class Costs:
    """What one net of some size takes."""

    stations: int
    """How many."""

    cards_s: float
    """From the first start until all have each other's cards."""

    join_bytes: float
    """Received by each station until then."""

    idle_bytes_per_s: float
    """Received by each station while nobody does anything."""

    to_all_s: float
    """From writing to everyone until all have it on disk."""

    confirmed_s: float
    """And until the author knows of all; NaN: not waited for."""

    spread_bytes: float
    """Received by all together until all have a message to everyone, before most receipts."""

    to_all_bytes: float
    """Received by all together for one message to everyone, receipts and all."""

    to_one_s: float
    """From writing to one station until its author knows that it is there; the mean."""

    to_one_bytes: float
    """Received by all together for one message to somebody."""

    restart_bytes: float
    """Received by all together when one station starts again."""

    memory_mb: float
    """Of one station, its database included."""

    took_s: float
    """Seconds of this machine."""

    def per_day(self, *, to_all: float, to_one: float, restarts: float) -> float:
        """Return the bytes that one station receives in a day in which each does so much."""
        once = to_all * self.to_all_bytes + to_one * self.to_one_bytes
        return 86_400 * self.idle_bytes_per_s + once + restarts * self.restart_bytes


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


def measure(stations: int, *, receipts: bool = True) -> Costs:
    """Run one net; without `receipts` a message to everyone counts only until all have it."""
    started = time.monotonic()
    before = _memory()
    drawn = scenario(stations)
    with world(drawn, checkers=(), homes=grid(stations), shared=False) as made:
        net = _Net(made)
        cards_s, join_bytes = net.join()
        memory = (_memory() - before) / stations
        idle = net.idle()
        to_all_s, confirmed_s, spread_bytes, to_all_bytes = net.to_all(receipts=receipts)
        ones = [net.to_one(number) for number in range(ALONE)]
        restarts = [net.restart(number) for number in range(RESTARTS)]
    return Costs(
        stations=stations,
        cards_s=cards_s,
        join_bytes=join_bytes / stations,
        idle_bytes_per_s=idle / stations,
        to_all_s=to_all_s,
        confirmed_s=confirmed_s,
        spread_bytes=spread_bytes,
        to_all_bytes=to_all_bytes,
        to_one_s=sum(seconds for seconds, _ in ones) / ALONE,
        to_one_bytes=sum(total for _, total in ones) / ALONE,
        restart_bytes=sum(restarts) / RESTARTS,
        memory_mb=memory / 1e6,
        took_s=time.monotonic() - started,
    )


def _memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


class _Net:
    """A world that is driven step by step."""

    def __init__(self, made: World) -> None:
        self._world = made
        self._agree = AllAgree(made)
        self._idle = 0.0
        """Bytes a second of all together while nobody does anything."""

    def _until(self, there: Callable[[], bool], step_s: float = STEP_S) -> float:
        """Let time pass until something is so; return how long that took."""
        began = self._world.time.now
        while not there():
            if self._world.time.now - began > PATIENCE_S:
                return math.nan
            self._world.time.run(step_s)
        return self._world.time.now - began

    def _aftermath(self, before: int, began: float) -> float:
        """Return what has been said since something began, when that is over."""
        while True:
            so_far = self._world.bytes
            self._world.time.run(QUIET_S)
            if self._world.bytes - so_far <= 1.5 * self._idle * QUIET_S + 2_000:
                break
        return self._world.bytes - before - self._idle * (self._world.time.now - began)

    def join(self) -> tuple[float, float]:
        """Start all stations; return the seconds and bytes until all have all cards."""
        for board in self._world.boards:
            board.start()
        took_s = self._until(lambda: next(iter(self._agree.unsettled()), None) is None, 0.5)
        return took_s, self._world.bytes

    def idle(self) -> float:
        """Return what all together say in a second when nothing happens."""
        self._world.time.run(SETTLE_S)
        before = self._world.bytes
        self._world.time.run(IDLE_S)
        self._idle = (self._world.bytes - before) / IDLE_S
        return self._idle

    def _write(self, author: Board, to: int | None) -> bytes:
        people = self._world.people
        known = set(people.letters)
        people.write(author, to)
        self._world.time.run(0.5)
        (letter,) = set(people.letters) - known
        return letter

    def to_all(self, *, receipts: bool) -> tuple[float, float, float, float]:
        """Let one in the corner write to everyone."""
        boards = self._world.boards
        before, began = self._world.bytes, self._world.time.now
        letter = self._write(boards[0], None)
        self._until(lambda: all(letter in board.disk.kept for board in boards[1:]), 0.1)
        arrived_s = self._world.time.now - began
        spread = self._world.bytes - before - self._idle * arrived_s
        if not receipts:
            return arrived_s, math.nan, spread, math.nan
        self._until(lambda: _delivered_to(boards[0], letter) == len(boards) - 1)
        confirmed_s = self._world.time.now - began
        return arrived_s, confirmed_s, spread, self._aftermath(before, began)

    def to_one(self, number: int) -> tuple[float, float]:
        """Let somebody write to somebody."""
        boards = self._world.boards
        author = (7 * number) % len(boards)
        to = (author + len(boards) // 2 + number) % len(boards)
        if to == author:
            to = (to + 1) % len(boards)
        before, began = self._world.bytes, self._world.time.now
        letter = self._write(boards[author], to)
        self._until(lambda: _delivered_to(boards[author], letter) == 1)
        took_s = self._world.time.now - began
        return took_s, self._aftermath(before, began)

    def restart(self, number: int) -> float:
        """Let a station start again."""
        board = self._world.boards[(5 * number + 2) % len(self._world.boards)]
        before, began = self._world.bytes, self._world.time.now
        board.die(power=False)
        self._world.time.run(5.0)
        board.start()
        self._until(lambda: next(iter(self._agree.unsettled()), None) is None, 0.5)
        return self._aftermath(before, began)


def _delivered_to(author: Board, letter: bytes) -> int:
    stored = author.message(letter)
    if stored is None:
        return 0
    told = sum(one.state >= DeliveryState.DELIVERED for one in stored.recipients)
    return max(stored.delivered_to, told)
