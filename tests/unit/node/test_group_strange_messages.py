"""Messages to groups by those who may not write there, or that are not what they seem."""

from __future__ import annotations

import pytest
from group_world import STAMP, GroupWorld, Member, group_of, with_admins

from appliance.model.codec import FormatError
from appliance.model.group import GroupId
from appliance.model.group_note import GroupKey
from appliance.model.identity import Address
from appliance.model.record import Record, RecordKind, make_record
from appliance.node.group_book import NotYetError
from appliance.protocol.group_sealing import seal_to_group
from appliance.protocol.sealing import OpenError


@pytest.fixture
def world() -> GroupWorld:
    """Ann founded, Ben and then Cat are admins, Dan is a member, Eve is not."""
    return with_admins()


def test_messages_of_those_who_are_out_are_refused(world: GroupWorld) -> None:
    ann, _, cat, dan, eve = world.members
    group = group_of(world)
    world.island = {dan.id: 1}
    late = dan.write(group, b"am I in?")
    ann.do(lambda groups: groups.remove(group, dan.id, world.now))
    world.deliver()
    assert late is not None
    with pytest.raises(OpenError) as caught:
        cat.groups.messages.open(late)
    assert not isinstance(caught.value, NotYetError)
    # Even with a key that a member has told her, Eve is none.
    (held, *_) = cat.of(group).keys.values()
    stolen = message(eve, group, held.key, cat.of(group).log.heads)
    with pytest.raises(OpenError) as caught:
        cat.groups.messages.open(stolen)
    assert not isinstance(caught.value, NotYetError)


def message(
    author: Member,
    group: GroupId,
    key: GroupKey,
    heads: tuple[bytes, ...],
    *,
    sealer: Member | None = None,
) -> Record:
    sealed = seal_to_group(
        b"hello",
        author=(sealer or author).id,
        group=group,
        kind=RecordKind.MESSAGE,
        key=key,
        heads=heads,
        nonce=bytes(12),
    )
    return make_record(
        author.key,
        RecordKind.MESSAGE,
        sealed,
        stamp=STAMP,
        group=group.value,
        prekey=key.id_in(group),
    )


def test_nobody_signs_for_what_another_has_sealed(world: GroupWorld) -> None:
    ann, ben, cat, _, _ = world.members
    group = group_of(world)
    (held, *_) = ann.of(group).keys.values()
    with pytest.raises(OpenError):
        ann.groups.messages.open(message(ben, group, held.key, (), sealer=cat))
    assert ann.groups.messages.open(message(ben, group, held.key, ())) == b"hello"
    record = message(ben, group, held.key, ())
    for to, prekey in (((Address(ann.id),), record.prekey), ((), None)):
        other = make_record(
            ben.key,
            RecordKind.MESSAGE,
            record.content,
            stamp=STAMP,
            to=to,
            group=group.value,
            prekey=prekey,
        )
        with pytest.raises(FormatError):
            ann.groups.messages.open(other)


def test_wrong_key_ids_wait_and_open_nothing(world: GroupWorld) -> None:
    ann, ben, _, _, eve = world.members
    group = group_of(world)
    (held, *_) = ann.of(group).keys.values()
    record = message(ben, group, held.key, ())
    other = make_record(
        ben.key,
        RecordKind.MESSAGE,
        record.content,
        stamp=STAMP,
        group=group.value,
        prekey=b"no such!",
    )
    with pytest.raises(NotYetError):
        ann.groups.messages.open(other)
    with pytest.raises(NotYetError):
        eve.groups.messages.open(record)
