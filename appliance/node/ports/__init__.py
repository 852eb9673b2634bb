"""What the station needs from a store, as operations that a store carries out one by one.

An operation sees the effects of all earlier ones, and is whole or not at all.  `adapters/store`
carries them out on SQLite.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from appliance.model.attachment import Attachment
from appliance.model.cargo import Load, Shipped
from appliance.model.group import Conversation
from appliance.model.identity import StationId
from appliance.model.message import DeliveryState
from appliance.model.record import Precedence, Record

R = TypeVar("R", covariant=True)


class StoreError(Exception):
    """The store can't do it: a sentence for the operator, and a code for programs."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class Operation(Generic[R]):
    """Something to be done on the store; `R` is what comes back."""


@dataclass(frozen=True)
class Moment:
    """When something happened here."""

    wall_ms: int
    """Milliseconds since 1970 by our clock."""

    sure: bool
    """Whether that clock had been set by something trustworthy."""

    awake_s: float
    """Seconds that this station has been running in all its life: no clock can make it jump."""

    agreed: bool = False
    """It is sure by what other stations say."""


@dataclass(frozen=True)
class RecipientState:
    """How far a message came with one recipient."""

    station: StationId
    """Who."""

    state: DeliveryState
    """How far."""

    at_ms: int
    """When it came into this state, by our clock."""

    sure: bool
    """Whether that clock was sure."""


@dataclass(frozen=True)
class StoredMessage:
    """A message as it lies in the store."""

    id: bytes
    """Its record's id."""

    conversation: Conversation
    """The other side."""

    author: StationId
    """Who wrote it."""

    outgoing: bool
    """We did."""

    text: str
    """What it says."""

    line: str
    """Line at the recipient."""

    precedence: Precedence
    """How urgent."""

    order: int
    """Sorts the conversation."""

    written_ms: int
    """The author's claim."""

    written_sure: bool
    """How sure the author was."""

    received_ms: int
    """When it came to our disk, by our clock."""

    received_sure: bool
    """Whether our clock was sure."""

    unread: bool
    """Incoming and not seen yet."""

    expires_awake_s: float | None = None
    """Outgoing: when we stop trying, in seconds of our being awake; None: never."""

    recipients: tuple[RecipientState, ...] = ()
    """Outgoing: at most 64, furthest first."""

    delivered_to: int = 0
    """Outgoing: how many have it."""

    problem: str | None = None
    """Why it waits, where that is known."""

    held_by: int = 0
    """Outgoing: how many neighbours carry it, or did."""

    first: bytes | None = None
    """Incoming: the record that said the same before, and that we could not open."""

    notice: bool = False
    """Nobody has written it: it says what happened in the conversation."""

    attachments: tuple[Attachment, ...] = ()
    """What comes with it."""

    lifetime_s: int = 0
    """After which its author gives it up; 0: never."""


# -- Messages


@dataclass(frozen=True)
class SaveOutgoing(Operation[Shipped | None]):
    """Store what our operator wrote; whom he names becomes `known`.

    Returns what became of it as something to be carried, if it is.
    """

    message: StoredMessage
    """As clients see it."""

    record: Record
    """To be sent."""

    recipients: tuple[StationId, ...]
    """By name; none: everyone."""

    load: Load | None = None
    """With which it is carried at once."""


@dataclass(frozen=True)
class SaveIncoming(Operation["Incoming"]):
    """Store a message from somebody else together with our receipt for it."""

    message: StoredMessage
    """As clients see it."""

    record: Record
    """As it came."""

    receipt: Record | None
    """Kept for its author until the author has it; None: it is written later."""

    load: Load | None = None
    """With which it is carried at once."""


@dataclass(frozen=True)
class Incoming:
    """What became of an incoming message."""

    new: bool
    """It was not here before."""

    receipts: tuple[bytes, ...]
    """Our encoded receipts for it, to be sent (again)."""

    shipped: Shipped | None = None
    """What became of it as something to be carried, if it is to be."""


@dataclass(frozen=True)
class SaveReceipt(Operation[tuple[bytes, ...]]):
    """Note how far messages of ours came; returns the ids of those that got further."""

    station: StationId
    """Who says so about itself."""

    state: DeliveryState
    """How far."""

    records: tuple[bytes, ...]
    """Which; those that we did not write to that station are ignored."""

    at: Moment
    """Now."""


@dataclass(frozen=True)
class GetUnread(Operation[tuple[tuple[bytes, StationId], ...]]):
    """Ask for what our operator has not seen: ids and authors, in order."""

    conversation: Conversation
    """Which."""

    up_to: int
    """Highest order that was on the screen."""


@dataclass(frozen=True)
class MarkRead(Operation[None]):
    """Note that our operator saw messages, and keep the receipts that say so to their authors."""

    messages: tuple[bytes, ...]
    """Ids."""

    receipts: tuple[tuple[StationId, Record], ...]
    """For whom, and what."""


@dataclass(frozen=True)
class NoteProblem(Operation[tuple[bytes, ...]]):
    """Note why messages of ours to a station still wait; returns those for which that is new."""

    station: StationId
    """Who says so; only messages to it are touched."""

    records: tuple[bytes, ...]
    """Which."""

    problem: str
    """A sentence for the operator."""


@dataclass(frozen=True)
class OutboxDone(Operation[None]):
    """A station has these records on its disk."""

    station: StationId
    """Who."""

    records: tuple[bytes, ...]
    """Which."""


@dataclass(frozen=True)
class Pending(Operation[tuple[tuple[bytes, bytes], ...]]):
    """Ask for what a station still has to get: ids and encoded records, most urgent first."""

    station: StationId
    """Who."""

    awake_s: float
    """Now; what has expired by then is left out."""

    skip: frozenset[bytes]
    """Ids that are on their way."""

    limit: int
    """At most so many."""

    for_everyone: bool = False
    """With what is for everyone: who passes nothing on has to be told by each author."""


@dataclass(frozen=True)
class GetMessage(Operation[StoredMessage | None]):
    """Ask for one message."""

    message: bytes
    """Its id."""


@dataclass(frozen=True)
class GetMessages(Operation[tuple[StoredMessage, ...]]):
    """Ask for the latest messages before a point, oldest first."""

    conversation: Conversation
    """Which."""

    everything: bool
    """All conversations together."""

    before: int | None
    """Only lower orders."""

    limit: int
    """At most so many."""


@dataclass(frozen=True)
class CountUnread(Operation[dict[Conversation, int]]):
    """Ask for the number of unread messages by conversation."""


# -- Stations


@dataclass(frozen=True)
class StoredStation:
    """A station as it lies in the store."""

    id: StationId
    """Who."""

    card: bytes | None
    """Its latest card's record."""

    trust: str
    """``new``, ``known`` or ``verified``."""

    verified_name: str | None
    """The name that it had when the operators compared."""

    seen_ms: int | None
    """When a session with it last stood, by our clock."""

    seen_sure: bool
    """Whether that clock was sure."""


@dataclass(frozen=True)
class SaveStation(Operation[None]):
    """Keep what is known of a station."""

    station: StoredStation
    """All of it."""


@dataclass(frozen=True)
class ForgetStation(Operation[None]):
    """Drop a station that nothing refers to."""

    station: StationId
    """Which."""


@dataclass(frozen=True)
class GetStations(Operation[tuple[StoredStation, ...]]):
    """Ask for all stations."""


# -- Small things


@dataclass(frozen=True)
class SetValue(Operation[None]):
    """Keep a value under a name; None forgets it."""

    name: str
    """Such as ``card``."""

    value: bytes | None
    """At most 64 KiB."""


@dataclass(frozen=True)
class GetValue(Operation[bytes | None]):
    """Ask for a value."""

    name: str
    """Its name."""
