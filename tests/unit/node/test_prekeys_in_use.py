"""Stations whose prekeys rotate: cards tell it, and what was on its way for long still arrives."""

from __future__ import annotations

import os
from typing import Any

import pytest
from core_node import Node, carry, join
from test_gossip import sight

from appliance.model.identity import Address
from appliance.model.message import DeliveryState
from appliance.node.carry import LIFETIME_S
from appliance.node.prekeys import DAY_S, GRACE_S, ROTATE_AFTER_S
from appliance.node.writing import Draft


def pass_time(node: Node, seconds: float) -> None:
    """By the day, so that what is due in between is done about when it is."""
    until = node.at + seconds
    while node.at < until:
        node.at = min(until, node.at + DAY_S)
        for _ in range(4):
            node.do(node.station.wakeup(node.now))
            node.settle()


def test_a_new_prekey_is_on_disk_in_the_card_and_at_the_neighbour() -> None:
    a, b = Node(), Node()
    sight(a, b)
    join(a, b)
    first = a.station.own.prekeys.current
    seen = b.station.directory.get(a.id).card
    assert seen is not None
    assert seen.prekey == first
    pass_time(a, ROTATE_AFTER_S + 1)
    a.sent = [send for send in a.sent if send.peer == b.id]
    carry(a, b)
    seen = b.station.directory.get(a.id).card
    assert seen is not None
    assert seen.prekey == a.station.own.prekeys.current != first
    assert set(a.prekeys.kept) == {first.id, seen.prekey.id}
    assert a.prekeys.kept[first.id].retired_s is not None
    assert a.prekeys.ring(os.urandom).current == seen.prekey


@pytest.mark.parametrize(
    ("away_s", "destroyed"), [(ROTATE_AFTER_S + GRACE_S - DAY_S, False), (60 * DAY_S, True)]
)
def test_a_message_to_a_former_prekey_arrives_within_the_grace_and_after_it(
    away_s: float, destroyed: bool
) -> None:
    """The author's board is off meanwhile: for its message no time passes."""
    a, b = Node(), Node()
    sight(a, b)
    join(a, b)
    a.close(b.id)
    b.close(a.id)
    written: list[Any] = []
    draft = Draft(Address(b.id), "hello", lifetime_s=int(LIFETIME_S))
    a.do(a.station.write(draft, a.now, done=written.append, failed=pytest.fail))
    a.settle()
    assert len(written) == 1
    first = b.station.own.prekeys.current.id
    pass_time(b, away_s)
    assert (b.station.own.prekeys.get(first) is None) == destroyed
    assert (first not in b.prekeys.kept) == destroyed
    a.sent.clear()
    b.sent.clear()
    sight(a, b)
    join(a, b)
    for _ in range(5):
        for node in (a, b):
            node.at += 10.0
            node.do(node.station.wakeup(node.now))
            node.settle()
        carry(a, b)
    texts = [text for (text,) in b.db.execute("SELECT text FROM messages WHERE NOT outgoing")]
    assert texts == ["hello"]
    states = [state for (state,) in a.db.execute("SELECT state FROM recipients")]
    assert states == [int(DeliveryState.DELIVERED)]
