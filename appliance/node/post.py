"""What people write and how it gets there: the mailbox, and what is carried for everybody.

The two know nothing of each other; what one learns is handed to the other here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Final

from appliance.model.card import Prekey
from appliance.model.cargo import Cargo, Load, Tier
from appliance.model.codec import FormatError
from appliance.model.group import GroupId
from appliance.model.identity import CONSOLE, StationId, StationKey
from appliance.model.record import (
    Record,
    UnknownRecordError,
    read_record,
    record_id_of,
)
from appliance.node.beginnings import Now
from appliance.node.carry import Carry
from appliance.node.clock import LamportClock
from appliance.node.delivery import Delivery
from appliance.node.directory import Contact, Directory, Trust
from appliance.node.effects import Effect, Send, Transact
from appliance.node.group_mail import GroupMail
from appliance.node.mailbox import Mailbox
from appliance.node.opening import Opener, Prekeys
from appliance.node.peers import Peers
from appliance.node.ports import Moment
from appliance.node.ports.carrying import Overdue
from appliance.node.usage import SessionInfo
from appliance.node.writing import Writer
from appliance.protocol.acks import Ack, Outcome, decode_acks, encode_acks
from appliance.protocol.carrying import decode_parcels
from appliance.protocol.frames import Channel
from appliance.protocol.sealing import OpenError

log = logging.getLogger(__name__)

OVERDUE_S: Final = 60.0
"""How often the store is asked for what waits for somebody and nobody carries: what a crash or a
full disk has left so."""

FIRST_OVERDUE_S: Final = 5.0
"""After the start: whoever is there has been met by then."""

OVERDUE: Final = 64
"""At a time."""

_TIERS: Final = {"new": Tier.NEW, "known": Tier.KNOWN, "verified": Tier.VERIFIED}


class Post:
    """The mail of this station."""

    def __init__(
        self,
        key: StationKey,
        clock: LamportClock,
        cargo: Cargo,
        *,
        prekeys: Prekeys,
        prekey: Callable[[], Prekey],
        groups: Iterable[tuple[GroupId, bytes]],
        directory: Directory,
        peers: Peers,
        absent: Callable[[StationId, Moment], list[Effect]],
        random: Callable[[], float],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """`groups` is what is kept of each.

        `absent` is called when something is there for a station without a session.
        """
        self._own, self._directory, self._peers = key.id, directory, peers
        self.carry = Carry(
            key.id,
            cargo,
            tier_of=lambda author: _TIERS[directory.get(author).trust],
            gossips=peers.gossips_with,
            random=random,
            random_bytes=random_bytes,
        )
        delivery = Delivery(
            self.carry,
            around=peers.is_around,
            cannot_carry=lambda: [one.peer for one in peers.sessions() if not one.carries],
            absent=absent,
        )
        self.groups = GroupMail(
            key,
            clock,
            delivery,
            trusts=lambda station: directory.get(station).trust is not Trust.NEW,
            prekey_of=lambda station: _prekey_of(directory.get(station)),
            label=lambda station: label(directory.get(station)),
            random_bytes=random_bytes,
            reopen=self._reopen,
        )
        """Groups, and what is said about them."""
        self.groups.load(groups)
        messages = self.groups.groups.messages
        self.mailbox = Mailbox(
            key,
            clock,
            delivery,
            opener=Opener(key.id, prekeys, messages),
            writer=Writer(key, clock, messages),
            groups=self.groups,
            prekey=prekey,
            has_line=lambda line: line == CONSOLE,
            stations=lambda: len(directory.all()),
            is_stranger=lambda author: directory.get(author).trust is Trust.NEW,
            random=random,
        )
        self._overdue_at: float | None = None

    def _reopen(self, record: Record, moment: Moment, uptime_s: float) -> list[Effect]:
        """Take a record that is carried here and was not understood; raises what opening does."""
        if not self.mailbox.inbox.wants(record):
            return []
        load = self.carry.load_of(record, moment, came_from=self._own)
        return self.mailbox.inbox.carried(load, moment, uptime_s=uptime_s)

    # -- Sessions

    def session_up(self, info: SessionInfo, moment: Moment, *, begin: bool) -> list[Effect]:
        """A session stands; one of two that gossip begins."""
        effects = self.mailbox.outbox.session_up(info.peer, moment, for_everyone=not info.carries)
        if info.carries:
            effects += self.carry.session_up(info.peer, moment, begin=begin)
        return effects

    def session_down(self, peer: StationId) -> None:
        """A session ended."""
        self.mailbox.outbox.session_down(peer)
        self.carry.session_down(peer)

    # -- What comes

    def received(self, peer: StationId, channel: Channel, data: bytes, now: Now) -> list[Effect]:
        """Take a message of one of the channels of mail; raises FormatError."""
        match channel:
            case Channel.RECORD:
                try:
                    record = read_record(data)
                except UnknownRecordError as error:
                    # A newer station may send it; what else it sends is still worth having.
                    refusal = Ack(error.record, Outcome.REFUSED)
                    return [Send(peer, Channel.ACK, encode_acks((refusal,)))]
                inbox = self.mailbox.inbox
                return inbox.received(peer, record, now.moment, uptime_s=now.uptime_s)
            case Channel.ACK:
                acks = decode_acks(data)
                effects = self.mailbox.acked(peer, acks, now.moment)
                return [*effects, *self.carry.acked(peer, acks, now.moment)]
            case Channel.CARRY:
                return self._carried(peer, data, now)
            case Channel.SYNC:
                return self.carry.sync_received(peer, data, now.moment)
            case _:
                raise FormatError(f"{channel.name} carries no mail")

    def _carried(self, peer: StationId, data: bytes, now: Now) -> list[Effect]:
        effects: list[Effect] = []
        answers: list[Ack] = []
        loads: list[Load] = []
        for parcel in decode_parcels(data):
            try:
                known = record_id_of(parcel.raw)
            except FormatError:
                continue  # their disk has spoilt it, and the others are worth having
            if self.carry.knows(known):
                answers.append(self.carry.answer_for(known))
                continue
            try:
                record = read_record(parcel.raw)
            except FormatError:
                # Not remembered: somebody may have spoilt the signature of a sound record.
                answers.append(Ack(known, Outcome.REFUSED))
                continue
            try:
                load = self.carry.load_of(
                    record, now.moment, came_from=peer, age_s=float(parcel.age_s)
                )
                if self.mailbox.inbox.wants(record):
                    inbox = self.mailbox.inbox
                    effects += inbox.carried(load, now.moment, uptime_s=now.uptime_s)
                else:
                    loads.append(load)
            except (FormatError, OpenError):
                answers.append(self.carry.refuse(known))
        return [*effects, *self.carry.ship_all(peer, loads, answers, now.moment)]

    # -- Time, in seconds of being awake

    def next_wakeup(self) -> float:
        """Say when to call `wakeup`."""
        return min(
            self.mailbox.next_wakeup(),
            self.groups.next_wakeup(),
            self.carry.next_wakeup(),
            self._overdue_at if self._overdue_at is not None else 0.0,
        )

    def wakeup(self, now: Now) -> list[Effect]:
        """Do what is due."""
        moment = now.moment
        effects = [
            *self.mailbox.wakeup(moment, uptime_s=now.uptime_s),
            *self.groups.wakeup(moment, uptime_s=now.uptime_s),
            *self.carry.wakeup(moment),
        ]
        if self._overdue_at is None:
            self._overdue_at = moment.awake_s + FIRST_OVERDUE_S
        elif self._overdue_at <= moment.awake_s:
            self._overdue_at = moment.awake_s + OVERDUE_S
            effects.append(self._spread_overdue(moment))
        return effects

    def _spread_overdue(self, moment: Moment) -> Effect:
        def found(waiting: tuple[bytes, ...]) -> list[Effect]:
            effects: list[Effect] = []
            for raw in waiting:
                try:
                    effects += self.carry.spread(read_record(raw), moment)
                except FormatError as error:  # the others must not wait for it
                    log.warning("a record of ours on this disk is damaged: %s", error)
            return effects

        return Transact(Overdue(moment.awake_s, OVERDUE), found)


def _prekey_of(contact: Contact) -> Prekey | None:
    return contact.card.prekey if contact.card is not None else None


def label(contact: Contact) -> str:
    """Return a name; with its tag unless that cannot be another's."""
    verified = contact.trust is Trust.VERIFIED
    return contact.name if verified else f"{contact.name} ·{contact.id.tag}"
