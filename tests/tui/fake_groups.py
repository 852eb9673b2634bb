"""Groups of a daemon in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from shapes import ME

from appliance.api.groups import Group, GroupMember, History
from appliance.api.schema import EventType


class FakeGroups:
    """The part of the fake daemon that is about them."""

    def __init__(self) -> None:
        self.all_groups: dict[str, Group] = {}
        self.asked: list[tuple[str, str]] = []

    def tell(self, kind: EventType, data: object = None) -> None:
        """Let an event happen."""
        raise NotImplementedError

    def _check(self) -> None:
        raise NotImplementedError

    def put_group(self, group: Group) -> Group:
        """Bring a group into a state."""
        self.all_groups[group.id] = group
        self.tell("group", group)
        return group

    async def groups(self) -> tuple[Group, ...]:
        self._check()
        return tuple(self.all_groups.values())

    async def group(self, group: str) -> Group:
        self._check()
        return self.all_groups[group]

    async def make_group(
        self, name: str, members: Sequence[str] = (), *, history: History = "none"
    ) -> Group:
        self._check()
        number = f"g{len(self.all_groups)}".ljust(57, "d")
        return self.put_group(a_group(name, *members, id=number, history=history))

    def _change(self, group: str, what: str, how: Callable[[Group], Group]) -> Group:
        self._check()
        self.asked.append((what, group))
        return self.put_group(how(self.all_groups[group]))

    async def invite(self, group: str, station: str) -> Group:
        def bring(one: Group) -> Group:
            return replace(one, members=(*one.members, GroupMember(station, admin=False)))

        return self._change(group, "invite", bring)

    async def remove_member(self, group: str, station: str) -> Group:
        def take_out(one: Group) -> Group:
            kept = tuple(member for member in one.members if member.id != station)
            return replace(one, members=kept)

        return self._change(group, "remove", take_out)

    async def make_admin(self, group: str, station: str) -> Group:
        def appoint(one: Group) -> Group:
            members = tuple(
                replace(member, admin=member.admin or member.id == station)
                for member in one.members
            )
            return replace(one, members=members)

        return self._change(group, "admin", appoint)

    async def rename_group(self, group: str, name: str) -> Group:
        return self._change(group, "rename", lambda one: replace(one, name=name))

    async def set_history(self, group: str, history: History) -> Group:
        return self._change(group, "history", lambda one: replace(one, history=history))

    async def leave(self, group: str) -> Group:
        return self._change(group, "leave", lambda one: replace(one, state="left", admin=False))

    async def accept(self, group: str) -> Group:
        return self._change(group, "accept", lambda one: replace(one, state="member"))

    async def decline(self, group: str) -> Group:
        return self._change(group, "decline", lambda one: replace(one, state="left"))


def a_group(name: str, *members: str, **changes: object) -> Group:
    """Return a group that we made."""
    everybody = (GroupMember(ME, admin=True), *(GroupMember(one, admin=False) for one in members))
    base = Group(
        id="g0".ljust(57, "d"),
        name=name,
        tag="0ddd",
        state="member",
        admin=True,
        history="none",
        invited_by=None,
        members=everybody,
        unread=0,
    )
    return replace(base, **changes)  # type: ignore[arg-type]  # tests name real fields
