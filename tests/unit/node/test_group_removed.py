"""Who is out reads nothing that is written then, and what it wrote before is not lost."""

from __future__ import annotations

from dataclasses import replace

import pytest
from group_world import GroupWorld, Member, group_of, with_admins

from appliance.model.group import GroupId
from appliance.model.group_change import ChangeKind, History, make_change
from appliance.model.group_note import GroupKey, GroupNote
from appliance.model.secret import Secret
from appliance.node.group_messages import KEYS_FOR_READERS, SealedToGroup
from appliance.node.group_rules import GroupRefusedError
from appliance.protocol.sealing import OpenError


def keys_of(member: Member, group: GroupId) -> set[bytes]:
    return set(member.of(group).keys)


@pytest.mark.parametrize("seed", [1, 5, 10, 11])
def test_who_got_the_history_can_not_read_on_when_it_is_removed(seed: int) -> None:
    world = GroupWorld(seed, 3)
    ann, ben, dan = world.members
    group = ann.do(
        lambda groups: groups.create("Rescue", world.now, history=History.ALL, invite=[ben.id])
    ).group
    world.deliver()
    ann.do(lambda groups: groups.invite(group, [dan.id], world.now))
    world.deliver()
    ann.do(lambda groups: groups.remove(group, dan.id, world.now))
    world.deliver()
    for writer in (ann, ben):
        record = writer.write(group, b"without dan")
        assert record is not None
        assert record.prekey not in keys_of(dan, group)
    world.deliver()
    assert ann.inbox == [(ben.id, b"without dan")]
    assert dan.inbox == []


def test_who_was_invited_in_vain_can_not_read_on() -> None:
    world = GroupWorld(3, 4)
    ann, ben, cat, dan = world.members
    group = ann.do(
        lambda groups: groups.create(
            "Rescue", world.now, history=History.ALL, invite=[ben.id, cat.id]
        )
    ).group
    ann.do(lambda groups: groups.appoint(group, ben.id, world.now))
    world.deliver()
    world.island = {ben.id: 1, dan.id: 1}
    ann.do(lambda groups: groups.dismiss(group, ben.id, world.now))
    ben.do(lambda groups: groups.invite(group, [dan.id], world.now))
    world.deliver()
    assert dan.id in ben.of(group).members
    world.island.clear()
    world.deliver()
    for writer in (ann, ben, cat):
        assert set(writer.of(group).members) == {ann.id, ben.id, cat.id}
        record = writer.write(group, b"without dan")
        assert record is not None
        assert record.prekey not in keys_of(dan, group)


def test_who_expects_to_be_removed_makes_no_key_for_those_who_remain() -> None:
    world = with_admins()
    ann, ben, cat, dan, _ = world.members
    group = group_of(world)
    # All of a change is known beforehand but its signature, and that is not part of its hash.
    state = dan.of(group)
    removal = make_change(
        ann.key,
        ChangeKind.REMOVE,
        group=group,
        parents=state.log.heads,
        depth=max(change.depth for change in state.log.changes) + 1,
        subjects=(dan.id,),
    )
    to_come = replace(ann.of(group), log=state.log.with_changes([removal])[0])
    keys = [GroupKey(Secret(bytes([n]) * 32), to_come.audience) for n in range(16)]
    for other in (ann, ben, cat):
        other.take(dan.id, GroupNote(group, keys=tuple(keys)).encode())
    ann.do(lambda groups: groups.remove(group, dan.id, world.now))
    world.deliver()
    assert ann.of(group).audience == to_come.audience
    for writer in (ann, ben, cat):
        record = writer.write(group, b"without dan")
        assert record is not None
        assert record.prekey not in {key.id_in(group) for key in keys}


def test_what_somebody_wrote_before_it_left_is_read_by_those_who_hear_that_first() -> None:
    world = with_admins()
    ann, ben, cat, dan, _ = world.members
    group = group_of(world)
    last = dan.write(group, b"the key is under the mat")
    assert last is not None
    world.queue.clear()
    dan.do(lambda groups: groups.leave(group, world.now))
    world.deliver()
    for other in (ann, ben, cat):
        other.restart()
        assert dan.id not in other.of(group).members
        assert other.groups.messages.open(last) == b"the key is under the mat"
    ann.do(lambda groups: groups.rename(group, "Later", world.now))
    world.deliver()
    secret = ann.write(group, b"among us")
    world.deliver()
    assert secret is not None
    assert secret.prekey is not None
    # Under what the others use by now it could write nothing.
    held = ben.of(group).keys[secret.prekey]
    assert not held.key.made_for(dan.id, ben.of(group).log.brought(dan.id))


def test_what_ended_one_stay_counts_for_those_too_who_hear_of_the_next_with_it() -> None:
    world = with_admins()
    ann, ben, cat, dan, _ = world.members
    group = group_of(world)
    world.island = {cat.id: 1}
    dan.do(lambda groups: groups.leave(group, world.now))
    world.deliver()
    ann.do(lambda groups: groups.invite(group, [dan.id], world.now))
    world.deliver()
    log = ann.of(group).log
    known = set(cat.of(group).log.changes)
    bring = GroupNote(group, changes=tuple(one.raw for one in log.changes if one not in known))
    cat.take(ann.id, bring.encode())
    for one in (ann, ben, cat):
        assert log.known_to_maker(log.heads[0]) == one.of(group).view
    kinds = [(notice.kind, notice.by) for notice in cat.notices[-2:]]
    assert kinds == [(ChangeKind.LEAVE, dan.id), (ChangeKind.INVITE, ann.id)]


def test_a_message_that_is_too_long_makes_no_key_of_which_nobody_is_told() -> None:
    world = with_admins()
    ann, ben, *_ = world.members
    group = group_of(world)
    ben.do(lambda groups: groups.leave(group, world.now))
    world.deliver()
    state = ann.of(group)
    with pytest.raises(ValueError, match="longer"):
        ann.groups.messages.seal(group, bytes(80_000), world.now)
    assert ann.of(group) is state
    sealed = ann.groups.messages.seal(group, b"shorter", world.now)
    assert isinstance(sealed, SealedToGroup)
    assert sealed.result is not None
    assert sealed.result.notes


def test_readers_who_have_every_message_sealed_again_do_not_have_keys_made_without_end() -> None:
    world = with_admins()
    ann, *_ = world.members
    group = group_of(world)
    used = [ann.groups.messages.seal(group, b"x", world.now).key]
    while used[-1] != list(ann.of(group).keys)[-1]:
        used.append(ann.groups.messages.seal(group, b"x", world.now, avoid=used[-1]).key)
    for _ in range(KEYS_FOR_READERS):
        again = ann.groups.messages.seal(group, b"x", world.now, avoid=used[-1])
        assert again.key not in used
        used.append(again.key)
    with pytest.raises(GroupRefusedError):
        ann.groups.messages.seal(group, b"x", world.now, avoid=used[-1])
    assert ann.groups.messages.seal(group, b"y", world.now).key in used
    world.later(3700.0)
    assert ann.groups.messages.seal(group, b"x", world.now, avoid=used[-1]).key not in used


def test_who_is_removed_learns_nothing_of_what_came_then() -> None:
    world = GroupWorld(1, 5)
    ann, ben, cat, dan, _ = world.members
    group = ann.do(lambda groups: groups.create("Rescue", world.now, invite=[ben.id, cat.id])).group
    ann.do(lambda groups: groups.appoint(group, ben.id, world.now))
    world.deliver()
    ben.do(lambda groups: groups.invite(group, [dan.id], world.now))
    world.deliver()
    ann.do(lambda groups: groups.remove(group, dan.id, world.now))
    world.queue = [one for one in world.queue if one[1] is dan]
    ann.do(lambda groups: groups.rename(group, "Without Dan", world.now))
    world.deliver()  # Ben hears of both at once
    assert ben.of(group).name == "Without Dan"
    assert dan.of(group).name == "Rescue"
    late = ann.write(group, b"x")
    assert late is not None
    with pytest.raises(OpenError):
        dan.groups.messages.open(late)
