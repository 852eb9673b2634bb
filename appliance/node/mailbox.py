"""Messages: written, sent, received, receipted.

A message of ours is *queued* once it is on our disk and only then leaves; it is *delivered* when
the recipient's receipt, written after its own commit, has come.  Whatever a station still has to
get lies in the store and is offered again at each session, so neither side's restart loses any.
A receipt is itself kept until its author has acknowledged it from disk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from appliance.model.card import Prekey
from appliance.model.codec import FormatError
from appliance.model.identity import CONSOLE, Address, StationId, StationKey
from appliance.model.message import MAX_RECEIPTED, MAX_TEXT_CHARS, DeliveryState, Receipt, Text
from appliance.model.record import (
    MAX_LIFETIME_S,
    Certainty,
    Precedence,
    Record,
    RecordKind,
    Stamp,
    make_record,
)
from appliance.model.secret import Secret
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
from appliance.protocol.acks import Ack, Outcome, encode_acks
from appliance.protocol.frames import Channel
from appliance.protocol.sealing import OpenError, open_sealed, seal

REFUSED: Final = "their station can't open it; write it again"
THEIR_DISK: Final = "their disk is full; it is tried again"


class MessageRefusedError(Exception):
    """The operator's message can't be taken: a code for programs, words and what to do."""

    def __init__(self, code: str, text: str, fix: str = "") -> None:
        super().__init__(text)
        self.code = code
        self.fix = fix


@dataclass(frozen=True)
class Draft:
    """What an operator wants to be sent."""

    to: Address | None
    """None: everyone."""

    text: str
    """1 to 16,000 characters."""

    precedence: Precedence = Precedence.ROUTINE
    """How urgent."""

    lifetime_s: int = 0
    """For how long to try; 0: for ever."""


class Mailbox:
    """The messages of this station."""

    def __init__(
        self,
        key: StationKey,
        clock: LamportClock,
        *,
        prekeys: dict[bytes, Secret],
        has_line: Callable[[str], bool],
        reached: Callable[[], list[StationId]],
        absent: Callable[[StationId, Moment], list[Effect]],
    ) -> None:
        """`prekeys` are our prekeys' secret halves by id; `reached` gives all whom we can reach."""
        self._key, self._clock, self._prekeys = key, clock, prekeys
        self._has_line, self._reached = has_line, reached
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
        self._check(draft)
        stamp = self._clock.stamp(moment, uptime_s=uptime_s)
        record = self._record_of(draft, prekey, stamp)
        recipient = draft.to.station if draft.to is not None else None
        message = StoredMessage(
            id=record.id,
            conversation=recipient,
            author=self._key.id,
            outgoing=True,
            text=draft.text,
            line=draft.to.line if draft.to is not None else CONSOLE,
            precedence=draft.precedence,
            order=order_of(stamp.lamport, record.id),
            written_ms=stamp.wall_ms,
            written_sure=moment.sure,
            received_ms=stamp.wall_ms,
            received_sure=moment.sure,
            unread=False,
            expires_awake_s=moment.awake_s + draft.lifetime_s if draft.lifetime_s else None,
        )

        def stored(_: None) -> Sequence[Effect]:
            done(message)
            peers = [recipient] if recipient is not None else self._reached()
            offers = [self.outbox.offer(peer, record, moment) for peer in peers]
            return [MessageChanged(record.id), *(effect for offer in offers for effect in offer)]

        def not_stored(why: str) -> Sequence[Effect]:
            failed(why)
            return ()

        return [Transact(SaveOutgoing(message, record, recipient), stored, not_stored)]

    def _check(self, draft: Draft) -> None:
        if not draft.text.strip():
            raise MessageRefusedError("empty", "There is nothing to send.", "Write something.")
        if len(draft.text) > MAX_TEXT_CHARS:
            raise MessageRefusedError(
                "too-long",
                f"The message has {len(draft.text)} characters; {MAX_TEXT_CHARS} can be sent.",
                "Send it in parts.",
            )
        try:
            draft.text.encode()
        except UnicodeEncodeError:
            raise MessageRefusedError(
                "not-text", "The message is not valid Unicode text."
            ) from None
        if not 0 <= draft.lifetime_s <= MAX_LIFETIME_S:
            raise MessageRefusedError("lifetime", "A message can wait for up to 366 days.")
        if draft.to is not None and draft.to.station == self._key.id:
            raise MessageRefusedError("self", "That is this station.", "Choose another one.")

    def _record_of(self, draft: Draft, prekey: Prekey | None, stamp: Stamp) -> Record:
        content = Text(self._key.id, draft.text).encode()
        prekey_id = None
        to: tuple[Address, ...] = ()
        if draft.to is not None:
            if prekey is None:
                raise MessageRefusedError(
                    "no-card",
                    "This station's card has not come yet, so nothing can be sealed to it.",
                    "Wait until it has been in reach once.",
                )
            to, prekey_id = (draft.to,), prekey.id
            try:
                content = seal(
                    content,
                    author=self._key.id,
                    recipient=draft.to.station,
                    kind=RecordKind.MESSAGE,
                    prekey=prekey,
                )
            except ValueError:
                raise MessageRefusedError(
                    "bad-card", "This station's card holds a key that can't be used."
                ) from None
        return make_record(
            self._key,
            RecordKind.MESSAGE,
            content,
            stamp=stamp,
            to=to,
            precedence=draft.precedence,
            lifetime_s=draft.lifetime_s,
            prekey=prekey_id,
        )

    # -- Receiving

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
        self, peer: StationId, record: Record, moment: Moment, uptime_s: float
    ) -> list[Effect]:
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

        def stored(result: Incoming) -> Sequence[Effect]:
            effects: list[Effect] = [
                Send(peer, Channel.RECORD, raw) for raw in result.receipts if peer == record.author
            ]
            if peer != record.author:
                effects.append(_ack(peer, record, Outcome.STORED))
            if result.new:
                self._clock.accept(believed)
                effects.append(MessageChanged(record.id))
            return effects

        def not_stored(_: str) -> Sequence[Effect]:
            return [_ack(peer, record, Outcome.LATER)]

        return [Transact(SaveIncoming(message, record, receipt), stored, not_stored)]

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

    def _receipt(self, peer: StationId, record: Record, moment: Moment) -> list[Effect]:
        if [address.station for address in record.to] != [self._key.id]:
            raise FormatError("receipt: not for this station")
        receipt = Receipt.decode(record.content)

        def applied(changed: tuple[bytes, ...]) -> Sequence[Effect]:
            if changed:  # else anybody could use our counter up with receipts for nothing
                self._clock.accept(self._clock.witness(record.stamp.lamport))
            landed = self.outbox.landed(record.author, receipt.records, moment)
            return [*(MessageChanged(message) for message in changed), *landed]

        def durable(_: tuple[bytes, ...]) -> Sequence[Effect]:
            # Only now may the recipient forget its receipt.
            return [_ack(peer, record, Outcome.STORED)]

        def not_stored(_: str) -> Sequence[Effect]:
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
        return effects + self.outbox.landed(peer, stored, moment)

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
                offers = [self.outbox.offer(to, receipt, moment) for to, receipt in receipts]
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
