"""The station against disks that fail, state that was lost and peers that mean harm."""

from __future__ import annotations

import random

import pytest
from core_node import Node, join

from appliance.adapters.store.stations import set_value
from appliance.model.identity import Address, StationId, StationKey
from appliance.model.message import DeliveryState, Receipt, Text
from appliance.model.record import MAX_LAMPORT, Certainty, RecordKind, Stamp, make_record
from appliance.node.clock import MAX_JUMP
from appliance.node.directory import MAX_STATIONS, Directory, Trust
from appliance.node.effects import StationChanged
from appliance.node.own_card import CARD_VALUE
from appliance.node.ports import SetValue
from appliance.node.usage import SessionInfo
from appliance.protocol.frames import Channel


def rename(node: Node, name: str) -> None:
    node.do(node.station.set_name(name, node.now, done=lambda: None, failed=lambda _: None))


def test_two_names_at_once_reach_others_in_their_order() -> None:
    a, b = Node(), Node()
    join(a, b)
    rename(a, "Mill")
    rename(a, "Mill Road")
    a.settle()
    for card in a.take(Channel.CARD):
        b.hear(a.id, Channel.CARD, card)
    assert a.station.name == b.station.directory.get(a.id).name == "Mill Road"


def test_a_card_that_tells_something_else_takes_no_new_name_back() -> None:
    a, b = Node(), Node()
    join(a, b)
    rename(a, "Mill")
    # Before the disk has that, somebody with our key makes us answer.
    copy = SessionInfo(9, a.id, b"other bo", False, "10.0.0.1", "10.0.0.9", a.at)
    a.do(a.station.session_opened(copy, a.now))
    a.settle()
    assert a.station.name == "Mill"
    for card in a.take(Channel.CARD):
        b.hear(a.id, Channel.CARD, card)
    assert b.station.directory.get(a.id).name == "Mill"


def test_a_station_that_lost_its_store_but_not_its_key_is_believed_again() -> None:
    # By far most starts are so; one in some hundreds passes its first card, and keeps no name.
    a, b = Node(random_bytes=random.Random(1).randbytes), Node()
    rename(a, "Mill")
    a.settle()
    join(a, b)
    reborn = Node(a.key, random_bytes=random.Random(2).randbytes)
    b.close(a.id)
    join(reborn, b)
    card = b.station.directory.get(a.id).card
    assert card is not None
    assert card.prekey == reborn.station.card.prekey
    assert reborn.station.name == card.name == "Mill"


def test_an_old_card_replayed_changes_nothing() -> None:
    a, b = Node(), Node()
    a.open(b.id)
    (old,) = a.take(Channel.CARD)
    rename(a, "Mill")
    a.settle()
    (new,) = a.take(Channel.CARD)
    b.open(a.id)
    b.take(Channel.CARD)
    b.hear(a.id, Channel.CARD, new)
    b.hear(a.id, Channel.CARD, old)
    assert b.station.directory.get(a.id).name == "Mill"
    assert b.take(Channel.CARD) == [new]
    a.hear(b.id, Channel.CARD, old)
    assert not a.waiting
    assert a.station.name == "Mill"


def test_a_card_that_is_damaged_on_disk_does_not_keep_the_station_from_starting() -> None:
    a, b = Node(), Node()
    join(a, b)
    set_value(a.db, SetValue(CARD_VALUE, b"damaged"))
    a.db.execute("UPDATE stations SET card = x'00', trust = 'verified'")
    again = Node(a.key, a.db)
    assert again.station.directory.get(b.id).trust is Trust.VERIFIED
    b.close(a.id)
    join(again, b)
    assert again.station.directory.get(b.id).card is not None
    seen = b.station.directory.get(a.id).card
    assert seen is not None
    assert seen.prekey == again.station.card.prekey


def test_another_key_over_the_same_store_has_a_card_of_its_own() -> None:
    """After a damaged key the operator is told to start with a new one."""
    a, b = Node(), Node()
    rename(a, "Mill")
    a.settle()
    another = Node(db=a.db)
    join(another, b)
    assert b.station.directory.get(another.id).card is not None


def test_a_disk_that_was_full_at_the_first_start_leaves_a_card_later() -> None:
    a = Node(disk_full=True)
    b = Node()
    a.disk_full = False
    join(a, b)
    assert b.station.directory.get(a.id).card is not None


def test_a_flood_of_names_costs_a_few_writes() -> None:
    a, b = Node(), Node()
    join(a, b)
    b.changes.clear()
    for number in range(200):
        rename(a, f"Mill {number}")
        a.settle()
    for card in a.take(Channel.CARD):
        b.hear(a.id, Channel.CARD, card)
    assert 0 < sum(isinstance(change, StationChanged) for change in b.changes) < 20
    b.close(a.id)
    b.at += 60
    join(a, b)
    assert b.station.directory.get(a.id).name == "Mill 199"


@pytest.mark.parametrize("backwards", [False, True])
def test_strangers_make_room_in_the_order_in_which_they_were_met(backwards: bool) -> None:
    directory = Directory(StationKey.generate().id)
    ids = [StationId(number.to_bytes(32, "big")) for number in range(MAX_STATIONS + 1)]
    for number, one in enumerate(ids):
        directory.met(one, wall_ms=-number if backwards else number, sure=False)
        directory.met(ids[0], wall_ms=0, sure=False)
    assert ids[0] in directory
    assert ids[-1] in directory
    assert ids[1] not in directory


def test_records_that_are_not_kept_use_up_no_counter() -> None:
    a, b = Node(), Node()
    join(a, b)
    far = Stamp(MAX_LAMPORT - 1, b"b" * 8, 0, 0, Certainty.UNSET)
    text = Text(b.id, "from the future").encode()
    lie = make_record(b.key, RecordKind.MESSAGE, text, stamp=far)
    nothing = Receipt(DeliveryState.READ, (bytes(32),)).encode()
    receipt = make_record(b.key, RecordKind.RECEIPT, nothing, stamp=far, to=(Address(a.id),))
    before = a.station.clock._counter
    for _ in range(50):
        a.hear(b.id, Channel.RECORD, lie.raw)
        a.hear(b.id, Channel.RECORD, receipt.raw)
    assert a.station.clock._counter < before + 2 * MAX_JUMP
