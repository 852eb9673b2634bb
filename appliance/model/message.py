"""Text that people write, and the receipts for it: the content of records of these kinds.

message   0  author's key (again, so that a sealed text can't be passed off as another's)
          1  text
receipt   0  state   1  list of record ids
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from appliance.model.codec import Fields, FormatError, decode, encode
from appliance.model.identity import StationId
from appliance.model.record import ID_SIZE

MAX_TEXT_CHARS: Final = 16_000
MAX_CONTENT: Final = 80 * 1024
MAX_RECEIPTED: Final = 256
"""Records for which one receipt speaks."""


class DeliveryState(IntEnum):
    """How far a message came with one recipient.  It only ever grows."""

    QUEUED = 0
    """On the author's disk."""

    RELAYED = 1
    """On the disk of a station that carries it."""

    DELIVERED = 2
    """On the recipient's disk."""

    READ = 3
    """Its operator saw it."""


@dataclass(frozen=True)
class Text:
    """A written message."""

    author: StationId
    """Who wrote it."""

    text: str
    """1 to 16,000 characters; may hold anything, so whoever shows it takes care."""

    def encode(self) -> bytes:
        """Return the content, not sealed."""
        return encode({0: self.author.key, 1: self.text})

    @classmethod
    def decode(cls, data: bytes) -> Text:
        """Read the content; raises FormatError."""
        fields = Fields(decode(data, limit=MAX_CONTENT), "message")
        text = cls(StationId(fields.data(0, size=32)), fields.text(1, limit=MAX_TEXT_CHARS))
        fields.end()
        if not text.text:
            raise FormatError("message: it has no text")
        return text


@dataclass(frozen=True)
class Receipt:
    """A recipient's word that messages came this far."""

    state: DeliveryState
    """DELIVERED or READ."""

    records: tuple[bytes, ...]
    """Ids of the messages."""

    def encode(self) -> bytes:
        """Return the content."""
        return encode({0: int(self.state), 1: list(self.records)})

    @classmethod
    def decode(cls, data: bytes) -> Receipt:
        """Read the content; raises FormatError."""
        fields = Fields(decode(data, limit=MAX_CONTENT), "receipt")
        state = fields.uint(0)
        if state not in {DeliveryState.DELIVERED, DeliveryState.READ}:
            raise FormatError("receipt: a state that no receipt can have")
        records = fields.items(1, limit=MAX_RECEIPTED)
        ids = tuple(item for item in records if isinstance(item, bytes) and len(item) == ID_SIZE)
        if not ids or len(ids) != len(records):
            raise FormatError("receipt: something is no record id")
        fields.end()
        return cls(DeliveryState(state), ids)
