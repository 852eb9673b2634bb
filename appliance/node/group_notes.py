"""Notes about groups that come from other stations, taken in.

A note is judged by the changes in it, each signed by its maker, and not by who brought it: any
member may pass on what another has made.  Keys are taken from members alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from appliance.model.codec import FormatError
from appliance.model.group_change import (
    MAX_CHANGE,
    Change,
    ChangeKind,
    change_hash_of,
    make_change,
    read_change,
)
from appliance.model.group_note import GroupKey, GroupNote
from appliance.model.identity import StationId, StationKey
from appliance.node.group_book import NotYetError
from appliance.node.group_log import MAX_LOG, GroupLog
from appliance.node.group_news import notes_for
from appliance.node.group_state import MAX_ORPHANS, Group, Standing
from appliance.node.ports import Moment

MAX_ANSWER: Final = 8
"""Keys that are handed over to one who asks, at a time."""


def merged(
    before: Group | None, own: StationId, author: StationId, note: GroupNote, moment: Moment
) -> Group:
    """Return what is known with a note; raises FormatError when it is none or not for us.

    Changes that miss others are kept, so they are never forgotten by us when their sender does not
    say them again.  NotYetError: there is no room for them, or their sender is nobody's member.
    """
    log = before.log if before is not None else GroupLog(note.group)
    waiting = dict(before.orphans) if before is not None else {}
    brought: set[bytes] = set()
    for raw in note.changes:
        change_hash = change_hash_of(raw)
        brought.add(change_hash)
        if change_hash not in log and change_hash not in waiting:
            waiting[change_hash] = read_change(raw)
    log, orphans, refused = log.with_good_changes(waiting.values())
    # What has waited and turns out bad was brought by somebody else: it is dropped and that is all.
    if any(change.hash in brought for change in refused):
        raise FormatError("group note: a change whose maker had no right to it")
    if before is None:
        if own not in log.view.members or author not in log.view.entries or orphans:
            raise FormatError("group note: no invitation")
        before = Group(own, log)
    kept = {change.hash: change for change in orphans}
    if not kept.keys() <= before.orphans.keys():
        if not log.brought(author):
            raise NotYetError("by somebody of whom we do not know that it is a member")
        if len(kept) > MAX_ORPHANS or sum(len(one.raw) for one in orphans) > MAX_LOG:
            raise NotYetError("too many changes miss others")
    after = before
    if log is not before.log or kept != before.orphans:
        after = replace(before, log=log, orphans=kept)
    if note.keys and author in after.members and own in after.members:
        after = after.with_keys(note.keys, author, moment.awake_s)
    return after


def settled(
    before: Group | None,
    after: Group,
    key: StationKey,
    moment: Moment,
    trusts: Callable[[StationId], bool],
) -> tuple[Group, list[Change]]:
    """Find out what we are in a group after a change; returns it, and what we had to change.

    An invitation counts at once if our operator knows who made it.  Who is in stays in, also if
    another admin's invitation of us turns out to have come first.  An invitation whose maker did
    not know that we had left does not bring us back.
    """
    member = after.members.get(key.id)
    if member is None:
        if after.out_awake_s is None:
            after = replace(after, out_awake_s=moment.awake_s)
        return after, []
    if after.out_awake_s is not None:
        after = replace(after, out_awake_s=None)
    if after.accepted == member.joined:
        return after, []
    leaves = [change.hash for change in after.log.leaves_of(key.id)]
    if leaves and not any(after.log.came_after(member.joined, leave) for leave in leaves):
        return left(after, key, moment)
    was_in = before is not None and before.standing is Standing.IN
    if was_in or (after.inviter is not None and trusts(after.inviter)):
        after = replace(after, accepted=member.joined)
    return after, []


def left(group: Group, key: StationKey, moment: Moment) -> tuple[Group, list[Change]]:
    """Leave a group: its keys are destroyed here, and the others are to be told.

    Two admins may have brought us in, neither knowing of the other; then we leave twice.  However
    full the log is, or nobody could decline to be in a group that was made so.
    """
    made: list[Change] = []
    out = group
    while (member := out.members.get(key.id)) is not None:
        brought = out.log.get(member.joined)
        assert brought is not None
        parents, depth = (member.joined,), brought.depth + 1
        made.append(
            make_change(key, ChangeKind.LEAVE, group=group.id, parents=parents, depth=depth)
        )
        log, _, _ = out.log.with_good_changes(made[-1:], limit=out.log.bytes + MAX_CHANGE)
        out = replace(out, log=log)
    return replace(out.without_keys(), out_awake_s=moment.awake_s), made


def passed_on(before: Group | None, after: Group) -> list[tuple[StationId, list[Change]]]:
    """Return what those whom we have brought in do not get from who made it, not knowing of them.

    That is how one who was invited in one half of a broken mesh hears what happened in the other.
    """
    if before is None or after.log is before.log:
        return []
    new = [change for change in after.log.changes if change.hash not in before.log]
    known_by = {change.hash: after.log.known_to_maker(change.hash).entries for change in new}
    stations = {**before.members, **after.members}
    found: list[tuple[StationId, list[Change]]] = []
    for station, member in sorted(stations.items()):
        brought = after.log.get(member.joined)
        if brought is None or brought.maker != after.own or station == after.own:
            continue
        if any(change.kind is ChangeKind.REMOVE and station in change.subjects for change in new):
            continue  # who removed it tells it so, and it learns nothing of what came then
        unknown = [
            change
            for change in new
            if change.maker != station
            and station not in known_by[change.hash]
            and station not in change.subjects
        ]
        if unknown:
            found.append((station, unknown))
    return found


def answer(group: Group, asker: StationId, note: GroupNote) -> list[bytes]:
    """Return the notes for somebody who asks.

    Who was removed learns until where it was a member, and no more.  Keys go to members whom they
    were made for, or to all members if that is the group's choice.
    """
    if asker not in group.members:
        removals = [
            change
            for change in group.log.changes
            if asker in change.subjects and change.kind is ChangeKind.REMOVE
        ]
        if not removals:
            return []
        return notes_for(group, group.log.until(removals[-1].hash))
    keys: list[GroupKey] = []
    for key_id in note.wanted[:MAX_ANSWER]:
        held = group.keys.get(key_id)
        if held is not None and group.may_have(asker, held.key):
            keys.append(held.key)
    # Who asks for keys alone knows all changes by now: nothing is beyond its newest ones.
    return notes_for(group, group.log.beyond(note.heads), keys)
