"""Messages that our operator writes: checked, sealed to whom they are for, signed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from appliance.model.attachment import Attachment
from appliance.model.card import Prekey
from appliance.model.group import GroupId
from appliance.model.identity import CONSOLE, Address, StationId, StationKey
from appliance.model.message import MAX_ATTACHMENTS, MAX_TEXT_CHARS, Text
from appliance.model.record import (
    Precedence,
    Record,
    RecordKind,
    Stamp,
    make_record,
)
from appliance.node.carry import LIFETIME_S
from appliance.node.clock import LamportClock, order_of
from appliance.node.group_messages import SealedToGroup
from appliance.node.group_rules import GroupRefusedError
from appliance.node.ports import Moment, StoredMessage
from appliance.node.ports.receipting import Unopened
from appliance.protocol.sealing import BUCKETS, seal

MAX_WRITTEN: Final = BUCKETS[-1] - 256
"""Bytes of a content: what can be sealed, less what a group adds, and the id of the record that
said the same before.  So whatever is taken can be opened by all, and sealed again."""


class MessageRefusedError(Exception):
    """The operator's message can't be taken: a code for programs, words and what to do."""

    def __init__(self, code: str, text: str, fix: str = "") -> None:
        super().__init__(text)
        self.code = code
        self.fix = fix


@dataclass(frozen=True)
class Draft:
    """What an operator wants to be sent."""

    to: Address | GroupId | None
    """None: everyone."""

    text: str
    """1 to 16,000 characters; none are needed where files come with it."""

    precedence: Precedence = Precedence.ROUTINE
    """How urgent."""

    lifetime_s: int = 0
    """For how long to try; 0: for ever."""

    attachments: tuple[Attachment, ...] = ()
    """What comes with it; their bulk data is on disk."""


@dataclass(frozen=True)
class Recipients:
    """Who gets a message."""

    stations: tuple[StationId, ...] = ()
    """By name; none: everyone."""

    prekey: Prekey | None = None
    """Of one station: what is for it alone is sealed to this."""


@dataclass(frozen=True)
class Written:
    """A message as it travels."""

    record: Record
    """It."""

    sealed: SealedToGroup | None
    """To a group: what has to be done with it."""


class GroupSealer(Protocol):
    """What seals to groups."""

    def seal(
        self, group: GroupId, content: bytes, moment: Moment, /, *, avoid: bytes | None = None
    ) -> SealedToGroup:
        """Seal a message to a group's key, if need be a new one and never `avoid`.

        Raises GroupRefusedError when we are no member, ValueError when it is too long.
        """


class Writer:
    """Makes records of what our operator writes."""

    def __init__(self, key: StationKey, clock: LamportClock, groups: GroupSealer) -> None:
        self._key, self._clock, self._groups = key, clock, groups

    def write(
        self, draft: Draft, recipients: Recipients, moment: Moment, *, uptime_s: float
    ) -> tuple[StoredMessage, Written]:
        """Return a message as it is kept, and as it travels; raises MessageRefusedError."""
        self._check(draft)
        stamp = self._clock.stamp(moment, uptime_s=uptime_s)
        to = draft.to
        if isinstance(to, Address) and recipients.prekey is None:
            raise MessageRefusedError(
                "no-card",
                "This station's card has not come yet, so nothing can be sealed to it.",
                "Wait until it has been in reach once.",
            )
        written = self._written(draft, recipients.prekey, stamp, moment)
        record = written.record
        message = StoredMessage(
            id=record.id,
            conversation=to.station if isinstance(to, Address) else to,
            author=self._key.id,
            outgoing=True,
            text=draft.text,
            line=to.line if isinstance(to, Address) else CONSOLE,
            precedence=draft.precedence,
            order=order_of(stamp.lamport, record.id),
            written_ms=stamp.wall_ms,
            written_sure=moment.sure,
            received_ms=stamp.wall_ms,
            received_sure=moment.sure,
            unread=False,
            expires_awake_s=moment.awake_s + draft.lifetime_s if draft.lifetime_s else None,
            attachments=draft.attachments,
            lifetime_s=draft.lifetime_s,
        )
        return message, written

    def again(
        self, unopened: Unopened, prekey: Prekey, moment: Moment, uptime_s: float
    ) -> Written | None:
        """Return a record that says the same, sealed to another prekey; None: it can't be."""
        conversation = unopened.conversation
        left_s = 0
        if unopened.expires_awake_s is not None:
            left_s = max(int(unopened.expires_awake_s - moment.awake_s), 1)
        to: Address | GroupId | None
        match conversation:
            case StationId():
                to = Address(conversation, unopened.line)
            case _:
                to = conversation
        draft = Draft(to, unopened.text, unopened.precedence, left_s, unopened.attachments)
        stamp = self._clock.stamp(moment, uptime_s=uptime_s)
        try:
            return self._written(draft, prekey, stamp, moment, unopened)
        except MessageRefusedError:
            return None

    def _check(self, draft: Draft) -> None:
        if not draft.text.strip() and not draft.attachments:
            raise MessageRefusedError("empty", "There is nothing to send.", "Write something.")
        if len(draft.text) > MAX_TEXT_CHARS:
            raise MessageRefusedError(
                "too-long",
                f"The message has {len(draft.text)} characters; {MAX_TEXT_CHARS} can be sent.",
                "Send it in parts.",
            )
        try:
            draft.text.encode()
        except UnicodeEncodeError:
            raise MessageRefusedError(
                "not-text", "The message is not valid Unicode text."
            ) from None
        if not 0 <= draft.lifetime_s <= LIFETIME_S:
            raise MessageRefusedError(
                "lifetime", "A message can wait for up to 30 days, or for as long as it takes."
            )
        if len(draft.attachments) > MAX_ATTACHMENTS:
            raise MessageRefusedError(
                "too-many", f"At most {MAX_ATTACHMENTS} files go with one message."
            )
        if isinstance(draft.to, Address) and draft.to.station == self._key.id:
            raise MessageRefusedError("self", "That is this station.", "Choose another one.")

    def _written(
        self,
        draft: Draft,
        prekey: Prekey | None,
        stamp: Stamp,
        moment: Moment,
        unopened: Unopened | None = None,
    ) -> Written:
        first = unopened.message if unopened is not None else None
        content = Text(self._key.id, draft.text, draft.attachments, first).encode()
        if unopened is None and len(content) > MAX_WRITTEN:
            raise MessageRefusedError(
                "too-long",
                f"The text and what is said of its files take {len(content)} bytes together;"
                f" {MAX_WRITTEN} can be sent.",
                "Send it in parts.",
            )
        sealed: SealedToGroup | None = None
        to: tuple[Address, ...] = ()
        group: bytes | None = None
        key_id: bytes | None = None
        match draft.to:
            case Address() as address:
                assert prekey is not None
                to, key_id = (address,), prekey.id
                content = self._sealed(content, address.station, prekey)
            case GroupId() as group_id:
                group = group_id.value
                avoid = unopened.prekey if unopened is not None else None
                sealed = self._to_group(group_id, content, moment, avoid)
                key_id, content = sealed.key, sealed.content
        record = make_record(
            self._key,
            RecordKind.MESSAGE,
            content,
            stamp=stamp,
            to=to,
            group=group,
            precedence=draft.precedence,
            lifetime_s=draft.lifetime_s,
            prekey=key_id,
            blobs=tuple(attachment.blob for attachment in draft.attachments),
        )
        return Written(record, sealed)

    def _to_group(
        self, group: GroupId, content: bytes, moment: Moment, avoid: bytes | None
    ) -> SealedToGroup:
        try:
            return self._groups.seal(group, content, moment, avoid=avoid)
        except GroupRefusedError as error:
            raise MessageRefusedError(error.code, str(error), error.fix) from None
        except ValueError:
            raise MessageRefusedError(
                "too-long", "The message is too long for a group.", "Send it in parts."
            ) from None

    def _sealed(self, content: bytes, recipient: StationId, prekey: Prekey) -> bytes:
        try:
            return seal(
                content,
                author=self._key.id,
                recipient=recipient,
                kind=RecordKind.MESSAGE,
                prekey=prekey,
            )
        except ValueError:
            raise MessageRefusedError(
                "bad-card", "This station's card holds a key that can't be used."
            ) from None
