"""Stations with groups and nothing else, joined by a network that is as bad as wanted.

Notes arrive as they would out of their records: whole, by whom they say, in any order, twice, late
or never.  Messages come in records, signed and sealed.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from appliance.model.codec import FormatError
from appliance.model.group import GroupId
from appliance.model.identity import StationId, StationKey
from appliance.model.record import Certainty, Record, RecordKind, Stamp, make_record
from appliance.node.group_book import NotYetError
from appliance.node.group_news import GroupNotice, GroupResult
from appliance.node.group_rules import GroupRefusedError
from appliance.node.group_state import Group, Standing, read_group
from appliance.node.groups import Groups
from appliance.node.ports import Moment
from appliance.node.ports.grouping import ShareHistory
from appliance.protocol.sealing import OpenError

STAMP = Stamp(lamport=1, boot=bytes(8), uptime_ms=0, wall_ms=0, certainty=Certainty.UNSET)


def at(awake_s: float) -> Moment:
    """Return a moment of which only the time awake counts."""
    return Moment(wall_ms=0, sure=False, awake_s=awake_s)


class Member:
    """One station."""

    def __init__(self, world: GroupWorld, number: int) -> None:
        self.world = world
        self.key = StationKey.from_bytes(bytes([number]) * 32)
        self.id = self.key.id
        self.distrusts: set[StationId] = set()
        self.no_card: set[StationId] = set()
        self.disk: dict[GroupId, bytes] = {}
        self.waiting: list[tuple[StationId, bytes]] = []
        self.unread: list[Record] = []
        self.inbox: list[tuple[StationId, bytes]] = []
        self.notices: list[GroupNotice] = []
        self.shared: list[ShareHistory] = []
        self.groups = self._started()

    def _started(self) -> Groups:
        return Groups(
            self.key,
            trusts=lambda station: station not in self.distrusts,
            has_card=lambda station: station not in self.no_card,
            random_bytes=self.world.random.randbytes,
        )

    def restart(self) -> None:
        """Lose all that is not on the disk."""
        self.groups = self._started()
        for group, state in self.disk.items():
            self.groups.load(group, state)

    def of(self, group: GroupId) -> Group:
        """Return what it knows of a group."""
        found = self.groups.book.get(group)
        assert found is not None
        return found

    def do(self, wish: Callable[[Groups], GroupResult]) -> GroupResult:
        """Carry out a wish of its operator."""
        result = wish(self.groups)
        self.apply(result)
        return result

    def apply(self, result: GroupResult) -> None:
        """Store and send what came of something."""
        if result.save is not None:
            if result.save.state is None:
                self.disk.pop(result.group, None)
            else:
                self.disk[result.group] = result.save.state
                assert read_group(self.id, result.save.state).encode() == result.save.state
        self.notices += result.notices
        self.shared += result.share
        for station, note in result.notes:
            self.world.send(self, station, note)
        if result.retry:
            self.try_again()

    def try_again(self) -> None:
        """Take what had to wait."""
        waiting, self.waiting = self.waiting, []
        for author, note in waiting:
            self.take(author, note)
        unread, self.unread = self.unread, []
        for record in unread:
            self.read(record)

    def take(self, author: StationId, note: bytes) -> None:
        """Take a note."""
        try:
            self.apply(self.groups.received(author, note, self.world.now))
        except NotYetError:
            self.waiting.append((author, note))
        except FormatError:
            self.world.refused += 1

    def write(self, group: GroupId, text: bytes) -> Record | None:
        """Write to a group; None when it may not."""
        try:
            sealed = self.groups.messages.seal(group, text, self.world.now)
        except GroupRefusedError:
            return None
        if sealed.result is not None:
            self.apply(sealed.result)
        record = make_record(
            self.key,
            RecordKind.MESSAGE,
            sealed.content,
            stamp=STAMP,
            group=group.value,
            prekey=sealed.key,
        )
        for station in self.world.members:
            if station is not self:
                self.world.queue.append((self, station, record))
        return record

    def read(self, record: Record) -> None:
        """Take a message."""
        try:
            self.inbox.append((record.author, self.groups.messages.open(record)))
        except NotYetError:
            self.unread.append(record)
        except OpenError:
            self.world.refused += 1


class GroupWorld:
    """All stations, and what is on its way between them."""

    def __init__(self, seed: int, size: int) -> None:
        self.random = random.Random(seed)
        self.now = at(1000.0)
        self.refused = 0
        self.queue: list[tuple[Member, Member, bytes | Record]] = []
        self.lost: list[tuple[Member, Member, bytes | Record]] = []
        self.island: dict[StationId, int] = {}
        self.members = [Member(self, number + 1) for number in range(size)]
        self.by_id = {member.id: member for member in self.members}

    def send(self, sender: Member, station: StationId, note: bytes) -> None:
        """Put a note on its way."""
        self.queue.append((sender, self.by_id[station], note))

    def later(self, seconds: float) -> None:
        """Let time pass; what is due then is done."""
        self.now = at(self.now.awake_s + seconds)
        for member in self.members:
            for result in member.groups.wakeup(self.now):
                member.apply(result)

    def deliver(self, *, chaos: bool = False) -> None:
        """Deliver what can be delivered until nothing is left that can."""
        for _ in range(100_000):
            ready = [
                place
                for place, (sender, to, _) in enumerate(self.queue)
                if self.island.get(sender.id, 0) == self.island.get(to.id, 0)
            ]
            if not ready:
                return
            place = self.random.choice(ready) if chaos else ready[0]
            sender, to, what = self.queue[place]
            if not chaos or self.random.random() > 0.1:  # else it will come a second time
                del self.queue[place]
            if isinstance(what, Record):
                to.read(what)
            else:
                to.take(sender.id, what)
        raise AssertionError("they talk for ever")

    def lose(self) -> None:
        """Lose something that is on its way: for a while, or for ever if both could make up."""
        if self.queue:
            self.lost.append(self.queue.pop(self.random.randrange(len(self.queue))))

    def settle(self, group: GroupId) -> None:
        """Join all islands, and let everybody write and ask until all know the same.

        What somebody sent who has left since, or what would have brought somebody in, comes late:
        the mail keeps it until it arrives, and nobody else can make up for it.
        """
        self.island.clear()
        for one in self.lost:
            both = [member.groups.book.get(group) for member in one[:2]]
            could = all(known and known.standing is Standing.IN for known in both)
            if not could or self.random.random() < 0.5:
                self.queue.append(one)
        for turn in range(6):
            for member in self.members:
                if member.groups.book.get(group) is not None:
                    member.write(group, b"turn %d" % turn)
            self.deliver()
            for _ in range(3):
                self.later(30.0)
                self.deliver()


def with_admins() -> GroupWorld:
    """Return a world where Ann founded, Ben and then Cat are admins, Dan is in, and Eve is not."""
    world = GroupWorld(1, 5)
    ann, ben, cat, dan, _ = world.members
    inside = [ben.id, cat.id, dan.id]
    group = ann.do(lambda groups: groups.create("Rescue", world.now, invite=inside)).group
    ann.do(lambda groups: groups.appoint(group, ben.id, world.now))
    world.deliver()
    ben.do(lambda groups: groups.appoint(group, cat.id, world.now))
    world.deliver()
    return world


def group_of(world: GroupWorld) -> GroupId:
    """Return the only group that there is."""
    (group,) = world.members[0].groups.book
    return group.id
