"""Text that people write, and what is answered to it: the content of records of these kinds.

message   0  author's key (again, so that a sealed text can't be passed off as another's)
          1  text
          64 list of attachments
          65 id of the record that said the same before, if it was sealed again
receipt   0  state   1  list of record ids
reseal    0  prekey id   1  prekey   2  list of record ids

A reseal is a recipient's word that it can't open messages, since the prekey to which they were
sealed is destroyed, and to which one they are to be sealed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from appliance.model.attachment import Attachment
from appliance.model.card import PREKEY_SIZE, Prekey
from appliance.model.codec import Fields, FormatError, decode, encode
from appliance.model.identity import StationId
from appliance.model.record import ID_SIZE, PREKEY_ID_SIZE

MAX_TEXT_CHARS: Final = 16_000
MAX_CONTENT: Final = 80 * 1024
MAX_RECEIPTED: Final = 256
"""Records for which one receipt, or one request to seal again, speaks."""

MAX_ATTACHMENTS: Final = 16
"""Files that come with one message."""

_ATTACHMENTS: Final = 64
_FIRST: Final = 65


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
    """Up to 16,000 characters, at least 1 without attachments; may hold anything, so whoever shows
    it takes care."""

    attachments: tuple[Attachment, ...] = ()
    """What comes with it."""

    first: bytes | None = None
    """The record that said the same before, and that somebody could not open."""

    def encode(self) -> bytes:
        """Return the content, not sealed."""
        fields: dict[int, object] = {0: self.author.key, 1: self.text}
        if self.attachments:
            fields[_ATTACHMENTS] = [attachment.encode() for attachment in self.attachments]
        if self.first is not None:
            fields[_FIRST] = self.first
        return encode(fields)

    @classmethod
    def decode(cls, data: bytes) -> Text:
        """Read the content; raises FormatError."""
        fields = Fields(decode(data, limit=MAX_CONTENT), "message")
        text = cls(
            author=StationId(fields.data(0, size=32)),
            text=fields.text(1, limit=MAX_TEXT_CHARS),
            attachments=_attachments(fields),
            first=fields.data(_FIRST, size=ID_SIZE) if fields.has(_FIRST) else None,
        )
        fields.end()
        if not text.text and not text.attachments:
            raise FormatError("message: there is nothing in it")
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
        ids = _ids(fields, 1)
        fields.end()
        return cls(DeliveryState(state), ids)


@dataclass(frozen=True)
class Reseal:
    """A recipient's word that it can't open messages and wants them sealed again."""

    prekey: Prekey
    """To which."""

    records: tuple[bytes, ...]
    """Ids of the messages."""

    def encode(self) -> bytes:
        """Return the content."""
        return encode({0: self.prekey.id, 1: self.prekey.public, 2: list(self.records)})

    @classmethod
    def decode(cls, data: bytes) -> Reseal:
        """Read the content; raises FormatError."""
        fields = Fields(decode(data, limit=MAX_CONTENT), "reseal")
        prekey = Prekey(
            id=fields.data(0, size=PREKEY_ID_SIZE), public=fields.data(1, size=PREKEY_SIZE)
        )
        ids = _ids(fields, 2)
        fields.end()
        return cls(prekey, ids)


def _attachments(fields: Fields) -> tuple[Attachment, ...]:
    if not fields.has(_ATTACHMENTS):
        return ()
    items = fields.items(_ATTACHMENTS, limit=MAX_ATTACHMENTS)
    return tuple(Attachment.decode(item) for item in items)


def _ids(fields: Fields, key: int) -> tuple[bytes, ...]:
    records = fields.items(key, limit=MAX_RECEIPTED)
    ids = tuple(item for item in records if isinstance(item, bytes) and len(item) == ID_SIZE)
    if not ids or len(ids) != len(records):
        raise FormatError("something is no record id")
    return ids
