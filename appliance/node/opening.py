"""What others have written to us, opened."""

from __future__ import annotations

from typing import Protocol

from appliance.model.codec import FormatError
from appliance.model.group import GroupId
from appliance.model.identity import CONSOLE, StationId
from appliance.model.message import Text
from appliance.model.record import Certainty, Record
from appliance.model.secret import Secret
from appliance.node.clock import order_of
from appliance.node.ports import Moment, StoredMessage
from appliance.protocol.sealing import OpenError, open_sealed


class UnknownKeyError(OpenError):
    """Sealed to a key that is not here: destroyed, or of before a loss."""


class KeyToComeError(OpenError):
    """Sealed to a key that is on its way to us."""


class Prekeys(Protocol):
    """Our prekeys' secret halves."""

    def get(self, prekey_id: bytes, /) -> Secret | None:
        """Return one of them, unless it is unknown or destroyed."""


class GroupKeys(Protocol):
    """What opens messages to groups."""

    def is_member(self, group: GroupId, /) -> bool:
        """Tell whether we belong to a group."""

    def open(self, record: Record, /) -> bytes:
        """Return the content; raises KeyToComeError, UnknownKeyError, OpenError or FormatError."""


class Opener:
    """Opens what is for us."""

    def __init__(self, own: StationId, prekeys: Prekeys, groups: GroupKeys) -> None:
        self._own, self._prekeys, self._groups = own, prekeys, groups

    def is_for_us(self, record: Record) -> bool:
        """Tell whether a record is for this station, be it with others."""
        if record.group is not None:
            return self._groups.is_member(GroupId(record.group))
        return not record.to or [address.station for address in record.to] == [self._own]

    def text_of(self, record: Record) -> Text:
        """Return what a message says that is for us.

        Raises FormatError, OpenError, UnknownKeyError if its author could seal it again, or
        KeyToComeError.
        """
        text = Text.decode(self._content(record))
        if text.author != record.author:
            raise FormatError("message: signed by another than its author")
        if {attachment.blob for attachment in text.attachments} != set(record.blobs):
            # What carriers are told to bring, and what we would wait for.
            raise FormatError("message: says of other files than its record")
        return text

    def _content(self, record: Record) -> bytes:
        if record.group is not None:
            return self._groups.open(record)
        if record.to:
            return self.content_of(record)
        if record.prekey is not None:
            raise FormatError("message: sealed, but for everyone")
        return record.content

    def content_of(self, record: Record) -> bytes:
        """Return the content of a record that is sealed to us alone; raises as `text_of` does."""
        if len(record.to) != 1 or record.to[0].station != self._own:
            raise FormatError("sealed, but not to this station alone")
        if record.prekey is None:
            raise FormatError("for one station, but not sealed")
        secret = self._prekeys.get(record.prekey)
        if secret is None:
            raise UnknownKeyError("sealed to a prekey that is not here")
        return open_sealed(
            record.content,
            author=record.author,
            recipient=self._own,
            kind=record.kind,
            prekey_id=record.prekey,
            secret=secret,
        )


def conversation_with(record: Record) -> StationId | GroupId | None:
    """Return the conversation to which somebody else's message belongs."""
    if record.group is not None:
        return GroupId(record.group)
    return record.author if record.to else None


def as_kept(record: Record, text: Text, believed: int, moment: Moment) -> StoredMessage:
    """Return somebody else's message as it is kept; `believed` is what its counter is taken for."""
    return StoredMessage(
        id=record.id,
        conversation=conversation_with(record),
        author=record.author,
        outgoing=False,
        text=text.text,
        line=record.to[0].line if record.to else CONSOLE,
        precedence=record.precedence,
        order=order_of(believed, record.id),
        written_ms=record.stamp.wall_ms,
        written_sure=record.stamp.certainty is not Certainty.UNSET,
        received_ms=moment.wall_ms,
        received_sure=moment.sure,
        unread=True,
        first=text.first,
        attachments=text.attachments,
    )
