"""Operators: they write to each other, and look at what has come."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from appliance.model.group import GroupId
from appliance.model.identity import Address
from appliance.model.record import Precedence
from appliance.node.ports import StoredMessage
from appliance.node.writing import Draft
from sim.happenings import Letter, Wrote

if TYPE_CHECKING:
    from sim.board import Board
    from sim.groups import Gathering
    from sim.world import World

TO_GROUPS: Final = 0.4
"""Share of what a member of a group writes to it."""

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

        self.attempted: dict[str, frozenset[int]] = {}
        """All that was ever written, stored or not, and for what was written in a group whom it
        was for."""

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

    def forget(self, board: Board) -> None:
        """A board was restored: what it wrote after its backup it will never try again."""
        for letter in list(self.letters.values()):
            if letter.author == board.index and board.message(letter.id) is None:
                del self.letters[letter.id]

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
        group = self.world.groups.of(board) if board.alive else None
        if group is not None and self.rng.random() < TO_GROUPS:
            self.write_to_group(board, group)
            return
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
        self._send(board, Address(other.id) if other is not None else None, to=to)

    def write_to_group(self, board: Board, gathering: Gathering) -> None:
        """Let a member write to its group."""
        known = board.group(gathering.id)
        assert known is not None
        audience = frozenset(self.world.by_id[one].index for one in known.others)
        self.world.groups.wrote(gathering, audience)
        self._send(board, gathering.id, audience=audience)

    def _send(
        self,
        board: Board,
        conversation: Address | GroupId | None,
        *,
        to: int | None = None,
        audience: frozenset[int] = frozenset(),
    ) -> None:
        whom = "its group" if isinstance(conversation, GroupId) else to
        text = f"{board.index} to {whom}, number {len(self.attempted)}"
        if self.rng.random() < LONG:
            text = text.ljust(self.rng.randrange(200, 15_000), ".")
        self.attempted[text] = audience
        forever = self.rng.random() >= EXPIRES
        draft = Draft(
            conversation,
            text,
            precedence=self.rng.choice(tuple(Precedence)),
            lifetime_s=0 if forever else self.rng.randrange(10, 300),
        )

        after = board.shown_order

        def done(message: StoredMessage) -> None:
            at = self.world.time.now
            group = conversation if isinstance(conversation, GroupId) else None
            letter = Letter(
                id=message.id,
                author=board.index,
                to=to,
                text=text,
                group=group,
                audience=audience,
                after=after,
                forever=forever,
                at=at,
            )
            self.letters[message.id] = letter
            self.world.tell(Wrote(board, letter))

        board.feed(lambda station, now: station.write(draft, now, done=done, failed=lambda _: None))

    def _read(self, board: Board) -> None:
        self._read_later(board)
        if not board.alive:
            return
        groups = (one.id for one in self.world.groups.all)
        with_whom = self.rng.choice((None, *(other.id for other in self.world.boards), *groups))
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
