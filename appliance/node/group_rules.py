"""What an operator may do in a group, checked before it is tried, with words for each refusal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from appliance.model.codec import FormatError
from appliance.model.group_change import MAX_PARENTS, Change, ChangeKind, History, make_change
from appliance.model.group_note import MAX_MEMBERS
from appliance.model.identity import IdentityError, StationId, StationKey, clean_name
from appliance.node.group_log import MAX_LOG, GroupLog
from appliance.node.group_state import Group, Standing

ROOM: Final = 12_000
"""Bytes of the log that our own changes leave free for those that others make meanwhile."""


class GroupRefusedError(Exception):
    """The operator's wish can't be met: a code for programs, words and what to do."""

    def __init__(self, code: str, text: str, fix: str = "") -> None:
        super().__init__(text)
        self.code = code
        self.fix = fix


def full() -> GroupRefusedError:
    """Return the refusal for a group whose log is full."""
    return GroupRefusedError(
        "group-worn-out",
        "This group was changed too often to be changed once more.",
        "Make a new group with the same members.",
    )


def named(name: str) -> str:
    """Return a group's name fit for a screen."""
    try:
        return clean_name(name)
    except IdentityError as error:
        raise GroupRefusedError("name", f"This can't be the name: {error}.") from None


def check_member(group: Group) -> None:
    """Refuse who is not in the group."""
    if group.standing is Standing.INVITED:
        raise GroupRefusedError(
            "invited", "You are invited to this group.", "Accept the invitation first."
        )
    if group.standing is Standing.OUT:
        raise GroupRefusedError("not-a-member", "You are not in this group any more.")


def check_admin(group: Group) -> None:
    """Refuse who is no admin."""
    check_member(group)
    if not group.view.is_admin(group.own):
        raise GroupRefusedError(
            "not-an-admin", "Only an admin of the group can do this.", "Ask one of them."
        )


def invitable(group: Group, stations: Iterable[StationId]) -> tuple[StationId, ...]:
    """Return those of `stations` that are not in yet."""
    subjects = tuple(sorted({station for station in stations if station not in group.members}))
    if not subjects:
        raise GroupRefusedError("already-in", "They are all in this group already.")
    if len(group.members) + len(subjects) > MAX_MEMBERS:
        raise GroupRefusedError(
            "group-size", f"A group has at most {MAX_MEMBERS} members.", "Make a second group."
        )
    return subjects


def check_below(group: Group, station: StationId) -> None:
    """Refuse to remove or dismiss somebody who is not there, or ranks higher."""
    if station == group.own:
        raise GroupRefusedError("self", "That is this station.", "Leave the group instead.")
    if station not in group.members:
        raise GroupRefusedError("not-in", "This station is not in the group.")
    if not group.view.may_remove(group.own, station):
        raise GroupRefusedError(
            "ranks-higher",
            "This admin was there before you were one, so you can't do this.",
            "Ask an admin who was there earlier, or make a new group.",
        )


def check_not_last(group: Group) -> None:
    """Refuse to let a group go without any admin."""
    others = [member for member in group.others if group.view.is_admin(member)]
    if group.others and not others:
        raise GroupRefusedError(
            "last-admin", "You are the only admin of this group.", "Appoint another one first."
        )


def with_change(
    group: Group,
    key: StationKey,
    kind: ChangeKind,
    *,
    subjects: tuple[StationId, ...] = (),
    name: str = "",
    history: History = History.NONE,
) -> tuple[GroupLog, Change]:
    """Make a change upon all that is known; returns the log with it, and it."""
    log = group.log
    parents = log.heads[:MAX_PARENTS]
    made = [parent for parent in map(log.get, parents) if parent is not None]
    change = make_change(
        key,
        kind,
        group=group.id,
        parents=parents,
        depth=max(parent.depth for parent in made) + 1,
        subjects=subjects,
        name=name,
        history=history,
    )
    if log.bytes + len(change.raw) > MAX_LOG - ROOM:
        raise full()
    try:
        return log.with_changes([change])[0], change
    except FormatError:
        raise GroupRefusedError(
            "no-right", "The group has just been changed.", "Look at it, and try again."
        ) from None
