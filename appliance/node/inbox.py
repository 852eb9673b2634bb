"""What comes for us: messages, receipts for ours, and requests to seal one of ours again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from appliance.model.cargo import Load, Shipped
from appliance.model.codec import FormatError
from appliance.model.identity import CONSOLE, StationId, StationKey
from appliance.model.message import DeliveryState, Receipt, Reseal
from appliance.model.record import Record, RecordKind
from appliance.node.call_gate import StrangersGate
from appliance.node.clock import STEP, LamportClock
from appliance.node.delivery import Delivery
from appliance.node.effects import Effect, MessageChanged, Send, Transact
from appliance.node.group_mail import GroupMail
from appliance.node.opening import KeyToComeError, Opener, UnknownKeyError, as_kept
from appliance.node.ports import Incoming, Moment, SaveIncoming, SaveReceipt
from appliance.node.ports.receipting import GetComplete, LetWait
from appliance.node.receipts import Receipts, sound
from appliance.node.resealing import Resealer
from appliance.protocol.acks import Ack, Outcome, encode_acks
from appliance.protocol.frames import Channel
from appliance.protocol.sealing import OpenError

LEAPS: Final = 64
LEAP_S: Final = 10.0
"""How often in a row an author, or all strangers together, can push our counter far, and seconds
until once more: an honest one does so when two islands meet."""

MAX_ANSWERED: Final = 1024
"""Records that got a receipt though they were not new, and get none again in this run."""


@dataclass(frozen=True)
class Arrival:
    """A record that has come for us."""

    peer: StationId
    """Who has sent it; its author where a neighbour carried it."""

    record: Record
    """It."""

    moment: Moment
    """Now."""

    uptime_s: float
    """Since our start."""

    load: Load | None
    """A neighbour carried it, so we carry it too; None: it came straight to us."""


class Inbox:
    """Takes what others have written."""

    def __init__(
        self,
        key: StationKey,
        clock: LamportClock,
        *,
        opener: Opener,
        delivery: Delivery,
        receipts: Receipts,
        resealer: Resealer,
        groups: GroupMail,
        has_line: Callable[[str], bool],
        is_stranger: Callable[[StationId], bool],
    ) -> None:
        self._key, self._clock, self._groups = key, clock, groups
        self._opener, self._delivery = opener, delivery
        self._receipts, self._resealer = receipts, resealer
        self._has_line = has_line
        self._leaps = StrangersGate(key.id, is_stranger, burst=LEAPS, refill_s=LEAP_S)
        self._answered: OrderedDict[bytes, None] = OrderedDict()

    def wants(self, record: Record) -> bool:
        """Tell whether a record that a neighbour has brought is for us, be it with others."""
        return record.author != self._key.id and self._opener.is_for_us(record)

    def carried(self, load: Load, moment: Moment, *, uptime_s: float) -> list[Effect]:
        """Take what a neighbour has brought and we want, for everybody else whom it is for as well.

        What is stored here is carried in the same breath or after it, since nobody brings again
        what is carried.  Raises FormatError or OpenError when it is of no use.
        """
        record = load.record
        return self._taken(Arrival(record.author, record, moment, uptime_s, load))

    def received(
        self, peer: StationId, record: Record, moment: Moment, *, uptime_s: float
    ) -> list[Effect]:
        """Take a record that a peer has sent and that is for us."""
        try:
            return self._taken(Arrival(peer, record, moment, uptime_s, None))
        except (FormatError, OpenError):
            return [ack(peer, record, Outcome.REFUSED)]

    def _taken(self, came: Arrival) -> list[Effect]:
        match came.record.kind:
            case RecordKind.MESSAGE:
                return self._message(came)
            case RecordKind.RECEIPT:
                return self._receipt(came)
            case RecordKind.RESEAL:
                return self._asked(came)
            case RecordKind.GROUP:
                return self._note(came)
            case _:
                raise FormatError("no mail")

    # -- Messages

    def _message(self, came: Arrival) -> list[Effect]:
        """Take a message from a peer, or from a neighbour that carried it."""
        peer, record, moment, load = came.peer, came.record, came.moment, came.load
        line = record.to[0].line if record.to else CONSOLE
        if record.author == self._key.id or not self._has_line(line):
            raise FormatError("message: for a line that is not here")
        try:
            text = self._opener.text_of(record)
        except UnknownKeyError:
            return self._cannot_open(came)
        except KeyToComeError:
            return self._keep(came)
        believed = self._believed(record, moment)
        message = as_kept(record, text, believed, moment)
        # What went to many is receipted at once only where that costs no more than an answer.
        receipt = None
        if record.to or record.author in self._delivery.outbox.peers():
            receipt = self._receipts.make(
                record.author, DeliveryState.DELIVERED, (record.id,), moment, came.uptime_s
            )
        to_many = load if load is not None and not record.to else None

        def stored(result: Incoming) -> Sequence[Effect]:
            effects: list[Effect] = []
            own = [(raw, (record.id,)) for raw in result.receipts]
            said = own if result.new else sound(result.receipts)
            if receipt is None:
                self._receipts.owe(record.author, moment)
            if load is not None:
                effects += self._taken_along(load, result.shipped, moment)
                if result.new and receipt is not None:
                    effects += self._delivery.dispatch((record.author,), receipt, moment)
            elif peer == record.author:
                effects += [Send(peer, Channel.RECORD, raw) for raw, _ in said]
                if result.new and receipt is not None:
                    self._delivery.expect((peer,), receipt, moment)
            else:
                effects.append(ack(peer, record, Outcome.STORED))
            if result.new:
                self._clock.accept(believed)
                effects.append(MessageChanged(record.id))
            elif receipt is not None and not any(record.id in ids for _, ids in said):
                effects += self._say_now(record, receipt, moment)
            return effects

        def not_stored(_: str) -> Sequence[Effect]:
            return self._not_stored(came)

        return [Transact(SaveIncoming(message, record, receipt, to_many), stored, not_stored)]

    def _believed(self, record: Record, moment: Moment) -> int:
        """Take an author's counter, so that no author, and not all strangers, can use ours up."""
        lamport = record.stamp.lamport
        if self._clock.leaps(lamport) and not self._leaps.allows(record.author, moment.awake_s):
            return self._clock.witness(lamport, most=STEP)
        return self._clock.witness(lamport)

    def _say_now(self, record: Record, receipt: Record, moment: Moment) -> list[Effect]:
        """Receipt a message that is here, but of which no receipt speaks.

        It is here under another id, or its receipt is spoilt, or not written yet.  What names the
        other id tells nothing to who carries this one, nor to an author who has lost the other.
        """
        if record.id in self._answered:
            return []

        def stored(_: None) -> Sequence[Effect]:
            self._answered[record.id] = None
            while len(self._answered) > MAX_ANSWERED:
                self._answered.popitem(last=False)
            return self._delivery.dispatch((record.author,), receipt, moment)

        return [Transact(LetWait(((record.author, receipt),)), stored)]

    def _taken_along(self, load: Load, shipped: Shipped | None, moment: Moment) -> list[Effect]:
        """Say that a message is on disk here, be it that there is no room to carry it as well."""
        carry = self._delivery.carry
        if shipped is None or not shipped.full or load.came_from == self._key.id:
            return carry.taken(load, shipped, moment)
        on_disk = ack(load.came_from, load.record, Outcome.STORED)
        return [*carry.shipped(load, shipped, moment), on_disk]

    def _not_stored(self, came: Arrival) -> Sequence[Effect]:
        if came.load is not None:
            return self._delivery.carry.not_taken(came.load)
        return [ack(came.peer, came.record, Outcome.LATER)]

    # -- Notes about groups

    def _note(self, came: Arrival) -> list[Effect]:
        """Take a note about a group from a peer, or from a neighbour that carried it."""
        record, moment, load = came.record, came.moment, came.load
        author = record.author
        if author == self._key.id:
            raise FormatError("group note: from ourselves")
        receipt = None
        if load is not None:
            ids = (record.id,)
            state = DeliveryState.DELIVERED
            receipt = self._receipts.make(author, state, ids, moment, came.uptime_s)

        def stored() -> Sequence[Effect]:
            if load is None or receipt is None:
                return [ack(came.peer, record, Outcome.STORED)]
            # In this order: who carries the note drops it.
            return [
                *self._delivery.carry.spread(receipt, moment),
                *self._delivery.carry.ship(load, moment),
                *self._delivery.dispatch((author,), receipt, moment),
            ]

        try:
            return self._groups.received(
                author,
                self._opener.content_of(record),
                moment,
                uptime_s=came.uptime_s,
                receipt=receipt,
                stored=stored,
                failed=lambda _: self._not_stored(came),
            )
        except UnknownKeyError:
            return self._cannot_open(came)
        except KeyToComeError:
            return self._keep(came)

    # -- What can't be opened

    def _keep(self, came: Arrival) -> list[Effect]:
        """Carry a message whose key has yet to come; it is opened then."""
        carry, load = self._delivery.carry, came.load
        if load is None:
            load = carry.load_of(came.record, came.moment, came_from=came.peer)
        return carry.ship(load, came.moment)

    def _cannot_open(self, came: Arrival) -> list[Effect]:
        """Ask for a message once more, sealed to a key that we have."""
        record, moment, load = came.record, came.moment, came.load
        if load is None and came.peer in self._delivery.cannot_carry():
            raise OpenError("its author does not know how to seal it again")

        def asked(request: Record) -> Sequence[Effect]:
            effects = self._delivery.dispatch((record.author,), request, moment)
            if load is None:
                return effects
            # In this order: who carries the message drops it.
            return [
                *self._delivery.carry.spread(request, moment),
                *self._delivery.carry.ship(load, moment),
                *effects,
            ]

        if self._resealer.has_asked(record.id, moment):
            return [] if load is None else self._delivery.carry.ship(load, moment)
        if not self._resealer.may_ask(record, moment):
            if load is None:
                return []  # it is brought again
            if record.to and load.came_from != record.author:
                # Of no use to anybody else, and to be brought again after a restart.
                raise OpenError("it is asked for later, together with others")
            return self._delivery.carry.ship(load, moment)
        request = self._resealer.ask(
            record.author,
            (record.id,),
            record.precedence,
            moment,
            came.uptime_s,
            asked=asked,
            failed=lambda: self._not_stored(came),
        )
        return [request]

    def next_wakeup(self) -> float:
        """Say when to call `wakeup`, in seconds of being awake."""
        return self._resealer.next_wakeup()

    def wakeup(self, moment: Moment, *, uptime_s: float) -> list[Effect]:
        """Do what is due."""

        def asked(author: StationId, request: Record) -> Sequence[Effect]:
            return [
                *self._delivery.carry.spread(request, moment),
                *self._delivery.dispatch((author,), request, moment),
            ]

        return self._resealer.wakeup(moment, uptime_s, asked=asked)

    def _asked(self, came: Arrival) -> list[Effect]:
        """Seal again what somebody could not open."""
        record, moment, load = came.record, came.moment, came.load

        def sealed(
            station: StationId, again: Record, dropped: tuple[bytes, ...]
        ) -> Sequence[Effect]:
            self._delivery.carry.withdrawn(dropped)
            return self._delivery.dispatch((station,), again, moment)

        def done() -> Sequence[Effect]:
            ids = Reseal.decode(record.content).records
            effects = self._groups.unopened(record.author, ids, moment, uptime_s=came.uptime_s)
            if load is not None:
                return [*effects, *self._delivery.carry.ship(load, moment)]
            return [*effects, ack(came.peer, record, Outcome.STORED)]

        def too_often() -> list[Effect]:
            if load is not None:  # the neighbour that brings it is not to blame
                raise OpenError("asked too often")
            return [ack(came.peer, record, Outcome.LATER)]

        return self._resealer.asked(
            record,
            moment,
            came.uptime_s,
            sealed=sealed,
            done=done,
            failed=lambda: self._not_stored(came),
            too_often=too_often,
        )

    # -- Receipts

    def _receipt(self, came: Arrival) -> list[Effect]:
        """Take a receipt from a peer, or from a neighbour that carried it."""
        record, moment, load = came.record, came.moment, came.load
        if [address.station for address in record.to] != [self._key.id]:
            raise FormatError("receipt: not for this station")
        receipt = Receipt.decode(record.content)

        def applied(changed: tuple[bytes, ...]) -> Sequence[Effect]:
            if changed:  # else anybody could use our counter up with receipts for nothing
                self._clock.accept(self._clock.witness(record.stamp.lamport))
            effects: list[Effect] = [MessageChanged(message) for message in changed]
            if load is None and any(
                self._delivery.carry.knows(message) for message in receipt.records
            ):
                # Who carries the message for nothing now hears of it.
                effects += self._delivery.carry.spread(record, moment)
            effects += self._complete(changed, moment, came.uptime_s)
            return effects + self._delivery.landed(record.author, receipt.records, moment)

        def durable(_: tuple[bytes, ...]) -> Sequence[Effect]:
            # Only now may the recipient forget its receipt.
            if load is not None:
                return self._delivery.carry.ship(load, moment)
            return [ack(came.peer, record, Outcome.STORED)]

        def not_stored(_: str) -> Sequence[Effect]:
            return self._not_stored(came)

        operation = SaveReceipt(record.author, receipt.state, receipt.records, moment)
        return [Transact(operation, durable, not_stored, lazy=True, early=applied)]

    def _complete(
        self, changed: tuple[bytes, ...], moment: Moment, uptime_s: float
    ) -> list[Effect]:
        """Let nobody carry what has come to all of a group: only its author knows who they are."""
        carry = self._delivery.carry
        carried = tuple(message for message in changed if carry.knows(message))
        if not carried:
            return []

        def found(complete: tuple[bytes, ...]) -> Sequence[Effect]:
            if not complete:
                return ()
            own = self._key.id
            word = self._receipts.make(own, DeliveryState.DELIVERED, complete, moment, uptime_s)
            return carry.ship(carry.load_of(word, moment, came_from=own), moment)

        return [Transact(GetComplete(carried), found)]


def ack(peer: StationId, record: Record, outcome: Outcome) -> Effect:
    """Tell a peer what became of a record."""
    return Send(peer, Channel.ACK, encode_acks((Ack(record.id, outcome),)))
