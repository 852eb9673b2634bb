"""Messages that our operator writes: checked, sealed to whom they are for, signed."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.model.card import Prekey
from appliance.model.identity import CONSOLE, Address, StationKey
from appliance.model.message import MAX_TEXT_CHARS, Text
from appliance.model.record import (
    MAX_LIFETIME_S,
    Precedence,
    Record,
    RecordKind,
    Stamp,
    make_record,
)
from appliance.node.clock import LamportClock, order_of
from appliance.node.ports import Moment, StoredMessage
from appliance.protocol.sealing import seal


class MessageRefusedError(Exception):
    """The operator's message can't be taken: a code for programs, words and what to do."""

    def __init__(self, code: str, text: str, fix: str = "") -> None:
        super().__init__(text)
        self.code = code
        self.fix = fix


@dataclass(frozen=True)
class Draft:
    """What an operator wants to be sent."""

    to: Address | None
    """None: everyone."""

    text: str
    """1 to 16,000 characters."""

    precedence: Precedence = Precedence.ROUTINE
    """How urgent."""

    lifetime_s: int = 0
    """For how long to try; 0: for ever."""


class Writer:
    """Makes records of what our operator writes."""

    def __init__(self, key: StationKey, clock: LamportClock) -> None:
        self._key, self._clock = key, clock

    def write(
        self, draft: Draft, prekey: Prekey | None, moment: Moment, *, uptime_s: float
    ) -> tuple[StoredMessage, Record]:
        """Return a message as it is kept, and as it travels; raises MessageRefusedError."""
        self._check(draft)
        stamp = self._clock.stamp(moment, uptime_s=uptime_s)
        record = self._record_of(draft, prekey, stamp)
        message = StoredMessage(
            id=record.id,
            conversation=draft.to.station if draft.to is not None else None,
            author=self._key.id,
            outgoing=True,
            text=draft.text,
            line=draft.to.line if draft.to is not None else CONSOLE,
            precedence=draft.precedence,
            order=order_of(stamp.lamport, record.id),
            written_ms=stamp.wall_ms,
            written_sure=moment.sure,
            received_ms=stamp.wall_ms,
            received_sure=moment.sure,
            unread=False,
            expires_awake_s=moment.awake_s + draft.lifetime_s if draft.lifetime_s else None,
        )
        return message, record

    def _check(self, draft: Draft) -> None:
        if not draft.text.strip():
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
        if not 0 <= draft.lifetime_s <= MAX_LIFETIME_S:
            raise MessageRefusedError("lifetime", "A message can wait for up to 366 days.")
        if draft.to is not None and draft.to.station == self._key.id:
            raise MessageRefusedError("self", "That is this station.", "Choose another one.")

    def _record_of(self, draft: Draft, prekey: Prekey | None, stamp: Stamp) -> Record:
        content = Text(self._key.id, draft.text).encode()
        prekey_id = None
        to: tuple[Address, ...] = ()
        if draft.to is not None:
            if prekey is None:
                raise MessageRefusedError(
                    "no-card",
                    "This station's card has not come yet, so nothing can be sealed to it.",
                    "Wait until it has been in reach once.",
                )
            to, prekey_id = (draft.to,), prekey.id
            try:
                content = seal(
                    content,
                    author=self._key.id,
                    recipient=draft.to.station,
                    kind=RecordKind.MESSAGE,
                    prekey=prekey,
                )
            except ValueError:
                raise MessageRefusedError(
                    "bad-card", "This station's card holds a key that can't be used."
                ) from None
        return make_record(
            self._key,
            RecordKind.MESSAGE,
            content,
            stamp=stamp,
            to=to,
            precedence=draft.precedence,
            lifetime_s=draft.lifetime_s,
            prekey=prekey_id,
        )
