"""Whoever is cut off from whom while groups change: in the end those who remain agree."""

from __future__ import annotations

import pytest
from group_world import GroupWorld, Member

from appliance.model.group import GroupId
from appliance.model.group_change import History
from appliance.node.group_log import GroupLog
from appliance.node.group_rules import GroupRefusedError
from appliance.node.group_state import Standing


def act(world: GroupWorld, member: Member, group: GroupId) -> None:
    """Let the operator of a station do something, if it may."""
    stations = [other.id for other in world.members]
    one, few = world.random.choice(stations), world.random.sample(stations, 2)
    name = f"name {world.random.randrange(100)}"
    wishes = [
        lambda groups: groups.invite(group, few, world.now),
        lambda groups: groups.invite(group, few, world.now),
        lambda groups: groups.remove(group, one, world.now),
        lambda groups: groups.remove(group, one, world.now),
        lambda groups: groups.appoint(group, one, world.now),
        lambda groups: groups.appoint(group, one, world.now),
        lambda groups: groups.dismiss(group, one, world.now),
        lambda groups: groups.rename(group, name, world.now),
        lambda groups: groups.choose_history(group, History.ALL, world.now),
        lambda groups: groups.leave(group, world.now),
    ]
    try:
        if member is world.members[0] and world.random.random() < 0.5:
            member.do(wishes[0])
        else:
            member.do(world.random.choice(wishes))
    except GroupRefusedError:
        pass


def agree(world: GroupWorld, group: GroupId) -> None:
    """Check that all who are in know the same, and that others have no key that is in use."""
    known = [member.of(group) for member in world.members if member.groups.book.get(group)]
    changes = {change.hash: change for one in known for change in one.log.changes}
    truth, orphans = GroupLog(group).with_changes(changes.values())
    assert not orphans
    for change in truth.changes:  # what grows one by one is what comes of all at once
        grown, _ = GroupLog(group).with_changes(truth.until(change.hash))
        assert grown.view == truth.known_to_maker(change.hash)
    inside = [world.by_id[station] for station in sorted(truth.view.members)]
    for member in inside:
        view = member.of(group).view
        assert member.of(group).standing is Standing.IN
        assert view.members == truth.view.members
        assert (view.name, view.history) == (truth.view.name, truth.view.history)
    for writer in inside:
        for member in world.members:
            member.inbox.clear()
        record = writer.write(group, b"in the end")
        world.deliver()
        if record is None:
            assert len(inside) == 1
            continue
        for member in world.members:
            if member in inside and member is not writer:
                assert member.inbox == [(writer.id, b"in the end")]
            elif member is not writer:
                assert member.inbox == []
                theirs = member.groups.book.get(group)
                assert theirs is None or record.prekey not in theirs.keys


@pytest.mark.parametrize("seed", range(14))
def test_all_who_remain_agree_in_the_end(seed: int) -> None:
    world = GroupWorld(seed, 6)
    founder = world.members[0]
    first = [member.id for member in world.members[1:4]]
    founded = founder.do(lambda groups: groups.create("rescue", world.now, invite=first))
    group = founded.group
    world.deliver()
    founder.do(lambda groups: groups.appoint(group, first[0], world.now))
    world.deliver()
    for _ in range(12):
        if world.random.random() < 0.3:
            world.island = {member.id: world.random.randrange(3) for member in world.members}
        member = world.random.choice(world.members)
        if member.groups.book.get(group) is not None:
            act(world, member, group)
            if world.random.random() < 0.4:
                member.write(group, b"meanwhile")
        if world.random.random() < 0.4:
            world.lose()
        if world.random.random() < 0.2:
            member.restart()
        if world.random.random() < 0.5:
            world.deliver(chaos=True)
    world.settle(group)
    agree(world, group)
