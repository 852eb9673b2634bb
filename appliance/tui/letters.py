"""What goes with a message besides its text: how urgent it is and how long it may wait.

Pure.  It belongs to a conversation until the message is sent; the next one begins as routine.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from appliance.api.attachments import MAX_ATTACHMENTS
from appliance.api.schema import Precedence
from appliance.tui.tallies import PRECEDENCES

LIFETIMES: Final[tuple[tuple[int | None, str], ...]] = (
    (None, "no: try as long as possible, 30 days"),
    (3_600, "1 hour"),
    (12 * 3_600, "12 hours"),
    (86_400, "1 day"),
    (7 * 86_400, "7 days"),
    (30 * 86_400, "30 days"),
)
"""After which a message that did not arrive is given up; seconds and words."""


MAX_ENCLOSED: Final = MAX_ATTACHMENTS


@dataclass(frozen=True)
class Enclosure:
    """Something that goes with a message."""

    id: str
    """Of the upload or the recording."""

    name: str
    """Of the file."""

    bytes: int
    """How large it is; 0 where that is not known yet."""

    voice_ms: int = 0
    """A recording of that length; 0: a file."""


@dataclass(frozen=True)
class Letter:
    """What goes with a message."""

    precedence: Precedence = "routine"
    """How urgent."""

    lifetime_s: int | None = None
    """After which it is given up; None: as long as it takes."""

    enclosed: tuple[Enclosure, ...] = ()
    """Files and voice messages."""

    def more_urgent(self, by: int = 1) -> Letter:
        """Return the letter with the next precedence; after the last comes the first."""
        at = PRECEDENCES.index(self.precedence) + by
        return replace(self, precedence=PRECEDENCES[at % len(PRECEDENCES)])


class Letters:
    """What goes with the messages that were begun, by conversation."""

    def __init__(self) -> None:
        self._letters: dict[str, Letter] = {}

    def of(self, conversation: str) -> Letter:
        """Return what goes with the message that was begun."""
        return self._letters.get(conversation, Letter())

    def put(self, conversation: str, letter: Letter) -> None:
        """Choose what goes with it."""
        if letter == Letter():
            self._letters.pop(conversation, None)
        else:
            self._letters[conversation] = letter

    def give_back(self, conversation: str, letter: Letter) -> None:
        """Put together what could not be sent and what was chosen since."""
        since = self.of(conversation)
        urgent = max(letter.precedence, since.precedence, key=PRECEDENCES.index)
        lifetime_s = letter.lifetime_s if since.lifetime_s is None else since.lifetime_s
        self.put(conversation, Letter(urgent, lifetime_s, (*letter.enclosed, *since.enclosed)))

    def take(self, conversation: str) -> Letter:
        """Return what goes with it, for sending."""
        return self._letters.pop(conversation, Letter())


def lifetime_words(lifetime_s: int) -> str:
    """Return how long a message is tried."""
    for known, words in LIFETIMES:
        if known == lifetime_s:
            return words
    hours = max(round(lifetime_s / 3_600), 1)
    return "1 hour" if hours == 1 else f"{hours} hours"
