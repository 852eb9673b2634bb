"""A station's description of itself, as the content of a record of kind CARD.

0  sequence number   1  name   2  lines: list of [line, number]   3  prekey id   4  prekey
5  services: list of words
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from appliance.model.codec import Fields, FormatError, decode, encode
from appliance.model.identity import (
    MAX_LINE_CHARS,
    MAX_NAME_CHARS,
    IdentityError,
    clean_name,
    is_line_name,
)
from appliance.model.record import PREKEY_ID_SIZE, Record, RecordKind

MAX_LINES: Final = 32
MAX_SERVICES: Final = 16
MAX_CARD: Final = 8 * 1024
PREKEY_SIZE: Final = 32


@dataclass(frozen=True)
class Prekey:
    """The public half of the key to which others seal what is for a station."""

    id: bytes
    """8 bytes."""

    public: bytes
    """X25519 public key, 32 bytes (RFC 7748)."""


@dataclass(frozen=True)
class Line:
    """Somebody or something reached at a station."""

    name: str
    """Such as ``console``."""

    number: str
    """Seven digits.  It follows from key and name, and is carried for stations that only list."""


@dataclass(frozen=True)
class Card:
    """What a station says of itself.  The highest sequence number counts."""

    sequence: int
    """Grows with every change."""

    name: str
    """What people call it; anyone may take any name."""

    lines: tuple[Line, ...]
    """What can be called or written to there."""

    prekey: Prekey
    """To seal to."""

    services: tuple[str, ...] = ()
    """What else it offers, as words; unknown ones are ignored."""

    def encode(self) -> bytes:
        """Return the content of the card's record."""
        return encode(
            {
                0: self.sequence,
                1: self.name,
                2: [[line.name, line.number] for line in self.lines],
                3: self.prekey.id,
                4: self.prekey.public,
                5: list(self.services),
            }
        )


def read_card(record: Record) -> Card:
    """Read the card in a record; raises FormatError, also where a number is not the key's own."""
    if record.kind is not RecordKind.CARD or not record.for_everyone or record.prekey is not None:
        raise FormatError("card: not a public record of kind card")
    fields = Fields(decode(record.content, limit=MAX_CARD), "card")
    try:
        name = clean_name(fields.text(1, limit=MAX_NAME_CHARS))
    except IdentityError:
        # It may have a character that only a newer Unicode knows; the rest of the card still holds.
        name = record.author.default_name
    lines = []
    for item in fields.items(2, limit=MAX_LINES):
        if type(item) is not list or len(item) != 2 or not all(type(x) is str for x in item):
            raise FormatError("card: a line is a name and a number")
        line, number = item
        if len(line) > MAX_LINE_CHARS or not is_line_name(line):
            raise FormatError("card: a line has a name that no line can have")
        if record.author.number(line) != number:
            raise FormatError("card: a number does not follow from the key")
        lines.append(Line(line, number))
    services = fields.items(5, limit=MAX_SERVICES)
    card = Card(
        sequence=fields.uint(0),
        name=name,
        lines=tuple(lines),
        prekey=Prekey(
            id=fields.data(3, size=PREKEY_ID_SIZE), public=fields.data(4, size=PREKEY_SIZE)
        ),
        services=tuple(word for word in services if isinstance(word, str) and len(word) <= 32),
    )
    fields.end()
    return card
