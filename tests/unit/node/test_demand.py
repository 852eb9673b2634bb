"""What is to be said to many, to liars, and in the moment in which a session ends."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from core_node import Node, carry, join
from test_gossip import link
from test_mesh_routes import route
from test_peers_mesh import HIGH, LOW, NEAR, dials, new_peers, run, session

from appliance.model.identity import Address, StationId, StationKey
from appliance.model.message import DeliveryState
from appliance.model.net import NetNews
from appliance.node import targets
from appliance.node.dial_times import MAX_ATTEMPTS
from appliance.node.effects import AvoidRoute, Dial, Effect, EndSession, Send
from appliance.node.peers import Peers
from appliance.node.usage import IDLE, IDLE_S, MAX_DEMANDED
from appliance.node.writing import Draft
from appliance.protocol.frames import Channel
from appliance.protocol.gossip import MAX_LISTED, Listing, encode_gossip


def crowd(number: int) -> list[StationId]:
    rng = random.Random(number)
    return [StationId(rng.randbytes(32)) for _ in range(number)]


def write(node: Node, to: Node | None, text: str = "hello") -> bytes:
    written: list[bytes] = []
    draft = Draft(Address(to.id) if to is not None else None, text)
    node.do(
        node.station.write(
            draft, node.now, done=lambda message: written.append(message.id), failed=pytest.fail
        )
    )
    node.settle()
    return written[0]


def new_dials(node: Node) -> list[Dial]:
    found = [change for change in node.changes if isinstance(change, Dial)]
    node.changes = [change for change in node.changes if not isinstance(change, Dial)]
    return found


def acquainted() -> tuple[Node, Node]:
    """Two that know each other, with a route between them and no session."""
    a, b = sorted((Node(), Node()), key=lambda node: node.id.key)
    join(a, b)
    a.close(b.id)
    b.close(a.id)
    a.do(a.station.whereabouts.net_said(NetNews(routes=(route(b.id),)), a.now))
    a.settle()
    return a, b


def test_what_is_written_while_an_idle_session_ends_opens_another() -> None:
    a, b = acquainted()
    join(a, b)
    write(a, b)  # goes into the session that is ending, and gets lost
    a.sent.clear()
    new_dials(a)
    a.do(a.station.session_closed(1, b.id, a.now, IDLE))
    a.settle()
    a.at += 1.0
    a.do(a.station.wakeup(a.now))
    assert [dial.wanted for dial in new_dials(a)] == [b.id]


def test_mail_for_whoever_did_not_answer_lately_waits_for_it() -> None:
    # The keys alone say whom a station chooses; once in 37 times it would be this one.
    keys = (StationKey.from_bytes(bytes([number]) * 32) for number in (1, 2))
    a, b = sorted(map(Node, keys), key=lambda node: node.id.key)
    link(a, b)
    a.close(b.id)
    b.close(a.id)
    # There are so many that it is not chosen for gossip, and it has failed.
    for other in crowd(300):
        a.do(a.station.whereabouts.sighted(other.tag, other, NEAR, ("e",), a.now))
    assert not a.station.peers.has_chosen(b.id)
    a.station.peers._targets.known[b.id].failures = 3
    a.changes.clear()
    write(a, b)
    assert a.station.peers._usage.demanded(b.id)


def test_a_session_for_one_message_ends_soon_after_it() -> None:
    a, b = acquainted()
    write(a, b)
    join(a, b)
    assert not a.station.peers.gossips_with(b.id), "a card is no gossip"
    ends = run_station(a, 60.0)
    assert [(end.handle, end.reason) for _, end in ends] == [(1, IDLE)]
    assert ends[0][0] - 100.0 <= IDLE_S + 3.0


def run_station(node: Node, seconds: float) -> list[tuple[float, EndSession]]:
    """Wake it up whenever it wants to be, until it ends a session."""
    until = node.at + seconds
    while not node.ended and (at := node.station.next_wakeup(node.now)) is not None and at < until:
        node.at = max(at, node.at) + 1e-6
        node.do(node.station.wakeup(node.now))
        node.settle()
    return [(node.at, end) for end in node.ended]


class Far:
    """Many stations far away, which answer after a while or never."""

    def __init__(self, stations: list[StationId], deaf: set[StationId]) -> None:
        self.rng = random.Random(4)
        self.peers = Peers(LOW, self.rng.random, in_use=lambda s: s == self.called)
        self.called: StationId | None = None
        self.stations, self.deaf = stations, deaf
        self.met: dict[StationId, float] = {}
        self.most = self.steps = 0
        self.under_way: list[tuple[float, Dial]] = []
        for station in stations:
            self.peers.routed(station, reachable=True, now=0.0)

    def do(self, effects: list[Effect], now: float) -> None:
        for effect in effects:
            if isinstance(effect, Dial):
                assert effect.wanted is not None
                takes = 6.0 if effect.wanted in self.deaf else 0.1
                self.under_way.append((now + takes, effect))
            elif isinstance(effect, EndSession):
                peer = self.stations[effect.handle]
                self.peers.closed(effect.handle, peer, now, effect.reason)

    def run(self, start: float, until: float) -> None:
        now = start
        while now < until:
            times = [at for at, _ in self.under_way]
            wake = self.peers.next_wakeup()
            now = max(now, min([*times, until if wake is None else wake]))
            self.steps += 1
            for one in [one for one in self.under_way if one[0] <= now]:
                self.under_way.remove(one)
                self.answer(one[1], now)
            if wake is not None and wake <= now:
                self.do(self.peers.wakeup(now), now)
            self.most = max(self.most, len(self.peers.sessions()))
            assert self.steps < 40_000, "it spins"

    def answer(self, dial: Dial, now: float) -> None:
        peer = dial.wanted
        assert peer is not None
        if peer in self.deaf:
            self.do(self.peers.dial_failed(dial.attempt, now), now)
            return
        self.met.setdefault(peer, now)
        self.peers.opened(session(self.stations.index(peer), peer, now, mesh=True))
        self.do(self.peers.dial_succeeded(dial.attempt, peer, now), now)


def test_a_message_to_everyone_takes_few_sessions_at_a_time_and_no_more_wakeups() -> None:
    far = Far(crowd(150), set())
    for station in far.stations:
        far.do(far.peers.need(station, 0.0, lasting=True), 0.0)
    far.run(0.0, 30.0)
    assert set(far.met) == set(far.stations)
    assert far.most <= MAX_DEMANDED + MAX_ATTEMPTS
    assert far.steps < 1_000
    far.run(30.0, 100.0)
    assert not far.peers.sessions()


def test_many_that_never_answer_keep_nobody_from_the_one_that_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(targets, "MAX_KNOWN", 100)
    stations = crowd(120)
    real, called = stations[-2:]
    far = Far(stations, set(stations[:-2]))
    for station in stations[:-2]:
        far.do(far.peers.need(station, 0.0, lasting=True), 0.0)
    far.run(0.0, 2.0)
    far.called = called  # by the operator: at once
    far.do(far.peers.need(called, 2.0), 2.0)
    far.run(2.0, 2.5)
    assert called in far.met
    far.run(2.5, 90.0)
    far.do(far.peers.need(real, 90.0, lasting=True), 90.0)
    far.run(90.0, 97.0)
    assert real in far.met


def test_a_call_does_not_wait_until_others_have_their_mail() -> None:
    stations = crowd(MAX_DEMANDED + 40)
    far = Far(stations, set())
    for station in stations[:-1]:
        far.do(far.peers.need(station, 0.0, lasting=True), 0.0)
    far.run(0.0, 2.0)
    assert len(far.peers.sessions()) >= MAX_DEMANDED
    far.called = stations[-1]
    far.do(far.peers.need(far.called, 2.0), 2.0)
    far.run(2.0, 2.5)
    assert far.called in far.met


def test_what_was_to_be_said_in_vain_is_given_up() -> None:
    peers = new_peers()
    peers.routed(HIGH, reachable=True, now=0.0)
    (dial,) = dials(peers.need(HIGH, 0.0))
    peers.dial_failed(dial.attempt, 1.0)
    later = run_failing(peers, 1.0, 600.0)
    assert later
    assert max(later) < 2 * IDLE_S + 5.0


def run_failing(peers: Peers, start: float, until: float) -> list[float]:
    """Let all dials fail; returns when they began."""
    began: list[float] = []
    now = start
    while now < until:
        found = [(at, e) for at, e in run(peers, now, until) if isinstance(e, Dial)]
        if not found:
            break
        now, dial = found[0]
        began.append(now)
        peers.dial_failed(dial.attempt, now)
    return began


def test_a_station_that_answers_over_no_way_is_tried_ever_less() -> None:
    """Its routes stand, and its daemon does not: each way in turn is in vain."""
    a, b = acquainted()
    ways = [route(b.id, via) for via in ("fe80::1", "fe80::2")]
    write(a, b)
    taken, dialled = 0, 0
    while a.at < 1000.0:
        for change in a.changes:
            if isinstance(change, AvoidRoute):
                taken += 1
        a.changes = [change for change in a.changes if isinstance(change, Dial)]
        offers = [replace(way, installed=n == taken % 2) for n, way in enumerate(ways)]
        a.do(a.station.whereabouts.net_said(NetNews(routes=tuple(offers)), a.now))
        for dial in new_dials(a):
            dialled += 1
            a.do(a.station.whereabouts.dial_failed(dial.attempt, a.now))
        a.settle()
        a.at += 1.0
        a.do(a.station.wakeup(a.now))
    assert 10 < dialled < 100
    assert taken < 100


def test_whoever_asks_for_cards_again_and_again_gets_few() -> None:
    a, b, c = Node(), Node(), Node()
    link(a, c)
    a.open(b.id)
    answers = [
        a.station.message_received(1, b.id, Channel.GOSSIP, encode_gossip(Listing(())), a.now)
        for _ in range(MAX_LISTED + 1)
    ]
    given = {effect.data for effect in answers[0] if isinstance(effect, Send)}
    assert given == {a.station.card.raw, c.station.card.raw}
    assert not answers[-1]


def test_what_was_written_before_there_was_a_session_arrives() -> None:
    """A session for mail alone, in both directions, ends with all of it delivered."""
    a, b = acquainted()
    ids = [write(a, b, str(number)) for number in range(3)]
    join(a, b)
    carry(a, b)
    for message in ids:
        row = a.db.execute(
            "SELECT state FROM recipients JOIN records ON records.number = message WHERE id = ?",
            (message,),
        ).fetchone()
        assert row == (int(DeliveryState.DELIVERED),)
