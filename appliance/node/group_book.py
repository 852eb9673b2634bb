"""The groups of a station as it keeps them, and what is done with a group that has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from appliance.model.codec import FormatError
from appliance.model.group import GroupId
from appliance.model.group_change import Change
from appliance.model.group_note import GROUP_KEY_SIZE, GroupKey, GroupNote
from appliance.model.identity import StationId, StationKey
from appliance.model.secret import Secret
from appliance.node.group_news import GroupResult, notices_of, tell
from appliance.node.group_rules import GroupRefusedError
from appliance.node.group_state import Group, Standing, read_group
from appliance.node.opening import KeyToComeError
from appliance.node.ports import Moment
from appliance.node.ports.grouping import SaveGroup, ShareHistory

MAX_GROUPS: Final = 64
"""Of which we are a member."""

MAX_INVITATIONS: Final = 32
"""By stations that our operator does not know, so that they wait for a yes ..."""

MAX_INVITATIONS_OF_ONE: Final = 4
"""... and of those, by one station."""

MAX_KEPT: Final = 256
"""With those that we have left; of these the oldest are forgotten first."""


class NotYetError(KeyToComeError):
    """It may be read when more of the group has come here; until then it has to wait."""


class GroupBook:
    """All groups that this station knows."""

    def __init__(
        self,
        key: StationKey,
        *,
        trusts: Callable[[StationId], bool],
        has_card: Callable[[StationId], bool],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """See `Groups`."""
        self.key, self.own = key, key.id
        self.trusts, self.has_card, self.random_bytes = trusts, has_card, random_bytes
        self._groups: dict[GroupId, Group] = {}

    def __iter__(self) -> Iterator[Group]:
        return iter(list(self._groups.values()))

    def load(self, group: GroupId, state: bytes) -> None:
        """Take what was stored; raises FormatError when that is damaged."""
        read = read_group(self.own, state)
        if read.id != group:
            raise FormatError("group: stored under another's id")
        self._groups[group] = read

    def get(self, group: GroupId) -> Group | None:
        """Return what is known of a group."""
        return self._groups.get(group)

    def known(self, group: GroupId) -> Group:
        """Return a group that the operator named."""
        found = self._groups.get(group)
        if found is None:
            raise GroupRefusedError("no-such-group", "There is no such group here.")
        return found

    def undo(self, result: GroupResult) -> None:
        """Take back what could not be stored, unless more has happened since."""
        if self._groups.get(result.group) is result.after:
            if result.before is None:
                self._groups.pop(result.group, None)
            else:
                self._groups[result.group] = result.before

    def check_place(self) -> None:
        """Refuse one group more than we can be in."""
        if self._count(Standing.IN) >= MAX_GROUPS:
            raise GroupRefusedError(
                "too-many-groups", f"You are in {MAX_GROUPS} groups.", "Leave one first."
            )

    def check_room(self, author: StationId, note: GroupNote) -> None:
        """Check that a note about an unknown group may bring us into it.

        Raises NotYetError if that may be so later, FormatError if not.
        """
        if not note.changes:
            raise NotYetError("about a group that has not come here")
        if not self.trusts(author):  # looked at before anything that costs more
            self._check_invited(author)

    def check_new(self, group: Group) -> None:
        """Check that there is room for a group that is new here; raises as `check_room` does.

        Somebody known may have passed on what a stranger has made.
        """
        if group.standing is Standing.INVITED and group.inviter is not None:
            self._check_invited(group.inviter)
        elif group.standing is Standing.IN and self._count(Standing.IN) >= MAX_GROUPS:
            raise NotYetError("we are in as many groups as we can be")

    def _check_invited(self, by: StationId) -> None:
        if self._count(Standing.INVITED) >= MAX_INVITATIONS:
            raise NotYetError("enough invitations wait for the operator")
        waiting = (group for group in self if group.standing is Standing.INVITED)
        if sum(group.inviter == by for group in waiting) >= MAX_INVITATIONS_OF_ONE:
            raise FormatError("group note: too many invitations by the same station")

    def _count(self, standing: Standing) -> int:
        return sum(group.standing is standing for group in self)

    def set(
        self,
        before: Group | None,
        after: Group,
        moment: Moment,
        *,
        made: Iterable[Change] = (),
        new_key: bool = False,
        notes: Iterable[tuple[StationId, bytes]] = (),
    ) -> GroupResult:
        """Keep a group as it is now; tell the others what we made, with a new key if wanted."""
        changes, sent = list(made), list(notes)
        keys: tuple[GroupKey, ...] = ()
        share: list[ShareHistory] = []
        if new_key:
            secret = Secret(self.random_bytes(GROUP_KEY_SIZE))
            keys = (GroupKey(secret, after.audience),)
            after = after.with_keys(keys, self.own, moment.awake_s)
        if changes or keys:
            after, told, share = tell(before, after, changes, keys, self.has_card)
            sent += told
        self._groups[after.id] = after
        return GroupResult(
            group=after.id,
            before=before,
            after=after,
            save=None if before is not None and after == before else after.saved(),
            notes=tuple(sent),
            notices=tuple(notices_of(before, after)),
            share=tuple(share),
        )

    def forget(self, group: Group) -> GroupResult:
        """Keep nothing of a group any more."""
        del self._groups[group.id]
        return GroupResult(group.id, group, None, SaveGroup(group.id, None))

    def beyond_bound(self) -> list[Group]:
        """Return what is to be forgotten: of those that we have left the oldest."""
        if len(self._groups) <= MAX_KEPT:
            return []
        out = [group for group in self if group.standing is Standing.OUT]
        out.sort(key=lambda group: group.out_awake_s or 0.0)
        return out[: len(self._groups) - MAX_KEPT]

    def sealable(self, station: StationId, notes: Iterable[bytes]) -> list[tuple[StationId, bytes]]:
        """Return notes with whom they are for, if something can be sealed to it now."""
        return [(station, note) for note in notes] if self.has_card(station) else []
