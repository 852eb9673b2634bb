"""A station whose operations are carried out on a real database, one by one, when the test says so.

Nothing runs by itself: what it sends lies in `sent`, what it wants to store in `waiting`.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from prekey_disk import PrekeyDisk

from appliance.adapters.store import schema
from appliance.adapters.store.operations import READS, WRITES
from appliance.model.identity import StationId, StationKey
from appliance.node.beginnings import Identity, Memory, Now
from appliance.node.effects import Effect, EndSession, Send, Transact
from appliance.node.own_card import CARD_VALUE
from appliance.node.ports import GetStations, GetValue, Moment
from appliance.node.station import Station
from appliance.node.usage import SessionInfo
from appliance.protocol.frames import Channel


def new_database() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    schema.migrate(db)
    return db


@dataclass
class Node:
    """One station and its database."""

    key: StationKey = field(default_factory=StationKey.generate)
    db: sqlite3.Connection = field(default_factory=new_database)
    at: float = 100.0
    disk_full: bool = False
    sent: list[Send] = field(default_factory=list)
    ended: list[EndSession] = field(default_factory=list)
    waiting: list[Transact[Any]] = field(default_factory=list)
    changes: list[Effect] = field(default_factory=list)
    prekey_id: bytes = field(default_factory=lambda: os.urandom(8))
    prekey_secret: X25519PrivateKey = field(default_factory=X25519PrivateKey.generate)
    random: Callable[[], float] = lambda: 0.5
    random_bytes: Callable[[int], bytes] = os.urandom

    def __post_init__(self) -> None:
        """Start it, for the first time or with what an earlier one has left."""
        self.prekeys = PrekeyDisk(self.prekey_id, self.prekey_secret.private_bytes_raw())
        self.boot = self.random_bytes(8)
        self.station = Station(
            Identity(self.key, self.boot, self.prekeys.ring(self.random_bytes)),
            Memory(
                stations=READS[GetStations](self.db, GetStations()),
                highest_order=0,
                card=READS[GetValue](self.db, GetValue(CARD_VALUE)),
            ),
            random=self.random,
            random_bytes=self.random_bytes,
        )
        self.do(self.station.start(self.now))
        self.settle()

    @property
    def id(self) -> StationId:
        return self.key.id

    @property
    def now(self) -> Now:
        return Now(self.at, self.at, Moment(1_800_000_000_000, False, self.at))

    def do(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                self.sent.append(effect)
            elif isinstance(effect, EndSession):
                self.ended.append(effect)
            elif isinstance(effect, Transact):
                self.waiting.append(effect)
            else:
                self.changes.append(effect)

    def settle(self) -> None:
        """Let the disk do all that it was given."""
        while self.waiting:
            effect = self.waiting.pop(0)
            kind = type(effect.operation)
            if kind in READS:
                self.do(effect.then(READS[kind](self.db, effect.operation)))
            elif self.disk_full:
                self.do(effect.failed("full"))
            elif self.prekeys.perform(effect.operation):
                self.do(effect.then(None))
            else:
                result = WRITES[kind](self.db, effect.operation)
                self.do(effect.early(result) if effect.lazy else ())
                self.do(effect.then(result))

    def take(self, channel: Channel) -> list[bytes]:
        """What was sent on a channel since the last time."""
        found = [send.data for send in self.sent if send.channel is channel]
        self.sent = [send for send in self.sent if send.channel is not channel]
        return found

    def hear(self, peer: StationId, channel: Channel, data: bytes, *, handle: int = 1) -> None:
        self.do(self.station.message_received(handle, peer, channel, data, self.now))
        self.settle()

    def open(self, peer: StationId, *, handle: int = 1) -> None:
        info = SessionInfo(handle, peer, b"p" * 8, self.id < peer, "10.0.0.1", "10.0.0.2", self.at)
        self.do(self.station.session_opened(info, self.now))
        self.settle()

    def close(self, peer: StationId, *, handle: int = 1) -> None:
        self.do(self.station.session_closed(handle, peer, self.now))
        self.settle()


def join(a: Node, b: Node) -> None:
    """Give both a session with the other and carry all that they have to say."""
    a.open(b.id)
    b.open(a.id)
    carry(a, b)


def carry(a: Node, b: Node) -> None:
    """Carry messages between two stations until there are none."""
    while a.sent or b.sent:
        for here, there in ((a, b), (b, a)):
            sent, here.sent = here.sent, []
            for send in sent:
                if send.peer == there.id:
                    there.hear(here.id, send.channel, send.data)
