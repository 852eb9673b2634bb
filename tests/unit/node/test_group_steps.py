"""What operators do with groups, and what their stations make of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from group_world import GroupWorld, Member, at

from appliance.model.card import Prekey
from appliance.model.group import GroupId
from appliance.model.group_change import ChangeKind, History
from appliance.model.identity import StationKey
from appliance.model.record import MAX_RECORD, RecordKind
from appliance.node.group_book import MAX_GROUPS, NotYetError
from appliance.node.group_log import MAX_LOG
from appliance.node.group_news import GroupResult, keys_of, notes_for
from appliance.node.group_rules import GroupRefusedError
from appliance.node.group_state import GRACE_S, USE_S, Standing
from appliance.node.groups import Groups
from appliance.node.opening import UnknownKeyError
from appliance.node.ports.grouping import ShareHistory
from appliance.protocol.group_sealing import MAX_TOLD
from appliance.protocol.sealing import seal


def founded(
    size: int = 4, *, members: int | None = None, history: History = History.NONE
) -> tuple[GroupWorld, GroupId, list[Member]]:
    """Return a world, a group of its first stations, and all of them; the first founded it."""
    world = GroupWorld(1, size)
    inside = [member.id for member in world.members[1:members]]
    result = world.members[0].do(
        lambda groups: groups.create("Rescue", world.now, history=history, invite=inside)
    )
    world.deliver()
    return world, result.group, world.members


def refused(member: Member, wish: Callable[[Groups], GroupResult]) -> str:
    """Return the code with which a wish is refused; nothing has changed then."""
    before = member.groups.book
    states = list(before)
    with pytest.raises(GroupRefusedError) as caught:
        wish(member.groups)
    assert list(before) == states
    assert str(caught.value)
    return caught.value.code


def kinds(member: Member) -> list[ChangeKind]:
    return [notice.kind for notice in member.notices]


def test_who_is_invited_by_somebody_known_is_in_and_reads_along() -> None:
    world, group, (ann, ben, cat, eve) = founded(members=3)
    assert [ben.of(group).name, cat.of(group).standing] == ["Rescue", Standing.IN]
    assert eve.groups.book.get(group) is None
    assert [one.groups.messages.is_member(group) for one in (ann, ben, eve)] == [True, True, False]
    ben.write(group, b"here")
    world.deliver()
    assert ann.inbox == cat.inbox == [(ben.id, b"here")]
    assert eve.inbox == []
    (notice,) = ben.notices
    assert (notice.kind, notice.by, notice.subjects) == (ChangeKind.INVITE, ann.id, (ben.id,))


def test_two_groups_of_one_name_are_two_groups() -> None:
    world, first, (ann, *_) = founded()
    second = ann.do(lambda groups: groups.create("Rescue", world.now)).group
    assert first != second
    assert ann.of(first).name == ann.of(second).name
    assert ann.of(first).id.tag != ann.of(second).id.tag


def test_who_is_removed_while_cut_off_reads_nothing_that_is_written_later() -> None:
    world, group, (ann, ben, cat, dan) = founded()
    world.island = {cat.id: 1}
    ann.do(lambda groups: groups.remove(group, cat.id, world.now))
    world.deliver()
    ben.write(group, b"cat is out")
    cat.write(group, b"am I in?")
    world.deliver()
    assert dan.inbox == [(ben.id, b"cat is out")]
    assert cat.of(group).standing is Standing.IN
    world.island.clear()
    world.deliver()
    assert cat.of(group).standing is Standing.OUT
    assert cat.inbox == []
    assert dan.inbox == [(ben.id, b"cat is out")]
    assert ann.inbox == [(ben.id, b"cat is out")]
    assert cat.write(group, b"and now?") is None
    assert kinds(cat) == [ChangeKind.INVITE, ChangeKind.REMOVE]
    assert kinds(dan) == [ChangeKind.INVITE, ChangeKind.REMOVE]


def test_two_removed_at_once_in_two_halves_read_nothing_without_any_admin() -> None:
    world, group, (ann, ben, cat, dan, eve) = founded(5)
    ann.do(lambda groups: groups.appoint(group, ben.id, world.now))
    world.deliver()
    world.island = {ben.id: 1, eve.id: 1}
    ann.do(lambda groups: groups.remove(group, cat.id, world.now))
    ben.do(lambda groups: groups.remove(group, dan.id, world.now))
    world.deliver()
    world.island.clear()
    world.deliver()
    ann_keys = len(ann.of(group).keys)
    eve.write(group, b"just us three")  # each of the two new keys is known to one who is out
    world.deliver()
    assert len(ann.of(group).keys) == ann_keys + 1
    assert ann.inbox == ben.inbox == [(eve.id, b"just us three")]
    assert cat.inbox == dan.inbox == []


def test_who_leaves_has_no_keys_and_the_next_writer_makes_a_new_one() -> None:
    world, group, (ann, ben, cat, dan) = founded()
    ben.do(lambda groups: groups.leave(group, world.now))
    world.deliver()
    assert ben.of(group).keys == {}
    assert set(ann.of(group).members) == {ann.id, cat.id, dan.id}
    record = cat.write(group, b"ben has gone")
    world.deliver()
    assert record is not None
    assert record.prekey in dan.of(group).keys
    assert record.prekey not in ben.of(group).keys
    assert kinds(dan) == [ChangeKind.INVITE, ChangeKind.LEAVE]
    ann.do(lambda groups: groups.invite(group, [ben.id], world.now))
    world.deliver()
    assert ben.of(group).standing is Standing.IN
    dan.write(group, b"welcome back")
    world.deliver()
    assert ben.inbox[-1] == (dan.id, b"welcome back")


def test_the_invitation_of_a_stranger_waits_for_the_operator() -> None:
    world = GroupWorld(1, 3)
    ann, ben, cat = world.members
    ben.distrusts = cat.distrusts = {ann.id}
    group = ann.do(lambda groups: groups.create("Rescue", world.now, invite=[ben.id, cat.id])).group
    world.deliver()
    ann.write(group, b"welcome")
    world.deliver()
    assert ben.of(group).standing is Standing.INVITED
    assert ben.inbox == []
    assert not ben.groups.messages.is_member(group)
    assert ben.write(group, b"no") is None
    assert refused(ben, lambda groups: groups.rename(group, "Mine", world.now)) == "invited"
    ben.restart()
    ben.do(lambda groups: groups.accept(group, world.now))
    assert ben.inbox == [(ann.id, b"welcome")]
    cat.do(lambda groups: groups.leave(group, world.now))
    world.deliver()
    assert set(ann.of(group).members) == {ann.id, ben.id}
    assert cat.inbox == []


@pytest.mark.parametrize("history", History)
def test_history_is_the_choice_of_the_group(history: History) -> None:
    world, group, (ann, _, _, eve) = founded(members=3, history=history)
    old = ann.write(group, b"before eve")
    assert old is not None
    world.deliver()
    ann.do(lambda groups: groups.invite(group, [eve.id], world.now))
    world.deliver()
    for _ in range(4):  # the message waits, so its author is asked for the key
        world.later(3600.0)
        world.deliver()
    everything = history is History.ALL
    assert eve.inbox == ([(ann.id, b"before eve")] if everything else [])
    assert (ShareHistory(group, eve.id) in ann.shared) is everything


def test_who_has_no_card_here_is_told_when_it_comes() -> None:
    world = GroupWorld(1, 3)
    ann, ben, cat = world.members
    ann.no_card = {cat.id}
    group = ann.do(lambda groups: groups.create("Rescue", world.now, invite=[ben.id, cat.id])).group
    world.deliver()
    assert cat.groups.book.get(group) is None
    ann.restart()
    ann.no_card = set()
    for result in ann.groups.learned(cat.id, world.now):
        ann.apply(result)
    world.deliver()
    ann.write(group, b"hello")
    world.deliver()
    assert cat.inbox == [(ann.id, b"hello")]
    assert ann.groups.learned(cat.id, world.now) == []


def test_a_key_is_used_for_a_week_and_destroyed_after_the_grace() -> None:
    world, group, (ann, ben, cat, _) = founded()
    first = ann.write(group, b"one")
    world.later(USE_S)
    second = ann.write(group, b"two")
    assert first is not None
    assert second is not None
    assert first.prekey != second.prekey
    world.deliver()
    assert ben.groups.next_wakeup() == 1000.0 + USE_S + GRACE_S
    world.later(GRACE_S - 1.0)
    assert ben.groups.messages.open(first) == b"one"
    world.later(1.0)
    with pytest.raises(UnknownKeyError):
        ben.groups.messages.open(first)
    ben.restart()
    with pytest.raises(UnknownKeyError):
        ben.groups.messages.open(first)
    for state in ben.disk.values():
        assert cat.of(group).gone
        assert first.content not in state
    # A reader that has lost a key that is still in use gets the text sealed to another.
    third = ann.groups.messages.seal(group, b"three", world.now)
    again = ann.groups.messages.seal(group, b"three", world.now, avoid=third.key)
    assert again.key != third.key


def test_who_misses_a_key_or_a_change_asks_the_author_and_outsiders_get_no_answer() -> None:
    world, group, (ann, ben, cat, eve) = founded(members=3)
    ann.do(lambda groups: groups.rename(group, "Search", world.now))
    ann.do(lambda groups: groups.invite(group, [eve.id], world.now))
    world.queue = [one for one in world.queue if one[1] is not cat]  # lost for ever
    ann.write(group, b"found them")
    world.deliver()
    assert cat.inbox == []
    asked = 0
    for _ in range(3):
        world.later(30.0)
        asked += sum(sender is cat for sender, _, _ in world.queue)
        world.deliver()
    assert asked == 1
    assert cat.inbox == [(ann.id, b"found them")]
    # The key was handed over first, the changes with it.
    assert cat.of(group).name == "Search"
    assert set(cat.of(group).members) == {ann.id, ben.id, cat.id, eve.id}


def test_who_was_invited_in_one_half_hears_what_happened_in_the_other() -> None:
    world, group, (ann, ben, cat, eve) = founded(members=3)
    ann.do(lambda groups: groups.appoint(group, ben.id, world.now))
    world.deliver()
    world.island = {ben.id: 1, cat.id: 1}
    ann.do(lambda groups: groups.invite(group, [eve.id], world.now))
    ben.do(lambda groups: groups.rename(group, "Other half", world.now))
    world.deliver()
    assert eve.of(group).name == "Rescue"
    world.island.clear()
    world.deliver()
    assert eve.of(group).name == "Other half"
    assert eve.of(group).view == cat.of(group).view


def test_nobody_is_asked_for_ever() -> None:
    world, group, (ann, ben, _, _) = founded()
    world.island = {ben.id: 1}
    ann.do(lambda groups: groups.remove(group, world.members[3].id, world.now))
    record = ann.write(group, b"to ben")
    assert record is not None
    ben.read(record)
    notes = 0
    for _ in range(200):
        before = len(world.queue)
        world.later(1800.0)
        notes += len(world.queue) - before
    assert notes == 10


def test_what_can_not_be_stored_has_not_happened() -> None:
    world, group, (ann, ben, *_) = founded()
    result = ann.groups.rename(group, "Lost", world.now)
    ann.groups.book.undo(result)
    assert ann.of(group).name == "Rescue"
    created = ann.groups.create("Lost too", world.now)
    ann.groups.book.undo(created)
    assert ann.groups.book.get(created.group) is None
    kept = ann.groups.rename(group, "First", world.now)
    ann.do(lambda groups: groups.rename(group, "Second", world.now))
    ann.groups.book.undo(kept)
    assert ann.of(group).name == "Second"
    assert ben.of(group).name == "Rescue"


def test_what_may_not_be_done_is_refused_with_words() -> None:
    world, group, (ann, ben, cat, eve) = founded(members=3)
    now = world.now
    ann.do(lambda groups: groups.appoint(group, ben.id, now))
    world.deliver()
    ben.do(lambda groups: groups.appoint(group, cat.id, now))
    world.deliver()
    other = GroupId(bytes(32))
    assert refused(ann, lambda groups: groups.rename(other, "x", now)) == "no-such-group"
    assert refused(ann, lambda groups: groups.invite(group, [ben.id], now)) == "already-in"
    assert refused(ann, lambda groups: groups.remove(group, eve.id, now)) == "not-in"
    assert refused(ann, lambda groups: groups.remove(group, ann.id, now)) == "self"
    assert refused(cat, lambda groups: groups.remove(group, ben.id, now)) == "ranks-higher"
    assert refused(ben, lambda groups: groups.dismiss(group, ann.id, now)) == "ranks-higher"
    assert refused(ben, lambda groups: groups.appoint(group, cat.id, now)) == "is-admin"
    assert refused(ben, lambda groups: groups.accept(group, now)) == "no-invitation"
    assert refused(ann, lambda groups: groups.rename(group, "a\u202eb", now)) == "name"
    assert refused(ann, lambda groups: groups.create("", now)) == "name"
    crowd = [StationKey.from_bytes(bytes([n]) * 32).id for n in range(100, 162)]
    assert refused(ann, lambda groups: groups.invite(group, crowd, now)) == "group-size"
    ben.do(lambda groups: groups.dismiss(group, cat.id, now))
    world.deliver()
    assert refused(cat, lambda groups: groups.rename(group, "x", now)) == "not-an-admin"
    ben.do(lambda groups: groups.leave(group, now))
    world.deliver()
    assert refused(ben, lambda groups: groups.leave(group, now)) == "not-a-member"
    assert refused(ann, lambda groups: groups.leave(group, now)) == "last-admin"
    assert refused(ann, lambda groups: groups.dismiss(group, ann.id, now)) == "last-admin"
    own = ann.do(lambda groups: groups.create("alone", now)).group
    assert ann.write(own, b"anybody?") is None
    for number in range(MAX_GROUPS - 2):
        ann.groups.create(f"group {number}", now)
    assert refused(ann, lambda groups: groups.create("x", now)) == "too-many-groups"


def test_all_can_leave_at_once_and_be_invited_again() -> None:
    world, group, (ann, *others) = founded(MAX_TOLD + 3)  # more than a message names
    for other in others:
        other.do(lambda groups: groups.leave(group, world.now))
    world.deliver()
    assert set(ann.of(group).members) == {ann.id}
    back = [other.id for other in others]
    ann.do(lambda groups: groups.invite(group, back, world.now))
    world.deliver()
    others[0].write(group, b"all back")
    world.deliver()
    assert all(other.inbox == [(others[0].id, b"all back")] for other in others[1:])


def wear_out(world: GroupWorld, admin: Member, group: GroupId) -> None:
    for number in range(400):
        admin.groups.rename(group, "n" * 30 + f"{number}", world.now)


def test_the_largest_group_with_the_longest_log_still_fits_into_a_note() -> None:
    world = GroupWorld(1, 2)
    ann, ben = world.members
    crowd = [StationKey.from_bytes(bytes([n]) * 32).id for n in range(100, 162)]
    ann.no_card = set(crowd)
    group = ann.do(lambda groups: groups.create("Rescue", world.now, invite=crowd)).group
    with pytest.raises(GroupRefusedError) as caught:
        wear_out(world, ann, group)
    assert caught.value.code == "group-worn-out"
    for _ in range(20):
        ann.groups.messages.seal(group, b"x", at(world.now.awake_s + USE_S))
        world.now = at(world.now.awake_s + USE_S)
    state = ann.of(group)
    assert state.log.bytes > MAX_LOG / 2
    public = X25519PrivateKey.generate().public_key().public_bytes_raw()
    for note in notes_for(state, state.log.changes, keys_of(state)):
        sealed = seal(
            note,
            author=ann.id,
            recipient=ben.id,
            kind=RecordKind.MESSAGE,
            prekey=Prekey(bytes(8), public),
        )
        assert len(sealed) < MAX_RECORD - 1000


def test_a_group_that_was_left_is_forgotten_when_its_time_is_over() -> None:
    world, group, (_, ben, cat, _) = founded()
    note = cat.disk[group]
    ben.do(lambda groups: groups.leave(group, world.now))
    world.later(USE_S + GRACE_S - 1.0)
    assert group in ben.disk
    world.later(2.0)
    assert group not in ben.disk
    assert ben.groups.book.get(group) is None
    assert note
    record = cat.write(group, b"x")
    assert record is not None
    with pytest.raises(NotYetError):
        ben.groups.messages.open(record)
