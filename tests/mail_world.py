"""Stations with the store's real operations on SQLite in memory, joined by a fake link, in virtual
time.

Nothing happens by itself: each step of `World.step` is one frame that arrives, one operation that
the store carries out, one commit, or time that passes.  So a crash or a lost link can come between
any two.  Sessions keep order and lose what is in flight when they break; a crash undoes what was
not committed.
"""

from __future__ import annotations

import random
import sqlite3
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mail_links import Link, Pipe
from prekey_disk import PrekeyDisk

from appliance.adapters.store import schema
from appliance.adapters.store.operations import READS, WRITES
from appliance.model.card import Prekey
from appliance.model.identity import Address, StationId, StationKey
from appliance.model.message import DeliveryState
from appliance.node.beginnings import Identity, Memory, Now
from appliance.node.call_effects import AskSession, CallChanged, Media, NeedSession, SendSip
from appliance.node.effects import (
    AlarmRaised,
    Dial,
    Effect,
    EndSession,
    GroupChanged,
    MessageChanged,
    Send,
    StationChanged,
    TalkChanged,
    Transact,
    VerificationChanged,
)
from appliance.node.own_card import CARD_VALUE, RESTORED_VALUE, highest_order
from appliance.node.ports import (
    GetMessage,
    GetMessages,
    GetStations,
    GetValue,
    Moment,
    StoredMessage,
)
from appliance.node.ports import Operation as StoreOperation
from appliance.node.ports.carrying import GetCargo
from appliance.node.ports.grouping import GetGroups
from appliance.node.station import Station
from appliance.node.usage import SessionInfo
from appliance.node.writing import Draft
from appliance.protocol.frames import Channel

LAZY_S = 0.5
DAY_MS = 86_400_000
WALL_MS = 1_790_000_000_000


class Desk:
    """A station, its disk and its operator."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.key = StationKey.from_bytes(bytes([seed]) * 32)
        self.id = self.key.id
        self.prekeys = PrekeyDisk(bytes([seed]) * 8, bytes([seed ^ 0x55]) * 32)
        self.db = sqlite3.connect(":memory:", isolation_level=None)
        schema.migrate(self.db)
        self.boots = 0
        self.clock_off_ms = 0
        self.disk_full = False
        self.operations: deque[Transact[Any]] = deque()
        self.uncommitted: list[tuple[Transact[Any], Any]] = []
        self.lazy_since: float | None = None
        self.confirmed: list[StoredMessage] = []
        self.told: dict[bytes, DeliveryState] = {}
        """What the operator has been shown of each message that he wrote."""
        self.alarms: list[AlarmRaised] = []
        self.dials: list[Dial] = []
        self.start()

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def prekey(self) -> Prekey:
        return self.station.own.prekeys.current

    # -- Life

    def start(self) -> None:
        self.boots += 1
        self.started_at = self.world.now_s
        order = max((one.order for one in self._read(GetMessages(None, True, None, 1))), default=0)
        card = self._read(GetValue(CARD_VALUE))
        restored = self._read(GetValue(RESTORED_VALUE)) is not None
        randbytes = self.world.rng.randbytes
        self.station = Station(
            Identity(self.key, self.boots.to_bytes(8, "big"), self.prekeys.ring(randbytes)),
            Memory(
                stations=self._read(GetStations()),
                highest_order=highest_order(order, card, restored=restored),
                card=card,
                restored=restored,
                cargo=self._read(GetCargo()),
                groups=self._read(GetGroups()),
            ),
            random=self.world.rng.random,
            random_bytes=randbytes,
        )
        self.carry_out(self.station.start(self.now))

    def crash(self) -> None:
        """Lose all that is not on disk."""
        self.operations.clear()
        self.uncommitted.clear()
        self.lazy_since = None
        if self.db.in_transaction:
            self.db.execute("ROLLBACK")
        # A receipt is shown before the author's disk has it, since it will come again.
        self.told = {message: self.state_of(message) for message in self.told}
        for link in self.world.links_of(self):
            del link.ends[self]
            link.up = False

    @property
    def now(self) -> Now:
        at = self.world.now_s
        moment = Moment(WALL_MS + int(at * 1000) + self.clock_off_ms, False, at)
        return Now(at, at - self.started_at, moment)

    # -- Effects

    def carry_out(self, effects: Any) -> None:
        for effect in effects:
            self._one(effect)

    def _one(self, effect: Effect) -> None:
        match effect:
            case Send(peer, channel, data, urgent):
                self._send(peer, channel, data, urgent=urgent)
            case SendSip(peer, data):
                self._send(peer, Channel.SIP, data)
            case Transact():
                self.operations.append(effect)
            case EndSession(handle):
                for link in self.world.links_of(self):
                    if link.ends[self] == handle:
                        link.up = False
            case MessageChanged(message):
                self._look_at(message)
            case AlarmRaised():
                self.alarms.append(effect)
            case Dial():
                self.dials.append(effect)
            case GroupChanged():
                pass
            case StationChanged() | VerificationChanged() | TalkChanged():
                pass
            case NeedSession() | AskSession() | CallChanged() | Media():
                pass
            case _:
                raise AssertionError(effect)

    def _send(
        self, peer: StationId, channel: Channel, data: bytes, *, urgent: bool = False
    ) -> None:
        info = self.station.peers.session(peer)
        for link in self.world.links_of(self):
            if info is not None and link.ends[self] == info.handle:
                link.pipes[self].sender.put(channel, data, urgent=urgent)

    def _look_at(self, message: bytes) -> None:
        stored = self._read(GetMessage(message))
        assert stored is not None
        if stored.outgoing:
            state = max((r.state for r in stored.recipients), default=DeliveryState.QUEUED)
            before = self.told.get(message, DeliveryState.QUEUED)
            assert state >= before, f"{message.hex()} went back from {before} to {state}"
            self.told[message] = state

    # -- The store

    def _read(self, operation: StoreOperation[Any]) -> Any:
        return READS[type(operation)](self.db, operation)

    def store_step(self) -> None:
        """Carry out one operation that waits."""
        effect = self.operations.popleft()
        kind = type(effect.operation)
        if kind in READS:
            self.carry_out(effect.then(self._read(effect.operation)))
            return
        if self.disk_full:
            self.carry_out(effect.failed("The disk is full."))
            return
        if self.prekeys.perform(effect.operation):
            self.carry_out(effect.then(None))
            return
        if not self.db.in_transaction:
            self.db.execute("BEGIN")
        result = WRITES[kind](self.db, effect.operation)
        self.uncommitted.append((effect, result))
        if effect.lazy:
            if self.lazy_since is None:
                self.lazy_since = self.world.now_s
            self.carry_out(effect.early(result))

    @property
    def may_commit(self) -> bool:
        lazy_long = self.lazy_since is not None and self.world.now_s - self.lazy_since >= LAZY_S
        return lazy_long or any(not effect.lazy for effect, _ in self.uncommitted)

    def commit(self) -> None:
        self.db.execute("COMMIT")
        done, self.uncommitted, self.lazy_since = self.uncommitted, [], None
        for effect, result in done:
            self.carry_out(effect.then(result))

    # -- The operator

    def write(self, to: Desk | None, text: str, **more: Any) -> None:
        draft = Draft(Address(to.id) if to else None, text, **more)
        self.carry_out(
            self.station.write(draft, self.now, done=self.confirmed.append, failed=self._failed)
        )

    def _failed(self, why: str) -> None:
        assert self.disk_full, why

    def read_all(self) -> None:
        """See everything that is there."""
        for conversation in (None, *(d.id for d in self.world.desks if d is not self)):
            self.carry_out(
                self.station.mailbox.mark_read(
                    conversation,
                    (1 << 63) - 1,
                    self.now.moment,
                    uptime_s=self.now.uptime_s,
                    done=lambda _: None,
                    failed=self._failed,
                )
            )

    def messages(self) -> tuple[StoredMessage, ...]:
        return tuple(self._read(GetMessages(None, True, None, 10_000)))

    def inbox(self) -> list[str]:
        return [one.text for one in self.messages() if not one.outgoing]

    def state_of(self, message: bytes) -> DeliveryState:
        stored = self._read(GetMessage(message))
        return max((r.state for r in stored.recipients), default=DeliveryState.QUEUED)


class World:
    """Desks and the links between them."""

    def __init__(self, seed: int, desks: int = 2) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.now_s = 1000.0
        self.links: list[Link] = []
        self.handles = 0
        self.max_in_flight = 0
        self.desks: list[Desk] = []
        self.desks += (Desk(self, number + 1) for number in range(desks))

    def close(self) -> None:
        for desk in self.desks:
            desk.db.close()

    def links_of(self, desk: Desk) -> list[Link]:
        return [link for link in self.links if desk in link.ends]

    def connect(self, a: Desk, b: Desk) -> Link:
        """A session comes to be; both ends hear of it, in any order."""
        link = Link({a: self.handles + 1, b: self.handles + 2}, {a: Pipe(), b: Pipe()})
        self.links.append(link)
        self.handles += 2
        both = [(a, b, True), (b, a, False)]
        self.rng.shuffle(both)
        for desk, other, outgoing in both:
            # Each link is a cable of its own, on which the two announce themselves.
            announced = (other.id.text, other.id, (("there", 1),), (f"eth{self.handles}",))
            desk.carry_out(desk.station.whereabouts.sighted(*announced, desk.now))
            info = SessionInfo(
                handle=link.ends[desk],
                peer=other.id,
                boot=other.boots.to_bytes(8, "big"),
                outgoing=outgoing,
                local_host="here",
                remote_host="there",
                opened_at=self.now_s,
            )
            desk.carry_out(desk.station.session_opened(info, desk.now))
        return link

    def cut(self, link: Link) -> None:
        """Break a session: each end still gets some of what is under way, then notices."""
        link.up = False
        for desk in self.rng.sample(list(link.ends), len(link.ends)):
            sender = self._other(link, desk)
            for _ in range(self.rng.randrange(4)):
                if desk in link.ends and sender in link.pipes:
                    self._arrive(link, sender, desk)
            if desk in link.ends:
                self._hang_up(link, desk)
        self.links.remove(link)

    def _hang_up(self, link: Link, desk: Desk) -> None:
        handle = link.ends.pop(desk)
        peer = self._other(link, desk).id
        desk.carry_out(desk.station.whereabouts.gone(peer.text, peer))
        desk.carry_out(desk.station.session_closed(handle, peer, desk.now))

    @staticmethod
    def _other(link: Link, desk: Desk) -> Desk:
        return next(other for other in link.pipes if other is not desk)

    def _arrive(self, link: Link, sender: Desk, receiver: Desk) -> None:
        frame = link.pipes[sender].sender.take()
        if frame is None:
            return
        complete = link.pipes[sender].receiver.feed(frame)
        if complete is not None:
            channel, data = complete
            receiver.carry_out(
                receiver.station.message_received(
                    link.ends[receiver], sender.id, channel, data, receiver.now
                )
            )

    # -- Steps

    def step(self) -> bool:
        """Do one thing that can be done; returns whether there was any."""
        for link in [link for link in self.links if not link.up]:
            self.cut(link)
        choices: list[tuple[str, Any]] = []
        for desk in self.desks:
            if desk.operations:
                choices.append(("store", desk))
            if desk.may_commit:
                choices.append(("commit", desk))
        for link in self.links:
            choices += [("frame", (link, one)) for one, p in link.pipes.items() if p.sender.queued]
        if not choices:
            return False
        kind, what = self.rng.choice(choices)
        if kind == "store":
            what.store_step()
        elif kind == "commit":
            what.commit()
        else:
            self._arrive(what[0], what[1], self._other(*what))
        self._check_bounds()
        return True

    def _check_bounds(self) -> None:
        lanes = (one for d in self.desks for one in d.station.mailbox.outbox._lanes.values())
        self.max_in_flight = max((self.max_in_flight, *(len(lane.in_flight) for lane in lanes)))

    def settle(self, patience_s: float = 1.0) -> None:
        """Do all that can be done, with `patience_s` for what waits for time."""
        until = self.now_s + patience_s
        for _ in range(100_000):
            if self.step():
                continue
            if self.now_s >= until:
                return
            self.pass_time(0.25)
        raise AssertionError(f"nothing comes to rest; seed {self.seed}")

    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds
        for desk in self.desks:
            at = desk.station.next_wakeup(desk.now)
            if at is not None and at <= self.now_s:
                desk.carry_out(desk.station.wakeup(desk.now))


@contextmanager
def world(seed: int = 0, desks: int = 2, *, met: bool = True) -> Iterator[World]:
    made = World(seed, desks)
    try:
        made.settle()
        if met:
            made.connect(*made.desks[:2])
            made.settle()
        yield made
    finally:
        made.close()
