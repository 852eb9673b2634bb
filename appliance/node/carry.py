"""Records that go from neighbour to neighbour until whom they are for has them.

A record that is new here is stored and then goes on to all neighbours that lack it, most urgent
first; so it reaches everybody.  Each two neighbours compare what they carry when a session begins
and now and then, which repairs what was missed and loads on whoever comes from another island.

What stays out: what a record says (`mailbox`), and the room that each may take (the store).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from appliance.model.codec import FormatError
from appliance.model.identity import StationId
from appliance.model.message import Receipt
from appliance.model.record import Record, RecordKind
from appliance.node.beginnings import Now
from appliance.node.carry_lane import CarryLane
from appliance.node.carry_ports import Cargo, Expire, GetCarried, Load, Ship, Shipped, Tier
from appliance.node.effects import Effect, Send, Transact
from appliance.protocol.acks import Ack, Outcome, encode_acks
from appliance.protocol.carrying import (
    MAX_WANTED,
    Compare,
    Parcel,
    Wanted,
    decode_sync,
    encode_parcel,
    encode_sync,
)
from appliance.protocol.frames import Channel
from appliance.protocol.id_set import IdSet
from appliance.protocol.reconciliation import Reconciler

LIFETIME_S: Final = 30 * 24 * 3600.0
"""For how long what has no limit of its own is carried."""

BATCH: Final = 16
"""Records that one look into the store fetches."""

COMPARE_S: Final = (15.0, 600.0)
"""Least and most time between two comparisons with a neighbour: it doubles while they find
nothing."""

STUCK_S: Final = 60.0
"""A comparison that is not answered for so long is given up."""

EXPIRE_S: Final = 60.0
EXPIRED: Final = 256
"""How often what is too old is looked for, and how much of it is dropped at a time."""


@dataclass
class _Neighbour:
    """Somebody with whom records are exchanged."""

    lane: CarryLane
    """What goes to it."""

    begins: bool
    """We begin the comparisons."""

    interval_s: float = COMPARE_S[0]
    """Between two of them."""

    compare_at: float | None = None
    """When to begin the next."""

    ours: Reconciler | None = None
    """The one that we have begun."""

    theirs: Reconciler | None = None
    """The one that it has begun."""

    differed: bool = False
    """The one that runs has found something."""


class Carry:
    """What this station carries, and to whom it goes on."""

    def __init__(
        self,
        own: StationId,
        cargo: Cargo,
        *,
        tier_of: Callable[[StationId], Tier],
        random: Callable[[], float],
    ) -> None:
        """`cargo` is what the store holds; `tier_of` tells how far an author is trusted."""
        self._own, self._tier_of, self._random = own, tier_of, random
        self._carried = IdSet(record for record, _ in cargo.carried)
        self._urgency = dict(cargo.carried)
        self._known = IdSet(cargo.known)
        self._neighbours: dict[StationId, _Neighbour] = {}
        self._expire_at = 0.0

    def knows(self, record: bytes) -> bool:
        """Tell whether a record is carried, or was, or was refused."""
        return record in self._carried or record in self._known

    def neighbours(self) -> Iterable[StationId]:
        """Return with whom records are exchanged."""
        return self._neighbours

    # -- Sessions

    def session_up(self, peer: StationId, now: Now, *, begins: bool) -> list[Effect]:
        """A session stands with a neighbour; one of the two begins the comparisons."""
        self._neighbours[peer] = neighbour = _Neighbour(CarryLane(), begins)
        return self._compare(peer, neighbour, now.monotonic) if begins else []

    def session_down(self, peer: StationId) -> None:
        """A session ended."""
        self._neighbours.pop(peer, None)

    # -- Records

    def load_of(
        self, record: Record, now: Now, *, came_from: StationId, age_s: float = 0.0
    ) -> Load:
        """Return what the store is to be told of a record; raises FormatError."""
        covers: tuple[bytes, ...] = ()
        if record.kind is RecordKind.RECEIPT:
            covers = Receipt.decode(record.content).records
        elif record.kind is not RecordKind.MESSAGE:
            raise FormatError("carried: neither a message nor a receipt")
        if len(record.to) > 1:
            raise FormatError("carried: for more than one station")
        return Load(
            record=record,
            recipient=record.to[0].station if record.to else None,
            covers=covers,
            came_from=came_from,
            tier=Tier.OWN if record.author == self._own else self._tier_of(record.author),
            age_s=age_s,
            lifetime_s=float(record.lifetime_s) or LIFETIME_S,
            awake_s=now.moment.awake_s,
        )

    def ship(self, load: Load, now: Now, *, if_waiting: bool = False) -> list[Effect]:
        """Store a record and send it on."""
        peer, record = load.came_from, load.record

        def stored(shipped: Shipped) -> Sequence[Effect]:
            effects = self._dropped(shipped.dropped)
            if shipped.taken:
                self._carried.add(record.id)
                self._urgency[record.id] = urgency = _urgency(record)
                for other in self._neighbours.values():
                    other.lane.add(record.id, urgency)
            elif not if_waiting:
                self._known.add(record.id)
            outcome = Outcome.REFUSED if shipped.full else Outcome.CARRIED
            return [*effects, *self._answer(peer, record.id, outcome), *self._go_on(now)]

        def not_stored(_: str) -> Sequence[Effect]:
            return self._answer(peer, record.id, Outcome.LATER)

        return [Transact(Ship(load, if_waiting), stored, not_stored)]

    def refuse(self, peer: StationId, record: bytes) -> list[Effect]:
        """A record that a neighbour brought is of no use to anybody."""
        self._known.add(record)
        return self._answer(peer, record, Outcome.REFUSED)

    def has_already(self, peer: StationId, record: bytes) -> list[Effect]:
        """A neighbour has brought what is here, so it need not go back."""
        neighbour = self._neighbours.get(peer)
        if neighbour is not None:
            neighbour.lane.has((record,))
        return self._answer(peer, record, Outcome.CARRIED)

    def _answer(self, peer: StationId, record: bytes, outcome: Outcome) -> list[Effect]:
        if peer == self._own:
            return []
        neighbour = self._neighbours.get(peer)
        if neighbour is not None and outcome is not Outcome.LATER:
            neighbour.lane.has((record,))
        return [Send(peer, Channel.ACK, encode_acks((Ack(record, outcome),)))]

    def _dropped(self, records: Sequence[bytes]) -> list[Effect]:
        for record in records:
            self._carried.discard(record)
            self._known.add(record)
            self._urgency.pop(record, None)
        for neighbour in self._neighbours.values():
            neighbour.lane.has(records)
        return []

    def acked(self, peer: StationId, acks: Sequence[Ack], now: Now) -> list[Effect]:
        """A neighbour says what became of records."""
        neighbour = self._neighbours.get(peer)
        if neighbour is None:
            return []
        neighbour.lane.answered(ack.record for ack in acks)
        if any(ack.outcome is Outcome.LATER for ack in acks):
            neighbour.lane.postpone(now.monotonic)
            for ack in acks:
                if ack.outcome is Outcome.LATER and ack.record in self._urgency:
                    neighbour.lane.add(ack.record, self._urgency[ack.record])
        return self._go_on(now)

    # -- On to neighbours

    def _go_on(self, now: Now) -> list[Effect]:
        effects: list[Effect] = []
        for peer, neighbour in self._neighbours.items():
            effects += self._fetch(peer, neighbour, now)
        return effects

    def _fetch(self, peer: StationId, neighbour: _Neighbour, now: Now) -> list[Effect]:
        lane = neighbour.lane
        records = lane.take(BATCH, now.monotonic)
        if not records:
            return []
        lane.fetching = True

        def found(parcels: tuple[tuple[bytes, float, bytes], ...]) -> Sequence[Effect]:
            lane.fetching = False
            if self._neighbours.get(peer) is not neighbour:
                return ()
            effects: list[Effect] = []
            for record, age_s, raw in parcels:
                lane.sent(record, len(raw), now.monotonic)
                effects.append(Send(peer, Channel.CARRY, encode_parcel(Parcel(int(age_s), raw))))
            return [*effects, *self._fetch(peer, neighbour, now)]

        def broken(_: str) -> Sequence[Effect]:
            lane.fetching = False
            lane.postpone(now.monotonic)
            return ()

        return [Transact(GetCarried(records, now.moment.awake_s), found, broken)]

    # -- Comparing

    def _compare(self, peer: StationId, neighbour: _Neighbour, now: float) -> list[Effect]:
        neighbour.ours = Reconciler(self._carried)
        neighbour.differed = False
        neighbour.compare_at = now + STUCK_S
        data = neighbour.ours.begin()
        return [Send(peer, Channel.SYNC, encode_sync(Compare(True, data)))]

    def sync_received(self, peer: StationId, data: bytes, now: Now) -> list[Effect]:
        """Take a message of the SYNC channel; raises FormatError."""
        neighbour = self._neighbours.get(peer)
        message = decode_sync(data)
        if neighbour is None or message is None:
            return []
        if isinstance(message, Wanted):
            for record in message.records:
                if record in self._urgency:
                    neighbour.lane.add(record, self._urgency[record])
            return self._fetch(peer, neighbour, now)
        if message.begun_by_sender:
            if neighbour.theirs is None:
                neighbour.theirs = Reconciler(self._carried)
            reconciler = neighbour.theirs
        elif neighbour.ours is not None:
            reconciler = neighbour.ours
        else:
            return []
        step = reconciler.received(message.data)
        effects: list[Effect] = []
        if step.reply is not None:
            reply = Compare(not message.begun_by_sender, step.reply)
            effects.append(Send(peer, Channel.SYNC, encode_sync(reply)))
        missing = [record for record in step.theirs if not self.knows(record)]
        for start in range(0, len(missing), MAX_WANTED):
            wanted = Wanted(tuple(missing[start : start + MAX_WANTED]))
            effects.append(Send(peer, Channel.SYNC, encode_sync(wanted)))
        for record in step.ours:
            neighbour.lane.add(record, self._urgency.get(record, 0))
        neighbour.differed |= bool(missing or step.ours)
        if not message.begun_by_sender and step.reply is None:
            self._compared(neighbour, now.monotonic)
        return [*effects, *self._fetch(peer, neighbour, now)]

    def _compared(self, neighbour: _Neighbour, now: float) -> None:
        least, most = COMPARE_S
        longer = min(neighbour.interval_s * 2, most)
        neighbour.interval_s = least if neighbour.differed else longer
        neighbour.ours = None
        neighbour.compare_at = now + neighbour.interval_s * (0.75 + 0.5 * self._random())

    # -- Time

    def next_wakeup(self, now: float) -> float:
        """Say when to call `wakeup`."""
        times = [self._expire_at]
        for neighbour in self._neighbours.values():
            if neighbour.begins and neighbour.compare_at is not None:
                times.append(neighbour.compare_at)
            if (at := neighbour.lane.next_wakeup(now)) is not None:
                times.append(at)
        return min(times)

    def wakeup(self, now: Now) -> list[Effect]:
        """Do what is due."""
        effects: list[Effect] = []
        for peer, neighbour in self._neighbours.items():
            neighbour.lane.wakeup(now.monotonic)
            at = neighbour.compare_at
            if neighbour.begins and at is not None and at <= now.monotonic:
                effects += self._compare(peer, neighbour, now.monotonic)
        if self._expire_at <= now.monotonic:
            self._expire_at = now.monotonic + EXPIRE_S
            effects += self._expire(now)
        return [*effects, *self._go_on(now)]

    def _expire(self, now: Now) -> list[Effect]:
        def gone(records: tuple[bytes, ...]) -> Sequence[Effect]:
            for record in records:
                self._known.discard(record)
            return self._expire(now) if len(records) == EXPIRED else ()

        return [Transact(Expire(now.moment.awake_s, EXPIRED), gone)]


def _urgency(record: Record) -> int:
    return 2 * int(record.precedence) + (record.kind is RecordKind.RECEIPT)
