"""Messages: written, sent, received, receipted.

A message of ours is *queued* once it is on our disk and only then leaves; it is *delivered* when
the recipient's receipt, written after its own commit, has come.  Whatever a station still has to
get lies in the store and is offered again at each session, so neither side's restart loses any.
A receipt is itself kept until its author has acknowledged it from disk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from appliance.model.card import Prekey
from appliance.model.cargo import Load, Shipped
from appliance.model.codec import FormatError
from appliance.model.identity import CONSOLE, Address, StationId, StationKey
from appliance.model.message import MAX_RECEIPTED, DeliveryState, Receipt, Text
from appliance.model.record import (
    Certainty,
    Record,
    RecordKind,
    make_record,
)
from appliance.model.secret import Secret
from appliance.node.carry import Carry
from appliance.node.clock import LamportClock, order_of
from appliance.node.effects import Effect, MessageChanged, Send, Transact
from appliance.node.outbox import Outbox
from appliance.node.ports import (
    GetUnread,
    Incoming,
    MarkRead,
    Moment,
    NoteProblem,
    OutboxDone,
    SaveIncoming,
    SaveOutgoing,
    SaveReceipt,
    StoredMessage,
)
from appliance.node.writing import Draft, Writer
from appliance.protocol.acks import Ack, Outcome, encode_acks
from appliance.protocol.frames import Channel
from appliance.protocol.sealing import OpenError, open_sealed

REFUSED: Final = "their station can't open it; write it again"
THEIR_DISK: Final = "their disk is full; it is tried again"

CONFIRMED_S: Final = 5.0
"""After which copies of what should have arrived go over everybody."""

MAX_UNCONFIRMED: Final = 1024
"""Records that are waited for; those beyond are found in the store (`carrying.Overdue`)."""


class Mailbox:
    """The messages of this station."""

    def __init__(
        self,
        key: StationKey,
        clock: LamportClock,
        *,
        prekeys: dict[bytes, Secret],
        has_line: Callable[[str], bool],
        around: Callable[[StationId], bool],
        cannot_carry: Callable[[], list[StationId]],
        absent: Callable[[StationId, Moment], list[Effect]],
        carry: Carry,
    ) -> None:
        """`prekeys` are our prekeys' secret halves by id.

        `around` tells whether a session with a station can probably be had, `cannot_carry` who has
        one and takes records from their authors alone; `absent` is called when something is there
        for a station without a session.
        """
        self._key, self._clock, self._prekeys = key, clock, prekeys
        self._writer = Writer(key, clock)
        self._has_line, self._around = has_line, around
        self._cannot_carry, self._carry = cannot_carry, carry
        self._unconfirmed: dict[bytes, tuple[Record, float]] = {}
        """What is on its way to somebody in reach, and when that has taken too long."""
        self.outbox = Outbox(absent)
        """What is on its way to whom."""

    # -- Writing

    def compose(
        self,
        draft: Draft,
        prekey: Prekey | None,
        moment: Moment,
        *,
        uptime_s: float,
        done: Callable[[StoredMessage], None],
        failed: Callable[[str], None],
    ) -> list[Effect]:
        """Write, seal, sign and store a message; `done` is called when it is on disk.

        Raises MessageRefusedError; then nothing has happened.
        """
        message, record = self._writer.write(draft, prekey, moment, uptime_s=uptime_s)
        recipient = message.conversation
        load = self._carry.load_of(record, moment, came_from=self._key.id)

        def stored(shipped: Shipped | None) -> Sequence[Effect]:
            done(message)
            effects: list[Effect] = [MessageChanged(record.id)]
            if recipient is not None:
                return [*effects, *self._dispatch(recipient, record, moment)]
            if shipped is not None:
                effects += self._carry.shipped(load, shipped, moment)
            for peer in self._cannot_carry():
                effects += self.outbox.offer(peer, record, moment)
            return effects

        def not_stored(why: str) -> Sequence[Effect]:
            failed(why)
            return ()

        operation = SaveOutgoing(message, record, recipient, load if recipient is None else None)
        return [Transact(operation, stored, not_stored)]

    def _dispatch(self, to: StationId, record: Record, moment: Moment) -> list[Effect]:
        """Send a record that is on disk to whom it is for, directly if that can be."""
        effects = self.outbox.offer(to, record, moment)
        if not self._around(to):
            return [*effects, *self._carry.spread(record, moment)]
        self._await(record, moment)
        return effects

    def _await(self, record: Record, moment: Moment) -> None:
        """Wait for a word that a record has arrived; some seconds, then others carry it too."""
        if len(self._unconfirmed) < MAX_UNCONFIRMED:
            self._unconfirmed[record.id] = (record, moment.awake_s + CONFIRMED_S)

    def next_wakeup(self) -> float | None:
        """Say when to call `wakeup`, in seconds of being awake."""
        first = next((at for _, at in self._unconfirmed.values()), None)
        times = [at for at in (first, self.outbox.next_wakeup()) if at is not None]
        return min(times, default=None)

    def wakeup(self, moment: Moment) -> list[Effect]:
        """Do what is due."""
        effects = self.outbox.wakeup(moment)
        for record, at in list(self._unconfirmed.values()):
            if at > moment.awake_s:
                break
            del self._unconfirmed[record.id]
            effects += self._carry.spread(record, moment)
        return effects

    def _landed(self, peer: StationId, records: Sequence[bytes], moment: Moment) -> list[Effect]:
        for record in records:
            self._unconfirmed.pop(record, None)
        return self.outbox.landed(peer, records, moment)

    # -- Receiving

    def carried(self, load: Load, moment: Moment, *, uptime_s: float) -> list[Effect]:
        """Take what a neighbour has brought, for us and for everybody else whom it is for.

        What is stored here is carried in the same breath or after it, since nobody brings again
        what is carried.  Raises FormatError or OpenError when it is of no use.
        """
        record = load.record
        ours = load.recipient == self._key.id
        if record.author == self._key.id or (record.to and not ours):
            return self._carry.ship(load, moment)
        if record.kind is RecordKind.RECEIPT:
            return self._receipt(record.author, record, moment, load=load)
        return self._message(record.author, record, moment, uptime_s, load=load)

    def record_received(
        self, peer: StationId, record: Record, moment: Moment, *, uptime_s: float
    ) -> list[Effect]:
        """Take a message or a receipt that a peer has sent."""
        try:
            if record.kind is RecordKind.MESSAGE:
                return self._message(peer, record, moment, uptime_s)
            if record.kind is RecordKind.RECEIPT:
                return self._receipt(peer, record, moment)
            raise FormatError("a card has its own channel")
        except (FormatError, OpenError):
            return [_ack(peer, record, Outcome.REFUSED)]

    def _message(
        self,
        peer: StationId,
        record: Record,
        moment: Moment,
        uptime_s: float,
        *,
        load: Load | None = None,
    ) -> list[Effect]:
        """Take a message from a peer, or from a neighbour that carried it."""
        text = self._open(record)
        line = record.to[0].line if record.to else CONSOLE
        if record.author == self._key.id or not self._has_line(line):
            return [_ack(peer, record, Outcome.REFUSED)]
        believed = self._clock.witness(record.stamp.lamport)
        message = StoredMessage(
            id=record.id,
            conversation=record.author if record.to else None,
            author=record.author,
            outgoing=False,
            text=text,
            line=line,
            precedence=record.precedence,
            order=order_of(believed, record.id),
            written_ms=record.stamp.wall_ms,
            written_sure=record.stamp.certainty is not Certainty.UNSET,
            received_ms=moment.wall_ms,
            received_sure=moment.sure,
            unread=True,
        )
        receipt = self._receipt_for(
            record.author, DeliveryState.DELIVERED, (record.id,), moment, uptime_s
        )

        to_all = load if load is not None and load.recipient is None else None

        def stored(result: Incoming) -> Sequence[Effect]:
            effects: list[Effect] = []
            if load is not None:
                effects += self._carry.taken(load, result.shipped, moment)
                if result.new:
                    effects += self._dispatch(record.author, receipt, moment)
            elif peer == record.author:
                effects += [Send(peer, Channel.RECORD, raw) for raw in result.receipts]
                if result.new:
                    self._await(receipt, moment)
            else:
                effects.append(_ack(peer, record, Outcome.STORED))
            if result.new:
                self._clock.accept(believed)
                effects.append(MessageChanged(record.id))
            return effects

        def not_stored(_: str) -> Sequence[Effect]:
            if load is not None:
                return self._carry.not_taken(load)
            return [_ack(peer, record, Outcome.LATER)]

        return [Transact(SaveIncoming(message, record, receipt, to_all), stored, not_stored)]

    def _open(self, record: Record) -> str:
        """Return the text of a message that is for us; raises FormatError or OpenError."""
        content = record.content
        if record.group is not None:
            raise FormatError("message: for a group that is not ours")
        if record.to:
            if len(record.to) != 1 or record.to[0].station != self._key.id:
                raise FormatError("message: not for this station")
            secret = self._prekeys.get(record.prekey or b"")
            if record.prekey is None or secret is None:
                raise OpenError("sealed to a prekey that is not ours")
            content = open_sealed(
                content,
                author=record.author,
                recipient=self._key.id,
                kind=record.kind,
                prekey_id=record.prekey,
                secret=secret,
            )
        elif record.prekey is not None:
            raise FormatError("message: sealed, but for everyone")
        text = Text.decode(content)
        if text.author != record.author:
            raise FormatError("message: signed by another than its author")
        return text.text

    def _receipt_for(
        self,
        author: StationId,
        state: DeliveryState,
        records: tuple[bytes, ...],
        moment: Moment,
        uptime_s: float,
    ) -> Record:
        return make_record(
            self._key,
            RecordKind.RECEIPT,
            Receipt(state, records).encode(),
            stamp=self._clock.stamp(moment, uptime_s=uptime_s),
            to=(Address(author),),
        )

    def _receipt(
        self, peer: StationId, record: Record, moment: Moment, *, load: Load | None = None
    ) -> list[Effect]:
        """Take a receipt from a peer, or from a neighbour that carried it."""
        if [address.station for address in record.to] != [self._key.id]:
            raise FormatError("receipt: not for this station")
        receipt = Receipt.decode(record.content)

        def applied(changed: tuple[bytes, ...]) -> Sequence[Effect]:
            if changed:  # else anybody could use our counter up with receipts for nothing
                self._clock.accept(self._clock.witness(record.stamp.lamport))
            effects: list[Effect] = [MessageChanged(message) for message in changed]
            if load is None and any(self._carry.knows(message) for message in receipt.records):
                # Who carries the message for nothing now hears of it.
                effects += self._carry.spread(record, moment)
            return effects + self._landed(record.author, receipt.records, moment)

        def durable(_: tuple[bytes, ...]) -> Sequence[Effect]:
            # Only now may the recipient forget its receipt.
            if load is not None:
                return self._carry.ship(load, moment)
            return [_ack(peer, record, Outcome.STORED)]

        def not_stored(_: str) -> Sequence[Effect]:
            if load is not None:
                return self._carry.not_taken(load)
            return [_ack(peer, record, Outcome.LATER)]

        operation = SaveReceipt(record.author, receipt.state, receipt.records, moment)
        return [Transact(operation, durable, not_stored, lazy=True, early=applied)]

    def acked(self, peer: StationId, acks: Sequence[Ack], moment: Moment) -> list[Effect]:
        """A peer says what became of records that we sent."""
        stored = tuple(ack.record for ack in acks if ack.outcome is Outcome.STORED)
        effects: list[Effect] = []
        if stored:
            effects.append(Transact(OutboxDone(peer, stored), lambda _: (), lazy=True))
        refused = tuple(ack.record for ack in acks if ack.outcome is Outcome.REFUSED)
        if refused:
            effects += self.outbox.refused(peer, refused, moment)
            effects.append(_waits(peer, refused, REFUSED))
        later = tuple(ack.record for ack in acks if ack.outcome is Outcome.LATER)
        if later:
            self.outbox.postpone(peer, moment)
            effects.append(_waits(peer, later, THEIR_DISK))
        return effects + self._landed(peer, stored, moment)

    # -- Reading

    def mark_read(
        self,
        conversation: StationId | None,
        up_to: int,
        moment: Moment,
        *,
        uptime_s: float,
        done: Callable[[int], None],
        failed: Callable[[str], None],
    ) -> list[Effect]:
        """Note that the operator saw a conversation, and tell the authors.

        The marks and the receipts are one operation, so that nothing leaves one without the other.
        """

        def found(unread: tuple[tuple[bytes, StationId], ...]) -> Sequence[Effect]:
            if not unread:
                done(0)
                return ()
            receipts = self._read_receipts(unread, moment, uptime_s)
            messages = tuple(message for message, _ in unread)

            def marked(_: None) -> Sequence[Effect]:
                done(len(messages))
                offers = [self._dispatch(to, receipt, moment) for to, receipt in receipts]
                changes = [MessageChanged(message) for message in messages]
                return [*changes, *(effect for offer in offers for effect in offer)]

            return [Transact(MarkRead(messages, receipts), marked, not_marked)]

        def not_marked(why: str) -> Sequence[Effect]:
            failed(why)
            return ()

        return [Transact(GetUnread(conversation, up_to), found, not_marked)]

    def _read_receipts(
        self, read: tuple[tuple[bytes, StationId], ...], moment: Moment, uptime_s: float
    ) -> tuple[tuple[StationId, Record], ...]:
        by_author: dict[StationId, list[bytes]] = {}
        for message, author in read:
            by_author.setdefault(author, []).append(message)
        receipts: list[tuple[StationId, Record]] = []
        for author, ids in by_author.items():
            for start in range(0, len(ids), MAX_RECEIPTED):
                part = tuple(ids[start : start + MAX_RECEIPTED])
                state = DeliveryState.READ
                receipts.append((author, self._receipt_for(author, state, part, moment, uptime_s)))
        return tuple(receipts)


def _waits(peer: StationId, records: tuple[bytes, ...], why: str) -> Effect:
    def noted(changed: tuple[bytes, ...]) -> Sequence[Effect]:
        return [MessageChanged(message) for message in changed]

    return Transact(NoteProblem(peer, records, why), lambda _: (), lazy=True, early=noted)


def _ack(peer: StationId, record: Record, outcome: Outcome) -> Effect:
    return Send(peer, Channel.ACK, encode_acks((Ack(record.id, outcome),)))
