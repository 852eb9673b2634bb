"""Sessions on demand, over the mesh, on crowded links, and their end, in virtual time."""

from __future__ import annotations

import random

from appliance.model.identity import StationId
from appliance.node.dial_times import (
    CROWD_S,
    ENOUGH_S,
    MAX_ATTEMPTS,
    MAX_CROWD_S,
    MAX_MEET_S,
    MEET_S,
    MOVE_S,
    Settling,
)
from appliance.node.effects import Dial, Effect, EndSession
from appliance.node.fanout import MAX_SESSIONS, choose
from appliance.node.peers import Peers
from appliance.node.targets import SESSION_PORT
from appliance.node.usage import (
    ENOUGH,
    GOSSIPS_S,
    IDLE,
    IDLE_S,
    LOST_ROUTE_S,
    NO_ROUTE,
    SessionInfo,
)

LOW, HIGH, THIRD = (StationId(bytes([number]) * 32) for number in (1, 2, 3))
NEAR = (("fe80::2%eth0", SESSION_PORT),)
OVER_MESH = (str(HIGH.address), SESSION_PORT)


def dials(effects: list[Effect]) -> list[Dial]:
    return [effect for effect in effects if isinstance(effect, Dial)]


def ends(effects: list[Effect]) -> list[tuple[int, str]]:
    return [(end.handle, end.reason) for end in effects if isinstance(end, EndSession)]


def session(
    handle: int, peer: StationId, now: float, *, mesh: bool = False, outgoing: bool = True
) -> SessionInfo:
    host = str(peer.address) if mesh else "fe80::2%eth0"
    return SessionInfo(handle, peer, b"their start", outgoing, "here", host, now)


def run(peers: Peers, start: float, until: float) -> list[tuple[float, Effect]]:
    """Wake it up whenever it wants to be."""
    happened: list[tuple[float, Effect]] = []
    now = start
    while (at := peers.next_wakeup()) is not None and max(at, now) <= until:
        now = max(at, now)
        happened += [(now, effect) for effect in peers.wakeup(now)]
        if len(happened) > 1000:
            raise AssertionError("it spins")
        now += 1e-6
    return happened


def new_peers(own: StationId = LOW) -> Peers:
    return Peers(own, random.Random(1).random)


def test_a_station_far_away_is_dialled_only_when_it_is_needed() -> None:
    peers = new_peers()
    assert not dials(peers.routed(HIGH, reachable=True, now=0.0))
    assert peers.has_way(HIGH)
    assert not dials(peers.wakeup(100.0))
    (dial,) = dials(peers.need(HIGH, 100.0))
    assert (dial.wanted, dial.candidates) == (HIGH, (OVER_MESH,))
    peers.opened(session(1, HIGH, 100.1, mesh=True))
    peers.dial_succeeded(dial.attempt, HIGH, 100.1)
    peers.said_something(HIGH, 120.0)
    happened = run(peers, 100.2, 300.0)
    (at, end), *_ = happened
    assert end == EndSession(1, IDLE)
    assert 120.0 + IDLE_S <= at <= 120.0 + IDLE_S + 3.0
    peers.closed(1, HIGH, at, IDLE)
    assert not run(peers, at, at + 600.0)


def test_what_must_be_said_waits_for_a_route_and_outlasts_failures() -> None:
    peers = new_peers()
    assert not dials(peers.need(HIGH, 0.0, lasting=True))
    (dial,) = dials(peers.routed(HIGH, reachable=True, now=5.0)) or [
        effect for _, effect in run(peers, 5.0, 6.0) if isinstance(effect, Dial)
    ]
    tries = 0
    now = 6.0
    while tries < 8:
        peers.dial_failed(dial.attempt, now)
        ((now, effect), *_) = [
            (at, effect) for at, effect in run(peers, now, now + 100.0) if isinstance(effect, Dial)
        ]
        assert isinstance(effect, Dial)
        dial, tries = effect, tries + 1
    assert peers.is_silent(HIGH)


def test_a_session_moves_to_the_mesh_and_the_lower_id_sees_to_it() -> None:
    for own, other, moves in ((LOW, HIGH, True), (THIRD, HIGH, False)):
        peers = new_peers(own)
        (dial,) = dials(peers.sighted("x", other, NEAR, 0.0)) or dials(peers.wakeup(1.0))
        peers.opened(session(1, other, 1.0))
        peers.dial_succeeded(dial.attempt, other, 1.0)
        peers.routed(other, reachable=True, now=2.0)
        later = [(at, e) for at, e in run(peers, 2.0, 10.0) if isinstance(e, Dial)]
        assert bool(later) == moves
        used, effects = peers.opened(session(2, other, 4.0, mesh=True, outgoing=moves))
        assert used
        assert ends(effects) == [(1, "duplicate")]
        if moves:
            ((at, dial),) = later
            assert at >= 2.0 + MOVE_S
            assert dial.candidates == (OVER_MESH,)
        # One that crossed it on the link does not take its place.
        assert not peers.opened(session(3, other, 5.0, outgoing=not moves))[0]


def test_without_its_route_a_session_over_the_mesh_goes_back_to_the_link_or_ends() -> None:
    peers = new_peers()
    peers.routed(HIGH, reachable=True, now=0.0)
    (dial,) = dials(peers.need(HIGH, 0.0))
    peers.opened(session(1, HIGH, 0.1, mesh=True))
    peers.dial_succeeded(dial.attempt, HIGH, 0.1)
    peers.routed(HIGH, reachable=False, now=50.0)
    peers.routed(HIGH, reachable=True, now=55.0)
    peers.said_something(HIGH, 55.0)
    assert not [e for at, e in run(peers, 50.0, 70.0) if isinstance(e, EndSession)]
    peers.said_something(HIGH, 70.0)
    peers.routed(HIGH, reachable=False, now=70.0)
    ((at, end), *_) = run(peers, 70.0, 90.0)
    assert end == EndSession(1, NO_ROUTE)
    assert at >= 70.0 + LOST_ROUTE_S

    peers = new_peers()
    peers.routed(HIGH, reachable=True, now=0.0)
    (dial,) = dials(peers.sighted("x", HIGH, NEAR, 0.0))
    assert dial.candidates == (OVER_MESH, *NEAR)
    peers.opened(session(1, HIGH, 0.1, mesh=True))
    peers.dial_succeeded(dial.attempt, HIGH, 0.1)
    peers.routed(HIGH, reachable=False, now=50.0)
    (again,) = [e for at, e in run(peers, 50.0, 55.0) if isinstance(e, Dial)]
    assert again.candidates == NEAR


def test_an_unknown_station_is_met_once_and_left() -> None:
    peers = new_peers()
    address = str(HIGH.address)
    found = dials(peers.meet(address, 0.0))
    found += [e for _, e in run(peers, 0.0, 2 * MEET_S) if isinstance(e, Dial)]
    (dial,) = found
    assert (dial.wanted, dial.candidates) == (None, (OVER_MESH,))
    peers.opened(session(1, HIGH, 12.0, mesh=True))
    peers.dial_succeeded(dial.attempt, HIGH, 12.0)
    ((_, end), *_) = run(peers, 12.0, 60.0)
    assert end == EndSession(1, IDLE)
    peers.meet(str(THIRD.address), 60.0)
    peers.met(str(THIRD.address), 61.0)  # a neighbour told us of it
    assert not [e for _, e in run(peers, 60.0, 70.0) if isinstance(e, Dial)]


class Crowd:
    """Many stations on one link; every dial succeeds after a moment."""

    def __init__(self, number: int) -> None:
        rng = random.Random(7)
        self.ids = [StationId(rng.randbytes(32)) for _ in range(number)]
        self.peers = {one: Peers(one, rng.random) for one in self.ids}
        self.rng, self.now, self.handle = rng, 0.0, 0
        self.links: dict[int, tuple[StationId, StationId]] = {}
        self.dialled = 0

    def carry_out(self, here: StationId, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Dial):
                assert effect.wanted is not None
                self.dialled += 1
                self.handle += 1
                self.links[self.handle] = (here, effect.wanted)
                for end, other, out in ((here, effect.wanted, True), (effect.wanted, here, False)):
                    info = SessionInfo(self.handle, other, b"boot", out, "a", "b", self.now)
                    self.carry_out(end, self.peers[end].opened(info)[1])
                here_peers = self.peers[here]
                self.carry_out(
                    here, here_peers.dial_succeeded(effect.attempt, effect.wanted, self.now)
                )
            elif isinstance(effect, EndSession) and effect.handle in self.links:
                for end, other in (pair := self.links.pop(effect.handle), pair[::-1]):
                    self.carry_out(
                        end,
                        self.peers[end].closed(effect.handle, other, self.now, effect.reason)[1],
                    )

    def run(self, until: float) -> None:
        choices = {one: choose(one, self.ids) for one in self.ids}
        while self.now < until:
            self.now += 2.0
            for one, peers in self.peers.items():
                self.carry_out(one, peers.wakeup(self.now))
                for other in choices[one]:
                    peers.said_something(other, self.now, gossip=True)

    def sessions(self) -> list[int]:
        return [len(peers.sessions()) for peers in self.peers.values()]


def test_on_a_crowded_link_sessions_stay_few() -> None:
    crowd = Crowd(30)
    seen = [(one, other) for one in crowd.ids for other in crowd.ids if one != other]
    crowd.rng.shuffle(seen)
    for number, (one, other) in enumerate(seen):
        crowd.now = 6.0 * number / len(seen)
        effects = crowd.peers[one].sighted(other.tag, other, NEAR, crowd.now, links=("eth0",))
        crowd.carry_out(one, effects)
    crowd.run(GOSSIPS_S + 60.0)
    assert max(crowd.sessions()) <= MAX_SESSIONS
    assert min(crowd.sessions()) >= 4
    assert crowd.dialled <= 30 * len(crowd.ids), "dials per station grow with the crowd"
    before = crowd.dialled
    crowd.run(crowd.now + 200.0)
    assert crowd.dialled == before, "it never settles"


def test_of_too_many_sessions_the_unneeded_end_and_are_left_alone() -> None:
    rng = random.Random(5)
    others = [StationId(rng.randbytes(32)) for _ in range(30)]
    peers = new_peers()
    for other in others:
        for dial in dials(peers.sighted(other.tag, other, NEAR, 0.0, links=("eth0",))):
            peers.dial_failed(dial.attempt, 0.0)
    chosen = choose(LOW, others)
    uninvited = [other for other in others if other not in chosen][:6]
    for number, other in enumerate([*chosen, *uninvited]):
        peers.opened(session(number + 1, other, 1.0, outgoing=False))
        peers.said_something(other, 1.0, gossip=True)
    for other in chosen:
        peers.said_something(other, 20.0, gossip=True)
    ended = {e.handle for _, e in run(peers, 1.0, 20.0) if isinstance(e, EndSession)}
    assert ended == set(range(len(chosen) + 1, len(chosen) + 7))
    victim = uninvited[0]
    peers.closed(len(chosen) + 1, victim, 20.0, ENOUGH)
    assert not [e for _, e in run(peers, 20.0, 21.0) if isinstance(e, Dial)]
    assert dials(peers.need(victim, 25.0)), "what is to be said is said all the same"
    assert ENOUGH_S > 60.0


def test_dials_wait_for_one_another() -> None:
    rng = random.Random(5)
    others = [StationId(rng.randbytes(32)) for _ in range(100)]
    peers = new_peers()
    running: list[Dial] = []
    for other in others:
        peers.routed(other, reachable=True, now=0.0)
        running += dials(peers.need(other, 0.0, lasting=True))
    assert len(running) == MAX_ATTEMPTS
    met: set[StationId | None] = set()
    while running:
        dial = running.pop(0)
        met.add(dial.wanted)
        running += dials(peers.dial_failed(dial.attempt, 0.1))
        if len(met) == len(others):
            break
    assert met == set(others)


def test_in_a_crowd_who_is_chosen_is_dialled_when_the_choice_has_settled() -> None:
    others = [StationId(bytes([number]) * 32) for number in range(2, 42)]
    peers = new_peers()
    met: dict[StationId, float] = {}

    def meet_all(effects: list[tuple[float, Effect]]) -> None:
        for now, dial in effects:
            if isinstance(dial, Dial) and dial.wanted is not None:
                met[dial.wanted] = now
                peers.opened(session(len(met), dial.wanted, now))
                peers.dial_succeeded(dial.attempt, dial.wanted, now)

    for number, other in enumerate(others):
        now = 0.1 * number
        meet_all([(now, one) for one in peers.sighted(other.text, other, NEAR, now, links=("e",))])
        meet_all(run(peers, now, now + 0.09))
    crowded = len(met)
    assert crowded <= MAX_SESSIONS, "before it is a crowd all are dialled, and then nobody"
    last = 0.1 * (len(others) - 1)
    meet_all(run(peers, last, last + CROWD_S + 0.1))
    assert set(choose(LOW, set(others))) <= met.keys()
    assert all(at >= last + CROWD_S for at in list(met.values())[crowded:])
    # Somebody new all the time does not put it off for ever.
    settling = Settling(CROWD_S, MAX_CROWD_S)
    for tenth in range(500):
        settling.heard(tenth / 10)
        assert settling.until <= tenth / 10 // MAX_CROWD_S * MAX_CROWD_S + MAX_CROWD_S + 0.2


def test_unknown_stations_are_met_one_by_one_when_nobody_tells_of_them_any_more() -> None:
    unknown = [f"fd00::{number:x}" for number in range(1, 11)]
    peers = new_peers()
    for address in unknown:
        assert not peers.meet(address, 0.0)
    for number, address in enumerate(unknown[:5]):  # a neighbour tells us of these
        happened = run(peers, number * 5.0, number * 5.0 + 4.9)
        assert not [one for _, one in happened if isinstance(one, Dial)]
        peers.met(address, number * 5.0 + 5.0)
    effects = [one for _, one in run(peers, 25.0, 40.0)]
    for _ in unknown[5:]:
        (dial,) = dials(effects)
        effects = peers.dial_failed(dial.attempt, 40.0)
    # News of others do not put it off for ever.
    peers = new_peers()
    peers.meet(unknown[0], 0.0)
    now = 0.0
    while now < MAX_MEET_S - 1.0:
        assert not [one for _, one in run(peers, now, now + 1.0) if isinstance(one, Dial)]
        peers.met("fd00::99", now := now + 1.0)
    assert [one for _, one in run(peers, now, MAX_MEET_S) if isinstance(one, Dial)]
