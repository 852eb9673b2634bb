"""A card that the disk would not take is written again without anybody's asking."""

from __future__ import annotations

import pytest
from core_node import Node

from appliance.node.own_card import RETRY_S
from appliance.protocol.frames import Channel


def pass_time(node: Node, seconds: float) -> None:
    """Let time pass, and the station do what is due."""
    until = node.at + seconds
    while (at := node.station.next_wakeup(node.now)) is not None and at <= until:
        node.at = max(at, node.at + 0.01)
        node.do(node.station.wakeup(node.now))
        node.settle()
    node.at = until


def shown(node: Node) -> tuple[int, bytes] | None:
    """Return the card that others are shown."""
    return node.station.card.shown


def test_the_first_card_comes_when_there_is_room_again() -> None:
    node = Node(disk_full=True)
    other = Node()
    node.open(other.id)
    assert shown(node) is None
    pass_time(node, 20 * RETRY_S)
    assert shown(node) is None
    node.take(Channel.CARD)

    node.disk_full = False
    pass_time(node, RETRY_S + 1)
    card = shown(node)
    assert card is not None
    assert node.take(Channel.CARD) == [card[1]]

    pass_time(node, 20 * RETRY_S)
    assert shown(node) == card, "one is enough"


def test_a_name_that_was_refused_is_not_taken_later() -> None:
    node = Node(disk_full=True)
    refused: list[str] = []
    node.do(
        node.station.set_name(
            "Alpha", node.now, done=lambda: pytest.fail("it is full"), failed=refused.append
        )
    )
    node.settle()
    assert refused == ["full"]

    node.disk_full = False
    pass_time(node, RETRY_S + 1)
    assert shown(node) is not None
    assert node.station.name == node.id.default_name


def test_a_start_that_only_repeats_an_old_card_is_made_up_for() -> None:
    first = Node()
    before = shown(first)
    again = Node(first.key, first.db, disk_full=True)
    assert shown(again) == before
    again.disk_full = False
    pass_time(again, RETRY_S + 1)
    after = shown(again)
    assert before is not None
    assert after is not None
    assert after[0] > before[0]
