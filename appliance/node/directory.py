"""Who there is: cards, names and trust.

A name is a label that anyone may take, so it counts for little until two operators have compared.
The alarm is for a verified contact's name or number that turns up under another key.
"""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from appliance.model.card import Card, read_card
from appliance.model.codec import FormatError
from appliance.model.identity import TAG_CHARS, IdentityError, StationId
from appliance.model.record import Record, read_record
from appliance.node.copies import card_says_copied
from appliance.node.effects import AlarmRaised, Effect, StationChanged, Transact
from appliance.node.ports import ForgetStation, SaveStation, StoredStation

log = logging.getLogger(__name__)

SEEN_EVERY_MS: Final = 60_000
"""Whoever comes and goes all the time is noted no more often."""

MAX_STATIONS: Final = 2_000
"""Stations that are kept; the new one that was met longest ago makes room."""


class Trust(StrEnum):
    """How far the operator has a reason to believe that a station is who its name says."""

    NEW = "new"
    """None."""

    KNOWN = "known"
    """Our operator wrote to it or called it."""

    VERIFIED = "verified"
    """Two operators compared."""


@dataclass(frozen=True)
class Contact:
    """What we know of a station."""

    id: StationId
    """Who."""

    trust: Trust = Trust.NEW
    """How far its name counts."""

    card: Card | None = None
    """Its latest card."""

    card_raw: bytes | None = None
    """The record that the card came in."""

    verified_name: str | None = None
    """The name that it had when the operators compared."""

    seen_ms: int | None = None
    """When a session with it last stood, by our clock."""

    seen_sure: bool = False
    """Whether that clock was sure."""

    @property
    def name(self) -> str:
        """What people call it."""
        return self.card.name if self.card is not None else self.id.default_name

    def is_older(self, card: Card, raw: bytes) -> bool:
        """Tell whether this card takes the place of the one that we have.

        Two boards with one key may give the same number to different cards.  Everybody keeps the
        same one of them, so that the board whose card it is not gets to see it.
        """
        if self.card is None or self.card_raw is None:
            return True
        return (card.sequence, raw) > (self.card.sequence, self.card_raw)

    def stored(self) -> StoredStation:
        """Return what the store keeps."""
        return StoredStation(
            id=self.id,
            card=self.card_raw,
            trust=self.trust.value,
            verified_name=self.verified_name,
            seen_ms=self.seen_ms,
            seen_sure=self.seen_sure,
        )


class UnknownStationError(Exception):
    """Nobody answers to this, or more than one does."""

    def __init__(self, text: str, matches: tuple[StationId, ...] = ()) -> None:
        super().__init__(text)
        self.matches = matches


_TWINS: Final = str.maketrans(
    "авеҽзкмнорстухѕԁһԛԝьгіјαβεζηικμνορτυχγωıłøđħɑɡ0i1|",
    "abee3kmhopctyxsdhqwbrljabezhlkmvoptuxywllodhagolll",
)
"""Letters, as casefolded, that look like Latin ones in small or as capitals, and digits that look
like letters.  Ours, from the pairs of UTS #39 that keyboards have."""

_TWIN_PAIRS: Final = (("rn", "m"), ("vv", "w"))


def looks_like(name: str) -> str:
    """Fold a name so that those that a tired eye would take for the same are the same."""
    folded = unicodedata.normalize("NFKD", name).casefold().translate(_TWINS)
    # Accents go.  The vowel signs of many scripts are no accents, though they are marks as well.
    plain = "".join(c for c in folded if c.isalnum() or _is_vowel_sign(c))
    for pair, twin in _TWIN_PAIRS:
        plain = plain.replace(pair, twin)
    return plain or folded


def _is_vowel_sign(character: str) -> bool:
    return unicodedata.category(character)[0] == "M" and not unicodedata.combining(character)


class Directory:
    """All stations that this one knows of."""

    def __init__(
        self, own: StationId, *, forgotten: Callable[[StationId], None] = lambda _: None
    ) -> None:
        """`forgotten` is told who has made room for another."""
        self._own, self._forgotten = own, forgotten
        self._contacts: dict[StationId, Contact] = {}
        """Those met longest ago first."""
        self._verified_names: dict[str, StationId] = {}
        self._verified_numbers: dict[str, StationId] = {}

    def load(self, stored: tuple[StoredStation, ...]) -> None:
        """Take over what the store has."""
        for row in sorted(stored, key=lambda row: row.seen_ms or 0):
            if row.id == self._own:
                continue
            contact = Contact(
                id=row.id,
                trust=Trust(row.trust),
                verified_name=row.verified_name,
                seen_ms=row.seen_ms,
                seen_sure=row.seen_sure,
            )
            if row.card is not None:
                try:
                    card = read_card(read_record(row.card))
                    contact = replace(contact, card=card, card_raw=row.card)
                except FormatError as error:
                    # Its next session brings it again; trust does not hang on it.
                    log.warning("the card of %s in the store can't be read: %s", row.id.tag, error)
            self._put(contact)

    def __contains__(self, station: StationId) -> bool:
        return station in self._contacts

    def all(self) -> tuple[Contact, ...]:
        """Return everybody, in no order."""
        return tuple(self._contacts.values())

    def get(self, station: StationId) -> Contact:
        """Return what is known of a station, be it nothing."""
        return self._contacts.get(station) or Contact(station)

    def alarm(self, station: StationId) -> str | None:
        """Return a sentence if a station is not, or not only, whom its name says."""
        contact = self.get(station)
        misused = self._misused(contact)
        if misused is None and contact.card is not None and card_says_copied(contact.card):
            return f"{contact.name} ·{station.tag} runs on two boards at once, with one key."
        return misused

    def _misused(self, contact: Contact) -> str | None:
        """Return a sentence if a station uses a verified contact's name or number."""
        station = contact.id
        if contact.trust is Trust.VERIFIED or contact.card is None:
            return None
        real = self._verified_names.get(looks_like(contact.name))
        if real is not None and real != station:
            return (
                f"Somebody else uses the name {contact.name}: "
                f"the one that you verified is ·{real.tag}, this is ·{station.tag}."
            )
        for line in contact.card.lines:
            real = self._verified_numbers.get(line.number)
            if real is not None and real != station:
                return (
                    f"{contact.name} ·{station.tag} has the number of {self.get(real).name}, "
                    f"whom you verified."
                )
        return None

    def find(self, text: str) -> StationId:
        """Find the station that an operator means by an id, the start of one, a name or a number.

        Raises UnknownStationError when nobody or more than one answers to it.
        """
        try:
            return self._known(StationId.parse(text))
        except IdentityError:
            pass
        wanted, plain = looks_like(text), text.strip().lower().rpartition("·")[2]
        digits = plain.replace("-", "").replace(" ", "")
        matches: list[Contact] = []
        for contact in self._contacts.values():
            lines = contact.card.lines if contact.card is not None else ()
            numbers = {line.number for line in lines} or {contact.id.number()}
            starts = len(plain) >= TAG_CHARS and contact.id.text.startswith(plain)
            if (wanted and looks_like(contact.name) == wanted) or starts or digits in numbers:
                matches.append(contact)
        verified = [contact for contact in matches if contact.trust is Trust.VERIFIED]
        if len(verified) == 1 and looks_like(verified[0].name) == wanted:
            return verified[0].id
        if len(matches) == 1:
            return matches[0].id
        if not matches:
            raise UnknownStationError(f"no station answers to {text!r}")
        listed = ", ".join(f"{contact.name} ·{contact.id.tag}" for contact in matches[:5])
        raise UnknownStationError(
            f"{len(matches)} stations answer to {text!r}: {listed}",
            tuple(contact.id for contact in matches),
        )

    def _known(self, station: StationId) -> StationId:
        if station not in self._contacts:
            raise UnknownStationError("no station with this id has been met")
        return station

    # -- Changes

    def card_received(self, record: Record, *, gossiped: bool = False) -> list[Effect]:
        """Take a card; one that is not newer than ours changes nothing.  Raises FormatError.

        `gossiped`: it did not come from the station itself, so nobody has to make room for it who
        was ever met.
        """
        card = read_card(record)
        contact = self.get(record.author)
        if record.author == self._own:
            return []
        if not contact.is_older(card, record.raw):
            return []
        alarm_before = self._misused(contact)
        unmet = gossiped and contact.seen_ms is None
        effects = self._save(replace(contact, card=card, card_raw=record.raw), unmet=unmet)
        alarm = self._misused(self.get(record.author))
        if alarm is not None and alarm != alarm_before:
            effects.append(self._alarm_effect(alarm))
        return effects

    def met(self, station: StationId, *, wall_ms: int, sure: bool) -> list[Effect]:
        """Note that a session with a station stands, or has just ended."""
        contact = self.get(station)
        if station in self._contacts:
            self._contacts[station] = self._contacts.pop(station)
        before = contact.seen_ms
        if before is not None and 0 <= wall_ms - before < SEEN_EVERY_MS:
            return [StationChanged(station)]
        return self._save(replace(contact, seen_ms=wall_ms, seen_sure=sure))

    def contacted(self, station: StationId) -> list[Effect]:
        """Note that our operator wrote to a station or called it."""
        contact = self.get(station)
        if contact.trust is not Trust.NEW:
            return []
        return self._save(replace(contact, trust=Trust.KNOWN))

    def verified(self, station: StationId) -> list[Effect]:
        """Note that two operators compared, and raise the alarm for those who use its name."""
        before = {one.id: self._misused(one) for one in self.all()}
        contact = self.get(station)
        verified = replace(contact, trust=Trust.VERIFIED, verified_name=contact.name)
        effects = self._save(verified, lazy=False)
        for other, had in before.items():
            alarm = self._misused(self.get(other))
            if alarm is not None and alarm != had:
                effects += [StationChanged(other), self._alarm_effect(alarm)]
        return effects

    def distrust(self, station: StationId) -> list[Effect]:
        """Note that two operators compared and it did not match."""
        distrusted = replace(self.get(station), trust=Trust.NEW, verified_name=None)
        return self._save(distrusted, lazy=False)

    def _alarm_effect(self, text: str) -> Effect:
        return AlarmRaised(
            code="name-of-verified",
            text=text,
            fix="Trust nothing that it says before you have compared with it (F9).",
        )

    def _save(self, contact: Contact, *, lazy: bool = True, unmet: bool = False) -> list[Effect]:
        """Keep a contact; what our operator has judged does not wait for another commit."""
        effects: list[Effect] = []
        if contact.id not in self._contacts and len(self._contacts) >= MAX_STATIONS:
            # By the order in which they were met and not by a clock, which may jump back.
            strangers = [c for c in self._contacts.values() if c.trust is Trust.NEW]
            never_met = [c for c in strangers if c.seen_ms is None]
            oldest = next(iter(never_met or ([] if unmet else strangers)), None)
            if oldest is None:
                return []
            del self._contacts[oldest.id]
            self._forgotten(oldest.id)
            effects.append(Transact(ForgetStation(oldest.id), then=lambda _: (), lazy=True))
        self._put(contact)
        effects += [
            Transact(SaveStation(contact.stored()), then=lambda _: (), lazy=lazy),
            StationChanged(contact.id),
        ]
        return effects

    def _put(self, contact: Contact) -> None:
        before = self._contacts.get(contact.id)
        self._contacts[contact.id] = contact
        if before is not None and before.trust is Trust.VERIFIED:
            for index in (self._verified_names, self._verified_numbers):
                for key in [key for key, station in index.items() if station == contact.id]:
                    del index[key]
        if contact.trust is Trust.VERIFIED:
            names = {contact.name, contact.verified_name or contact.name}
            for name in names:
                self._verified_names.setdefault(looks_like(name), contact.id)
            numbers = [line.number for line in contact.card.lines] if contact.card else []
            for number in numbers or [contact.id.number()]:
                self._verified_numbers.setdefault(number, contact.id)
