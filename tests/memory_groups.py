"""Groups that are only memory: the fake of `GroupBackend`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

from memory_stations import US

from appliance.api.backend import ApiError
from appliance.api.event_log import EventLog
from appliance.api.groups import Group, GroupBackend, GroupMember, History, NewGroup
from appliance.api.schema import Station


class MemoryGroups(GroupBackend):
    """Whatever is wanted is done."""

    def __init__(self, log: EventLog, station: Callable[[str], Station]) -> None:
        self.log, self.station = log, station
        self.kept: dict[str, Group] = {}

    def put(self, group: Group) -> Group:
        """Bring a group into a state."""
        self.kept[group.id] = group
        self.log.publish("group", group)
        return group

    def all(self) -> tuple[Group, ...]:
        return tuple(self.kept.values())

    def find(self, group: str) -> Group:
        found = [one for one in self.kept.values() if group in (one.id, one.name, one.id[:5])]
        if not found:
            raise ApiError(404, "unknown-group", f"There is no group {group!r}.", "List them.")
        if len(found) > 1:
            raise ApiError(409, "ambiguous-group", f"2 groups are named {group}.", "Give an id.")
        return found[0]

    async def make(self, new: NewGroup) -> Group:
        members = [self._member(station) for station in new.members]
        id_ = f"g{len(self.kept) + 1:056}"
        return self.put(
            Group(
                id=id_,
                name=new.name,
                tag=id_[-4:],
                state="member",
                admin=True,
                history=new.history,
                invited_by=None,
                members=(GroupMember(US, admin=True, name="us"), *members),
                unread=0,
            )
        )

    def _member(self, station: str) -> GroupMember:
        found = self.station(station)
        return GroupMember(found.id, admin=False, name=found.name)

    async def invite(self, group: str, station: str) -> Group:
        found = self.find(group)
        return self.put(replace(found, members=(*found.members, self._member(station))))

    async def remove(self, group: str, station: str) -> Group:
        found, gone = self.find(group), self.station(station).id
        left = tuple(one for one in found.members if one.id != gone)
        if left == found.members:
            raise ApiError(409, "not-in", "This station is not in the group.")
        return self.put(replace(found, members=left))

    async def appoint(self, group: str, station: str) -> Group:
        found, who = self.find(group), self.station(station).id
        members = tuple(replace(m, admin=m.admin or m.id == who) for m in found.members)
        return self.put(replace(found, members=members))

    async def rename(self, group: str, name: str) -> Group:
        return self.put(replace(self.find(group), name=name))

    async def choose_history(self, group: str, history: History) -> Group:
        return self.put(replace(self.find(group), history=history))

    async def leave(self, group: str) -> Group:
        return self.put(replace(self.find(group), state="left", admin=False))

    async def accept(self, group: str) -> Group:
        return self.put(replace(self.find(group), state="member"))

    async def decline(self, group: str) -> Group:
        return self.put(replace(self.find(group), state="left"))


class WithGroups:
    """Adds them to a backend."""

    log: EventLog
    station: Callable[[str], Station]

    def named(self, to: str) -> str:
        """Return the conversation with a station or a group."""
        try:
            return self.groups.find(to).id
        except ApiError:
            return self.station(to).id

    @cached_property
    def groups(self) -> MemoryGroups:
        return MemoryGroups(self.log, self.station)
