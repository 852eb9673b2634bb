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
from appliance.model.cargo import Shipped
from appliance.model.group import Conversation, GroupId
from appliance.model.identity import StationId, StationKey
from appliance.node.clock import LamportClock
from appliance.node.delivery import Delivery
from appliance.node.effects import Effect, MessageChanged, Transact
from appliance.node.group_mail import Along, GroupMail
from appliance.node.inbox import Inbox
from appliance.node.opening import Opener
from appliance.node.outbox import waits
from appliance.node.ports import (
    GetUnread,
    MarkRead,
    Moment,
    Operation,
    OutboxDone,
    SaveOutgoing,
    StoredMessage,
)
from appliance.node.ports.receipting import Unopened
from appliance.node.receipts import Receipts
from appliance.node.resealing import Again, Resealer
from appliance.node.writing import Draft, Recipients, Writer, Written
from appliance.protocol.acks import Ack, Outcome

REFUSED: Final = "their station can't open it; write it again"
THEIR_DISK: Final = "their disk is full; it is tried again"


class Mailbox:
    """The messages of this station."""

    def __init__(
        self,
        key: StationKey,
        clock: LamportClock,
        delivery: Delivery,
        *,
        opener: Opener,
        writer: Writer,
        groups: GroupMail,
        prekey: Callable[[], Prekey],
        has_line: Callable[[str], bool],
        stations: Callable[[], int],
        is_stranger: Callable[[StationId], bool],
        random: Callable[[], float],
    ) -> None:
        """`prekey` returns our present one.

        `stations` counts those that are known, `is_stranger` tells of whom nothing else is.
        """
        self._key, self._delivery, self._writer, self._groups = key, delivery, writer, groups
        self.outbox = delivery.outbox
        """What is on its way to whom."""
        self._receipts = Receipts(
            key,
            clock,
            stations=stations,
            is_stranger=is_stranger,
            random=random,
            send=delivery.dispatch_receipt,
        )
        self.inbox = Inbox(
            key,
            clock,
            opener=opener,
            delivery=delivery,
            receipts=self._receipts,
            resealer=Resealer(
                key, clock, prekey=prekey, is_stranger=is_stranger, again=self._again
            ),
            groups=groups,
            has_line=has_line,
            is_stranger=is_stranger,
        )
        """What comes for us."""

    # -- Time, in seconds of being awake

    def next_wakeup(self) -> float:
        """Say when to call `wakeup`."""
        return min(
            self._delivery.next_wakeup(),
            self._receipts.next_wakeup(),
            self.inbox.next_wakeup(),
        )

    def wakeup(self, moment: Moment, *, uptime_s: float) -> list[Effect]:
        """Do what is due."""
        return [
            *self._delivery.wakeup(moment),
            *self._receipts.wakeup(moment, uptime_s=uptime_s),
            *self.inbox.wakeup(moment, uptime_s=uptime_s),
        ]

    # -- Writing

    def compose(
        self,
        draft: Draft,
        recipients: Recipients,
        moment: Moment,
        *,
        uptime_s: float,
        done: Callable[[StoredMessage], None],
        failed: Callable[[str], None],
    ) -> list[Effect]:
        """Write, seal, sign and store a message; `done` is called when it is on disk.

        Raises MessageRefusedError; then nothing has happened.
        """
        message, written = self._writer.write(draft, recipients, moment, uptime_s=uptime_s)
        record, along = written.record, self._along(written, moment, uptime_s)
        stations = recipients.stations if written.sealed is None else written.sealed.recipients
        load = None
        if draft.to is None:
            load = self._delivery.carry.load_of(record, moment, came_from=self._key.id)

        def stored(shipped: Shipped | None) -> Sequence[Effect]:
            done(message)
            effects: list[Effect] = []
            if along is not None:
                effects += along.stored()  # the key goes ahead of what is sealed to it
            if load is None:
                effects += self._delivery.dispatch(stations, record, moment)
            else:
                if shipped is not None:
                    effects += self._delivery.carry.shipped(load, shipped, moment)
                effects += self._delivery.to_all(record, moment)
            return [*effects, MessageChanged(record.id)]  # who waits for it comes first

        def not_stored(why: str) -> Sequence[Effect]:
            if along is not None:
                along.undo()
            failed(why)
            return ()

        operation: Operation[Shipped | None] = SaveOutgoing(message, record, stations, load)
        if along is not None:
            operation = along.together_with(operation)
        return [Transact(operation, stored, not_stored)]

    def _along(self, written: Written, moment: Moment, uptime_s: float) -> Along | None:
        """Return what has to be stored with a message, so that its readers can open it."""
        if written.sealed is None or written.record.group is None:
            return None
        group, record = GroupId(written.record.group), written.record
        result = written.sealed.result
        return self._groups.along(group, result, record.precedence, moment, uptime_s)

    def _again(
        self, unopened: Unopened, prekey: Prekey, moment: Moment, uptime_s: float
    ) -> Again | None:
        written = self._writer.again(unopened, prekey, moment, uptime_s)
        if written is None:
            return None
        return Again(written.record, self._along(written, moment, uptime_s))

    # -- What became of it

    def acked(self, peer: StationId, acks: Sequence[Ack], moment: Moment) -> list[Effect]:
        """A peer says what became of records that we sent."""
        stored = tuple(ack.record for ack in acks if ack.outcome is Outcome.STORED)
        effects: list[Effect] = []
        if stored:
            effects.append(Transact(OutboxDone(peer, stored), lambda _: (), lazy=True))
        # Who only has no room to carry a record refuses it as well, and has read it perhaps.
        refused = tuple(
            ack.record
            for ack in acks
            if ack.outcome is Outcome.REFUSED and self.outbox.awaits(peer, ack.record)
        )
        if refused:
            effects += self._delivery.outbox.refused(peer, refused, moment)
            effects.append(waits(peer, refused, REFUSED))
        later = tuple(ack.record for ack in acks if ack.outcome is Outcome.LATER)
        if later:
            self._delivery.outbox.postpone(peer, moment)
            effects.append(waits(peer, later, THEIR_DISK))
        return effects + self._delivery.landed(peer, stored, moment)

    # -- Reading

    def mark_read(
        self,
        conversation: Conversation,
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
            # What is noted in groups is signed by us: nobody waits to hear that it was read.
            theirs = tuple(one for one in unread if one[1] != self._key.id)
            alone = isinstance(conversation, StationId)
            receipts = self._receipts.of_read(theirs, moment, uptime_s, to_many=not alone)
            messages = tuple(message for message, _ in unread)

            def marked(_: None) -> Sequence[Effect]:
                done(len(messages))
                offers = [
                    self._delivery.dispatch((to,), receipt, moment)
                    if alone
                    else self._delivery.dispatch_receipt(to, receipt, moment)
                    for to, receipt in receipts
                ]
                changes = [MessageChanged(message) for message in messages]
                return [*changes, *(effect for offer in offers for effect in offer)]

            return [Transact(MarkRead(messages, receipts), marked, not_marked)]

        def not_marked(why: str) -> Sequence[Effect]:
            failed(why)
            return ()

        return [Transact(GetUnread(conversation, up_to), found, not_marked)]
