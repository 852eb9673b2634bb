"""What all changes of a group come to, in whatever order they arrived.

The log is a set that only grows, and the group is a function of the set alone, so stations that
know the same changes agree, whoever was cut off from whom in between.  The rules:

* A change counts for nothing, and is never stored, unless its maker had the right to it by all
  that it was made upon.  Everybody judges that alike: what it was made upon is part of it.
* Admins have a rank, the depth at which they were appointed; who founded has 0.  An admin can
  remove or dismiss those appointed after it, never those before, so no two can remove each other.
* Once an admin is removed or dismissed, what it made and its remover did not know then is void,
  and so is what those did whom it made admins that way.  A removed admin that makes changes upon
  an older state reaches only those who have not heard of the removal, and only until they do.
  What its remover knew stays.
* What is left is applied in order of depth, then of hash.  Who is removed is out even if others
  renamed or appointed it at the same time.

What is not prevented: who founded can be removed by nobody; an admin can act in the group's name
for as long as it is one; and one that makes hundreds of changes can fill the log, after which
others found a new group.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from appliance.model.codec import FormatError
from appliance.model.group import GroupId
from appliance.model.group_change import MAX_DEPTH, Change, ChangeKind, History
from appliance.model.group_note import MAX_MEMBERS
from appliance.model.identity import StationId

MAX_LOG: Final = 60_000
"""Bytes of all changes of a group: they fit into one note to somebody new."""

_NO_RANK: Final = MAX_DEPTH
_TAKES_RIGHTS: Final = frozenset({ChangeKind.REMOVE, ChangeKind.DISMISS})
_MOVES: Final = _TAKES_RIGHTS | {ChangeKind.INVITE, ChangeKind.LEAVE}


@dataclass(frozen=True)
class Member:
    """Somebody in a group."""

    joined: bytes
    """Hash of the change that brought it in."""

    rank: int | None = None
    """Admins: at which depth they were appointed; None: no admin."""

    appointed: bytes = b""
    """Admins: hash of the change that made them so."""


@dataclass(frozen=True)
class View:
    """What a set of changes comes to."""

    name: str
    """The group's name: a label."""

    history: History
    """What new members get of what was written before."""

    entries: Mapping[StationId, Member]
    """Who was brought in and not removed, also those who have left since."""

    members: Mapping[StationId, Member]
    """Who is in."""

    effective: frozenset[bytes]
    """Hashes of the changes that did something."""

    def is_admin(self, station: StationId) -> bool:
        """Tell whether it may change the group."""
        member = self.members.get(station)
        return member is not None and member.rank is not None

    def may_remove(self, admin: StationId, other: StationId) -> bool:
        """Tell whether an admin ranks above another member."""
        rank, theirs = self.members[admin].rank, self.members[other].rank
        return rank is not None and (theirs is None or rank < theirs)


@dataclass(frozen=True)
class _Node:
    change: Change
    index: int
    """Its bit in the sets below."""

    past: int
    """Set of all that it was made upon, directly or not."""

    rank: int = _NO_RANK
    """Its maker's, by its past."""

    grants: tuple[bytes, ...] = ()
    """Changes to which its maker owes its right."""


class GroupLog:
    """The known changes of one group.  Never altered: `with_changes` returns another."""

    def __init__(self, group: GroupId) -> None:
        self.group = group
        self._nodes: dict[bytes, _Node] = {}
        self.bytes = 0
        self.heads: tuple[bytes, ...] = ()
        """Hashes of the newest changes: those upon which none was made; in order, deepest first."""

        self.view = _NOTHING
        self._latest = (0, _NOTHING)
        """The last set that was evaluated while the log grew: mostly the next one starts there."""

    def __contains__(self, change: bytes) -> bool:
        return change in self._nodes

    def __len__(self) -> int:
        return len(self._nodes)

    @property
    def changes(self) -> list[Change]:
        """All, each after those upon which it was made."""
        return sorted((node.change for node in self._nodes.values()), key=_order)

    def get(self, change: bytes) -> Change | None:
        """Return the change with a hash."""
        node = self._nodes.get(change)
        return None if node is None else node.change

    def with_changes(self, changes: Iterable[Change]) -> tuple[GroupLog, list[Change]]:
        """Return a log with more changes, and those that still miss what they were made upon.

        Raises FormatError when one could never have been made.  Those beyond MAX_LOG are left out.
        """
        grown, orphans, refused = self.with_good_changes(changes)
        if refused:
            raise FormatError("group change: its maker had no right to it, or it changes nothing")
        return grown, orphans

    def with_good_changes(
        self, changes: Iterable[Change], *, limit: int = MAX_LOG
    ) -> tuple[GroupLog, list[Change], list[Change]]:
        """Do the same up to `limit` bytes, but return those that could never have been made."""
        grown = GroupLog(self.group)
        grown._nodes, grown.bytes = dict(self._nodes), self.bytes
        grown._latest = ((1 << len(self._nodes)) - 1, self.view)
        orphans: list[Change] = []
        refused: list[Change] = []
        for change in sorted(changes, key=_order):
            if change.hash in grown._nodes:
                continue
            if change.group != self.group:
                refused.append(change)
            elif any(parent not in grown._nodes for parent in change.parents):
                orphans.append(change)
            elif grown.bytes + len(change.raw) <= limit:
                node = grown._judged(change)
                if node is None:
                    refused.append(change)
                else:
                    grown._nodes[change.hash] = node
                    grown.bytes += len(change.raw)
        if len(grown) == len(self):
            return self, orphans, refused
        upon = {parent for node in grown._nodes.values() for parent in node.change.parents}
        tips = [node.change for node in grown._nodes.values() if node.change.hash not in upon]
        grown.heads = tuple(tip.hash for tip in sorted(tips, key=_order, reverse=True))
        grown.view = grown._at((1 << len(grown)) - 1)
        return grown, orphans, refused

    def _judged(self, change: Change) -> _Node | None:
        """Return where a change stands; None: its maker had no right to it, or it does nothing."""
        past = self._past_of(change.parents)
        depths = [self._nodes[parent].change.depth for parent in change.parents]
        if change.depth != max(depths, default=-1) + 1:
            return None
        before = self._at(past)
        member = before.entries.get(change.maker)
        node = _Node(change, len(self._nodes), past)
        if change.kind is ChangeKind.FOUND:
            node = replace(node, rank=0)
        elif member is None:
            return None
        elif change.kind is ChangeKind.LEAVE:
            # Just one such change of each stay is possible, or anybody could fill the log.
            if change.parents != (member.joined,):
                return None
        elif member.rank is None:
            return None
        else:
            grants = (member.joined, member.appointed)
            node = replace(node, rank=member.rank, grants=grants)
        if past == self._latest[0] and change.kind is not ChangeKind.LEAVE:
            after = _extended(before, change)
        else:
            after = _evaluate([*self._in(past), node])
        if change.hash not in after.effective:
            return None
        self._latest = (past | 1 << node.index, after)
        return node

    def _past_of(self, changes: Iterable[bytes]) -> int:
        past = 0
        for change in changes:
            node = self._nodes[change]
            past |= node.past | 1 << node.index
        return past

    def _in(self, past: int) -> list[_Node]:
        return [node for node in self._nodes.values() if past >> node.index & 1]

    def _at(self, past: int) -> View:
        latest, view = self._latest
        return view if past == latest else _evaluate(self._in(past))

    def known_to_maker(self, change: bytes) -> View:
        """Return the group as the maker of a change knew it, with the change itself."""
        node = self._nodes[change]
        return _evaluate([*self._in(node.past), node])

    def beyond(self, heads: Iterable[bytes]) -> list[Change]:
        """Return the changes that somebody lacks who knows those of `heads` that we know."""
        known = self._past_of(head for head in heads if head in self._nodes)
        nodes = [node for node in self._nodes.values() if not known >> node.index & 1]
        return sorted((node.change for node in nodes), key=_order)

    def until(self, change: bytes) -> list[Change]:
        """Return a change and all upon which it was made."""
        past = self._past_of([change])
        return sorted((node.change for node in self._in(past)), key=_order)

    def brought(self, station: StationId) -> list[bytes]:
        """Return the hashes of all changes that brought a station in, or tried to."""
        return [
            node.change.hash
            for node in self._nodes.values()
            if (node.change.kind is ChangeKind.INVITE and station in node.change.subjects)
            or (node.change.kind is ChangeKind.FOUND and station == node.change.maker)
        ]

    def leaves_of(self, station: StationId) -> list[Change]:
        """Return the changes by which a station has left."""
        changes = (node.change for node in self._nodes.values())
        return [one for one in changes if one.kind is ChangeKind.LEAVE and one.maker == station]

    def moves(self) -> list[bytes]:
        """Return the hashes of all changes by which anybody came or went, or invited in vain."""
        return [one for one, node in self._nodes.items() if node.change.kind in _MOVES]

    def came_after(self, later: bytes, earlier: bytes) -> bool:
        """Tell whether the maker of one change knew another."""
        return bool(self._nodes[later].past >> self._nodes[earlier].index & 1)


def _order(change: Change) -> tuple[int, bytes]:
    return change.depth, change.hash


_NOTHING: Final = View("", History.NONE, {}, {}, frozenset())


def _evaluate(nodes: Iterable[_Node]) -> View:
    """Return what a set of changes comes to; it has all upon which any of them was made."""
    ordered = sorted(nodes, key=lambda node: _order(node.change))
    void = _void(ordered)
    leaves = [node.change for node in ordered if node.change.kind is ChangeKind.LEAVE]
    left = {(leave.maker, leave.parents[0]): leave.hash for leave in leaves}
    group = _Fold(left)
    for node in ordered:
        if node.index not in void and group.apply(node.change):
            group.effective.add(node.change.hash)
    for station in group.entries:
        group.end_stay(station)
    return group.view()


def _extended(view: View, change: Change) -> View:
    """Return what a set comes to with one more change that was made upon all of it.

    Nothing is void by it, and it is the last in order, so the rest needs no second look.
    """
    gone = [one for one in view.entries.items() if one[0] not in view.members]
    group = _Fold({(station, entry.joined): b"" for station, entry in gone})
    group.name, group.history, group.size = view.name, view.history, len(view.members)
    group.entries, group.effective = dict(view.entries), set(view.effective)
    if group.apply(change):
        group.effective.add(change.hash)
    return group.view()


def _void(ordered: list[_Node]) -> set[int]:
    """Return which changes count for nothing, since their makers had lost the right to them.

    Decided from the highest rank down: only those above can take a right away, and only those above
    can have given it.
    """
    takers: dict[StationId, list[_Node]] = {}
    for node in ordered:
        if node.change.kind in _TAKES_RIGHTS:
            for subject in node.change.subjects:
                takers.setdefault(subject, []).append(node)
    index_of = {node.change.hash: node.index for node in ordered}
    void: set[int] = set()
    for node in sorted(ordered, key=lambda node: node.rank):
        if node.change.kind is ChangeKind.LEAVE:
            continue
        if any(index_of.get(grant) in void for grant in node.grants) or any(
            taker.rank < node.rank
            and taker.index not in void
            and not taker.past >> node.index & 1
            and not node.past >> taker.index & 1
            for taker in takers.get(node.change.maker, ())
        ):
            void.add(node.index)
    return void


class _Fold:
    """A group while changes are applied to it."""

    def __init__(self, left: Mapping[tuple[StationId, bytes], bytes]) -> None:
        self._left = left
        self.name, self.history = "", History.NONE
        self.entries: dict[StationId, Member] = {}
        self.effective: set[bytes] = set()
        self.size = 0  # how many are in

    def view(self) -> View:
        """Return what has come of it."""
        members = {one: entry for one, entry in self.entries.items() if self._is_in(one)}
        return View(self.name, self.history, self.entries, members, frozenset(self.effective))

    def apply(self, change: Change) -> bool:
        """Apply a change as far as its maker may; tell whether it did anything."""
        if change.kind is ChangeKind.FOUND:
            self.entries = {change.maker: Member(change.hash, 0, change.hash)}
            self.name, self.history = change.name, change.history
            self.size = int(self._is_in(change.maker))
            return True
        maker = self.entries.get(change.maker)
        if maker is None or maker.rank is None:
            return False
        match change.kind:
            case ChangeKind.RENAME:
                self.name = change.name
            case ChangeKind.POLICY:
                self.history = change.history
            case ChangeKind.INVITE:
                return sum(self._invite(change, one) for one in change.subjects) > 0
            case ChangeKind.APPOINT:
                return sum(self._appoint(change, one) for one in change.subjects) > 0
            case ChangeKind.REMOVE | ChangeKind.DISMISS:
                return sum(self._take(change, maker.rank, one) for one in change.subjects) > 0
            case _:
                return False
        return True

    def end_stay(self, station: StationId) -> None:
        """Count the change by which a station has left, if it has."""
        entry = self.entries.get(station)
        if entry is not None and (left := self._left.get((station, entry.joined))):
            self.effective.add(left)

    def _is_in(self, station: StationId) -> bool:
        entry = self.entries.get(station)
        return entry is not None and (station, entry.joined) not in self._left

    def _invite(self, change: Change, subject: StationId) -> bool:
        if self._is_in(subject) or self.size >= MAX_MEMBERS:
            return False
        self.end_stay(subject)
        self.entries[subject] = Member(change.hash)
        self.size += self._is_in(subject)
        return True

    def _appoint(self, change: Change, subject: StationId) -> bool:
        entry = self.entries.get(subject)
        if entry is None or entry.rank is not None:
            return False
        self.entries[subject] = Member(entry.joined, change.depth, change.hash)
        return True

    def _take(self, change: Change, rank: int, subject: StationId) -> bool:
        entry = self.entries.get(subject)
        if entry is None:
            return False
        own = subject == change.maker
        if change.kind is ChangeKind.DISMISS:
            if entry.rank is None or not (own or rank < entry.rank):
                return False
            self.entries[subject] = Member(entry.joined)
            return True
        if own or (entry.rank is not None and rank >= entry.rank):
            return False
        self.size -= self._is_in(subject)
        self.end_stay(subject)
        del self.entries[subject]
        return True
