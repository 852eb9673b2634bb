"""Operators: they write to each other, and look at what has come."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from appliance.model.identity import Address
from appliance.model.record import Precedence
from appliance.node.ports import StoredMessage
from appliance.node.writing import Draft
from sim.happenings import Letter, Wrote

if TYPE_CHECKING:
    from sim.board import Board
    from sim.world import World

TO_NEIGHBOURS: Final = 0.7
"""Share of what is written to somebody; the rest goes to anybody known."""

EXPIRES: Final = 0.1
"""Share of messages that are worth something for a while only."""

LONG: Final = 0.05
"""Share of messages that span several frames."""

READ_EVERY_S: Final = 40.0

AGAIN_S: Final = 1.0
"""Until another writes to everyone, if one was down, its disk was full, or its message expires."""


class People:
    """All operators."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rng = random.Random(f"people/{world.scenario.seed}")
        self.letters: dict[bytes, Letter] = {}
        """What was written and is stored, as the authors were told."""

        self.attempted: set[str] = set()
        """All that was ever written, stored or not."""

        self.writing = True

    def begin(self) -> None:
        """Let all of them begin."""
        for board in self.world.boards:
            self._write_later(board)
            self._read_later(board)
        if self.world.scenario.to_everyone:
            # One at least.
            when = self.world.scenario.faults_s * self.rng.uniform(0.5, 0.9)
            author = self.rng.choice(self.world.boards)
            self.world.time.after(when, lambda: self._write_to_all(author))

    def _write_to_all(self, author: Board) -> None:
        """Let somebody write to everyone, or another, until there is one that has to arrive."""
        self.write(author, None)
        another = self.world.boards[(author.index + 1) % len(self.world.boards)]

        def look() -> None:
            there = any(one.to is None and one.forever for one in self.letters.values())
            if self.writing and not there:
                self._write_to_all(another)

        self.world.time.after(AGAIN_S, look)

    def _write_later(self, board: Board) -> None:
        delay = self.rng.expovariate(1.0 / self.world.scenario.write_every_s)
        self.world.time.after(delay, lambda: self._write(board))

    def _read_later(self, board: Board) -> None:
        delay = self.rng.expovariate(1.0 / READ_EVERY_S)
        self.world.time.after(delay, lambda: self._read(board))

    def _write(self, board: Board) -> None:
        if not self.writing:
            return
        self._write_later(board)
        to = None if self.rng.random() < self.world.scenario.to_everyone else self._recipient(board)
        self.write(board, to)

    def _recipient(self, board: Board) -> int:
        near = self.world.network.neighbours(board.index)
        if near and self.rng.random() < TO_NEIGHBOURS:
            return self.rng.choice(near)
        return self.rng.choice([one.index for one in self.world.boards if one is not board])

    def write(self, board: Board, to: int | None) -> None:
        """Let somebody write, if the other's card is there."""
        if not board.alive:
            return
        other = self.world.boards[to] if to is not None else None
        if other is not None and board.station.directory.get(other.id).card is None:
            return
        text = f"{board.index} to {to}, number {len(self.attempted)}"
        if self.rng.random() < LONG:
            text = text.ljust(self.rng.randrange(200, 15_000), ".")
        self.attempted.add(text)
        forever = self.rng.random() >= EXPIRES
        draft = Draft(
            Address(other.id) if other is not None else None,
            text,
            precedence=self.rng.choice(tuple(Precedence)),
            lifetime_s=0 if forever else self.rng.randrange(10, 300),
        )

        def done(message: StoredMessage) -> None:
            at = self.world.time.now
            letter = Letter(message.id, board.index, to, text, forever, at)
            self.letters[message.id] = letter
            self.world.tell(Wrote(board, letter))

        board.feed(lambda station, now: station.write(draft, now, done=done, failed=lambda _: None))

    def _read(self, board: Board) -> None:
        self._read_later(board)
        if not board.alive:
            return
        with_whom = self.rng.choice((None, *(other.id for other in self.world.boards)))
        board.feed(
            lambda station, now: station.mailbox.mark_read(
                with_whom,
                (1 << 63) - 1,
                now.moment,
                uptime_s=now.uptime_s,
                done=lambda _: None,
                failed=lambda _: None,
            )
        )
