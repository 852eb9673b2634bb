"""Cards of all stations, from neighbour to neighbour.

A new card goes on at once to everybody we gossip with.  Summaries repair what was missed, at the
beginning of a session and now and then.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Final

from appliance.model.identity import StationId
from appliance.node.call_gate import CallGate
from appliance.node.directory import Contact, Directory
from appliance.node.effects import Effect, Send
from appliance.protocol.frames import Channel
from appliance.protocol.gossip import (
    MAX_LISTED,
    START_SIZE,
    Listing,
    Summary,
    Want,
    decode_gossip,
    digest_of,
    encode_gossip,
)

SUMMARY_EVERY_S: Final = 60.0
"""Ours: a minute is soon enough for what flooding has missed, and costs two bytes a second."""

LIST_EVERY_S: Final = 2.0
"""A peer that asks for our whole list more often is left to wait."""

MAX_HAD: Final = 2 * MAX_LISTED
"""Cards of which it is remembered that a peer has them: those that it listed, and some more until
it lists again.  Whoever never does must not have us remember all that were ever invented."""

ASKED_CARDS: Final = MAX_LISTED
"""Cards that a peer may ask for at once ..."""

ASKED_CARD_S: Final = 0.05
"""... and seconds until it may have one more.  A question is small, and the answer is not."""


class Gossip:
    """What is said about cards, and to whom."""

    def __init__(
        self,
        directory: Directory,
        own: StationId,
        *,
        own_card: Callable[[], tuple[int, bytes] | None],
        random: Callable[[], float],
    ) -> None:
        """`own_card` gives our card's sequence number and record, once it is on disk."""
        self._directory, self._own, self._own_card = directory, own, own_card
        self._random = random
        self._raws: dict[bytes, tuple[int, bytes]] | None = None
        """Sequence number and record by the start of the key; None: to be gathered anew."""
        self._digest: bytes | None = None
        self._known: set[bytes] | None = None
        self._due: dict[StationId, float] = {}
        """When to send the next summary."""
        self._listed: dict[StationId, float] = {}
        """When a list was last sent."""
        self._has: dict[StationId, dict[bytes, int]] = {}
        """Which cards a peer has, since it listed them: they need not go to it again."""
        self._asked = CallGate(burst=ASKED_CARDS, refill_s=ASKED_CARD_S)

    def changed(self, contact: Contact | None = None) -> None:
        """A station's card is new; None: ours is, or a station is gone."""
        self._digest = None
        if contact is None or contact.card is None or contact.card_raw is None:
            self._raws = self._known = None
        elif self._raws is not None:  # not gathered anew: hundreds may come one after another
            start = contact.id.key[:START_SIZE]
            before = self._raws.get(start)
            self._raws[start] = (contact.card.sequence, contact.card_raw)
            if self._known is not None:
                self._known.discard(before[1] if before is not None else b"")
                self._known.add(contact.card_raw)

    def changed_own(self) -> None:
        """Perhaps the newest card of our key is another."""
        own, start = self._own_card(), self._own.key[:START_SIZE]
        if own is not None and self._cards().get(start) != own:
            self.changed()

    def _cards(self) -> dict[bytes, tuple[int, bytes]]:
        if self._raws is None:
            self._raws = {
                contact.id.key[:START_SIZE]: (contact.card.sequence, contact.card_raw)
                for contact in self._directory.all()
                if contact.card is not None and contact.card_raw is not None
            }
            own = self._own_card()
            if own is not None:
                self._raws[self._own.key[:START_SIZE]] = own
        return self._raws

    def _known_raws(self) -> set[bytes]:
        if self._known is None:
            self._known = {raw for _, raw in self._cards().values()}
        return self._known

    def _own_digest(self) -> bytes:
        if self._digest is None:
            self._digest = digest_of((s, sequence) for s, (sequence, _) in self._cards().items())
        return self._digest

    def _summary(self, peer: StationId, now: float) -> Effect:
        self._due[peer] = now + SUMMARY_EVERY_S * (0.75 + 0.5 * self._random())
        return Send(peer, Channel.GOSSIP, encode_gossip(Summary(self._own_digest())))

    def is_known(self, raw: bytes) -> bool:
        """Tell whether we have just this card, so that its signature need not be checked again."""
        return raw in self._known_raws()

    # -- Inputs

    def session_up(self, peer: StationId, now: float, *, begin: bool) -> list[Effect]:
        """A session stands; one of two that gossip begins."""
        self._listed.pop(peer, None)
        self._has.pop(peer, None)
        if begin:
            return [self._summary(peer, now)]
        self._due[peer] = now + SUMMARY_EVERY_S * self._random()
        return []

    def session_down(self, peer: StationId) -> None:
        """A session ended."""
        self._due.pop(peer, None)
        self._listed.pop(peer, None)
        self._has.pop(peer, None)

    def spread(
        self, contact: Contact, to: Iterable[StationId], *, rival: bool = False
    ) -> list[Effect]:
        """Pass a card on that is new, to whoever has not listed it.

        `rival`: there is another with the same number, and which of them was listed is not known.
        """
        card, raw = contact.card, contact.card_raw
        if card is None or raw is None:
            return []
        start = contact.id.key[:START_SIZE]
        effects: list[Effect] = []
        for peer in to:
            has = self._has.get(peer)
            if has is not None:
                if has.get(start, -1) >= card.sequence and not rival:
                    continue
                if start in has or len(has) < MAX_HAD:
                    has[start] = card.sequence
            effects.append(Send(peer, Channel.CARD, raw))
        return effects

    def received(self, peer: StationId, data: bytes, now: float) -> list[Effect]:
        """Take a message; raises FormatError."""
        match decode_gossip(data):
            case Summary(digest):
                return self._compare(peer, digest, now)
            case Listing(cards):
                return self._exchange(peer, dict(cards), now)
            case Want(starts):
                mine = self._cards()
                return [
                    Send(peer, Channel.CARD, mine[start][1])
                    for start in dict.fromkeys(starts)
                    if start in mine and self._asked.allows(peer, now)
                ]
            case None:
                return []

    def _compare(self, peer: StationId, digest: bytes, now: float) -> list[Effect]:
        ours = self._cards()
        if digest == self._own_digest():
            return []
        if now - self._listed.get(peer, -math.inf) < LIST_EVERY_S:
            return []
        self._listed[peer] = now
        cards = tuple((start, sequence) for start, (sequence, _) in ours.items())[:MAX_LISTED]
        return [Send(peer, Channel.GOSSIP, encode_gossip(Listing(cards)))]

    def _exchange(self, peer: StationId, theirs: dict[bytes, int], now: float) -> list[Effect]:
        mine = self._cards()
        wanted = [
            start
            for start, sequence in theirs.items()
            if start not in mine or mine[start][0] < sequence
        ]
        effects: list[Effect] = []
        for start, (sequence, raw) in mine.items():
            if theirs.get(start, -1) < sequence and self._asked.allows(peer, now):
                effects.append(Send(peer, Channel.CARD, raw))
                theirs[start] = sequence
        self._has[peer] = theirs
        if wanted:
            effects.append(Send(peer, Channel.GOSSIP, encode_gossip(Want(tuple(wanted)))))
        return effects

    # -- Time

    def next_wakeup(self) -> float | None:
        """Say when to call `wakeup`."""
        return min(self._due.values(), default=None)

    def wakeup(self, now: float, chosen: Callable[[StationId], bool]) -> list[Effect]:
        """Send the summaries that are due to those whom we have chosen."""
        effects: list[Effect] = []
        for peer in [peer for peer, due in self._due.items() if due <= now]:
            if chosen(peer):
                effects.append(self._summary(peer, now))
            else:
                self._due[peer] = now + SUMMARY_EVERY_S
        return effects
