"""Records that go from neighbour to neighbour until whom they are for has them.

A record that is new here is stored and then goes on to all neighbours that lack it, most urgent
first; so it reaches everybody.  Each two neighbours compare what they carry when a session begins
and now and then, which repairs what was missed and loads on whoever comes from another island.

What stays out: what a record says (`mailbox`), and the room that each may take (the store).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from appliance.model.cargo import Cargo, Load, Shipped, Tier
from appliance.model.codec import FormatError
from appliance.model.group import Conversation, GroupId
from appliance.model.identity import StationId
from appliance.model.message import Receipt, Reseal
from appliance.model.record import Record, RecordKind, is_urgent
from appliance.node.call_gate import CallGate
from appliance.node.carry_lane import CarryLane
from appliance.node.effects import Effect, MessageChanged, Send, Transact
from appliance.node.ports import Moment
from appliance.node.ports.carrying import Expire, GetCarried, NoteHolder, Ship
from appliance.protocol.acks import Ack, Outcome, encode_acks
from appliance.protocol.carrying import (
    MAX_WANTED,
    Compare,
    Parcel,
    Part,
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

AGAIN_S: Final = 2.0
"""After one that had to leave out a part: what it found is on its way by then."""

BEGUN: Final = 8
"""Comparisons that a neighbour may begin in a row ..."""

BEGUN_S: Final = 1.0
"""... and seconds until it may begin one more: each costs us more than it."""

NONCE_SIZE: Final = 16

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

    compare_at: float
    """When to begin the next comparison."""

    interval_s: float = COMPARE_S[0]
    """Between two of them."""

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
        gossips: Callable[[StationId], bool],
        random: Callable[[], float],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """`cargo` is what the store holds; `tier_of` tells how far an author is trusted.

        `gossips` tells with whom of those that have a session records are exchanged.
        """
        self._own, self._tier_of, self._random = own, tier_of, random
        self._gossips, self._random_bytes = gossips, random_bytes
        self._begun = CallGate(burst=BEGUN, refill_s=BEGUN_S)
        self._carried = IdSet(record for record, _, _ in cargo.carried)
        self._urgency = {record: urgency for record, urgency, _ in cargo.carried}
        self._ours = {record for record, _, ours in cargo.carried if ours}
        self._known = IdSet(cargo.known)
        self._neighbours: dict[StationId, _Neighbour] = {}
        self._expire_at = 0.0

    def knows(self, record: bytes) -> bool:
        """Tell whether a record is carried, or was, or was refused."""
        return record in self._carried or record in self._known

    @property
    def has_neighbours(self) -> bool:
        """There is somebody with whom records are exchanged."""
        return any(map(self._gossips, self._neighbours))

    # -- Sessions

    def session_up(self, peer: StationId, moment: Moment, *, begin: bool) -> list[Effect]:
        """A session stands with somebody who can carry; one of two that gossip begins."""
        first = moment.awake_s + COMPARE_S[0] * (1 + self._random())
        self._neighbours[peer] = neighbour = _Neighbour(CarryLane(), first)
        return self._compare(peer, neighbour, moment.awake_s) if begin else []

    def session_down(self, peer: StationId) -> None:
        """A session ended."""
        self._neighbours.pop(peer, None)

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
            tier=Tier.OWN if record.author == self._own else self._tier_of(record.author),
            age_s=age_s,
            lifetime_s=float(record.lifetime_s) or LIFETIME_S,
            awake_s=moment.awake_s,
        )

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

    def taken(
        self, load: Load, shipped: Shipped | None, moment: Moment, *, if_waiting: bool = False
    ) -> list[Effect]:
        """What a neighbour has brought, or we have written, is on disk; None: not to be carried."""
        outcome = Outcome.REFUSED if shipped is not None and shipped.full else Outcome.CARRIED
        answer = self._answer(load.came_from, load.record.id, outcome)
        if shipped is None:
            return answer
        return [*self.shipped(load, shipped, moment, if_waiting=if_waiting), *answer]

    def not_taken(self, load: Load) -> list[Effect]:
        """It could not be stored."""
        return self._answer(load.came_from, load.record.id, Outcome.LATER)

    def shipped(
        self, load: Load, shipped: Shipped, moment: Moment, *, if_waiting: bool = False
    ) -> list[Effect]:
        """The store has taken a record, or not."""
        peer, record = load.came_from, load.record
        self._dropped(shipped.dropped)
        if shipped.taken:
            self._carried.add(record.id)
            self._urgency[record.id] = urgency = _urgency(record)
            if load.tier is Tier.OWN and record.kind is RecordKind.MESSAGE:
                self._ours.add(record.id)
            for other, neighbour in self._neighbours.items():
                if other != peer and self._gossips(other):
                    neighbour.lane.add(record.id, urgency)
        elif not if_waiting and record.id not in self._carried:
            self._known.add(record.id)
        return self._go_on(moment)

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

    def _dropped(self, records: Sequence[bytes]) -> None:
        for record in records:
            self._carried.discard(record)
            self._known.add(record)
            self._urgency.pop(record, None)
            self._ours.discard(record)
        for neighbour in self._neighbours.values():
            neighbour.lane.has(records)

    def acked(self, peer: StationId, acks: Sequence[Ack], moment: Moment) -> list[Effect]:
        """A neighbour says what became of records."""
        neighbour = self._neighbours.get(peer)
        if neighbour is None:
            return []
        neighbour.lane.answered(ack.record for ack in acks)
        if any(ack.outcome is Outcome.LATER for ack in acks):
            neighbour.lane.postpone(moment.awake_s)
            for ack in acks:
                if ack.outcome is Outcome.LATER and ack.record in self._urgency:
                    neighbour.lane.add(ack.record, self._urgency[ack.record])
        return [*self._go_on(moment), *self._held(peer, acks)]

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
        for peer, neighbour in self._neighbours.items():
            effects += self._fetch(peer, neighbour, moment)
        return effects

    def _fetch(self, peer: StationId, neighbour: _Neighbour, moment: Moment) -> list[Effect]:
        lane = neighbour.lane
        records = lane.take(BATCH, moment.awake_s)
        if not records:
            return []
        lane.fetching = True

        def found(parcels: tuple[tuple[bytes, float, bytes], ...]) -> Sequence[Effect]:
            lane.fetching = False
            if self._neighbours.get(peer) is not neighbour:
                return ()
            effects: list[Effect] = []
            for record, age_s, raw in parcels:
                lane.sent(record, len(raw), moment.awake_s)
                parcel = encode_parcel(Parcel(int(age_s), raw))
                effects.append(Send(peer, Channel.CARRY, parcel, urgent=is_urgent(raw)))
            return [*effects, *self._fetch(peer, neighbour, moment)]

        def broken(_: str) -> Sequence[Effect]:
            lane.fetching = False
            lane.postpone(moment.awake_s)
            return ()

        return [Transact(GetCarried(records, moment.awake_s), found, broken)]

    # -- Comparing

    def _compare(self, peer: StationId, neighbour: _Neighbour, now: float) -> list[Effect]:
        neighbour.ours = Reconciler(self._carried)
        neighbour.differed = False
        neighbour.compare_at = now + STUCK_S
        data = neighbour.ours.begin(self._random_bytes(NONCE_SIZE))
        return [Send(peer, Channel.SYNC, encode_sync(Compare(Part.BEGIN, data)))]

    def sync_received(self, peer: StationId, data: bytes, moment: Moment) -> list[Effect]:
        """Take a message of the SYNC channel; raises FormatError."""
        neighbour = self._neighbours.get(peer)
        message = decode_sync(data)
        if neighbour is None or message is None:
            return []
        if isinstance(message, Wanted):
            neighbour.differed = True
            for record in message.records:
                if record in self._urgency:
                    neighbour.lane.add(record, self._urgency[record])
            return self._fetch(peer, neighbour, moment)
        if message.part is Part.BEGIN:
            if not self._begun.allows(peer, moment.awake_s):
                return []
            neighbour.theirs = Reconciler(self._carried)
        answers = message.part is Part.ANSWER
        reconciler = neighbour.ours if answers else neighbour.theirs
        if reconciler is None:
            return []
        step = reconciler.received(message.data)
        part = Part.GO_ON if answers else Part.ANSWER
        replies = [Compare(part, reply) for reply in step.replies]
        wanted = self._wanted([record for record in step.theirs if not self.knows(record)])
        neighbour.differed |= bool(wanted)
        if step.done and answers:
            self._compared(neighbour, moment.awake_s, cut_short=step.cut_short)
        said: list[Compare | Wanted] = [*replies, *wanted]
        return [Send(peer, Channel.SYNC, encode_sync(one)) for one in said]

    def _wanted(self, missing: Sequence[bytes]) -> list[Wanted]:
        starts = range(0, len(missing), MAX_WANTED)
        return [Wanted(tuple(missing[start : start + MAX_WANTED])) for start in starts]

    def _compared(self, neighbour: _Neighbour, now: float, *, cut_short: bool) -> None:
        least, most = COMPARE_S
        longer = min(neighbour.interval_s * 2, most)
        neighbour.interval_s = least if neighbour.differed else longer
        neighbour.ours = None
        wait = AGAIN_S if cut_short else neighbour.interval_s
        neighbour.compare_at = now + wait * (0.75 + 0.5 * self._random())

    # -- Time

    def next_wakeup(self) -> float:
        """Say when to call `wakeup`, in seconds of being awake, as all times here."""
        times = [self._expire_at]
        for neighbour in self._neighbours.values():
            times.append(neighbour.compare_at)
            if (at := neighbour.lane.next_wakeup()) is not None:
                times.append(at)
        return min(times)

    def wakeup(self, moment: Moment) -> list[Effect]:
        """Do what is due."""
        effects: list[Effect] = []
        for peer, neighbour in self._neighbours.items():
            neighbour.lane.wakeup(moment.awake_s)
            if neighbour.compare_at > moment.awake_s:
                continue
            if self._gossips(peer):
                effects += self._compare(peer, neighbour, moment.awake_s)
            else:
                neighbour.compare_at = moment.awake_s + COMPARE_S[1]
        if self._expire_at <= moment.awake_s:
            self._expire_at = moment.awake_s + EXPIRE_S
            effects += self._expire(moment)
        return [*effects, *self._go_on(moment)]

    def _expire(self, moment: Moment) -> list[Effect]:
        def gone(records: tuple[bytes, ...]) -> Sequence[Effect]:
            for record in records:
                self._known.discard(record)
            return self._expire(moment) if len(records) == EXPIRED else ()

        return [Transact(Expire(moment.awake_s, EXPIRED), gone)]


def _urgency(record: Record) -> int:
    return 2 * int(record.precedence) + (record.kind is RecordKind.RECEIPT)
