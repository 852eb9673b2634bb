"""Cards from neighbour to neighbour: floods, summaries, liars."""

from __future__ import annotations

import os
from collections import Counter

import pytest
from core_node import Node, carry, join

from appliance.model.card import Card, Prekey
from appliance.model.codec import FormatError, encode
from appliance.model.identity import StationKey
from appliance.model.record import Certainty, RecordKind, Stamp, make_record
from appliance.node import call_gate, cards, gossip
from appliance.node.cards import NEW_CARDS
from appliance.node.effects import Send
from appliance.protocol.frames import Channel
from appliance.protocol.gossip import (
    MAX_LISTED,
    START_SIZE,
    Listing,
    Summary,
    Want,
    decode_gossip,
    digest_of,
    encode_gossip,
)


def sight(a: Node, b: Node) -> None:
    """Let both hear of each other on a link, as neighbours do."""
    for here, there in ((a, b), (b, a)):
        here.do(
            here.station.whereabouts.sighted(
                there.id.tag, there.id, (("fe80::1%e", 1),), ("e",), here.now
            )
        )


def link(a: Node, b: Node) -> None:
    sight(a, b)
    join(a, b)


def carry_all(nodes: list[Node]) -> None:
    for _ in range(20):
        for a in nodes:
            for b in nodes:
                if a is not b:
                    carry_between(a, b)


def carry_between(a: Node, b: Node) -> None:
    sent, a.sent = a.sent, []
    for send in sent:
        if send.peer == b.id:
            b.hear(a.id, send.channel, send.data)
        else:
            a.sent.append(send)


def knows(a: Node, b: Node) -> bool:
    return a.station.directory.get(b.id).card is not None


def test_cards_reach_everybody_on_a_line_whatever_the_order() -> None:
    nodes = [Node() for _ in range(5)]
    for a, b in ((0, 1), (3, 4), (2, 3), (1, 2)):
        sight(nodes[a], nodes[b])
        nodes[a].open(nodes[b].id)
        nodes[b].open(nodes[a].id)
        carry_all(nodes)
    assert all(knows(a, b) for a in nodes for b in nodes if a is not b)
    # Nothing more is said when all have all.
    for node in nodes:
        node.at += 100.0
        node.do(node.station.wakeup(node.now))
    told = Counter(message.channel for node in nodes for message in node.sent)
    carry_all(nodes)
    assert told[Channel.GOSSIP] == 8, "a summary from each end of each session"
    assert told.keys() == {Channel.GOSSIP, Channel.SYNC}
    assert not any(node.sent for node in nodes)
    # A new name floods.
    nodes[0].do(
        nodes[0].station.set_name("Mill", nodes[0].now, done=lambda: None, failed=lambda _: None)
    )
    nodes[0].settle()
    carry_all(nodes)
    assert {node.station.directory.get(nodes[0].id).name for node in nodes[1:]} == {"Mill"}


def test_a_card_that_is_older_changes_nothing() -> None:
    a, b, c = Node(), Node(), Node()
    link(a, b)
    old = a.station.card.raw
    assert old is not None
    a.do(a.station.set_name("Mill", a.now, done=lambda: None, failed=lambda _: None))
    a.settle()
    carry(a, b)
    link(b, c)
    carry(b, c)
    assert c.station.directory.get(a.id).name == "Mill"
    c.hear(b.id, Channel.CARD, old)
    assert c.station.directory.get(a.id).name == "Mill"


def test_a_card_does_not_go_to_those_who_listed_it() -> None:
    a, b, c, new = Node(), Node(), Node(), Node()
    link(a, b)
    link(a, c)
    link(b, new)
    card = new.station.card.raw
    assert card is not None
    listed = ((new.id.key[:START_SIZE], new.station.card.sequence),)
    a.hear(c.id, Channel.GOSSIP, encode_gossip(Listing(listed)))
    a.sent.clear()
    a.hear(b.id, Channel.CARD, card)
    assert knows(a, new)
    assert not [send for send in a.sent if send.peer == c.id and send.channel is Channel.CARD]
    # A newer one does.
    new.do(new.station.set_name("Mill", new.now, done=lambda: None, failed=lambda _: None))
    new.settle()
    newer = new.station.card.raw
    assert newer is not None
    a.hear(b.id, Channel.CARD, newer)
    assert Send(c.id, Channel.CARD, newer) in a.sent


def test_a_neighbour_that_invents_stations_is_believed_slowly() -> None:
    a, b = Node(), Node()
    link(a, b)
    stamp = Stamp(1, os.urandom(8), 0, 0, b.station.clock.stamp(b.now.moment, uptime_s=0).certainty)
    card = b.station.card.raw
    assert card is not None
    forged = encode([b"x" * 100, b"y" * 64])
    before = len(a.station.directory.all())
    try:
        a.station.message_received(1, b.id, Channel.CARD, forged, a.now)
    except FormatError:
        pytest.fail("it ends the session instead")
    assert len(a.station.directory.all()) == before
    gate = a.station.cards._new
    allowed = sum(gate.allows(b.id, a.at) for _ in range(NEW_CARDS + 500))
    assert allowed == NEW_CARDS
    key = StationKey.generate()
    record = make_record(key, RecordKind.MESSAGE, b"no card", stamp=stamp)
    a.hear(b.id, Channel.CARD, record.raw)
    assert key.id not in a.station.directory


def card_of(key: StationKey, sequence: int) -> bytes:
    """A card as somebody makes it who makes stations up."""
    card = Card(sequence, "Invented", (), Prekey(bytes(8), bytes(32)))
    stamp = Stamp(sequence, bytes(8), 0, 0, Certainty.UNSET)
    return make_record(key, RecordKind.CARD, card.encode(), stamp=stamp).raw


def test_a_neighbour_that_renews_what_it_has_invented_is_believed_slowly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(call_gate, "MAX_PEERS", 8)
    monkeypatch.setattr(cards, "CHANGED_CARDS", 30)
    a, b, c = Node(), Node(), Node()
    link(a, b)
    link(a, c)
    invented = [StationKey.generate() for _ in range(20)]
    for sequence in range(1, 11):
        for key in invented:
            a.hear(b.id, Channel.CARD, card_of(key, sequence))
    flooded = [send for send in a.sent if send.peer == c.id and send.channel is Channel.CARD]
    assert len(flooded) <= 20 + 30
    # Whom our operator knows is not held up by that, nor is who speaks for itself.
    friend = invented[0]
    a.do(a.station.directory.contacted(friend.id))
    newest = card_of(friend, 99)
    a.hear(b.id, Channel.CARD, newest)
    assert Send(c.id, Channel.CARD, newest) in a.sent


def test_who_lists_little_does_not_have_us_remember_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gossip, "MAX_HAD", 10)
    a, b, c = Node(), Node(), Node()
    link(a, b)
    link(a, c)
    a.hear(c.id, Channel.GOSSIP, encode_gossip(Listing(())))
    a.sent.clear()
    for _ in range(30):
        card = card_of(StationKey.generate(), 1)
        a.hear(b.id, Channel.CARD, card)
        assert Send(c.id, Channel.CARD, card) in a.sent
    assert len(a.station.gossip._has[c.id]) == 10


def test_messages_are_strict_and_bounded() -> None:
    start = b"12345678"
    for message in (Summary(b"d" * 16), Listing(((start, 7),)), Want((start,))):
        assert decode_gossip(encode_gossip(message)) == message
    assert decode_gossip(encode({0: 9})) is None
    assert digest_of([(start, 1), (b"abcdefgh", 2)]) == digest_of([(b"abcdefgh", 2), (start, 1)])
    for bad in (
        b"",
        encode({0: 0, 1: b"short"}),
        encode({0: 1, 1: [[start, -1]]}),
        encode({0: 1, 1: [[b"x", 1]]}),
        encode({0: 1, 1: [[start, 1]] * (MAX_LISTED + 1)}),
        encode({0: 2, 1: [1]}),
        encode({0: 2, 1: [start], 2: 3}),
    ):
        with pytest.raises(FormatError):
            decode_gossip(bad)
