"""What goes wrong: power, processes, links, disks, clocks; and couriers that wander about."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from sim.segments import Segment

if TYPE_CHECKING:
    from sim.board import Board
    from sim.world import World

DAY_MS: Final = 86_400_000
CLOCKS_OFF_MS: Final = (0, 5_000, -DAY_MS, 3 * DAY_MS, -3_650 * DAY_MS, 3_650 * DAY_MS)
"""Where wall clocks stand; the last but one is before anything was written, as on a board without a
battery."""

CLOCK_JUMPS_S: Final = 60.0
PARTITION_S: Final = (5.0, 90.0)
FULL_S: Final = (5.0, 60.0)
DOWN_S: Final = (0.5, 60.0)
AFTER_EFFECTS: Final = 40
"""A process ends within so many effects and steps of the disk, or ..."""

AT_LATEST_S: Final = 5.0
"""... after this."""


class Faults:
    """All that is done to the stations until everything heals."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rng = random.Random(f"faults/{world.scenario.seed}")
        self.over = False
        self.restored = 0
        """Boards that were restored from a backup."""

        boards = world.boards
        self.couriers = self.rng.sample(boards, min(world.scenario.couriers, len(boards)))
        if world.scenario.islands and not self.couriers:
            self.couriers = [self.rng.choice(boards)]

    def begin(self) -> None:
        """Plan the first of everything."""
        scenario = self.world.scenario
        for board in self.world.boards:
            if self.rng.random() < scenario.bad_clocks:
                self._clock_jumps(board)
                self._every(CLOCK_JUMPS_S, partial(self._clock_jumps, board))
            self._every(scenario.crash_every_s, partial(self._crash, board))
            self._every(scenario.full_every_s, partial(self._fill, board))
            if self.rng.random() < scenario.lost_for_good:
                when = self.rng.uniform(0.0, scenario.faults_s)
                self.world.time.after(when, partial(self._lose, board))
            if self.rng.random() < scenario.restored:
                first, last = sorted(self.rng.uniform(0.1, 0.95) for _ in range(2))
                self.world.time.after(first * scenario.faults_s, board.back_up)
                self.world.time.after(last * scenario.faults_s, partial(self._restore, board))
        for segment in self.world.network.segments:
            self._every(scenario.partition_every_s, partial(self.part, segment))
        for courier in self.couriers:
            self._wander_later(courier)

    def _every(self, mean_s: float, what: Callable[[], None]) -> None:
        def now() -> None:
            if not self.over:
                what()
                self._every(mean_s, what)

        self.world.time.after(self.rng.expovariate(1.0 / mean_s), now)

    def heal(self) -> None:
        """Put everything right that can be."""
        self.over = True
        self.world.note("all heals")
        network = self.world.network
        stays = self.couriers if self.world.scenario.islands else []
        for board in self.world.boards:
            board.disk.full = False
            board.start()
            if board not in stays:
                network.move(board.index, network.homes[board.index])
        for segment in network.segments:
            segment.heal()
            network.changed(segment)

    # -- One by one

    def _clock_jumps(self, board: Board) -> None:
        board.wall_off_ms = self.rng.choice(CLOCKS_OFF_MS) + self.rng.randrange(-DAY_MS, DAY_MS)
        board.sure = self.rng.random() < 0.3
        self.world.note(f"{board.name}: clock off by {board.wall_off_ms / DAY_MS:.1f} days")

    def _crash(self, board: Board) -> None:
        if not board.alive:
            return
        power = self.rng.random() < 0.5
        board.die_within(self.rng.randrange(AFTER_EFFECTS), power=power)
        board.later(AT_LATEST_S, lambda: board.die(power=power))

    def after_death(self, board: Board) -> None:
        """Let a process start again after a while."""
        self.world.time.after(0.5 if self.over else self.rng.uniform(*DOWN_S), board.start)

    def _lose(self, board: Board) -> None:
        if board in self.couriers or self.world.groups.is_founder(board):
            return
        board.gone = True
        board.die(power=True)

    def _restore(self, board: Board) -> None:
        # Into which groups somebody came after the backup was made, nobody tells it.
        groups = self.world.groups
        known = all(board.was_in(one.id) for one in groups.all if board.index in one.members)
        if known and not (board.gone or groups.is_founder(board)):
            self.restored += board.restore()

    def _fill(self, board: Board) -> None:
        board.disk.full = True
        self.world.note(f"{board.name}: disk full")

        def room() -> None:
            board.disk.full = False

        self.world.time.after(self.rng.uniform(*FULL_S), room)

    def part(self, segment: Segment) -> None:
        """Split a link for a while."""
        segment.split(self.rng)
        self.world.note(f"{segment.name} splits: {segment.members}")
        self.world.network.changed(segment)

        def join() -> None:
            if not self.over:
                segment.heal()
                self.world.note(f"{segment.name} is whole")
                self.world.network.changed(segment)

        self.world.time.after(self.rng.uniform(*PARTITION_S), join)

    def _wander_later(self, courier: Board) -> None:
        stay_s = self.world.scenario.stay_s * self.rng.uniform(0.5, 1.5)
        self.world.time.after(stay_s, lambda: self._wander(courier))

    def _wander(self, courier: Board) -> None:
        if self.over and not self.world.scenario.islands:
            return
        segment = self.rng.choice(self.world.network.segments)
        self.world.note(f"{courier.name} goes to {segment.name}")
        self.world.network.move(courier.index, [segment])
        self._wander_later(courier)
