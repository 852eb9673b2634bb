"""Two stations that dial each other through a slow network, in virtual time: one session each."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from appliance.model.identity import StationId
from appliance.node.dial_times import MAX_ATTEMPTS
from appliance.node.effects import Dial, Effect, EndSession
from appliance.node.peers import Peers
from appliance.node.targets import FIRST_RETRY_S, MAX_KNOWN, MAX_MANUAL, MAX_RETRY_S
from appliance.node.usage import SessionInfo

LOW, HIGH, THIRD = (StationId(bytes([number]) * 32) for number in (1, 2, 3))
WHERE = (("fe80::1%eth0", 18950),)


@dataclass
class Link:
    """A session between two ends; each has its own handle and hears of the end by itself."""

    caller: End
    callee: End
    handles: dict[End, int] = field(default_factory=dict)


class End:
    """A station's `Peers`."""

    def __init__(self, world: World, station: StationId) -> None:
        self.world = world
        self.id = station
        self.boots = 0
        self.links: dict[int, Link] = {}
        self.restart()

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def boot(self) -> bytes:
        return self.boots.to_bytes(8, "big")

    def restart(self) -> None:
        for link in list(self.links.values()):
            self.world.end(link, self)
        self.boots += 1
        self.peers = Peers(self.id, self.world.rng.random)

    def do(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Dial):
                self.world.dial(self, effect)
            elif isinstance(effect, EndSession) and effect.handle in self.links:
                self.world.end(self.links[effect.handle], self)

    def opened(self, link: Link) -> None:
        handle = next(self.world.handles)
        other = link.callee if link.caller is self else link.caller
        link.handles[self] = handle
        self.links[handle] = link
        info = SessionInfo(
            handle,
            other.id,
            other.boot,
            link.caller is self,
            "here",
            "there",
            self.world.now,
        )
        self.do(self.peers.opened(info)[1])

    def closed(self, link: Link) -> None:
        handle = link.handles.pop(self, None)
        if handle is not None and self.links.pop(handle, None) is not None:
            other = link.callee if link.caller is self else link.caller
            self.do(self.peers.closed(handle, other.id, self.world.now)[1])


class World:
    """Virtual time and a network in which everything takes a while."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now = 0.0
        self.queue: list[tuple[float, int, Callable[[], None]]] = []
        self.numbers, self.handles = itertools.count(), itertools.count(1)
        self.dials = 0
        self.low, self.high = End(self, LOW), End(self, HIGH)

    def later(self, longest_s: float, what: Callable[[], None]) -> None:
        at = self.now + self.rng.random() * longest_s
        heapq.heappush(self.queue, (at, next(self.numbers), what))

    def dial(self, caller: End, dial: Dial) -> None:
        self.dials += 1
        callee = self.high if caller is self.low else self.low
        boots = caller.boots, callee.boots
        link = Link(caller, callee)

        def proved() -> None:
            if (caller.boots, callee.boots) == boots:
                callee.opened(link)
                self.later(0.3, welcomed)
            elif caller.boots == boots[0]:
                caller.do(caller.peers.dial_failed(dial.attempt, self.now))

        def welcomed() -> None:
            if caller.boots != boots[0]:
                return
            if callee not in link.handles:
                # It was ended before we heard that it stands.
                caller.do(caller.peers.dial_failed(dial.attempt, self.now))
                return
            caller.opened(link)
            caller.do(caller.peers.dial_succeeded(dial.attempt, callee.id, self.now))

        self.later(0.3, proved)

    def end(self, link: Link, by: End) -> None:
        other = link.callee if link.caller is by else link.caller
        self.later(0.1, lambda: by.closed(link))
        self.later(0.3, lambda: other.closed(link))

    def run(self, until: float) -> None:
        while True:
            wakeups = [e.peers.next_wakeup() for e in (self.low, self.high)]
            at = min((w for w in wakeups if w is not None), default=until)
            if self.queue and self.queue[0][0] <= max(at, self.now):
                self.now, _, what = heapq.heappop(self.queue)
                what()
            elif at >= until:
                self.now = until
                return
            else:
                self.now = max(at, self.now)
                for end in (self.low, self.high):
                    end.do(end.peers.wakeup(self.now))

    def sight(self) -> None:
        for end, other in ((self.low, HIGH), (self.high, LOW)):
            self.later(
                0.5,
                lambda end=end, other=other: end.do(  # type: ignore[misc]
                    end.peers.sighted(f"of {other.tag}", other, WHERE, self.now)
                ),
            )

    def check(self) -> None:
        one, other = self.low.peers.session(HIGH), self.high.peers.session(LOW)
        assert one is not None
        assert other is not None
        assert self.low.links[one.handle] is self.high.links[other.handle]
        assert len(self.low.links) == len(self.high.links) == 1


@pytest.mark.parametrize("seed", range(60))
def test_whoever_dials_first_there_is_one_session(seed: int) -> None:
    world = World(seed)
    world.sight()
    world.run(10.0)
    world.check()
    assert world.dials <= 4


@pytest.mark.parametrize("seed", range(60))
def test_after_restarts_and_losses_there_is_one_again(seed: int) -> None:
    world = World(seed)
    world.sight()
    for _ in range(8):
        world.run(world.now + world.rng.random() * 10)
        if world.rng.random() < 0.5:
            world.rng.choice((world.low, world.high)).restart()
            world.sight()
        else:
            for link in list(world.low.links.values()):
                world.end(link, world.low)
    world.run(world.now + 3 * MAX_RETRY_S)
    world.check()


def dials(effects: list[Effect]) -> list[Dial]:
    return [effect for effect in effects if isinstance(effect, Dial)]


def run_until_dial(peers: Peers, now: float) -> tuple[float, list[Dial]]:
    """Wake it up when it wants to be, until it dials."""
    for _ in range(100):
        at = peers.next_wakeup()
        assert at is not None
        now = max(now, at)
        if found := dials(peers.wakeup(now)):
            return now, found
    raise AssertionError("it never dials")


def info(handle: int, peer: StationId, boot: bytes = b"theirs..", at: float = 0.0) -> SessionInfo:
    return SessionInfo(handle, peer, boot, True, "here", "fe80::9", at)


def test_who_does_not_answer_is_tried_ever_more_rarely() -> None:
    peers = Peers(LOW, random.Random(1).random)
    (dial,) = dials(peers.sighted("x", HIGH, WHERE, 0.0))
    now, waits = 0.0, []
    for _ in range(14):
        now += 1.0
        peers.dial_failed(dial.attempt, now)
        at = peers.next_wakeup()
        assert at is not None
        waits.append(at - now)
        assert not dials(peers.wakeup(at - 0.01))
        now = at
        (dial,) = dials(peers.wakeup(now))
    assert 0.5 * FIRST_RETRY_S <= waits[0] <= 1.5 * FIRST_RETRY_S
    assert all(0.5 * MAX_RETRY_S <= wait <= 1.5 * MAX_RETRY_S for wait in waits[8:])
    assert len({round(wait, 3) for wait in waits[8:]}) > 3, "there is no jitter"
    peers.dial_failed(dial.attempt, now)
    assert dials(peers.links_changed(now)) or dials(peers.wakeup(now + 0.1))


def test_a_lost_session_is_dialled_again_at_once_unless_it_was_short() -> None:
    for lasted, soonest, latest in ((100.0, 0.0, 0.2), (1.0, FIRST_RETRY_S, 3.0)):
        peers = Peers(LOW, random.Random(1).random)
        (dial,) = dials(peers.sighted("x", HIGH, WHERE, 0.0))
        peers.opened(info(1, HIGH))
        peers.dial_succeeded(dial.attempt, HIGH, 0.0)
        assert not dials(peers.wakeup(lasted))
        assert peers.closed(1, HIGH, lasted)[0]
        assert peers.away_since(HIGH) == lasted
        at, redialled = run_until_dial(peers, lasted)
        assert soonest <= at - lasted <= latest
        (dial,) = redialled
        assert dial.wanted == HIGH


def test_an_address_has_no_wanted_id() -> None:
    """Whoever answers there is met, also when it is announced, also when it was another before."""
    peers = Peers(LOW, lambda: 0.5)
    (dial,) = dials(peers.add_address("10.0.0.2", 18950, 0.0))
    assert (dial.wanted, dial.candidates) == (None, (("10.0.0.2", 18950),))
    peers.opened(info(1, HIGH))
    peers.dial_succeeded(dial.attempt, HIGH, 0.0)
    peers.closed(1, HIGH, 100.0)
    sighted = dials([*peers.sighted("x", HIGH, WHERE, 101.0), *peers.wakeup(101.0)])
    assert {(d.wanted, d.candidates) for d in sighted} == {
        (None, (("10.0.0.2", 18950),)),
        (HIGH, WHERE),
    }


def test_a_restarted_peer_replaces_its_session() -> None:
    peers = Peers(LOW, lambda: 0.5)
    for outgoing in (True, False):
        first = SessionInfo(1, HIGH, b"boot 1..", True, "h", "t", 0.0)
        again = SessionInfo(2, HIGH, b"boot 2..", outgoing, "h", "t", 1.0)
        peers.opened(first)
        used, effects = peers.opened(again)
        assert used
        assert EndSession(1, "duplicate") in effects
        assert peers.session(HIGH) is again
        assert peers.closed(1, HIGH, 2.0) == (False, [])
        assert peers.closed(2, HIGH, 3.0)[0]


def test_ourselves_are_no_peer() -> None:
    peers = Peers(LOW, lambda: 0.5)
    (dial,) = dials(peers.sighted("me", LOW, WHERE, 0.0)) or dials(peers.wakeup(1.0))
    used, effects = peers.opened(info(1, LOW, b"ours...."))
    assert (used, effects) == (False, [EndSession(1, "self")])
    peers.dial_succeeded(dial.attempt, LOW, 1.0)
    assert peers.next_wakeup() == 1.0 + MAX_RETRY_S
    used, effects = peers.opened(info(2, LOW, b"another."))
    assert (used, effects) == (False, [EndSession(2, "self")])
    assert not peers.sessions()


def test_sightings_are_bounded() -> None:
    peers = Peers(LOW, lambda: 0.5)
    rng = random.Random(1)
    attempts = []
    for _ in range(MAX_KNOWN):
        attempts += dials(peers.sighted("x", StationId(rng.randbytes(32)), WHERE, 10.0))
    assert len(attempts) <= MAX_ATTEMPTS
    assert not dials(peers.sighted("real", HIGH, WHERE, 12.0))
    for dial in attempts:
        peers.dial_failed(dial.attempt, 13.0)
    # What was dialled in vain makes room for a station that is there.
    peers.sighted("real", HIGH, WHERE, 14.0)
    assert HIGH in {dial.wanted for dial in dials(peers.need(HIGH, 14.5))}
    for number in range(MAX_MANUAL + 5):
        peers.add_address(f"10.0.1.{number}", 1, 20.0)
    assert len(peers.given()) == MAX_MANUAL


def test_a_flapping_announcement_costs_few_dials() -> None:
    peers = Peers(LOW, lambda: 0.5)
    made = 0
    for number in range(1000):
        now = number * 0.01
        where = ((f"10.0.0.{number % 250}", 1),)
        for dial in dials(peers.sighted("x", HIGH, where, now)):
            made += 1
            peers.dial_failed(dial.attempt, now)
        peers.gone("x", HIGH)
    assert made <= 10.0 / FIRST_RETRY_S + 1
    many = tuple((f"10.0.2.{number}", 1) for number in range(20))
    (dial,) = dials(peers.sighted("x", HIGH, many, 100.0))
    peers.dial_failed(dial.attempt, 100.0)
    assert not dials(peers.sighted("x", HIGH, many, 100.1)), "nothing is new"


def test_gone_stations_are_not_dialled() -> None:
    peers = Peers(LOW, lambda: 0.5)
    (dial,) = dials(peers.sighted("x", HIGH, WHERE, 0.0))
    peers.sighted("y", HIGH, (("10.0.0.3", 1),), 0.0)
    peers.gone("x", HIGH)
    peers.gone("unknown", THIRD)
    peers.dial_failed(dial.attempt, 1.0)
    (dial,) = dials(peers.wakeup(10.0))
    assert dial.candidates == (("10.0.0.3", 1),)
    peers.gone("y", HIGH)
    assert peers.dialling(HIGH)
    peers.dial_failed(dial.attempt, 11.0)
    assert peers.next_wakeup() is None
    assert not dials(peers.links_changed(20.0))
