"""Groups that strangers make, and changes that come in disorder: what they may take, and lose."""

from __future__ import annotations

import pytest
from group_world import GroupWorld, Member, group_of, with_admins

from appliance.model.group import GroupId
from appliance.model.group_change import Change, ChangeKind, make_change
from appliance.model.group_note import GroupNote
from appliance.model.identity import StationKey
from appliance.node import group_book
from appliance.node.group_asks import MAX_ASKS
from appliance.node.group_book import MAX_INVITATIONS, NotYetError
from appliance.node.group_log import MAX_LOG, GroupLog
from appliance.node.group_state import Standing


def grown(
    log: GroupLog, key: StationKey, kind: ChangeKind, *members: Member, name: str = ""
) -> tuple[GroupLog, Change]:
    """Make a change upon all of a log, whatever the rules of a sound station say."""
    made = [change for change in map(log.get, log.heads) if change is not None]
    change = make_change(
        key,
        kind,
        group=log.group,
        parents=log.heads,
        depth=max(change.depth for change in made) + 1,
        subjects=tuple(member.id for member in members),
        name=name,
    )
    return log.with_changes([change])[0], change


def founded_by(key: StationKey, number: int = 0) -> GroupLog:
    nonce = number.to_bytes(16, "big")
    founding = make_change(key, ChangeKind.FOUND, name="Free food", nonce=nonce)
    return GroupLog(founding.group).with_changes([founding])[0]


def note_of(log: GroupLog) -> bytes:
    return GroupNote(log.group, changes=tuple(change.raw for change in log.changes)).encode()


def strangers(size: int) -> GroupWorld:
    """Return a world where the first one knows nobody."""
    world = GroupWorld(1, size)
    world.members[0].distrusts = {other.id for other in world.members[1:]}
    return world


def test_groups_that_were_left_are_forgotten_on_disk_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_book, "MAX_KEPT", 5)
    world = strangers(2)
    ann, eve = world.members
    for number in range(12):
        log, _ = grown(founded_by(eve.key, number), eve.key, ChangeKind.INVITE, ann)
        log, _ = grown(log, eve.key, ChangeKind.APPOINT, ann)
        ann.take(eve.id, note_of(log))
        log, _ = grown(log, eve.key, ChangeKind.REMOVE, ann)
        ann.take(eve.id, note_of(log))
        assert ann.of(log.group).standing is Standing.OUT
        world.later(1.0)
    assert len(ann.disk) == 5
    ann.restart()
    assert {group.id for group in ann.groups.book} == set(ann.disk)
    assert log.group in ann.disk  # the latest stay


def full_invitation(eve: Member, ann: Member) -> GroupLog:
    log, _ = grown(founded_by(eve.key), eve.key, ChangeKind.INVITE, ann)
    for name in ("n" * 40, "n"):
        while (more := grown(log, eve.key, ChangeKind.RENAME, name=name)[0]) is not log:
            log = more
    return log


def test_an_invitation_to_a_worn_out_group_can_be_declined() -> None:
    world = strangers(2)
    ann, eve = world.members
    log = full_invitation(eve, ann)
    assert log.bytes <= MAX_LOG
    ann.take(eve.id, note_of(log))
    assert ann.of(log.group).standing is Standing.INVITED
    ann.do(lambda groups: groups.leave(log.group, world.now))
    assert ann.of(log.group).standing is Standing.OUT
    ann.restart()
    assert ann.of(log.group).standing is Standing.OUT
    ann.take(eve.id, note_of(log))
    assert ann.of(log.group).standing is Standing.OUT


def test_who_was_made_the_only_admin_unasked_can_decline() -> None:
    world = strangers(3)
    ann, eve, mal = world.members
    log, _ = grown(founded_by(eve.key), eve.key, ChangeKind.INVITE, ann, mal)
    log, _ = grown(log, eve.key, ChangeKind.APPOINT, ann)
    founding = log.changes[0]
    leave = make_change(
        eve.key, ChangeKind.LEAVE, group=log.group, parents=(founding.hash,), depth=1
    )
    log, _ = log.with_changes([leave])
    ann.take(eve.id, note_of(log))
    group = ann.of(log.group)
    assert (group.standing, group.view.is_admin(ann.id)) == (Standing.INVITED, True)
    ann.do(lambda groups: groups.leave(log.group, world.now))
    assert ann.of(log.group).standing is Standing.OUT


def test_invitations_by_strangers_are_bounded_whoever_brings_them() -> None:
    world = GroupWorld(1, 2)
    ann, ben = world.members
    refused = 0
    for number in range(MAX_INVITATIONS + 8):
        key = StationKey.from_bytes(bytes([100 + number]) * 32)
        ann.distrusts.add(key.id)
        log, _ = grown(founded_by(key), key, ChangeKind.INVITE, ann, ben)
        try:
            ann.apply(ann.groups.received(ben.id, note_of(log), world.now))
        except NotYetError:
            refused += 1
    states = [group.standing for group in ann.groups.book]
    assert states == [Standing.INVITED] * MAX_INVITATIONS
    assert refused == 8


def hanging(key: StationKey, group: GroupId, number: int) -> Change:
    """A change that is made upon one that does not exist."""
    parents = (number.to_bytes(32, "big"),)
    return make_change(key, ChangeKind.RENAME, group=group, parents=parents, depth=1000, name="x")


def test_strangers_fill_neither_what_waits_nor_the_questions() -> None:
    world = with_admins()
    ann, ben, cat, *_ = world.members
    group = group_of(world)
    for number in range(MAX_ASKS):
        key = StationKey.from_bytes((1000 + number).to_bytes(32, "big"))
        note = GroupNote(group, changes=(hanging(key, group, number + 1).raw,))
        with pytest.raises(NotYetError):
            cat.groups.received(key.id, note.encode(), world.now)
    assert cat.of(group).orphans == {}
    world.later(30.0)
    assert world.queue == []  # nobody is asked
    # What members made in disorder is taken, and asked for.
    lost = ann.groups.rename(group, "One", world.now)
    for number in range(4):
        lost = ann.groups.rename(group, f"{number}" * 30, world.now)
    late = ben.of(group)
    assert lost.after is not None
    newest = lost.after.log.changes[-1]
    cat.take(ann.id, GroupNote(group, changes=(newest.raw,)).encode())
    assert list(cat.of(group).orphans) == [newest.hash]
    world.deliver()
    for _ in range(3):
        world.later(30.0)
        world.deliver()
    assert cat.of(group).name == "3" * 30
    assert late.name == "Rescue"


def test_a_removal_that_came_too_early_is_not_forgotten_in_a_restart() -> None:
    world = with_admins()
    ann, _, cat, dan, _ = world.members
    group = group_of(world)
    log, first = grown(ann.of(group).log, ann.key, ChangeKind.RENAME, name="n" * 40)
    log, removal = grown(log, ann.key, ChangeKind.REMOVE, dan)
    cat.take(ann.id, GroupNote(group, changes=(removal.raw,)).encode())
    assert dan.id in cat.of(group).members
    cat.restart()
    cat.take(ann.id, GroupNote(group, changes=(first.raw,)).encode())
    assert dan.id not in cat.of(group).members
    assert cat.of(group).orphans == {}
    assert log.bytes < MAX_LOG


def test_a_removal_whose_ground_is_missing_is_asked_for_after_a_restart() -> None:
    world = with_admins()
    ann, _, cat, dan, _ = world.members
    group = group_of(world)
    result = ann.groups.rename(group, "n" * 40, world.now)
    result = ann.groups.remove(group, dan.id, world.now)
    assert result.after is not None
    removal = result.after.log.changes[-1]
    cat.take(ann.id, GroupNote(group, changes=(removal.raw,)).encode())
    cat.restart()
    for _ in range(3):
        world.later(30.0)
        world.deliver()
    assert dan.id not in cat.of(group).members


def test_nothing_is_told_about_a_group_that_our_operator_never_wanted() -> None:
    world = strangers(2)
    ann, eve = world.members
    log = full_invitation(eve, ann)
    ann.take(eve.id, note_of(log))
    ask = GroupNote(log.group, heads=log.changes[0].parents or (bytes(32),)).encode()
    assert ann.groups.received(eve.id, ask, world.now).notes == ()
    assert all(not result.notes for result in ann.groups.tell_again(eve.id, world.now))
    ann.do(lambda groups: groups.leave(log.group, world.now))
    told = [note for result in ann.groups.tell_again(eve.id, world.now) for note in result.notes]
    assert 0 < sum(len(note) for _, note in told) < 2000  # that we have left, and no more


def test_who_asks_again_and_again_is_answered_ever_more_rarely() -> None:
    world = with_admins()
    ann, ben, *_ = world.members
    group = group_of(world)
    ask = GroupNote(group, heads=(bytes(32),)).encode()
    answers = 0
    for _ in range(24 * 360):
        world.now = type(world.now)(0, False, world.now.awake_s + 10.0)
        answers += len(ann.groups.received(ben.id, ask, world.now).notes)
    assert 24 <= answers <= 40
    world.later(3 * 3600.0)
    assert ann.groups.received(ben.id, ask, world.now).notes
