"""The groups of this station: what its operator does in them, and what comes from others.

Nothing is sent or stored here.  Each call returns a `GroupResult`: what has to be stored (together
with what caused it), the notes that go to other stations as records of kind GROUP, each sealed to
one station's prekey, and what is shown.  How changes that were made at the same time come together
is told by `group_log`; what is written in groups, by `group_messages`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from appliance.model.group import GroupId
from appliance.model.group_change import (
    NONCE_SIZE,
    Change,
    ChangeKind,
    History,
    make_change,
)
from appliance.model.group_note import GroupNote
from appliance.model.identity import StationId, StationKey
from appliance.node.group_asks import ASKED, GroupAsks
from appliance.node.group_book import GroupBook
from appliance.node.group_log import GroupLog
from appliance.node.group_messages import GroupMessages
from appliance.node.group_news import GroupResult, keys_of, notes_for, with_recent
from appliance.node.group_notes import answer, left, merged, passed_on, settled
from appliance.node.group_rules import (
    GroupRefusedError,
    check_admin,
    check_below,
    check_member,
    check_not_last,
    invitable,
    named,
    with_change,
)
from appliance.node.group_state import Group, Standing
from appliance.node.ports import Moment


class Groups:
    """All groups that this station knows."""

    def __init__(
        self,
        key: StationKey,
        *,
        trusts: Callable[[StationId], bool],
        has_card: Callable[[StationId], bool],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """`trusts` tells whether our operator knows a station, so that it may bring us into groups.

        `has_card` tells whether something can be sealed to a station; keys come of `random_bytes`.
        """
        self._key = key
        self.book = GroupBook(key, trusts=trusts, has_card=has_card, random_bytes=random_bytes)
        """All that is known."""

        self._asks = GroupAsks()
        self.messages = GroupMessages(self.book, self._asks)
        """What is written in groups."""

    # -- What our operator does.  All of these raise GroupRefusedError.

    def create(
        self,
        name: str,
        moment: Moment,
        *,
        history: History = History.NONE,
        invite: Iterable[StationId] = (),
    ) -> GroupResult:
        """Found a group and invite its first members."""
        self.book.check_place()
        nonce = self.book.random_bytes(NONCE_SIZE)
        founding = make_change(
            self._key, ChangeKind.FOUND, name=named(name), history=history, nonce=nonce
        )
        log, _ = GroupLog(founding.group).with_changes([founding])
        group, made = Group(self._key.id, log, accepted=founding.hash), [founding]
        if wanted := set(invite) - {self._key.id}:
            subjects = invitable(group, wanted)
            log, change = with_change(group, self._key, ChangeKind.INVITE, subjects=subjects)
            group, made = replace(group, log=log), [founding, change]
        return self.book.set(None, group, moment, made=made, new_key=True)

    def invite(
        self, group_id: GroupId, stations: Iterable[StationId], moment: Moment
    ) -> GroupResult:
        """Bring stations into a group."""
        group = self._as_admin(group_id)
        subjects = invitable(group, stations)
        return self._change(group, ChangeKind.INVITE, moment, subjects=subjects, new_key=True)

    def remove(self, group_id: GroupId, station: StationId, moment: Moment) -> GroupResult:
        """Take a station out of a group."""
        group = self._as_admin(group_id)
        check_below(group, station)
        return self._change(group, ChangeKind.REMOVE, moment, subjects=(station,), new_key=True)

    def appoint(self, group_id: GroupId, station: StationId, moment: Moment) -> GroupResult:
        """Make a member an admin."""
        group = self._as_admin(group_id)
        if station not in group.members:
            raise GroupRefusedError("not-in", "This station is not in the group.")
        if group.view.is_admin(station):
            raise GroupRefusedError("is-admin", "This member is an admin already.")
        return self._change(group, ChangeKind.APPOINT, moment, subjects=(station,))

    def dismiss(self, group_id: GroupId, station: StationId, moment: Moment) -> GroupResult:
        """Make an admin, or oneself, a plain member."""
        group = self._as_admin(group_id)
        if station == self._key.id:
            check_not_last(group)
        else:
            check_below(group, station)
        if not group.view.is_admin(station):
            raise GroupRefusedError("no-admin", "This member is no admin.")
        return self._change(group, ChangeKind.DISMISS, moment, subjects=(station,))

    def rename(self, group_id: GroupId, name: str, moment: Moment) -> GroupResult:
        """Give a group another name."""
        group = self._as_admin(group_id)
        return self._change(group, ChangeKind.RENAME, moment, name=named(name))

    def choose_history(self, group_id: GroupId, history: History, moment: Moment) -> GroupResult:
        """Choose what new members get of what was written before."""
        return self._change(self._as_admin(group_id), ChangeKind.POLICY, moment, history=history)

    def accept(self, group_id: GroupId, moment: Moment) -> GroupResult:
        """Say yes to an invitation."""
        group = self.book.known(group_id)
        if group.standing is not Standing.INVITED:
            raise GroupRefusedError("no-invitation", "No invitation to this group waits.")
        self.book.check_place()
        after = replace(group, accepted=group.members[self._key.id].joined)
        return replace(self.book.set(group, after, moment), retry=True)

    def renew_key(self, group_id: GroupId, moment: Moment) -> GroupResult:
        """Make a key for those who are members now, as who writes does where there is none."""
        group = self.book.known(group_id)
        check_member(group)
        return self.book.set(group, group, moment, new_key=True)

    def leave(self, group_id: GroupId, moment: Moment) -> GroupResult:
        """Leave a group, or decline an invitation: the keys are destroyed at once."""
        group = self.book.known(group_id)
        if group.standing is Standing.OUT:
            raise GroupRefusedError("not-a-member", "You are not in this group any more.")
        if group.standing is Standing.IN and group.view.is_admin(self._key.id):
            check_not_last(group)
        after, made = left(group, self._key, moment)
        return self.book.set(group, after, moment, made=made)

    def _as_admin(self, group_id: GroupId) -> Group:
        group = self.book.known(group_id)
        check_admin(group)
        return group

    def _change(
        self,
        group: Group,
        kind: ChangeKind,
        moment: Moment,
        *,
        subjects: tuple[StationId, ...] = (),
        name: str = "",
        history: History = History.NONE,
        new_key: bool = False,
    ) -> GroupResult:
        log, change = with_change(
            group, self._key, kind, subjects=subjects, name=name, history=history
        )
        after = replace(group, log=log)
        return self.book.set(group, after, moment, made=[change], new_key=new_key)

    # -- What others do

    def load(self, group_id: GroupId, state: bytes) -> None:
        """Take what was stored; raises FormatError when that is damaged."""
        self.book.load(group_id, state)
        group = self.book.known(group_id)
        for orphan in group.orphans.values():
            if group.log.brought(orphan.maker):
                self._miss_below(group, orphan, orphan.maker)

    def _miss_below(self, group: Group, orphan: Change, station: StationId) -> None:
        missing = tuple(one for one in orphan.parents if one not in group.log)
        self._asks.miss(group.id, station, changes=missing)

    def received(self, author: StationId, content: bytes, moment: Moment) -> GroupResult:
        """Take a note, opened.

        Raises NotYetError when it has to wait, FormatError when it is of no use.
        """
        note = GroupNote.decode(content)
        before = self.book.get(note.group)
        if before is None:
            self.book.check_room(author, note)
        after = merged(before, self._key.id, author, note, moment)
        made: list[Change] = []
        if before is None or after.log is not before.log:
            after, made = settled(before, after, self._key, moment, self.book.trusts)
        if before is None:
            self.book.check_new(after)
        for orphan_hash, orphan in after.orphans.items():
            if before is None or orphan_hash not in before.orphans:
                self._miss_below(after, orphan, author)
        notes: list[tuple[StationId, bytes]] = []
        for station, changes in passed_on(before, after):
            theirs = notes_for(after, with_recent(after, changes))
            notes += self.book.sealable(station, theirs)
        asks = after.standing is Standing.IN and bool(note.heads or note.wanted)
        if asks and self._asks.may_answer(after.id, author, moment):
            notes += self.book.sealable(author, answer(after, author, note))
        result = self.book.set(before, after, moment, made=made, notes=notes)
        return replace(result, retry=result.save is not None)

    def learned(self, station: StationId, moment: Moment) -> list[GroupResult]:
        """A station's card has come: what it has to know of groups can be sealed to it now."""
        results = []
        for group in self.book:
            if station not in group.owed or not self.book.has_card(station):
                continue
            after = replace(group, owed=group.owed - {station})
            results.append(self.book.set(group, after, moment, notes=self._all_for(group, station)))
        return results

    def tell_again(self, station: StationId, moment: Moment) -> list[GroupResult]:
        """A station can't open notes of ours: it has to know all of this anew."""
        return [
            self.book.set(group, group, moment, notes=self._all_for(group, station))
            for group in self.book
            if group.log.brought(station)
        ]

    def _all_for(self, group: Group, station: StationId) -> list[tuple[StationId, bytes]]:
        """Return notes with all that a station may know of a group, from one who is in it.

        Else strangers could have much written to them about groups that our operator never wanted.
        Who has left says so, and who was removed or is only invited has nothing to say.
        """
        if group.standing is not Standing.IN:
            leaves = group.log.leaves_of(group.own)
            notes = notes_for(group, with_recent(group, leaves)) if leaves else []
        elif station in group.members:
            keys = [key for key in keys_of(group) if group.may_have(station, key)]
            notes = notes_for(group, group.log.changes, keys)
        else:
            notes = answer(group, station, GroupNote(group.id))
        return self.book.sealable(station, notes)

    def forgot(self) -> None:
        """Have members asked for what was done since: this station is one of an older day."""
        for group in self.book:
            admins_first = sorted(group.others, key=lambda one: group.members[one].rank is None)
            for station in admins_first[:ASKED]:
                self._asks.forgot(group.id, station)

    # -- Time, in seconds of being awake

    def next_wakeup(self) -> float | None:
        """Say when to call `wakeup`."""
        if self.book.beyond_bound():
            return 0.0
        first = self._asks.next_wakeup()
        for group in self.book:
            if group.next_end is not None and (first is None or group.next_end < first):
                first = group.next_end
        return first

    def wakeup(self, moment: Moment) -> list[GroupResult]:
        """Destroy keys and forget groups whose time is over, and ask for what is missing."""
        results = [self.book.forget(group) for group in self.book.beyond_bound()]
        for group in self.book:
            after = group.without_old_keys(moment.awake_s)
            end = after.next_end
            if after.standing is Standing.OUT and end is not None and end <= moment.awake_s:
                results.append(self.book.forget(group))
            elif after is not group:
                results.append(self.book.set(group, after, moment))
        for group_id, station, note in self._asks.due(self.book.get, moment):
            asked, notes = self.book.get(group_id), self.book.sealable(station, [note])
            if notes:
                results.append(GroupResult(group_id, asked, asked, notes=tuple(notes)))
        for group_id in self._asks.given_up():
            known = self.book.get(group_id)
            results.append(GroupResult(group_id, known, known, retry=True))
        return results
