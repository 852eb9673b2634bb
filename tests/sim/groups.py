"""What operators do with groups: one makes one, others come in, and one member is taken out of it
while the net is parted.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from appliance.model.group import GroupId
from appliance.node.group_news import GroupResult
from appliance.node.group_state import Standing
from appliance.node.groups import Groups
from appliance.node.ports import Moment

if TYPE_CHECKING:
    from sim.board import Board
    from sim.world import World

MEMBERS: Final = (2, 5)
"""Others that its founder brings into a group, at least and at most."""

AGAIN_S: Final = 2.0
"""Until something is tried once more of which nobody has said that it is on disk."""

ACCEPT_S: Final = 10.0
"""Until an operator says yes to the invitation of somebody that he has not written to, on
average."""


@dataclass
class Gathering:
    """A group as its founder was told that it is."""

    id: GroupId
    """Which."""

    founder: int
    """Index of its only admin."""

    members: frozenset[int]
    """All that were brought in, and the founder."""

    removed: set[int] = field(default_factory=set)
    """Who was taken out, as the founder was told."""

    unsure: dict[int, int] = field(default_factory=dict)
    """Who may be out without the founder having been told, and in which life it was done."""

    @property
    def inside(self) -> frozenset[int]:
        """Who is in."""
        return self.members - self.removed


class Gatherings:
    """All of them: one, where there are any."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rng = random.Random(f"groups/{world.scenario.seed}")
        self.all: list[Gathering] = []
        self.later = 0
        """Messages that were written when somebody was out by all that their author knew."""

        self._founder: Board | None = None

    def begin(self) -> None:
        """Plan what happens."""
        if self._world.scenario.groups:
            self._founder = self._rng.choice(self._world.boards)
            self._at(0.05, 0.15, self._found)
            self._at(0.4, 0.6, self._part_and_remove)

    def _at(self, least: float, most: float, what: Callable[[], None]) -> None:
        when = self._world.scenario.faults_s * self._rng.uniform(least, most)
        self._world.time.after(when, what)

    def is_founder(self, board: Board) -> bool:
        """Tell whether a board is the one without which nobody knows what a group is to be."""
        return board is self._founder

    def of(self, board: Board) -> Gathering | None:
        """Return a group in which a station may write, by all that it knows."""
        for one in self.all:
            known = board.group(one.id)
            if known is not None and known.standing is Standing.IN and known.others:
                return one
        return None

    def _act(
        self,
        board: Board,
        wish: Callable[[Groups, Moment], GroupResult],
        done: Callable[[GroupId], None],
    ) -> None:
        """Let an operator do something; he knows that it is done when `done` is called."""
        board.feed(
            lambda station, now: station.post.groups.act(
                lambda groups: wish(groups, now.moment),
                now.moment,
                uptime_s=now.uptime_s,
                done=done,
                failed=lambda _: None,
            )
        )

    # -- Founding

    def _found(self) -> None:
        """Make the group, again and again until the founder is told that it is there."""
        world, founder = self._world, self._founder
        if self.all or not world.people.writing or founder is None:
            return
        world.time.after(AGAIN_S, self._found)
        known = [
            board
            for board in world.boards
            if founder.alive
            and board is not founder
            and founder.station.directory.get(board.id).card is not None
        ]
        if len(known) < MEMBERS[0]:
            return
        count = min(self._rng.randint(*MEMBERS), len(known))
        chosen = self._rng.sample(known, count)
        members = frozenset({founder.index, *(board.index for board in chosen)})

        def done(group: GroupId) -> None:
            world.note(f"{founder.name}: made a group of {sorted(members)}")
            if not self.all:
                self.all.append(Gathering(group, founder.index, members))
                for board in chosen:
                    self._accept_later(board, group)

        invite = [board.id for board in chosen]
        self._act(founder, lambda groups, at: groups.create("Rescue", at, invite=invite), done)

    def _accept_later(self, board: Board, group: GroupId) -> None:
        delay = self._rng.expovariate(1.0 / ACCEPT_S)
        self._world.time.after(delay, lambda: self._accept(board, group))

    def _accept(self, board: Board, group: GroupId) -> None:
        self._accept_later(board, group)
        known = board.group(group) if board.alive else None
        if known is not None and known.standing is Standing.INVITED:
            self._act(board, lambda groups, at: groups.accept(group, at), lambda _: None)

    # -- Taking somebody out

    def _part_and_remove(self) -> None:
        """Part the founder's links, so that some hear of it later than others."""
        if not self.all:
            if self._world.people.writing:
                self._world.time.after(AGAIN_S, self._part_and_remove)
            return
        for segment in self._world.network.homes[self._founder.index] if self._founder else ():
            self._world.faults.part(segment)
        for gathering in self.all:
            others = sorted(gathering.members - {gathering.founder})
            self._remove(gathering, self._world.boards[self._rng.choice(others)])

    def _remove(self, gathering: Gathering, member: Board) -> None:
        """Take a member out, again and again until the founder is told that it is out."""
        founder = self._world.boards[gathering.founder]
        if member.index in gathering.removed:
            return
        self._world.time.after(AGAIN_S, lambda: self._remove(gathering, member))
        known = founder.group(gathering.id) if founder.alive else None
        if known is None:
            return

        def done(_: GroupId) -> None:
            self._world.note(f"{founder.name}: took {member.name} out")
            gathering.removed.add(member.index)

        if member.id in known.members:
            gathering.unsure[member.index] = founder.starts
            self._act(founder, lambda groups, at: groups.remove(gathering.id, member.id, at), done)
        elif gathering.unsure.get(member.index, founder.starts) < founder.starts:
            # It was on disk before the process ended.
            done(gathering.id)

    def inside(self, group: GroupId) -> frozenset[int]:
        """Return who is in a group."""
        return next((one.inside for one in self.all if one.id == group), frozenset())

    def wrote(self, gathering: Gathering, audience: frozenset[int]) -> None:
        """Count what is written when somebody is out."""
        self.later += len(audience) + 1 < len(gathering.members)
