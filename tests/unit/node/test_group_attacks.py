"""What members, former members and strangers try with groups, and how far they get."""

from __future__ import annotations

import pytest
from group_world import GroupWorld, Member, group_of, with_admins

from appliance.model.codec import FormatError, encode
from appliance.model.group_change import (
    GROUP_CONTEXT,
    Change,
    ChangeKind,
    History,
    change_hash_of,
    make_change,
    read_change,
)
from appliance.model.group_note import GroupKey, GroupNote
from appliance.model.identity import StationId
from appliance.model.secret import Secret
from appliance.node.group_book import MAX_INVITATIONS, MAX_INVITATIONS_OF_ONE, NotYetError
from appliance.node.group_log import GroupLog
from appliance.node.group_state import MAX_KEYS_OF_ONE, MAX_ORPHANS, Standing


@pytest.fixture
def world() -> GroupWorld:
    """Ann founded, Ben and then Cat are admins, Dan is a member, Eve is not."""
    return with_admins()


def change_by(
    maker: Member,
    kind: ChangeKind,
    upon: GroupLog,
    *,
    subjects: tuple[StationId, ...] = (),
    name: str = "",
    depth: int | None = None,
    parents: tuple[bytes, ...] | None = None,
) -> Change:
    """Make a change that its maker's own station would not make."""
    found = [change for change in map(upon.get, parents or upon.heads) if change is not None]
    return make_change(
        maker.key,
        kind,
        group=upon.group,
        parents=upon.heads if parents is None else parents,
        depth=max(change.depth for change in found) + 1 if depth is None else depth,
        subjects=subjects,
        name=name,
    )


def bring(to: Member, by: Member, *changes: Change) -> None:
    """Let a station bring changes to another; raises FormatError if they are refused."""
    note = GroupNote(changes[0].group, changes=tuple(change.raw for change in changes))
    to.apply(to.groups.received(by.id, note.encode(), to.world.now))


def test_who_is_no_admin_can_change_nothing(world: GroupWorld) -> None:
    ann, _, _, dan, eve = world.members
    log = ann.of(group_of(world)).log
    for maker in (dan, eve):
        for change in (
            change_by(maker, ChangeKind.INVITE, log, subjects=(eve.id,)),
            change_by(maker, ChangeKind.REMOVE, log, subjects=(ann.id,)),
            change_by(maker, ChangeKind.APPOINT, log, subjects=(dan.id,)),
            change_by(maker, ChangeKind.DISMISS, log, subjects=(ann.id,)),
            change_by(maker, ChangeKind.RENAME, log, name="Mine"),
            change_by(maker, ChangeKind.POLICY, log),
        ):
            with pytest.raises(FormatError):
                bring(ann, maker, change)
    assert ann.of(group_of(world)).log is log


def test_nobody_leaves_for_another_or_twice(world: GroupWorld) -> None:
    ann, _, _, dan, eve = world.members
    log = ann.of(group_of(world)).log
    joined = ann.of(group_of(world)).members[dan.id].joined
    brought = log.get(joined)
    assert brought is not None
    with pytest.raises(FormatError):
        bring(ann, eve, change_by(eve, ChangeKind.LEAVE, log, parents=(joined,)))
    with pytest.raises(FormatError):  # upon anything else: there could be any number of these
        bring(ann, dan, change_by(dan, ChangeKind.LEAVE, log))
    for other in log.changes:
        if other.hash != joined:
            parents = tuple(sorted((joined, other.hash)))
            with pytest.raises(FormatError):
                bring(ann, dan, change_by(dan, ChangeKind.LEAVE, log, parents=parents))
    bring(ann, dan, change_by(dan, ChangeKind.LEAVE, log, parents=(joined,)))
    size = len(ann.of(group_of(world)).log)
    bring(ann, dan, change_by(dan, ChangeKind.LEAVE, log, parents=(joined,)))
    assert len(ann.of(group_of(world)).log) == size


def test_an_admin_can_not_remove_who_was_there_before(world: GroupWorld) -> None:
    ann, ben, cat, _, _ = world.members
    log = ann.of(group_of(world)).log
    for maker, subject in ((ben, ann), (cat, ann), (cat, ben)):
        for kind in (ChangeKind.REMOVE, ChangeKind.DISMISS):
            with pytest.raises(FormatError):
                bring(ann, maker, change_by(maker, kind, log, subjects=(subject.id,)))


def test_what_a_removed_admin_makes_upon_an_older_state_does_not_count(world: GroupWorld) -> None:
    ann, ben, cat, dan, eve = world.members
    group = group_of(world)
    old = ann.of(group).log
    world.island = {dan.id: 1}
    ann.do(lambda groups: groups.remove(group, ben.id, world.now))
    world.deliver()
    # Ben invites an accomplice, makes it an admin, which removes Cat: all upon the old state.
    invited = change_by(ben, ChangeKind.INVITE, old, subjects=(eve.id,))
    log, _ = old.with_changes([invited])
    appointed = change_by(ben, ChangeKind.APPOINT, log, subjects=(eve.id,))
    log, _ = log.with_changes([appointed])
    removed = change_by(eve, ChangeKind.REMOVE, log, subjects=(dan.id,))
    fork = [invited, appointed, removed]
    bring(cat, ben, *fork)
    assert set(cat.of(group).members) == {ann.id, cat.id, dan.id}
    assert not {change.hash for change in fork} & cat.of(group).view.effective
    # Dan has not heard of the removal: there it holds until then.
    bring(dan, ben, *fork)
    assert eve.id in dan.of(group).members
    world.island.clear()
    world.deliver()
    bring(dan, cat, *cat.of(group).log.changes)
    assert dan.of(group).view == cat.of(group).view
    assert dan.of(group).standing is Standing.IN


def test_an_accomplice_of_a_removed_admin_undoes_nothing(world: GroupWorld) -> None:
    ann, ben, cat, dan, eve = world.members
    group = group_of(world)
    old = ann.of(group).log
    ann.do(lambda groups: groups.rename(group, "One", world.now))
    ann.do(lambda groups: groups.rename(group, "Two", world.now))
    ann.do(lambda groups: groups.appoint(group, dan.id, world.now))
    world.deliver()
    dan.do(lambda groups: groups.rename(group, "By Dan", world.now))
    ann.do(lambda groups: groups.remove(group, ben.id, world.now))
    world.deliver()
    # By the old state an accomplice is appointed before Dan, and takes away what Dan has not yet.
    invited = change_by(ben, ChangeKind.INVITE, old, subjects=(eve.id,))
    log, _ = old.with_changes([invited])
    appointed = change_by(ben, ChangeKind.APPOINT, log, subjects=(eve.id,))
    log, _ = log.with_changes([appointed])
    removed = change_by(eve, ChangeKind.REMOVE, log, subjects=(dan.id,))
    for member in (ann, cat, dan):
        bring(member, eve, invited, appointed, removed)
        assert set(member.of(group).members) == {ann.id, cat.id, dan.id}
        assert member.of(group).name == "By Dan"


def test_what_an_admin_did_before_it_was_removed_stays(world: GroupWorld) -> None:
    ann, ben, cat, dan, eve = world.members
    group = group_of(world)
    ben.do(lambda groups: groups.invite(group, [eve.id], world.now))
    ben.do(lambda groups: groups.rename(group, "By Ben", world.now))
    world.deliver()
    ann.do(lambda groups: groups.remove(group, ben.id, world.now))
    world.deliver()
    for member in (ann, cat, dan, eve):
        assert set(member.of(group).members) == {ann.id, cat.id, dan.id, eve.id}
        assert member.of(group).view.is_admin(cat.id)
        assert member.of(group).name == "By Ben"
        log = member.of(group).log
        assert log.known_to_maker(*log.heads) == log.view


def test_who_was_removed_does_not_come_back_with_what_once_brought_it_in(world: GroupWorld) -> None:
    ann, _, cat, dan, _ = world.members
    group = group_of(world)
    old = ann.of(group).log.changes
    ann.do(lambda groups: groups.remove(group, dan.id, world.now))
    world.deliver()
    for member in (ann, cat, dan):
        state = member.of(group)
        bring(member, dan, *old)
        assert member.of(group).log is state.log
    assert dan.of(group).standing is Standing.OUT


def test_keys_come_from_members_alone_and_push_out_nobody_elses(world: GroupWorld) -> None:
    ann, ben, _, dan, eve = world.members
    group = group_of(world)
    theirs = set(dan.of(group).keys)
    keys = [GroupKey(Secret(bytes([n]) * 32), dan.of(group).audience) for n in range(80)]
    for start in range(0, 80, 16):
        note = GroupNote(group, keys=tuple(keys[start : start + 16])).encode()
        dan.take(eve.id, note)
        assert set(dan.of(group).keys) == theirs
    for start in range(0, 80, 16):
        note = GroupNote(group, keys=tuple(keys[start : start + 16])).encode()
        dan.take(ben.id, note)
    by_ann = {one for one in theirs if dan.of(group).keys[one].source == ann.id}
    assert by_ann
    assert by_ann <= set(dan.of(group).keys)
    by_ben = [one for one in dan.of(group).keys.values() if one.source == ben.id]
    assert len(by_ben) == MAX_KEYS_OF_ONE


def test_outsiders_learn_nothing_by_asking(world: GroupWorld) -> None:
    ann, _, cat, dan, eve = world.members
    group = group_of(world)
    ann.do(lambda groups: groups.remove(group, dan.id, world.now))
    world.deliver()
    ann.do(lambda groups: groups.rename(group, "Without Dan", world.now))
    world.deliver()
    wanted = tuple(sorted(cat.of(group).keys))
    ask = GroupNote(group, heads=cat.of(group).log.heads[:1], wanted=wanted).encode()
    assert cat.groups.received(eve.id, ask, world.now).notes == ()
    ((to, answer),) = cat.groups.received(dan.id, ask, world.now).notes
    note = GroupNote.decode(answer)
    assert to == dan.id
    assert note.keys == ()
    assert all(read_change(raw).name != "Without Dan" for raw in note.changes)
    assert cat.groups.received(dan.id, ask, world.now).notes == ()  # and not again at once


def test_a_stranger_can_not_fill_the_groups_with_invitations() -> None:
    world = GroupWorld(1, 14)
    ann, *others = world.members
    ann.distrusts = {other.id for other in others}
    for other in others:
        for number in range(6):
            name = f"Free food {number}"
            other.apply(other.groups.create(name, world.now, invite=[ann.id]))
    world.deliver()
    by_one: dict[StationId, int] = {}
    for group in ann.groups.book:
        assert group.standing is Standing.INVITED
        (notice,) = [one for one in ann.notices if one.change in group.log]
        by_one[notice.by] = by_one.get(notice.by, 0) + 1
    assert max(by_one.values()) == MAX_INVITATIONS_OF_ONE
    assert sum(by_one.values()) == MAX_INVITATIONS


def test_changes_that_hang_in_the_air_are_bounded(world: GroupWorld) -> None:
    ann, ben, *_ = world.members
    group = group_of(world)
    changes = [
        make_change(
            ben.key,
            ChangeKind.RENAME,
            group=group,
            parents=(bytes([number]) * 32,),
            depth=5,
            name="x",
        )
        for number in range(200)
    ]
    for start in range(0, MAX_ORPHANS, 16):
        bring(ann, ben, *changes[start : start + 16])
    for start in range(MAX_ORPHANS, 200, 50):  # none of them is said to have been taken
        with pytest.raises(NotYetError):
            bring(ann, ben, *changes[start : start + 50])
    assert len(ann.of(group).orphans) == MAX_ORPHANS
    assert ann.of(group).name == "Rescue"


def test_what_waits_and_turns_out_bad_does_not_spoil_what_it_waited_for(world: GroupWorld) -> None:
    ann, ben, cat, dan, _ = world.members
    group = group_of(world)
    world.island = {cat.id: 1}
    ann.do(lambda groups: groups.rename(group, "Search", world.now))
    world.deliver()
    # Dan knows of it before Cat does, and makes something upon it to which he has no right.
    bad = change_by(dan, ChangeKind.REMOVE, dan.of(group).log, subjects=(ann.id,))
    state = cat.of(group)
    result = cat.groups.received(dan.id, GroupNote(group, changes=(bad.raw,)).encode(), world.now)
    assert list(cat.of(group).orphans) == [bad.hash]
    assert result.save is not None
    assert cat.of(group).view == state.view
    world.island.clear()
    world.deliver()
    assert cat.of(group).name == "Search"
    assert cat.of(group).orphans == {}
    assert set(cat.of(group).members) == {ann.id, ben.id, cat.id, dan.id}


def test_forged_changes_are_refused(world: GroupWorld) -> None:
    ann, ben, *_ = world.members
    group = group_of(world)
    log = ann.of(group).log
    good = change_by(ben, ChangeKind.RENAME, log, name="Good")
    body = {0: 4, 1: ben.id.key, 2: list(good.parents), 3: good.depth, 5: "Good", 8: group.value}
    wrong: list[dict[int, object]] = [
        body | {1: ann.id.key},
        body | {2: []},
        body | {2: [*good.parents, *good.parents]},
        body | {3: 0},
        body | {3: 1 << 16},
        body | {5: ""},
        body | {5: "a\nb"},
        body | {5: " a"},
        body | {5: "n" * 41},
        body | {7: bytes(16)},
        body | {8: bytes(31)},
        body | {0: 99},
        body | {9: 0},
        {0: 0, 1: ben.id.key, 2: [], 3: 0, 5: "x", 6: 2, 7: bytes(16)},
        {0: 1, 1: ben.id.key, 2: list(good.parents), 3: 9, 4: [], 8: group.value},
        {0: 1, 1: ben.id.key, 2: list(good.parents), 3: 9, 4: [bytes(32)] * 2, 8: group.value},
        {0: 1, 1: ben.id.key, 2: list(good.parents), 3: 9, 4: [bytes(32)] * 64, 8: group.value},
    ]
    for fields in wrong:
        data = encode(fields)
        with pytest.raises(FormatError):
            read_change(encode([data, ben.key.sign(GROUP_CONTEXT, data)]))
    for raw in (good.raw[:-1] + b"x", good.raw + b"x", encode([b"", b""]), encode([]), b""):
        with pytest.raises(FormatError):
            read_change(raw)
    with pytest.raises(FormatError):
        change_hash_of(encode([1, 2]))
    deeper = change_by(ben, ChangeKind.RENAME, log, name="Deep", depth=good.depth + 1)
    with pytest.raises(FormatError):
        bring(ann, ben, deeper)
    bring(ann, ben, good)
    assert ann.of(group).name == "Good"


def test_changes_of_one_group_mean_nothing_in_another(world: GroupWorld) -> None:
    ann, ben, *_ = world.members
    first = group_of(world)
    second = ann.do(lambda groups: groups.create("Other", world.now, invite=[ben.id])).group
    world.deliver()
    foreign = change_by(ann, ChangeKind.POLICY, ann.of(first).log)
    note = GroupNote(second, changes=(foreign.raw,)).encode()
    with pytest.raises(FormatError):
        ben.groups.received(ann.id, note, world.now)
    assert ben.of(second).history is History.NONE
