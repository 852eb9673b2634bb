"""Our own card: made, stored, and only then shown to others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

from appliance.model.card import Card, Line, Prekey, read_card
from appliance.model.codec import FormatError
from appliance.model.identity import CONSOLE, StationKey, clean_name
from appliance.model.record import Record, RecordKind, Stamp, make_record, read_record
from appliance.node.copies import copied_key
from appliance.node.effects import Effect, Transact
from appliance.node.ports import SetValue

log = logging.getLogger(__name__)

MAX_RETURNED: Final = 16
MAX_ANSWERS: Final = 2
"""Cards of one other start that are answered with a newer one."""

CARD_VALUE = "card"
"""Name of the store's value that holds our card's record."""


class OwnCard:
    """What this station says of itself."""

    def __init__(
        self,
        key: StationKey,
        prekey: Prekey,
        stored: bytes | None,
        *,
        published: Callable[[bytes], Sequence[Effect]],
    ) -> None:
        """`stored` is the last card; `published` is called with each one that is on disk."""
        self._key, self.prekey, self._published = key, prekey, published
        self._card = self._read(stored)
        self.raw = stored if self._card is not None else None
        """The card's record."""

        self._returned: dict[bytes, int] = {}
        """How often a card of ours that another start has written came back, by its boot id."""

        self.publishing = False
        """A card is on its way to the disk."""

        self.sequence = self._card.sequence if self._card is not None else 0
        """Of the latest card that was signed, stored or not: none is used twice."""

    @property
    def name(self) -> str:
        """What others see."""
        return self._card.name if self._card is not None else self._key.id.default_name

    @property
    def shown(self) -> tuple[int, bytes] | None:
        """The card that others may have: its sequence number and record."""
        if self._card is None or self.raw is None:
            return None
        return self._card.sequence, self.raw

    def _read(self, raw: bytes | None) -> Card | None:
        if raw is None:
            return None
        try:
            record = read_record(raw)
            card = read_card(record)
        except FormatError as error:
            # A new one is made; whoever has seen the old one tells us how far it had counted.
            log.warning("our own card in the store can't be read: %s", error)
            return None
        if record.author != self._key.id:
            log.warning("the card in the store is of %s: this is another key", record.author.tag)
            return None
        return card

    def start(self, stamp: Callable[[], Stamp]) -> list[Effect]:
        """Write a card for this start.

        One that only repeats the last would hide a copy of this board somewhere in the mesh, which
        has the same: what each of the two writes comes back to the other.
        """
        return self._publish(self.name, stamp())

    def set_name(
        self,
        name: str,
        stamp: Callable[[], Stamp],
        *,
        done: Callable[[], None],
        failed: Callable[[str], None],
    ) -> list[Effect]:
        """Take another name; raises IdentityError when it is none."""
        return self._publish(clean_name(name), stamp(), done, failed)

    def came_back(self, record: Record, stamp: Callable[[], Stamp]) -> list[Effect]:
        """Count on from a card of ours that we have forgotten: others would ignore lower ones."""
        card = read_card(record)
        if card.sequence < self.sequence or record.raw == self.raw:
            return []
        boot = record.stamp.boot
        times = self._returned.pop(boot, 0) + 1
        self._returned[boot] = times
        while len(self._returned) > MAX_RETURNED:
            del self._returned[next(iter(self._returned))]
        # Who lost its state finds one such card.  Another one from the same start is being written
        # now.  The other board has to notice too, but then the two would count up for ever.
        copied = [copied_key("somewhere in the mesh")] if times > 1 else []
        if times > MAX_ANSWERS:
            return [*copied]
        self.sequence = card.sequence
        name = card.name if self.name == self._key.id.default_name else self.name
        return [*copied, *self._publish(name, stamp())]

    def _publish(
        self,
        name: str,
        stamp: Stamp,
        done: Callable[[], None] = lambda: None,
        failed: Callable[[str], None] = lambda _: None,
    ) -> list[Effect]:
        self.sequence += 1
        self.publishing = True
        card = Card(
            sequence=self.sequence,
            name=name,
            lines=(Line(CONSOLE, self._key.id.number()),),
            prekey=self.prekey,
        )
        record = make_record(self._key, RecordKind.CARD, card.encode(), stamp=stamp)

        # A card that others have seen must not be forgotten by us: its number would be used twice.
        def stored(_: None) -> Sequence[Effect]:
            self._card, self.raw, self.publishing = card, record.raw, False
            done()
            return self._published(record.raw)

        def not_stored(why: str) -> Sequence[Effect]:
            self.publishing = False
            failed(why)
            return ()

        return [Transact(SetValue(CARD_VALUE, record.raw), stored, not_stored)]
