"""A whole simulation: stations, network, people and faults, put together and run."""

from __future__ import annotations

import gc
import random
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from appliance.protocol.frames import Channel
from sim.board import Board
from sim.chance import seeded
from sim.checkers import ALL, Checker
from sim.disk import new_database
from sim.faults import Faults
from sim.groups import Gatherings
from sim.happenings import (
    Alarmed,
    Changed,
    Died,
    FaultError,
    Happening,
    Letter,
    Restored,
    Started,
    Wrote,
)
from sim.network import Network
from sim.people import People
from sim.scenario import Scenario
from sim.timeline import Timeline

LOOK_EVERY_S: Final = 5.0
"""How often it is asked whether all is settled."""

AFTERWARDS_S: Final = 60.0
"""For how long it runs on when all is settled, since nothing may come undone."""

CALM_SESSION_S: Final = 600.0
"""Sessions last at least so long, on average, when the faults are over."""

GARBAGE: Final = (100_000, 20, 100)
"""How seldom cycles are looked for: there are few, and hundreds of stations take long to search."""

MAX_FAULTS: Final = 10
"""So many are reported."""


@dataclass(frozen=True)
class Outcome:
    """What came of a run."""

    scenario: Scenario
    """Which."""

    faults: tuple[str, ...]
    """What must not be, and is; empty: all is well."""

    simulated_s: float
    """How long it was in there."""

    settled_s: float | None
    """After how many seconds without faults all was as it must be."""

    figures: dict[str, int] = field(default_factory=dict)
    """What was done, for people."""

    fingerprint: int = 0
    """Of all that happened; the same for the same seed."""


class World:
    """All of it."""

    def __init__(
        self,
        scenario: Scenario,
        *,
        checkers: tuple[type[Checker], ...] = ALL,
        trace: Callable[[str], None] | None = None,
        homes: list[list[int]] | None = None,
    ) -> None:
        """`trace` is called with a line for everything that happens.

        `homes` says who is on which link; without it the scenario does.
        """
        self.scenario, self._trace = scenario, trace
        self.time = Timeline()
        self.fingerprint = 0
        self.frames = self.bytes = self.overflows = self.deaths = 0
        self.said: dict[Channel, int] = dict.fromkeys(Channel, 0)
        """Bytes of the messages that stations were given, by channel."""

        self.session_s = scenario.session_s
        """After how long sessions break, on average."""

        first = new_database()
        template = first.serialize()
        first.close()
        self.boards = [
            Board(self, index, new_database(template)) for index in range(scenario.stations)
        ]
        self.by_id = {board.id: board for board in self.boards}
        self.network = Network(self, homes)
        self.people = People(self)
        self.groups = Gatherings(self)
        self.faults = Faults(self)
        self._checkers = [checker(self) for checker in checkers]
        self._groups: dict[int, int] = {}

    def close(self) -> None:
        """Let go of the databases."""
        for board in self.boards:
            board.disk.db.close()

    # -- What happens

    def note(self, text: str) -> None:
        """Take a line into the trace."""
        line = f"{self.time.now:10.3f}  {text}"
        self.fingerprint = zlib.crc32(line.encode(), self.fingerprint)
        if self._trace is not None:
            self._trace(line)

    def heard(self, board: Board, sender: Board, channel: Channel, data: bytes) -> None:
        """Note that a station is given a message of another."""
        self.said[channel] += len(data)
        if self._trace is not None:
            what = f"{channel.name} of {len(data)} bytes from {sender.name}"
            self._trace(f"{self.time.now:10.3f}  {board.name}: {what}")

    def tell(self, happening: Happening) -> None:
        """Let all checkers know."""
        match happening:
            case Started(board):
                self.note(f"{board.name}: start {board.starts}")
            case Died(board, power):
                self.deaths += 1
                self.note(f"{board.name}: {'power cut' if power else 'crash'}")
                self.faults.after_death(board)
            case Restored(board):
                self.note(f"{board.name}: restored from its backup")
                self.people.forget(board)
            case Wrote(board, letter):
                self.note(f"{board.name}: wrote {letter.id.hex()[:8]}: {letter.text:.40}")
            case Changed(board, message):
                states = " ".join(
                    f"{self.by_id[one.station].name}={one.state.name}" for one in message.recipients
                )
                self.note(f"{board.name}: message {message.id.hex()[:8]} {states}")
            case Alarmed(board, alarm):
                self.note(f"{board.name}: alarm {alarm.code}")
            case _:
                pass
        for checker in self._checkers:
            checker.saw(happening)

    # -- What checkers ask

    def together(self, a: Board, b: Board) -> bool:
        """Tell whether two stations hang together in the end, over links or by couriers."""
        if not self._groups:
            self._gather()
        return self._groups[a.index] == self._groups[b.index]

    def _gather(self) -> None:
        """Find out who hangs together once all has healed."""
        groups = {board.index: board.index for board in self.boards}

        def root(index: int) -> int:
            while groups[index] != index:
                index = groups[index]
            return index

        links = [
            [index for index, homes in self.network.homes.items() if segment in homes]
            for segment in self.network.segments
        ]
        if self.scenario.islands:
            links.append([link[0] for link in links])
        for link in links:
            there = [index for index in link if not self.boards[index].gone]
            for index in there:
                groups[root(index)] = root(there[0])
        self._groups = {index: root(index) for index in groups}

    def readers(self, letter: Letter) -> Iterator[Board]:
        """Return who must have a message in the end."""
        author = self.boards[letter.author]
        to_all = letter.to is None and letter.group is None
        if author.gone or (to_all and not self.scenario.everyone_reaches_all):
            return
        for board in self._meant(letter):
            if board is author or board.gone or not self.together(author, board):
                continue
            if self.scenario.spreads or self._stay_near(author, board):
                yield board

    def _meant(self, letter: Letter) -> Iterable[Board]:
        if letter.group is None:
            return self.boards if letter.to is None else [self.boards[letter.to]]
        inside = self.groups.inside(letter.group)
        # What somebody writes who is out counts for those who have not heard of that, if for any.
        meant = letter.audience & inside if letter.author in inside else ()
        return [self.boards[index] for index in sorted(meant)]

    def _stay_near(self, a: Board, b: Board) -> bool:
        homes = self.network.homes
        wander = self.scenario.islands and (a in self.faults.couriers or b in self.faults.couriers)
        return not wander and any(segment in homes[b.index] for segment in homes[a.index])

    def unsettled(self) -> Iterator[str]:
        """Return what is not yet as it must be in the end."""
        for checker in self._checkers:
            yield from checker.unsettled()

    # -- The run

    def run(self) -> Outcome:
        """Run it to its end."""
        settled: float | None = None
        faults: tuple[str, ...] = ()
        try:
            settled = self._run()
            if settled is None:
                faults = tuple(islice(self.unsettled(), MAX_FAULTS))
        except FaultError as error:
            self.note(f"FAULT: {error}")
            faults = (f"at {self.time.now:.3f} s: {_whole(error)}",)
        return Outcome(
            scenario=self.scenario,
            faults=faults,
            simulated_s=self.time.now,
            settled_s=settled,
            figures=self._figures(),
            fingerprint=self.fingerprint,
        )

    def _run(self) -> float | None:
        """Return after how long all was settled, if it was."""
        rng = random.Random(f"starts/{self.scenario.seed}")
        for board in self.boards:
            self.time.after(rng.uniform(0.0, 10.0), board.start)
        self.people.begin()
        self.groups.begin()
        self.faults.begin()
        self.time.run(self.scenario.faults_s)
        self.people.writing = False
        self.session_s = max(self.session_s, CALM_SESSION_S)
        self.faults.heal()
        self._groups = {}
        healed_at = self.time.now
        while self.time.now - healed_at < self.scenario.settle_s:
            self.time.run(LOOK_EVERY_S)
            if next(self.unsettled(), None) is None:
                settled = self.time.now - healed_at
                self.time.run(AFTERWARDS_S)
                undone = next(self.unsettled(), None)
                if undone is not None:
                    raise FaultError(f"came undone: {undone}")
                return settled
        return None

    def _figures(self) -> dict[str, int]:
        return {
            "messages": len(self.people.letters),
            "deliveries": sum(len(board.disk.kept) for board in self.boards),
            "deaths": self.deaths,
            "restored": self.faults.restored,
            "without somebody who is out of the group": self.groups.later,
            "dials": self.network.dials,
            "frames": self.frames,
            "bytes": self.bytes,
            "overflows": self.overflows,
            "commits": sum(board.disk.commits for board in self.boards),
            "KB in the largest database": max(board.disk.size() for board in self.boards) // 1024,
            "events": self.time.happened,
        }


def _whole(error: BaseException) -> str:
    """Return what happened and, if a program failed, where."""
    if error.__cause__ is None:
        return str(error)
    lines = [str(error)]
    trace = error.__cause__.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        lines.append(f"    {code.co_filename}:{trace.tb_lineno} in {code.co_qualname}")
        trace = trace.tb_next
    return "\n".join(lines)


@contextmanager
def world(
    scenario: Scenario,
    *,
    checkers: tuple[type[Checker], ...] = ALL,
    trace: Callable[[str], None] | None = None,
    homes: list[list[int]] | None = None,
    shared: bool = True,
) -> Iterator[World]:
    """Make a world in which all chance follows from the seed.

    `shared`: see `seeded`; without it each station takes the memory that it takes alone.
    """
    before = gc.get_threshold()
    gc.set_threshold(*GARBAGE)
    with seeded(scenario.seed, shared=shared):
        made = World(scenario, checkers=checkers, trace=trace, homes=homes)
        try:
            yield made
        finally:
            made.close()
            gc.set_threshold(*before)
