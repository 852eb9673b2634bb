"""Groups, as clients see them (`api.groups.GroupBackend`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from appliance.api.backend import ApiError
from appliance.api.groups import Group, GroupMember, GroupState, History, NewGroup
from appliance.daemon.lookup import Lookup, fail, succeed
from appliance.daemon.runtime import Runtime
from appliance.model.group import Conversation, GroupId
from appliance.model.group_change import ChangeKind
from appliance.model.group_change import History as Choice
from appliance.model.identity import StationId
from appliance.node import group_state
from appliance.node.group_news import GroupResult
from appliance.node.group_rules import GroupRefusedError
from appliance.node.group_state import Standing
from appliance.node.groups import Groups
from appliance.node.ports import Moment

_CHOICES: Mapping[History, Choice] = {"none": Choice.NONE, "all": Choice.ALL}
_HISTORIES: Mapping[Choice, History] = {Choice.NONE: "none", Choice.ALL: "all"}
_ORDER: Mapping[GroupState, int] = {"invited": 0, "member": 1, "removed": 2, "left": 3}
_STATUS = {"no-such-group": 404, "not-an-admin": 403, "name": 422, "self": 422}


class DaemonGroups:
    """The groups of this station."""

    def __init__(
        self,
        runtime: Runtime,
        lookup: Lookup,
        *,
        unread: Mapping[Conversation, int],
        name_of: Callable[[StationId], str],
    ) -> None:
        self._runtime, self._lookup = runtime, lookup
        self._unread, self._name_of = unread, name_of
        self._mail = runtime.station.post.groups

    def all(self) -> tuple[Group, ...]:
        """See `GroupBackend`."""
        found = [self.view(group) for group in self._mail.groups.book]
        return tuple(sorted(found, key=lambda one: (_ORDER[one.state], one.name, one.id)))

    def find(self, group: str) -> Group:
        """See `GroupBackend`."""
        return self._view_of(self._lookup.group(group))

    def changed(self, group: GroupId) -> Group | None:
        """Describe a group of which something is new; None: it is forgotten."""
        known = self._mail.groups.book.get(group)
        return self.view(known) if known is not None else None

    async def make(self, new: NewGroup) -> Group:
        """See `GroupBackend`."""
        members = [self._lookup.find(station) for station in new.members]
        history = _CHOICES[new.history]
        return await self._act(
            lambda groups, at: groups.create(new.name, at, history=history, invite=members)
        )

    async def invite(self, group: str, station: str) -> Group:
        """See `GroupBackend`."""
        of, who = self._lookup.group(group), self._lookup.find(station)
        return await self._act(lambda groups, at: groups.invite(of, [who], at))

    async def remove(self, group: str, station: str) -> Group:
        """See `GroupBackend`."""
        of, who = self._lookup.group(group), self._lookup.find(station)
        return await self._act(lambda groups, at: groups.remove(of, who, at))

    async def appoint(self, group: str, station: str) -> Group:
        """See `GroupBackend`."""
        of, who = self._lookup.group(group), self._lookup.find(station)
        return await self._act(lambda groups, at: groups.appoint(of, who, at))

    async def rename(self, group: str, name: str) -> Group:
        """See `GroupBackend`."""
        of = self._lookup.group(group)
        return await self._act(lambda groups, at: groups.rename(of, name, at))

    async def choose_history(self, group: str, history: History) -> Group:
        """See `GroupBackend`."""
        of, choice = self._lookup.group(group), _CHOICES[history]
        return await self._act(lambda groups, at: groups.choose_history(of, choice, at))

    async def leave(self, group: str) -> Group:
        """See `GroupBackend`."""
        of = self._lookup.group(group)
        return await self._act(lambda groups, at: groups.leave(of, at))

    async def accept(self, group: str) -> Group:
        """See `GroupBackend`."""
        of = self._lookup.group(group)
        return await self._act(lambda groups, at: groups.accept(of, at))

    async def decline(self, group: str) -> Group:
        """See `GroupBackend`."""
        of = self._lookup.group(group)
        known = self._mail.groups.book.get(of)
        if known is None or known.standing is not Standing.INVITED:
            raise ApiError(409, "no-invitation", "No invitation to this group waits.")
        return await self._act(lambda groups, at: groups.leave(of, at))

    async def renew_key(self, group: GroupId) -> None:
        """Have a key for those who are members now, on disk and on its way to them."""
        await self._act(lambda groups, at: groups.renew_key(group, at))

    async def _act(self, wish: Callable[[Groups, Moment], GroupResult]) -> Group:
        stored: asyncio.Future[GroupId] = asyncio.get_running_loop().create_future()
        now = self._runtime.time.now()
        try:
            effects = self._mail.act(
                lambda groups: wish(groups, now.moment),
                now.moment,
                uptime_s=now.uptime_s,
                done=lambda group: succeed(stored, group),
                failed=lambda why: fail(stored, why),
            )
        except GroupRefusedError as error:
            status = _STATUS.get(error.code, 409)
            raise ApiError(status, error.code, str(error), error.fix) from None
        self._runtime.carry_out(effects)
        return self._view_of(await stored)

    def _view_of(self, group_id: GroupId) -> Group:
        known = self._mail.groups.book.get(group_id)
        if known is None:
            raise ApiError(404, "unknown-group", "There is no such group here.")
        return self.view(known)

    def view(self, group: group_state.Group) -> Group:
        """Describe a group."""
        own = self._runtime.station.id
        inviter = group.inviter
        return Group(
            id=group.id.text,
            name=group.name,
            tag=group.id.tag,
            state=_state(group),
            admin=group.standing is Standing.IN and group.view.is_admin(own),
            history=_HISTORIES[group.history],
            invited_by=inviter.text if inviter is not None and inviter != own else None,
            members=tuple(
                GroupMember(member.text, group.view.is_admin(member), self._name_of(member))
                for member in sorted(group.members)
            ),
            unread=self._unread.get(group.id, 0),
        )


def _state(group: group_state.Group) -> GroupState:
    match group.standing:
        case Standing.IN:
            return "member"
        case Standing.INVITED:
            return "invited"
        case Standing.OUT:
            own = group.own
            removals = (
                change
                for change in reversed(group.log.changes)
                if change.hash in group.view.effective
                and (
                    (change.kind is ChangeKind.LEAVE and change.maker == own)
                    or (change.kind is ChangeKind.REMOVE and own in change.subjects)
                )
            )
            last = next(removals, None)
            return "removed" if last is None or last.kind is ChangeKind.REMOVE else "left"
