"""Other stations whose key is in use on two boards, as their own cards say (see `copies`)."""

from __future__ import annotations

import math
from typing import Final

from appliance.model.identity import StationId
from appliance.node.copies import card_says_copied
from appliance.node.directory import Contact, Directory, Trust
from appliance.node.effects import AlarmOver, AlarmRaised, Effect

COPIED_OTHERS: Final = "copied-others"
"""Code of the alarm about others' keys."""

HOLD_S: Final = 600.0
"""For how long an alarm about others outlasts the word in their card: longer than `ANSWERS_S`."""

MAX_DOUBLED: Final = 64
"""Others of whom it is remembered; keys are free, and so is the word."""

NAMED: Final = 3
"""Of these are named in an alarm: verified and known ones first."""

TELL_EVERY_S: Final = 30.0
"""How often the alarm may say something else: inventing stations must not make it ring all day."""

_NEAREST: Final = (Trust.VERIFIED, Trust.KNOWN, Trust.NEW)


class Doubled:
    """Other stations whose cards say that their keys are in use on two boards."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._until: dict[StationId, float] = {}
        """Infinite while the newest card says so."""
        self._told = ""
        """The sentence that our operator has."""
        self._tell_at = -math.inf
        """When it may be another."""
        self._looked = False

    def heard(self, contact: Contact, now: float) -> list[Effect]:
        """A station has another card."""
        self._note(contact, now)
        return self._tell(now)

    def _note(self, contact: Contact, now: float) -> None:
        if contact.card is not None and card_says_copied(contact.card):
            self._until[contact.id] = math.inf
            while len(self._until) > MAX_DOUBLED:
                del self._until[self._nearest_first()[-1].id]
        elif self._until.get(contact.id) == math.inf:
            self._until[contact.id] = now + HOLD_S

    def next_wakeup(self) -> float | None:
        """Say when to call `wakeup`."""
        if not self._looked:
            return -math.inf
        if not self._until and not self._told:
            return None
        first = min(self._until.values(), default=math.inf)
        if self._sentence() != self._told:
            first = min(first, self._tell_at)
        return first if first < math.inf else None

    def wakeup(self, now: float) -> list[Effect]:
        """End what is over; the first time, look at the cards that we had from before."""
        if not self._looked:
            self._looked = True
            for contact in self._directory.all():
                self._note(contact, now)
        self._until = {one: until for one, until in self._until.items() if until > now}
        return self._tell(now)

    def _nearest_first(self) -> list[Contact]:
        contacts = [self._directory.get(station) for station in self._until]
        return sorted(contacts, key=lambda contact: _NEAREST.index(contact.trust))

    def _sentence(self) -> str:
        names = [f"{contact.name} ·{contact.id.tag}" for contact in self._nearest_first()]
        if not names:
            return ""
        if len(names) == 1:
            return f"{names[0]} runs on two boards at once, with one key."
        others = " and others" if len(names) > NAMED else ""
        return f"{', '.join(names[:NAMED])}{others} run on two boards at once each, with one key."

    def _tell(self, now: float) -> list[Effect]:
        """Raise the alarm when it says something else than before."""
        text = self._sentence() if now >= self._tell_at else self._told
        if text == self._told:
            return []
        self._told, self._tell_at = text, now + TELL_EVERY_S
        if not text:
            return [AlarmOver(COPIED_OTHERS)]
        return [
            AlarmRaised(
                code=COPIED_OTHERS,
                text=text,
                fix="What is written to such a station reaches either board, or a thief. Tell its "
                "operators by another way: one board is to be stopped and its state deleted.",
            )
        ]
