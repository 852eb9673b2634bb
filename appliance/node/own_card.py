"""Our own card: made, stored, and only then shown to others."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import Final

from appliance.model.card import Card, Line, Prekey, read_card
from appliance.model.codec import FormatError
from appliance.model.identity import CONSOLE, StationKey, clean_name
from appliance.model.record import Record, RecordKind, Stamp, make_record, read_record
from appliance.node.clock import MAX_JUMP, ORDER_BITS
from appliance.node.copies import COPIED_KEY, Twins, copied_key
from appliance.node.effects import AlarmOver, Effect, Transact
from appliance.node.ports import SetValue

log = logging.getLogger(__name__)

CARD_VALUE = "card"
"""Name of the store's value that holds our card's record."""

RESTORED_VALUE = "restored"
"""Name of the store's value that says that this station came from a backup."""

BOOT_STEP_BYTES: Final = 2
"""Of the boot id that are added to each number.  Two boards that go on from one state would else
give the same numbers, and neighbours that compare numbers would not see that their cards differ."""

RETURN_STEP: Final = 1 << 32
"""How far an answer to a card that we don't remember goes ahead: further than a life without such
answers can have counted."""

RESTORED_STEP: Final = 1 << 40
"""How far a restored station goes ahead before it has heard anything, and up to as much again by
its boot id, since a backup can be restored twice."""

MAX_SEQUENCE: Final = 1 << 62
"""Above it only somebody who uses numbers up has counted: we don't follow."""

RETRY_S: Final = 5.0
"""After the disk did not take the card for this start: without one nobody can write to us."""

RESTORED_ORDERS: Final = MAX_JUMP // 16 << ORDER_BITS
"""How far the order of what a restored station writes goes ahead, to come after what it has written
and forgotten.  Others believe that much at once."""


def highest_order(latest: int, card: bytes | None, *, restored: bool) -> int:
    """Return the highest order that a station has used, from the store.

    `latest` is that of its messages.  Its own card counts as well: it may have written nothing
    since it was restored.
    """
    try:
        stamped = read_record(card).stamp.lamport << ORDER_BITS if card is not None else 0
    except FormatError:
        stamped = 0
    return max(latest, stamped) + (RESTORED_ORDERS if restored else 0)


class OwnCard:
    """What this station says of itself."""

    def __init__(
        self,
        key: StationKey,
        prekey: Prekey,
        stored: bytes | None,
        *,
        published: Callable[[bytes], Sequence[Effect]],
        restored: bool = False,
    ) -> None:
        """`stored` is the last card; `published` is called with each one that is on disk.

        `restored`: this station has written more cards than it remembers.
        """
        self._key, self.prekey, self._published = key, prekey, published
        self._card = self._read(stored)
        self.raw = stored if self._card is not None else None
        """The card's record."""

        self.twins = Twins()
        """Other boards with our key."""

        self._other: tuple[int, bytes] | None = None
        """The newest card of our key that is not ours: its sequence number and record."""

        self._restored = restored

        self._retry_at = math.inf
        """When to write the card for this start once more."""

        self._signed: dict[int, str] = {}
        """The names in cards that are on their way to the disk, by sequence number."""

        self.sequence = self._card.sequence if self._card is not None else 0
        """Of the latest card that was signed, stored or not: none is used twice."""

    @property
    def name(self) -> str:
        """What others see."""
        return self._card.name if self._card is not None else self._key.id.default_name

    @property
    def publishing(self) -> bool:
        """A card is on its way to the disk."""
        return bool(self._signed)

    @property
    def _latest_name(self) -> str:
        """What others will see: a card that tells something else must not take a new name back."""
        return next(reversed(self._signed.values()), self.name)

    @property
    def shown(self) -> tuple[int, bytes] | None:
        """The newest card of our key, ours or not: its sequence number and record.

        All keep the newest: who had another would exchange lists with its neighbours for ever.
        """
        if self._card is None or self.raw is None:
            return self._other
        return max((self._card.sequence, self.raw), self._other or (0, b""))

    @property
    def names(self) -> bytes | None:
        """The id of the prekey that our card on disk names."""
        return self._card.prekey.id if self._card is not None else None

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
        at = stamp()

        def again(_: str) -> None:
            self._retry_at = at.uptime_ms / 1000 + RETRY_S

        return self._publish(self._latest_name, at, failed=again)

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
        """Take a card of ours that somebody else has: see `copies` for what that can mean."""
        card = read_card(record)
        newest = self._other or (0, b"")
        if card.sequence < self.sequence or (card.sequence, record.raw) <= newest:
            return []
        if record.raw == self.raw:
            return []
        at = stamp()
        now_s = at.uptime_ms / 1000
        before = self.twins.proved
        self._other = (card.sequence, record.raw)
        if card.sequence > MAX_SEQUENCE:
            self.twins.beyond()
        else:
            self.twins.heard(card, record.stamp.boot, own=at.boot, now_s=now_s)
            self.sequence = card.sequence
        effects: list[Effect] = []
        if self.twins.proved and not before:
            effects.append(copied_key("somewhere in the mesh"))
        if self.twins.may_answer(now_s):
            name = self._latest_name
            if name == self._key.id.default_name:
                name = card.name
            effects += self._answer(name, at)
        return effects

    def met_copy(self, boot: bytes, where: str, stamp: Callable[[], Stamp]) -> list[Effect]:
        """Somebody has proved our own key in a session, and another boot id than ours."""
        at = stamp()
        now_s = at.uptime_ms / 1000
        self.twins.met(boot, now_s)
        answers = self._answer(self._latest_name, at) if self.twins.may_answer(now_s) else []
        return [copied_key(where), *answers]

    def use(self, prekey: Prekey, stamp: Callable[[], Stamp]) -> list[Effect]:
        """Tell others another prekey."""
        self.prekey = prekey
        return self._publish(self._latest_name, stamp())

    # -- Time, in seconds since this start

    def next_wakeup(self) -> float:
        """Say when to call `wakeup`."""
        return min(self.twins.next_wakeup(), self._retry_at)

    def wakeup(self, uptime_s: float, stamp: Callable[[], Stamp]) -> list[Effect]:
        """Answer what could not be answered before, ask whether a copy still runs, and write what
        the disk would not take."""
        if self.twins.is_over(uptime_s):
            return [AlarmOver(COPIED_KEY), *self.start(stamp)]
        if self.twins.asks(uptime_s) or self.twins.may_answer(uptime_s):
            return self._answer(self._latest_name, stamp())
        if self._retry_at <= uptime_s:
            if not self.publishing:
                return self.start(stamp)
            self._retry_at = uptime_s + RETRY_S
        return []

    def _answer(self, name: str, at: Stamp) -> list[Effect]:
        self.sequence += RETURN_STEP
        effects = self._publish(name, at, failed=lambda _: self.twins.not_answered())
        self.twins.answered(self.sequence, at.uptime_ms / 1000)
        return effects

    def _publish(
        self,
        name: str,
        stamp: Stamp,
        done: Callable[[], None] = lambda: None,
        failed: Callable[[str], None] = lambda _: None,
    ) -> list[Effect]:
        restored, self._restored = self._restored, False
        if restored:
            self.sequence += RESTORED_STEP + int.from_bytes(stamp.boot[:5], "big")
        # Who remembers no card begins low: the last one comes back then, with the name in it.
        size = BOOT_STEP_BYTES if self.sequence else 1
        self.sequence += 1 + int.from_bytes(stamp.boot[:size], "big")
        self._signed[self.sequence] = name
        card = Card(
            sequence=self.sequence,
            name=name,
            lines=(Line(CONSOLE, self._key.id.number()),),
            prekey=self.prekey,
            services=self.twins.words(),
        )
        record = make_record(self._key, RecordKind.CARD, card.encode(), stamp=stamp)

        # A card that others have seen must not be forgotten by us: its number would be used twice.
        def stored(_: None) -> Sequence[Effect]:
            self._card, self.raw, self._retry_at = card, record.raw, math.inf
            del self._signed[card.sequence]
            done()
            after = [Transact(SetValue(RESTORED_VALUE, None), lambda _: ())] if restored else []
            return [*self._published(record.raw), *after]

        def not_stored(why: str) -> Sequence[Effect]:
            del self._signed[card.sequence]
            self._restored |= restored
            failed(why)
            return ()

        return [Transact(SetValue(CARD_VALUE, record.raw), stored, not_stored)]
