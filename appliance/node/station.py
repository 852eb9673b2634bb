"""The station: its parts joined, inputs and the time in, effects out.

Every input returns what is to be done, in order.  The parts never call each other; what one learns
is handed to the others here.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from appliance.model.card import Card, Line, Prekey, read_card
from appliance.model.codec import FormatError
from appliance.model.identity import CONSOLE, Address, StationId, StationKey, clean_name
from appliance.model.media import MediaEvent
from appliance.model.record import (
    Record,
    RecordKind,
    UnknownRecordError,
    make_record,
    read_record,
)
from appliance.model.secret import Secret
from appliance.node.call_gate import CallGate
from appliance.node.calls import Calls
from appliance.node.clock import LamportClock
from appliance.node.directory import Directory
from appliance.node.effects import Effect, EndSession, Send, Transact
from appliance.node.mailbox import Draft, Mailbox
from appliance.node.mesh import Mesh
from appliance.node.peers import Peers, SessionInfo
from appliance.node.ports import Moment, SetValue, StoredMessage, StoredStation
from appliance.node.verification import Comparison, Stage, Verifier
from appliance.protocol.acks import Ack, Outcome, decode_acks, encode_acks
from appliance.protocol.frames import Channel

log = logging.getLogger(__name__)

CARD_VALUE = "card"
"""Name of the store's value that holds our card's record."""


@dataclass(frozen=True)
class Identity:
    """What a station starts with."""

    key: StationKey
    """Who it is."""

    boot: bytes
    """This start."""

    prekey: Prekey
    """What others seal to."""

    prekey_secret: Secret
    """What opens it."""


@dataclass(frozen=True)
class Memory:
    """What a station remembers from before."""

    stations: tuple[StoredStation, ...]
    """Whom it knows."""

    highest_order: int
    """Of all messages."""

    card: bytes | None
    """Its own last card."""


@dataclass(frozen=True)
class Now:
    """The time of an input."""

    monotonic: float
    """Seconds; for everything that waits."""

    uptime_s: float
    """Since this start."""

    moment: Moment
    """For everything that is remembered or shown."""


class Station:
    """One station."""

    def __init__(
        self,
        identity: Identity,
        memory: Memory,
        *,
        random: Callable[[], float],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """`random` is for jitter; `random_bytes` is for keys and must be the kernel's."""
        key = identity.key
        self.id = key.id
        self._identity = identity
        self.directory = Directory(key.id)
        self.directory.load(memory.stations)
        self.mesh = Mesh(key.id)
        self.mesh.learn(contact.id for contact in self.directory.all())
        self.peers = Peers(key.id, identity.boot, random)
        self.clock = LamportClock(identity.boot, memory.highest_order)
        self.mailbox = Mailbox(
            key,
            self.clock,
            prekeys={identity.prekey.id: identity.prekey_secret},
            has_line=lambda line: line == CONSOLE,
        )
        self.calls = Calls(station=key.id, random_bytes=random_bytes)
        self.verifier = Verifier(key.id, random_bytes)
        self._card = self._read_own_card(memory.card)
        self._card_raw = memory.card if self._card is not None else None
        self._publishing = False
        """A card of ours is on its way to the disk."""
        self._sequence = self._card.sequence if self._card is not None else 0
        """Of the latest card that was signed, stored or not: none is used twice."""
        self._card_gate = CallGate()

    # -- Our card

    @property
    def name(self) -> str:
        """What others see."""
        return self._card.name if self._card is not None else self.id.default_name

    def _read_own_card(self, raw: bytes | None) -> Card | None:
        if raw is None:
            return None
        try:
            record = read_record(raw)
            card = read_card(record)
        except FormatError as error:
            # A new one is made; whoever has seen the old one tells us how far it had counted.
            log.warning("our own card in the store can't be read: %s", error)
            return None
        if record.author != self.id:
            log.warning("the card in the store is of %s: this is another key", record.author.tag)
            return None
        return card

    def start(self, now: Now) -> list[Effect]:
        """Make sure that our card is there and names the prekey that we have."""
        if self._card is not None and self._card.prekey == self._identity.prekey:
            return []
        return self._publish_card(self.name, now)

    def set_name(
        self, name: str, now: Now, *, done: Callable[[], None], failed: Callable[[str], None]
    ) -> list[Effect]:
        """Take another name; raises IdentityError when it is none."""
        return self._publish_card(clean_name(name), now, done, failed)

    def _publish_card(
        self,
        name: str,
        now: Now,
        done: Callable[[], None] = lambda: None,
        failed: Callable[[str], None] = lambda _: None,
    ) -> list[Effect]:
        self._sequence += 1
        self._publishing = True
        card = Card(
            sequence=self._sequence,
            name=name,
            lines=(Line(CONSOLE, self.id.number()),),
            prekey=self._identity.prekey,
        )
        stamp = self.clock.stamp(now.moment, uptime_s=now.uptime_s)
        record = make_record(self._identity.key, RecordKind.CARD, card.encode(), stamp=stamp)

        # A card that others have seen must not be forgotten by us: its number would be used twice.
        def stored(_: None) -> Sequence[Effect]:
            self._card, self._card_raw, self._publishing = card, record.raw, False
            done()
            return [Send(s.peer, Channel.CARD, record.raw) for s in self.peers.sessions()]

        def not_stored(why: str) -> Sequence[Effect]:
            self._publishing = False
            failed(why)
            return ()

        return [Transact(SetValue(CARD_VALUE, record.raw), stored, not_stored)]

    # -- Sessions

    def session_opened(self, info: SessionInfo, now: Now) -> list[Effect]:
        """A session was proved."""
        before = self.peers.session(info.peer)
        used, effects = self.peers.opened(info)
        if not used:
            return effects
        if before is not None:
            self.mailbox.outbox.session_down(info.peer)
            effects += self.verifier.session_down(info.peer)
        if self._card_raw is not None:
            effects.append(Send(info.peer, Channel.CARD, self._card_raw))
        elif not self._publishing:
            # The disk would not take it at the start.
            effects += self.start(now)
        effects += self.directory.met(info.peer, wall_ms=now.moment.wall_ms, sure=now.moment.sure)
        effects += self.mailbox.outbox.session_up(info.peer, now.moment)
        self.calls.session_up(
            info.peer,
            boot=info.boot,
            local_host=info.local_host,
            remote_host=info.remote_host,
            now=now.monotonic,
        )
        return effects + self.call_effects()

    def session_closed(self, handle: int, peer: StationId, now: Now) -> list[Effect]:
        """A session ended."""
        used, effects = self.peers.closed(handle, peer, now.monotonic)
        if not used:
            return effects
        self.mailbox.outbox.session_down(peer)
        effects += self.verifier.session_down(peer)
        effects += self.directory.met(peer, wall_ms=now.moment.wall_ms, sure=now.moment.sure)
        self.calls.session_down(peer, now=now.monotonic)
        return effects + self.call_effects()

    def message_received(
        self, handle: int, peer: StationId, channel: Channel, data: bytes, now: Now
    ) -> list[Effect]:
        """A message came over a session.  One that has no right form ends the session."""
        if peer == self.id:
            # From a copy of our key, or ourselves: the session is about to end.
            return []
        try:
            return self._message(peer, channel, data, now)
        except FormatError:
            return [EndSession(handle, "protocol-error")]

    def _message(self, peer: StationId, channel: Channel, data: bytes, now: Now) -> list[Effect]:
        match channel:
            case Channel.SIP:
                self.calls.sip_received(peer, data, now=now.monotonic)
                return self.call_effects()
            case Channel.RECORD:
                try:
                    record = read_record(data)
                except UnknownRecordError as error:
                    # A newer station may send it; what else it sends is still worth having.
                    refusal = Ack(error.record, Outcome.REFUSED)
                    return [Send(peer, Channel.ACK, encode_acks((refusal,)))]
                return self.mailbox.record_received(peer, record, now.moment, uptime_s=now.uptime_s)
            case Channel.ACK:
                return self.mailbox.acked(peer, decode_acks(data), now.moment)
            case Channel.CARD:
                return self._card_received(peer, data, now)
            case Channel.VERIFY:
                return self.verifier.received(peer, data, now.monotonic)
            case _:
                raise FormatError(f"{channel.name} is not for the station")

    def _card_received(self, peer: StationId, data: bytes, now: Now) -> list[Effect]:
        try:
            record = read_record(data)
        except UnknownRecordError:
            # A newer station's; its messages may still be of a kind that we know.
            return []
        if record.author == self.id:
            return self._own_card_received(record, now)
        if record.author != peer:
            # Cards of third stations come with gossip, which this version does not speak.
            return []
        known = self.directory.get(peer)
        if known.card is not None and known.card_raw is not None and known.card_raw != data:
            if read_card(record).sequence <= known.card.sequence:
                # It may have lost its state, and only knowing how far it had counted can it go on.
                return [Send(peer, Channel.CARD, known.card_raw)]
            if not self._card_gate.allows(peer, now.monotonic):
                # Each costs a disk write and a line on the screen; its next session brings it.
                return []
        return self.directory.card_received(record)

    def _own_card_received(self, record: Record, now: Now) -> list[Effect]:
        """Count on from a card of ours that we have forgotten: others would ignore lower ones."""
        card = read_card(record)
        if card.sequence < self._sequence or record.raw == self._card_raw:
            return []
        self._sequence = card.sequence
        name = card.name if self.name == self.id.default_name else self.name
        return self._publish_card(name, now)

    # -- Commands

    def write(
        self,
        draft: Draft,
        now: Now,
        *,
        done: Callable[[StoredMessage], None],
        failed: Callable[[str], None],
    ) -> list[Effect]:
        """Write a message; raises MessageRefusedError."""
        prekey = None
        if draft.to is not None:
            card = self.directory.get(draft.to.station).card
            prekey = card.prekey if card is not None else None

        effects = self.mailbox.compose(
            draft, prekey, now.moment, uptime_s=now.uptime_s, done=done, failed=failed
        )
        if draft.to is not None:
            effects += self.directory.contacted(draft.to.station)
        return effects

    def call(
        self, to: Address, now: Now, *, play: str | None, record: str | None
    ) -> tuple[str, list[Effect]]:
        """Call somebody; raises CallError.  Returns the call's id."""
        call = self.calls.place(to, play=play, record=record, now=now.monotonic)
        return call, [*self.directory.contacted(to.station), *self.call_effects()]

    def media_event(self, event: MediaEvent, now: Now) -> list[Effect]:
        """The voice process says something."""
        self.calls.media_event(event, now=now.monotonic)
        return self.call_effects()

    def judge(self, comparison: str, *, match: bool) -> tuple[Comparison, list[Effect]]:
        """Take our operator's word on a comparison; raises VerificationRefusedError."""
        judged, effects = self.verifier.judge(comparison, match=match)
        if judged.stage is Stage.VERIFIED:
            effects += self.directory.verified(judged.station)
        else:
            effects += self.directory.distrust(judged.station)
        return judged, effects

    # -- Time

    def next_wakeup(self, now: Now) -> float | None:
        """Say when to call `wakeup`, in monotonic seconds; None: not before another input."""
        outbox = self.mailbox.outbox.next_wakeup()
        offset = now.monotonic - now.moment.awake_s
        times = (
            self.peers.next_wakeup(),
            outbox + offset if outbox is not None else None,
            self.verifier.next_wakeup(),
            self.calls.next_wakeup(),
        )
        soonest = min((time for time in times if time is not None), default=math.inf)
        return None if math.isinf(soonest) else soonest

    def wakeup(self, now: Now) -> list[Effect]:
        """Do what is due."""
        effects = self.peers.wakeup(now.monotonic)
        effects += self.mailbox.outbox.wakeup(now.moment)
        effects += self.verifier.wakeup(now.monotonic)
        self.calls.wakeup(now=now.monotonic)
        return effects + self.call_effects()

    def call_effects(self) -> list[Effect]:
        """Return what the last input to `calls` has led to, also one given to it directly."""
        effects: Iterable[Effect] = self.calls.take_effects()
        return list(effects)
