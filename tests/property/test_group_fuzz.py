"""Whatever comes as a note about a group, nothing but a refusal comes of it."""

from __future__ import annotations

import contextlib

from format_samples import anything
from group_world import GroupWorld
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.model.codec import FormatError, encode
from appliance.model.group import GroupId, conversation_key, conversation_of
from appliance.model.group_change import MAX_SUBJECTS, change_hash_of, make_change, read_change
from appliance.model.group_change import ChangeKind as Kind
from appliance.model.group_note import GroupKey, GroupNote
from appliance.model.identity import StationId, StationKey
from appliance.model.secret import Secret
from appliance.node.group_state import read_group
from appliance.protocol.sealing import OpenError

ANN = StationKey.from_bytes(bytes([1]) * 32)
ids = st.binary(min_size=32, max_size=32)


def some_world() -> tuple[GroupWorld, GroupId]:
    world = GroupWorld(1, 3)
    ann, ben, _ = world.members
    group = ann.do(lambda groups: groups.create("Rescue", world.now, invite=[ben.id])).group
    world.deliver()
    return world, group


WORLD, GROUP = some_world()
ANNS, BENS = (member.of(GROUP) for member in WORLD.members[:2])
NOTE = GroupNote(
    GROUP,
    changes=tuple(change.raw for change in ANNS.log.changes),
    keys=tuple(held.key for held in ANNS.keys.values()),
    heads=ANNS.log.heads,
    wanted=(bytes(8),),
).encode()
STATE = ANNS.encode()


@settings(max_examples=25, deadline=None)
@given(value=st.dictionaries(st.integers(0, 5), anything, max_size=6))
def test_strange_notes_are_refused(value: dict[int, object]) -> None:
    for data in (encode(value | {0: GROUP.value}), encode(value), encode([value])):
        with contextlib.suppress(FormatError, OpenError):
            WORLD.members[1].groups.received(ANN.id, data, WORLD.now)
        with contextlib.suppress(FormatError):
            read_change(encode([data, bytes(64)]))
        with contextlib.suppress(FormatError):
            read_group(ANN.id, data)


@settings(max_examples=100, deadline=None)
@given(place=st.integers(0, len(NOTE) - 1), byte=st.integers(0, 255), cut=st.booleans())
def test_damaged_notes_and_states_change_nobody(place: int, byte: int, *, cut: bool) -> None:
    for whole in (NOTE, STATE):
        at = place % len(whole)
        damaged = whole[:at] + (b"" if cut else bytes([byte])) + whole[at + 1 :]
        _, _, eve = WORLD.members
        with contextlib.suppress(FormatError, OpenError):
            result = eve.groups.received(ANN.id, damaged, WORLD.now)
            eve.groups.book.undo(result)
        with contextlib.suppress(FormatError):
            read_group(ANN.id, damaged)
        with contextlib.suppress(FormatError):
            change_hash_of(damaged)
    ben = WORLD.members[1]
    with contextlib.suppress(FormatError, OpenError):
        ben.groups.received(ANN.id, NOTE[:place] + bytes([byte]) + NOTE[place + 1 :], WORLD.now)
    assert ben.of(GROUP).view == BENS.view


@settings(max_examples=30)
@given(
    changes=st.lists(st.binary(max_size=50), max_size=5),
    keys=st.lists(st.tuples(ids, st.integers(0, 64)), max_size=5),
    heads=st.lists(ids, max_size=5),
    wanted=st.lists(st.binary(min_size=8, max_size=8), min_size=1, max_size=5),
)
def test_notes_survive_the_way(
    changes: list[bytes],
    keys: list[tuple[bytes, int]],
    heads: list[bytes],
    wanted: list[bytes],
) -> None:
    note = GroupNote(
        GROUP,
        tuple(changes),
        tuple(GroupKey(Secret(secret), bytes(8 * size)) for secret, size in keys),
        tuple(heads),
        tuple(wanted),
    )
    assert GroupNote.decode(note.encode()) == note


@settings(max_examples=30)
@given(
    subjects=st.sets(ids.map(StationId), min_size=1, max_size=MAX_SUBJECTS),
    parents=st.sets(ids, min_size=1, max_size=8),
    depth=st.integers(1, 1000),
)
def test_changes_survive_the_way(subjects: set[StationId], parents: set[bytes], depth: int) -> None:
    change = make_change(
        ANN,
        Kind.INVITE,
        group=GROUP,
        parents=tuple(parents),
        depth=depth,
        subjects=tuple(subjects),
    )
    assert read_change(change.raw) == change
    assert change.subjects == tuple(sorted(subjects))
    assert change.parents == tuple(sorted(parents))


@settings(max_examples=30)
@given(value=ids)
def test_group_ids_survive_being_written_down(value: bytes) -> None:
    group = GroupId(value)
    assert GroupId.parse(group.text) == group
    assert conversation_of(conversation_key(group)) == group
