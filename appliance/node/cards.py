"""Which cards are taken from others, how many at a time, and to whom they go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from appliance.model.card import read_card
from appliance.model.identity import StationId
from appliance.model.record import Record, UnknownRecordError, read_record
from appliance.node.beginnings import Now
from appliance.node.call_gate import CallGate
from appliance.node.directory import Contact, Directory, Trust
from appliance.node.doubled import Doubled
from appliance.node.effects import AlarmRaised, Effect, Send
from appliance.node.gossip import Gossip
from appliance.node.peers import Peers
from appliance.protocol.frames import Channel

NEW_CARDS: Final = 1_000
"""Cards of unknown stations that one neighbour may bring at once ..."""

NEW_CARD_S: Final = 0.1
"""... and seconds until it may bring one more."""

CHANGED_CARDS: Final = 2_000
"""Newer cards of strangers that one neighbour may bring at once: all, after a blackout ..."""

CHANGED_CARD_S: Final = 0.05
"""... and seconds until it may bring one more.  Each goes on to everybody."""

ALARMS: Final = 3
"""Alarms over cards that came by gossip, at once ..."""

ALARM_S: Final = 60.0
"""... and seconds until the next.  Whoever makes up names must not keep an operator from work."""


class Cards:
    """Cards of other stations, as they come in."""

    def __init__(
        self,
        own: StationId,
        directory: Directory,
        gossip: Gossip,
        peers: Peers,
        *,
        came_back: Callable[[Record, Now], list[Effect]],
        learned: Callable[[StationId, Now], list[Effect]],
    ) -> None:
        """`came_back`: a card of ours is here; `learned`: a station has another card."""
        self._own, self._directory, self._gossip, self._peers = own, directory, gossip, peers
        self._came_back, self._learned = came_back, learned
        self._doubled = Doubled(directory)
        self._changed = CallGate()
        self._renewed = CallGate(burst=CHANGED_CARDS, refill_s=CHANGED_CARD_S)
        self._new = CallGate(burst=NEW_CARDS, refill_s=NEW_CARD_S)
        self._alarms = CallGate(burst=ALARMS, refill_s=ALARM_S)

    def received(self, peer: StationId, data: bytes, now: Now) -> list[Effect]:
        """Take a card that a peer has sent; raises FormatError."""
        if self._gossip.is_known(data):
            return []
        try:
            record = read_record(data)
        except UnknownRecordError:
            # A newer station's; its messages may still be of a kind that we know.
            return []
        author = record.author
        if author == self._own:
            return self._own_came_back(peer, record, now)
        known = self._directory.get(author)
        rival = False
        if known.card is not None and known.card_raw is not None:
            card = read_card(record)
            rival = card.sequence == known.card.sequence
            if not known.is_older(card, record.raw):
                # It may have lost its state, and only knowing how far it had counted can it go on.
                return [Send(peer, Channel.CARD, known.card_raw)] if author == peer else []
            if not self._changed.allows(author, now.monotonic):
                # Each costs a disk write and a line on the screen; its next session brings it.
                return []
            if author != peer and not self._may_renew(known, peer, now):
                # Whoever makes up thousands of stations can renew one after another.
                return []
        elif author != peer and not self._new.allows(peer, now.monotonic):
            # Keys are free: a neighbour that brings ever new ones is believed slowly.
            return []
        effects = self._directory.card_received(record, gossiped=author != peer)
        contact = self._directory.get(author)
        if contact.card_raw != data:
            return effects
        self._gossip.changed(contact)
        alarms = author == peer or self._alarms.allows(self._own, now.monotonic)
        return [
            *(one for one in effects if alarms or not isinstance(one, AlarmRaised)),
            *self._gossip.spread(contact, self._others(peer, author), rival=rival),
            *self._doubled.heard(contact, now.monotonic),
            *self._learned(author, now),
        ]

    def _may_renew(self, known: Contact, peer: StationId, now: Now) -> bool:
        return known.trust is not Trust.NEW or self._renewed.allows(peer, now.monotonic)

    def _own_came_back(self, peer: StationId, record: Record, now: Now) -> list[Effect]:
        """Take a card of our own key; the newest goes on as any other, also if it is not ours."""
        effects = self._came_back(record, now)
        self._gossip.changed_own()
        newest = self._gossip.is_known(record.raw)
        if newest and self._changed.allows(record.author, now.monotonic):
            others = self._others(peer, record.author)
            effects += [Send(other, Channel.CARD, record.raw) for other in others]
        return effects

    # -- Time

    def next_wakeup(self) -> float | None:
        """Say when to call `wakeup`."""
        return self._doubled.next_wakeup()

    def wakeup(self, now: Now) -> list[Effect]:
        """End alarms that are over."""
        return self._doubled.wakeup(now.monotonic)

    def _others(self, peer: StationId, author: StationId) -> list[StationId]:
        """Return to whom a card goes on: also to its author, who may not have written it."""
        sessions = (info.peer for info in self._peers.sessions())
        return [
            other
            for other in sessions
            if other != peer and (other == author or self._peers.gossips_with(other))
        ]
