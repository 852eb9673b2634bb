"""The part of the client library that is about groups."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.api.calling import Caller, listed, quoted, shaped
from appliance.api.groups import Group, History, NewGroup, NewGroupName, NewHistory, OfStation


class GroupCalls(Caller):
    """Groups: each is named by its id, the first 5 or more characters of it, or its name."""

    async def groups(self) -> tuple[Group, ...]:
        """List groups: ours, invitations, those that we are not in any more."""
        return listed(Group, await self._call("GET", "/v1/groups"))

    async def group(self, group: str) -> Group:
        """Find one."""
        return shaped(Group, await self._call("GET", f"/v1/groups/{quoted(group)}"))

    async def make_group(
        self, name: str, members: Sequence[str] = (), *, history: History = "none"
    ) -> Group:
        """Make a group and invite its first members; returns when it is on our disk."""
        new = NewGroup(name, tuple(members), history)
        return shaped(Group, await self._call("POST", "/v1/groups", new))

    async def invite(self, group: str, station: str) -> Group:
        """Bring a station in."""
        return await self._change(group, "invite", OfStation(station))

    async def remove_member(self, group: str, station: str) -> Group:
        """Take a station out; what is written from then on it can't read."""
        return await self._change(group, "remove", OfStation(station))

    async def make_admin(self, group: str, station: str) -> Group:
        """Let a member change the group."""
        return await self._change(group, "admin", OfStation(station))

    async def rename_group(self, group: str, name: str) -> Group:
        """Give it another name."""
        return await self._change(group, "rename", NewGroupName(name))

    async def set_history(self, group: str, history: History) -> Group:
        """Choose what new members get of what was written before they came."""
        return await self._change(group, "history", NewHistory(history))

    async def leave(self, group: str) -> Group:
        """Leave it; its keys are destroyed here."""
        return await self._change(group, "leave")

    async def accept(self, group: str) -> Group:
        """Say yes to an invitation."""
        return await self._change(group, "accept")

    async def decline(self, group: str) -> Group:
        """Say no to an invitation."""
        return await self._change(group, "decline")

    async def _change(self, group: str, what: str, body: object = None) -> Group:
        target = f"/v1/groups/{quoted(group)}/{what}"
        return shaped(Group, await self._call("POST", target, body))
