"""Stations with talk groups on a graph of links, in virtual time, seeded.

Messages take their time over each link and are never lost, as over a session; a link that is cut
ends its session.  The voice processes are played by what they were told last: a packet of the
speaker goes where their `SetTalk` says, and nowhere else.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from random import Random

from appliance.model.group import GroupId
from appliance.model.group_change import ChangeKind, make_change
from appliance.model.group_note import GroupKey
from appliance.model.identity import StationId, StationKey
from appliance.model.media import MediaReady
from appliance.model.secret import Secret
from appliance.model.talk import TalkView
from appliance.model.talk_media import (
    CloseTalk,
    OpenTalk,
    SetTalk,
    TalkCommand,
    TalkOpened,
    TalkTone,
)
from appliance.node.beginnings import Now
from appliance.node.call_effects import Media
from appliance.node.effects import Effect, Send
from appliance.node.group_book import GroupBook
from appliance.node.group_log import GroupLog
from appliance.node.group_state import Group
from appliance.node.ports import Moment
from appliance.node.talk import Talk
from appliance.node.usage import SessionInfo
from appliance.protocol.frames import Channel

WALL_MS = 1_800_000_000_000
FIRST_PORT = 4000


@dataclass
class Seat:
    """One station."""

    number: int
    key: StationKey
    book: GroupBook
    talk: Talk
    boot: bytes
    alive: bool = True
    said: list[TalkCommand] = field(default_factory=list)
    state: dict[str, SetTalk] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    wake_at: float | None = None

    @property
    def id(self) -> StationId:
        return self.key.id

    def view(self, group: GroupId | None = None) -> TalkView:
        return next(view for view in self.talk.views() if view.channel == group)

    def speaker(self, group: GroupId | None = None) -> StationId | None:
        return self.view(group).speaker

    def tones(self) -> list[str]:
        return [one.tone for one in self.said if isinstance(one, TalkTone)]


@dataclass(frozen=True)
class Heard:
    """What became of one packet."""

    listeners: frozenset[int]
    """Who played it."""

    links: Counter[tuple[int, int]]
    """How often it went from one station to another."""

    opened: frozenset[int]
    """Who has a key to open it."""


class TalkWorld:
    """All of them."""

    def __init__(
        self,
        links: Iterable[tuple[int, int]],
        *,
        seed: int = 1,
        routes: bool = True,
        delay_s: float = 0.002,
        seats: int = 0,
        old: tuple[int, ...] = (),
    ) -> None:
        """`routes`: every station knows the next one on the way to each other.

        Those in `old` run an earlier release, which knows nothing of talk groups.
        """
        self.random = Random(seed)
        self.delay_s = delay_s
        self.now_s = 1000.0
        self.routes = routes
        self.messages = 0
        self.old = old
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        links = list(links)
        self._links: dict[int, set[int]] = {}
        self._next: dict[int, dict[int, int]] = {}
        many = max([seats - 1, *(max(link) for link in links)]) + 1
        self.seats = [self._new_seat(number) for number in range(many)]
        self._number = {seat.id: seat.number for seat in self.seats}
        for a, b in links:
            self.link(a, b)

    def _new_seat(
        self, number: int, key: StationKey | None = None, book: GroupBook | None = None
    ) -> Seat:
        key = key or StationKey.from_bytes(self.random.randbytes(32))
        book = book or GroupBook(
            key,
            trusts=lambda _: True,
            has_card=lambda _: True,
            random_bytes=self.random.randbytes,
        )
        boot = self.random.randbytes(8)
        talk = Talk(
            key,
            boot,
            book,
            next_hop=lambda to: self._hop(number, to),
            is_stranger=lambda _: False,
            name_of=lambda one: f"station {self._number[one]}",
            random_bytes=self.random.randbytes,
        )
        return Seat(number, key, book, talk, boot)

    def time(self) -> Now:
        wall = WALL_MS + int(self.now_s * 1000)
        return Now(self.now_s, self.now_s, Moment(wall, False, self.now_s))

    # -- Links and routes

    def link(self, a: int, b: int) -> None:
        self._links.setdefault(a, set()).add(b)
        self._links.setdefault(b, set()).add(a)
        self._next.clear()
        for here, there in ((a, b), (b, a)):
            seat, peer = self.seats[here], self.seats[there].id
            first = seat.id < peer
            info = SessionInfo(1, peer, b"p" * 8, first, seat.id.host, peer.host, self.now_s)
            if {a, b} & set(self.old):
                info = replace(info, version=1)
            self.do(seat, seat.talk.session_up(info, self.time()))

    def cut(self, a: int, b: int) -> None:
        self._links[a].discard(b)
        self._links[b].discard(a)
        self._next.clear()
        for here, there in ((a, b), (b, a)):
            seat = self.seats[here]
            if seat.alive:
                self.do(seat, seat.talk.session_down(self.seats[there].id, self.time()))

    def kill(self, number: int) -> None:
        """Its neighbours learn of it by silence alone."""
        self.seats[number].alive = False
        self._next.clear()

    def start_again(self, number: int) -> None:
        old = self.seats[number]
        for other in list(self._links[number]):
            self.cut(number, other)
        self.seats[number] = self._new_seat(number, old.key, old.book)

    def _hop(self, here: int, to: StationId) -> StationId | None:
        if not self.routes:
            return None
        target = self._number.get(to)
        if target is None:
            return None
        if target not in self._next:
            self._next[target] = self._towards(target)
        hop = self._next[target].get(here)
        return None if hop is None else self.seats[hop].id

    def _towards(self, target: int) -> dict[int, int]:
        """By station: the neighbour that is nearer, the lowest of several."""
        if not self.seats[target].alive:
            return {}
        found, edge = {target: target}, [target]
        while edge:
            after = []
            for near in edge:
                for far in sorted(self._links.get(near, ())):
                    if far not in found and self.seats[far].alive:
                        found[far] = near
                        after.append(far)
            edge = after
        del found[target]
        return found

    # -- Running

    def at(self, time: float, what: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (time, self._count, what))

    def do(self, seat: Seat, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                self._carry(seat.number, self._number[effect.peer], effect)
            elif isinstance(effect, Media):
                self._command(seat, effect.command)
        self._arm(seat)

    def _carry(self, here: int, there: int, send: Send) -> None:
        assert send.channel is Channel.TALK
        self.messages += 1
        jitter = self.delay_s * (0.5 + self.random.random())
        sender = self.seats[here].id

        def arrive() -> None:
            seat = self.seats[there]
            if seat.alive and there in self._links[here]:
                self.do(seat, seat.talk.received(sender, send.data, self.time()))

        self.at(self.now_s + jitter, arrive)

    def _command(self, seat: Seat, command: object) -> None:
        match command:
            case OpenTalk(talk, host):
                port = seat.ports.setdefault(talk, FIRST_PORT + len(seat.ports))
                self.at(
                    self.now_s + 0.001,
                    lambda: self.do(
                        seat, seat.talk.media_event(TalkOpened(talk, host, port), self.time())
                    ),
                )
            case SetTalk():
                seat.state[command.talk] = command
            case CloseTalk(talk):
                seat.state.pop(talk, None)
                seat.ports.pop(talk, None)
        seat.said.append(command)  # type: ignore[arg-type]

    def media_dies(self, number: int) -> None:
        seat = self.seats[number]
        seat.state.clear()
        seat.ports.clear()
        ready = MediaReady(4, realtime=False, memory_locked=False, opus="")
        self.do(seat, seat.talk.media_event(ready, self.time()))

    def _arm(self, seat: Seat) -> None:
        due = seat.talk.next_wakeup()
        if due is None or (seat.wake_at is not None and seat.wake_at <= due):
            return
        seat.wake_at = due

        def wake() -> None:
            if seat.wake_at == due:
                seat.wake_at = None
                if seat.alive:
                    self.do(seat, seat.talk.wakeup(self.time()))

        self.at(max(due, self.now_s), wake)

    def run(self, seconds: float) -> None:
        until = self.now_s + seconds
        steps = 0
        while self._events and self._events[0][0] <= until:
            self.now_s, _, what = heapq.heappop(self._events)
            what()
            steps += 1
            assert steps < 500_000, "it never comes to rest"
        self.now_s = until

    # -- What the operators do

    def listen(self, *numbers: int, group: GroupId | None = None) -> None:
        for number in numbers:
            seat = self.seats[number]
            self.do(seat, seat.talk.listen(group, self.time(), on=True))

    def press(self, number: int, group: GroupId | None = None, **how: object) -> None:
        seat = self.seats[number]
        self.do(seat, seat.talk.press(group, self.time(), **how))  # type: ignore[arg-type]

    def release(self, number: int, group: GroupId | None = None) -> None:
        seat = self.seats[number]
        self.do(seat, seat.talk.release(group, self.time()))

    def speakers(self, group: GroupId | None = None) -> set[StationId | None]:
        """Who has the floor, in the eyes of all that live and are on the channel."""
        return {
            view.speaker
            for seat in self.seats
            if seat.alive
            for view in seat.talk.views()
            if view.channel == group
        }

    # -- Sound

    def packet(self, number: int) -> Heard:
        """Send one packet of whoever speaks at a station along the tree."""
        seat = self.seats[number]
        (start,) = [state for state in seat.state.values() if state.speaking]
        hosts = {one.id.host: one for one in self.seats}
        links: Counter[tuple[int, int]] = Counter()
        listeners, opened = set(), set()
        waiting = [(seat, start)]
        while waiting:
            here, state = waiting.pop()
            assert len(links) < 10_000, "it goes in a ring"
            for child in state.children:
                there = hosts[child.remote_host]
                links[here.number, there.number] += 1
                talk = next((t for t, p in there.ports.items() if p == child.remote_port), None)
                after = there.state.get(talk or "")
                if after is None or after.ssrc != start.ssrc or not there.alive:
                    continue
                up = after.upstream
                if up is None or up.remote_host != here.id.host:
                    continue
                if up.remote_port not in {0, here.ports[state.talk]}:
                    continue
                if links[here.number, there.number] > 1:
                    continue
                if after.listening and after.key == start.key:
                    listeners.add(there.number)
                if after.key is not None:
                    opened.add(there.number)
                waiting.append((there, after))
        return Heard(frozenset(listeners), links, frozenset(opened))

    # -- Groups

    def found_group(self, members: Iterable[int]) -> GroupId:
        """Let some be members of a group, with a key that all have."""
        numbers = list(members)
        founder = self.seats[numbers[0]]
        founding = make_change(
            founder.key, ChangeKind.FOUND, name="Medics", nonce=self.random.randbytes(16)
        )
        invite = make_change(
            founder.key,
            ChangeKind.INVITE,
            group=founding.group,
            parents=(founding.hash,),
            depth=1,
            subjects=tuple(sorted(self.seats[number].id for number in numbers[1:])),
        )
        log, _ = GroupLog(founding.group).with_changes([founding, invite])
        group = Group(founder.id, log, accepted=founding.hash)
        self.give_key(group, numbers)
        return group.id

    def give_key(self, group: Group, numbers: Iterable[int]) -> None:
        key = GroupKey(Secret(self.random.randbytes(32)), group.audience)
        for number in numbers:
            own = self.seats[number].id
            before = self.seats[number].book.get(group.id)
            joined = group.members[own].joined
            mine = replace(group, own=own, accepted=joined, keys=before.keys if before else {})
            mine = mine.with_keys((key,), group.own, 0.0)
            self.seats[number].book.load(group.id, mine.encode())


def grid(width: int, height: int) -> list[tuple[int, int]]:
    """Links of a grid, numbered row by row."""
    across = [(y * width + x, y * width + x + 1) for y in range(height) for x in range(width - 1)]
    down = [(y * width + x, (y + 1) * width + x) for y in range(height - 1) for x in range(width)]
    return across + down
