"""What comes of something that happened in a group: to be stored, to be sent, to be shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from appliance.model.group import GroupId
from appliance.model.group_change import Change, ChangeKind, History
from appliance.model.group_note import MAX_KEYS, GroupKey, GroupNote
from appliance.model.identity import StationId
from appliance.node.group_state import Group
from appliance.node.ports.grouping import SaveGroup, ShareHistory

RECENT_BYTES: Final = 600
"""Of earlier changes that go along with a new one, so that few that are lost are asked for."""

MAX_OWED: Final = 256


@dataclass(frozen=True)
class GroupNotice:
    """Something in a group that its conversation shows."""

    change: bytes
    """Hash of the change that did it, 32 bytes: nothing is shown twice."""

    kind: ChangeKind
    """What it did."""

    by: StationId
    """Who did it."""

    subjects: tuple[StationId, ...]
    """Whom it is about, if anybody."""

    name: str
    """The new name, if that is new."""

    history: History
    """The new choice, if that is new."""


@dataclass(frozen=True)
class GroupResult:
    """What has to be done now; `save` before anything else, and with what caused it."""

    group: GroupId
    """Which group it is about."""

    before: Group | None
    """What was known before; None: nothing."""

    after: Group | None
    """What is known now; None: it is forgotten."""

    save: SaveGroup | None = None
    """To be stored, if there is anything new."""

    notes: tuple[tuple[StationId, bytes], ...] = ()
    """Contents of GROUP records, and to whom each is to be sealed and sent."""

    notices: tuple[GroupNotice, ...] = ()
    """To be shown, in order."""

    share: tuple[ShareHistory, ...] = ()
    """Earlier messages that new members get."""

    retry: bool = False
    """Messages and notes of this group that had to wait may be read now."""


def notes_for(
    group: Group, changes: Iterable[Change], keys: Iterable[GroupKey] = ()
) -> list[bytes]:
    """Return as many notes as these changes and keys need."""
    raws, rest = tuple(change.raw for change in changes), list(keys)
    first = GroupNote(group.id, changes=raws, keys=tuple(rest[:MAX_KEYS]))
    notes = [first] if raws or rest else []
    later = [rest[start : start + MAX_KEYS] for start in range(MAX_KEYS, len(rest), MAX_KEYS)]
    notes += [GroupNote(group.id, keys=tuple(part)) for part in later]
    return [note.encode() for note in notes]


def with_recent(group: Group, changes: Iterable[Change]) -> list[Change]:
    """Return changes with some of those before them."""
    wanted = {change.hash: change for change in changes}
    room = RECENT_BYTES
    for change in reversed(group.log.changes):
        if change.hash not in wanted:
            room -= len(change.raw)
            if room < 0:
                break
            wanted[change.hash] = change
    return sorted(wanted.values(), key=lambda change: (change.depth, change.hash))


def keys_of(group: Group) -> list[GroupKey]:
    """Return the latest keys, for somebody who may read what was written before."""
    return [held.key for held in list(group.keys.values())[-MAX_KEYS:]]


def tell(
    before: Group | None,
    after: Group,
    made: list[Change],
    keys: tuple[GroupKey, ...],
    has_card: Callable[[StationId], bool],
) -> tuple[Group, list[tuple[StationId, bytes]], list[ShareHistory]]:
    """Tell everybody whom a change of ours concerns.

    Returns the group with those who can't be told yet, the notes, and what history is passed on.
    """
    earlier = set(before.members) if before is not None else set()
    notes: list[tuple[StationId, bytes]] = []
    share: list[ShareHistory] = []
    owed = set(after.owed)
    recent = with_recent(after, made)
    for station in sorted((earlier | set(after.members)) - {after.own}):
        is_member, is_new = station in after.members, station not in earlier
        if is_member and is_new and after.history is History.ALL:
            share.append(ShareHistory(after.id, station))
        if not has_card(station):
            if len(owed) < MAX_OWED:
                owed.add(station)
        elif is_member and is_new:
            old = keys_of(after) if after.history is History.ALL else []
            theirs = [*keys, *(key for key in old if key not in keys)]
            notes += [(station, note) for note in notes_for(after, after.log.changes, theirs)]
        else:
            theirs = list(keys) if is_member else []
            notes += [(station, note) for note in notes_for(after, recent, theirs)]
    if owed != after.owed:
        after = replace(after, owed=frozenset(owed))
    return after, notes, share


def notices_of(before: Group | None, after: Group) -> list[GroupNotice]:
    """Return what has happened, as far as it counts; of a group that is new here, that we came."""
    if before is None or before.own not in before.members:
        member = after.members.get(after.own)
        change = None if member is None else after.log.get(member.joined)
        if change is None:
            return []
        subjects = (after.own,) if change.subjects else ()
        return [_notice(replace(change, subjects=subjects))]
    new = [change for change in after.log.changes if change.hash not in before.log]
    return [_notice(change) for change in new if change.hash in after.view.effective]


def _notice(change: Change) -> GroupNotice:
    return GroupNotice(
        change=change.hash,
        kind=change.kind,
        by=change.maker,
        subjects=change.subjects,
        name=change.name,
        history=change.history,
    )
