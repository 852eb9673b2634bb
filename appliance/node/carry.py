"""Records that go from neighbour to neighbour until whom they are for has them.

A record that is new here is stored and then goes on to all neighbours that lack it, most urgent
first; so it reaches everybody.  Each two neighbours compare what they carry when a session begins
and now and then, which repairs what was missed and loads on whoever comes from another island.

What stays out: what a record says (`mailbox`), and the room that each may take (the store).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from appliance.model.cargo import LAST, Cargo, Load, Shipped, Tier
from appliance.model.codec import FormatError
from appliance.model.group import Conversation, GroupId
from appliance.model.identity import StationId
from appliance.model.message import Receipt, Reseal
from appliance.model.record import Precedence, Record, RecordKind
from appliance.node.carry_lane import URGENT, CarryLane
from appliance.node.comparing import Comparing
from appliance.node.effects import Effect, MessageChanged, Send, Transact
from appliance.node.ports import Moment
from appliance.node.ports.carrying import Expire, Expired, GetCarried, NoteHolder, Ship, ShipAll
from appliance.protocol.acks import Ack, Outcome, encode_acks
from appliance.protocol.carrying import (
    Compare,
    Parcel,
    decode_sync,
    encode_parcels,
    in_messages,
)
from appliance.protocol.frames import Channel
from appliance.protocol.id_set import IdSet

LIFETIME_S: Final = 30 * 24 * 3600.0
"""For how long anything is carried at most.  A prekey opens what was sealed to it for longer."""

MAX_REFUSED: Final = 16_384
"""Ids of what is of no use, signed as it is, so that it is not asked for again and again."""

EXPIRE_S: Final = 60.0
EXPIRED: Final = 256
"""How often what is too old is looked for, and how much of it is dropped at a time."""


class Carry:
    """What this station carries, and to whom it goes on."""

    def __init__(
        self,
        own: StationId,
        cargo: Cargo,
        *,
        tier_of: Callable[[StationId], Tier],
        gossips: Callable[[StationId], bool],
        random: Callable[[], float],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """`cargo` is what the store holds; `tier_of` tells how far an author is trusted.

        `gossips` tells with whom of those that have a session records are exchanged.
        """
        self._own, self._tier_of, self._gossips = own, tier_of, gossips
        self._carried = IdSet(record for record, _, _ in cargo.carried)
        self._urgency = {record: urgency for record, urgency, _ in cargo.carried}
        self._ours = {record for record, _, ours in cargo.carried if ours}
        self._known = IdSet(cargo.known)
        self._refused: OrderedDict[bytes, None] = OrderedDict()
        self._lanes: dict[StationId, CarryLane] = {}
        self._comparing = Comparing(
            self._carried,
            gossips=gossips,
            knows=self.knows,
            random=random,
            random_bytes=random_bytes,
        )
        self._expire_at = 0.0

    def knows(self, record: bytes) -> bool:
        """Tell whether a record is carried, or was, or was refused."""
        return record in self._carried or record in self._known or record in self._refused

    def answer_for(self, record: bytes) -> Ack:
        """Say what became of a record that is known: only what is carried counts as that."""
        outcome = Outcome.CARRIED if record in self._carried else Outcome.REFUSED
        return Ack(record, outcome)

    @property
    def has_neighbours(self) -> bool:
        """There is somebody with whom records are exchanged."""
        return any(map(self._gossips, self._lanes))

    # -- Sessions

    def session_up(self, peer: StationId, moment: Moment, *, begin: bool) -> list[Effect]:
        """A session stands with somebody who can carry; one of two that gossip begins."""
        self._lanes[peer] = CarryLane()
        return self._comparing.session_up(peer, moment.awake_s, begin=begin)

    def session_down(self, peer: StationId) -> None:
        """A session ended."""
        self._lanes.pop(peer, None)
        self._comparing.session_down(peer)

    # -- Records

    def load_of(
        self, record: Record, moment: Moment, *, came_from: StationId, age_s: float = 0.0
    ) -> Load:
        """Return what the store is to be told of a record; raises FormatError."""
        covers: tuple[bytes, ...] = ()
        match record.kind:
            case RecordKind.RECEIPT:
                covers = Receipt.decode(record.content).records
            case RecordKind.RESEAL:
                covers = Reseal.decode(record.content).records
            case RecordKind.CARD:
                raise FormatError("carried: cards have a way of their own")
        if len(record.to) > 1 or (record.to and record.group is not None):
            raise FormatError("carried: for more than one station")
        recipient: Conversation = record.to[0].station if record.to else None
        if record.group is not None:
            recipient = GroupId(record.group)
        return Load(
            record=record,
            recipient=recipient,
            covers=covers,
            came_from=came_from,
            tier=self._tier(record),
            age_s=age_s,
            lifetime_s=min(float(record.lifetime_s) or LIFETIME_S, LIFETIME_S),
            awake_s=moment.awake_s,
        )

    def _tier(self, record: Record) -> Tier:
        """Return how far an author is trusted, and for a receipt also whom it is for.

        Else strangers, by writing to everyone, would fill the room of those whom we know.
        """
        tier = Tier.OWN if record.author == self._own else self._tier_of(record.author)
        if record.kind is not RecordKind.RECEIPT or not record.to:
            return tier
        to = record.to[0].station
        return tier if to == self._own else min(tier, self._tier_of(to))

    def spread(self, record: Record, moment: Moment) -> list[Effect]:
        """Let everybody carry a record: one of ours while it waits for somebody, or a receipt."""
        load = self.load_of(record, moment, came_from=self._own)
        ours = record.author == self._own
        return self.ship(load, moment, if_waiting=ours and not record.for_everyone)

    def withdrawn(self, records: Sequence[bytes]) -> None:
        """Others have taken the place of these."""
        self._dropped(records)

    def ship(self, load: Load, moment: Moment, *, if_waiting: bool = False) -> list[Effect]:
        """Store a record and send it on."""

        def stored(shipped: Shipped) -> Sequence[Effect]:
            return self.taken(load, shipped, moment, if_waiting=if_waiting)

        def not_stored(_: str) -> Sequence[Effect]:
            return self.not_taken(load)

        return [Transact(Ship(load, if_waiting), stored, not_stored)]

    def ship_all(
        self, peer: StationId, loads: Sequence[Load], answers: Sequence[Ack], moment: Moment
    ) -> list[Effect]:
        """Store what a neighbour has brought and send it on; `answers` to what came beside it."""

        def stored(shipped: tuple[Shipped, ...]) -> Sequence[Effect]:
            said = list(answers)
            for load, one in zip(loads, shipped, strict=True):
                self._shipped(load, one)
                said.append(Ack(load.record.id, _outcome(one)))
            return [*self._go_on(moment), *self._answer(peer, said)]

        def not_stored(_: str) -> Sequence[Effect]:
            later = (Ack(load.record.id, Outcome.LATER) for load in loads)
            return self._answer(peer, [*answers, *later])

        if not loads:
            return self._answer(peer, answers)
        return [Transact(ShipAll(tuple(loads)), stored, not_stored)]

    def taken(
        self, load: Load, shipped: Shipped | None, moment: Moment, *, if_waiting: bool = False
    ) -> list[Effect]:
        """What a neighbour has brought, or we have written, is on disk; None: not to be carried."""
        answer = self._answer(load.came_from, [Ack(load.record.id, _outcome(shipped))])
        if shipped is None:
            return answer
        return [*self.shipped(load, shipped, moment, if_waiting=if_waiting), *answer]

    def not_taken(self, load: Load) -> list[Effect]:
        """It could not be stored."""
        return self._answer(load.came_from, [Ack(load.record.id, Outcome.LATER)])

    def shipped(
        self, load: Load, shipped: Shipped, moment: Moment, *, if_waiting: bool = False
    ) -> list[Effect]:
        """The store has taken a record, or not."""
        self._shipped(load, shipped, if_waiting=if_waiting)
        return self._go_on(moment)

    def _shipped(self, load: Load, shipped: Shipped, *, if_waiting: bool = False) -> None:
        peer, record = load.came_from, load.record
        self._dropped(shipped.dropped)
        if shipped.taken:
            self._carried.add(record.id)
            self._urgency[record.id] = urgency = _urgency(record, load.tier, shipped.believed)
            if load.tier is Tier.OWN and record.kind is RecordKind.MESSAGE:
                self._ours.add(record.id)
            for other, lane in self._lanes.items():
                if other != peer and self._gossips(other):
                    lane.add(record.id, urgency)
        elif load.age_s >= load.lifetime_s:
            # The store has not noted it, so nothing would ever take it out of what is known.
            self.refuse(record.id)
        elif not if_waiting and record.id not in self._carried:
            self._known.add(record.id)

    def refuse(self, record: bytes) -> Ack:
        """A record that a neighbour brought is of no use to anybody."""
        self._refused[record] = None
        while len(self._refused) > MAX_REFUSED:
            self._refused.popitem(last=False)
        return Ack(record, Outcome.REFUSED)

    def _answer(self, peer: StationId, answers: Sequence[Ack]) -> list[Effect]:
        if peer == self._own or not answers:
            return []
        lane = self._lanes.get(peer)
        if lane is not None:  # it has these, so they need not go back
            lane.has(one.record for one in answers if one.outcome is not Outcome.LATER)
        return [Send(peer, Channel.ACK, encode_acks(tuple(answers)))]

    def _dropped(self, records: Sequence[bytes]) -> None:
        for record in records:
            self._carried.discard(record)
            self._known.add(record)
            self._urgency.pop(record, None)
            self._ours.discard(record)
        for lane in self._lanes.values():
            lane.has(records)

    def acked(self, peer: StationId, acks: Sequence[Ack], moment: Moment) -> list[Effect]:
        """A neighbour says what became of records."""
        lane = self._lanes.get(peer)
        if lane is None:
            return []
        lane.answered(ack.record for ack in acks)
        if any(ack.outcome is Outcome.LATER for ack in acks):
            lane.postpone(moment.awake_s)
            for ack in acks:
                if ack.outcome is Outcome.LATER and ack.record in self._urgency:
                    lane.add(ack.record, self._urgency[ack.record])
        if lane.left_out and lane.idle:
            lane.left_out = False
            self._comparing.soon(peer, moment.awake_s)
        return [*self._fetch(peer, lane, moment), *self._held(peer, acks)]

    def _held(self, peer: StationId, acks: Sequence[Ack]) -> list[Effect]:
        carries = (ack.record for ack in acks if ack.outcome is Outcome.CARRIED)
        ours = tuple(record for record in carries if record in self._ours)
        if not ours:
            return []

        def noted(changed: tuple[bytes, ...]) -> Sequence[Effect]:
            return [MessageChanged(message) for message in changed]

        return [Transact(NoteHolder(peer, ours), noted, lazy=True)]

    # -- On to neighbours

    def _go_on(self, moment: Moment) -> list[Effect]:
        effects: list[Effect] = []
        for peer, lane in self._lanes.items():
            effects += self._fetch(peer, lane, moment)
        return effects

    def _fetch(self, peer: StationId, lane: CarryLane, moment: Moment) -> list[Effect]:
        records = lane.take(moment.awake_s)
        if not records:
            return []
        lane.fetching = True

        def found(parcels: tuple[tuple[bytes, float, bytes], ...]) -> Sequence[Effect]:
            lane.fetching = False
            if self._lanes.get(peer) is not lane:
                return ()
            urgent: list[Parcel] = []
            others: list[Parcel] = []
            for number, (record, age_s, raw) in enumerate(parcels):
                urgency = self._urgency.get(record, LAST)
                if not lane.has_room(urgency):
                    self._put_back(lane, [record for record, _, _ in parcels[number:]])
                    break
                lane.sent(record, len(raw), moment.awake_s)
                (urgent if urgency >= URGENT else others).append(Parcel(int(age_s), raw))
            lane.fetched(len(parcels), len(urgent) + len(others))
            effects: list[Effect] = [
                Send(peer, Channel.CARRY, encode_parcels(together), urgent=parts is urgent)
                for parts in (urgent, others)
                for together in in_messages(parts)
            ]
            return [*effects, *self._fetch(peer, lane, moment)]

        def broken(_: str) -> Sequence[Effect]:
            lane.fetching = False
            lane.postpone(moment.awake_s)
            self._put_back(lane, records)
            return ()

        return [Transact(GetCarried(records, moment.awake_s), found, broken)]

    def _put_back(self, lane: CarryLane, records: Sequence[bytes]) -> None:
        carried = [record for record in records if record in self._urgency]
        lane.put_back([(record, self._urgency[record]) for record in carried])

    def sync_received(self, peer: StationId, data: bytes, moment: Moment) -> list[Effect]:
        """Take a message of the SYNC channel; raises FormatError."""
        lane = self._lanes.get(peer)
        message = decode_sync(data)
        if lane is None or message is None:
            return []
        if isinstance(message, Compare):
            return self._comparing.received(peer, message, moment.awake_s)
        self._comparing.wanted(peer)
        for record in message.records:
            if record in self._urgency:
                lane.add(record, self._urgency[record])
        return self._fetch(peer, lane, moment)

    # -- Time

    def next_wakeup(self) -> float:
        """Say when to call `wakeup`, in seconds of being awake, as all times here."""
        first = min(self._expire_at, self._comparing.next_wakeup())
        for lane in self._lanes.values():
            at = lane.next_wakeup()
            if at is not None and at < first:
                first = at
        return first

    def wakeup(self, moment: Moment) -> list[Effect]:
        """Do what is due."""
        for lane in self._lanes.values():
            lane.wakeup(moment.awake_s)
        effects = self._comparing.wakeup(moment.awake_s)
        if self._expire_at <= moment.awake_s:
            self._expire_at = moment.awake_s + EXPIRE_S
            effects += self._expire(moment)
        return [*effects, *self._go_on(moment)]

    def _expire(self, moment: Moment) -> list[Effect]:
        def gone(expired: Expired) -> Sequence[Effect]:
            self._dropped(expired.dropped)
            for record in expired.forgotten:
                self._known.discard(record)
            most = max(len(expired.dropped), len(expired.forgotten))
            return self._expire(moment) if most == EXPIRED else ()

        return [Transact(Expire(moment.awake_s, EXPIRED), gone)]


def _urgency(record: Record, tier: Tier, believed: Precedence) -> int:
    if tier is Tier.NEW and believed < Precedence.EMERGENCY:
        return LAST
    return 2 * int(record.precedence) + (record.kind is RecordKind.RECEIPT)


def _outcome(shipped: Shipped | None) -> Outcome:
    return Outcome.REFUSED if shipped is not None and shipped.full else Outcome.CARRIED
