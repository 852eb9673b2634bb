"""What stations see of each other, and the dials that lead to sessions."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING, Final

from appliance.node.effects import Dial
from sim.segments import Segment, make_segments
from sim.sessions import Session

if TYPE_CHECKING:
    from sim.board import Board
    from sim.world import World

PORT: Final = 18950

APPEARS_S: Final = (0.1, 2.0)
"""Until somebody who is there is heard of."""

VANISHES_S: Final = (5.0, 60.0)
"""Until an announcement that is not repeated runs out."""

UNANSWERED_S: Final = (0.1, 1.0, 6.0)
"""How long a dial takes that nobody answers."""


class Network:
    """All links, and what is told of them."""

    def __init__(self, world: World, homes: list[list[int]] | None) -> None:
        """`homes`: who is on which link; None: as the scenario has it."""
        self.world = world
        scenario = world.scenario
        self.rng = rng = random.Random(f"network/{scenario.seed}")
        if homes is None:
            homes = make_segments(
                scenario.stations, scenario.segment_size, islands=scenario.islands, rng=rng
            )
        self.segments = [
            Segment(
                f"link{number}",
                rng,
                loss=scenario.loss,
                mean=scenario.latency_s,
                rate=scenario.rate,
            )
            for number in range(len(homes))
        ]
        self._by_name = {segment.name: segment for segment in self.segments}
        self.homes: dict[int, list[Segment]] = {}
        """Where each station belongs."""

        self._where: dict[int, list[Segment]] = {}
        self._told: set[tuple[int, int, int, str]] = set()
        """Who was told of whom on which link: index, its life, the other's index, the link."""

        self._last_handle = 0
        self.dials = 0
        self._at_home = dict(zip(self.segments, homes, strict=True))
        for segment, members in self._at_home.items():
            for member in members:
                self.homes.setdefault(member, []).append(segment)
                self._where.setdefault(member, []).append(segment)
                segment.members[member] = 0

    def new_handle(self) -> int:
        """Name a session's end."""
        self._last_handle += 1
        return self._last_handle

    # -- Who is where

    def neighbours(self, index: int) -> list[int]:
        """Return who is on a link with a station, at home."""
        found = {member for segment in self.homes[index] for member in self._at_home[segment]}
        return sorted(found - {index})

    def move(self, index: int, segments: list[Segment]) -> None:
        """Carry a station to other links."""
        before, self._where[index] = self._where[index], list(segments)
        for segment in before:
            if segment not in segments:
                del segment.members[index]
                self.changed(segment)
        for segment in segments:
            if segment not in before:
                segment.members[index] = 0
                self.changed(segment)

    def changed(self, segment: Segment) -> None:
        """Some on a link hear each other, or do not any more."""
        for session in list(segment.sessions):
            session.way_changed()
        told = [(a, b) for a, _, b, name in self._told if name == segment.name]
        here = list(segment.members)
        # Sorted, since the order of a set is no part of the seed.
        for a, b in sorted({*told, *((a, b) for a in here for b in here if a != b)}):
            self._announce_later(a, b, segment)

    def _announce_later(self, here: int, there: int, segment: Segment) -> None:
        seen = self._visible(here, there, segment)
        delay = self.rng.uniform(*(APPEARS_S if seen else VANISHES_S))
        self.world.time.after(delay, lambda: self._announce(here, there, segment))

    def _visible(self, here: int, there: int, segment: Segment) -> bool:
        return segment.joins(here, there) and self.world.boards[there].alive

    def _announce(self, here: int, there: int, segment: Segment) -> None:
        board, other = self.world.boards[here], self.world.boards[there]
        seen, key = self._visible(here, there, segment), (here, board.life, there, segment.name)
        if not board.alive or seen == (key in self._told):
            return
        instance = f"{segment.name}-{there}"
        if seen:
            self._told.add(key)
            where = ((f"fe80::{there:x}%{segment.name}", PORT),)
            board.feed(
                lambda station, now: station.whereabouts.sighted(
                    instance, other.id, where, (segment.name,), now
                )
            )
        else:
            self._told.discard(key)
            board.feed(lambda station, _: station.whereabouts.gone(instance, other.id))

    def started(self, board: Board) -> None:
        """A process started: it has heard of nobody, and others hear of it."""
        self._told = {key for key in self._told if key[0] != board.index}
        for segment in self._where[board.index]:
            for other in segment.members:
                if other != board.index:
                    self._announce_later(board.index, other, segment)
                    self._announce_later(other, board.index, segment)

    def died(self, board: Board, *, power: bool) -> None:
        """A process ended."""
        for session in list(board.sessions.values()):
            session.died(board, power=power)
        for segment in self._where[board.index]:
            for other in segment.members:
                if other != board.index:
                    self._announce_later(other, board.index, segment)

    # -- Dials

    def dial(self, board: Board, dial: Dial) -> None:
        """Try to reach a station."""
        self.dials += 1
        for host, _ in dial.candidates:
            address, _, name = host.partition("%")
            there = int(address.removeprefix("fe80::"), 16)
            segment = self._by_name[name]
            if not self._visible(board.index, there, segment):
                continue
            if self.rng.random() < segment.loss / 2:
                break
            delay = 4 * segment.latency_s + self.rng.uniform(0.02, 0.3)
            board.later(delay, partial(self._meet, board, there, segment, dial))
            return
        board.later(self.rng.choice(UNANSWERED_S), lambda: self._failed(board, dial))

    def _failed(self, board: Board, dial: Dial) -> None:
        board.carry_out(board.station.whereabouts.dial_failed(dial.attempt, board.now))

    def _meet(self, board: Board, there: int, segment: Segment, dial: Dial) -> None:
        other = self.world.boards[there]
        if not self._visible(board.index, there, segment):
            self._failed(board, dial)
            return
        session = Session(self.world, segment, (board, other), self.rng)
        segment.sessions[session] = None
        if not session.open(1):
            segment.sessions.pop(session, None)
            self._failed(board, dial)
            return
        lasts_s = self.rng.expovariate(1.0 / self.world.session_s)
        self.world.time.after(lasts_s, session.snap)
        if session.open(0) and board.alive:
            board.carry_out(
                board.station.peers.dial_succeeded(dial.attempt, other.id, board.now.monotonic)
            )
