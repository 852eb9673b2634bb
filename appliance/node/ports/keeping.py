"""What is asked of a store about what it keeps: pages of messages, search, and making room.

As operations; `ports` says how these work.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from appliance.model.group import Conversation
from appliance.model.identity import StationId
from appliance.model.message import DeliveryState
from appliance.node.ports import Operation, RecipientState, StoredMessage

# -- Pages


@dataclass(frozen=True)
class Place:
    """Where a message stands among the others."""

    order: int
    """What sorts them."""

    id: bytes
    """Sorts those that have one order."""


@dataclass(frozen=True)
class GetPage(Operation[tuple[StoredMessage, ...]]):
    """Ask for the latest messages before a place, oldest first."""

    conversation: Conversation
    """Which."""

    everything: bool
    """All conversations together."""

    before: Place | None
    """None: the latest of all."""

    limit: int
    """At most so many."""

    after: Place | None = None
    """Instead of `before`: the first messages behind a place."""


@dataclass(frozen=True)
class Search(Operation["Found"]):
    """Look for words in a part of the messages before a place; takes some milliseconds at most."""

    words: tuple[str, ...]
    """All of them have to be in the text; as `fold` in `model.search` leaves them."""

    conversation: Conversation
    """Which."""

    everything: bool
    """All conversations together."""

    before: Place | None
    """None: from the latest on."""

    limit: int
    """Messages to find at most."""


@dataclass(frozen=True)
class Found:
    """What was found in a part of the messages."""

    messages: tuple[StoredMessage, ...]
    """Latest first."""

    reached: Place | None
    """Where to go on; None: there are no more messages."""


@dataclass(frozen=True)
class GetRecipients(Operation["Recipients | None"]):
    """Ask how far a message of ours came with whom; None: there is no such message."""

    message: bytes
    """Its id."""

    after: StationId | None
    """Only those whose keys are higher."""

    limit: int
    """At most so many."""


@dataclass(frozen=True)
class Recipients:
    """How far a message came."""

    states: tuple[RecipientState, ...]
    """In the order of their keys."""

    more: bool
    """There are more."""

    counts: dict[DeliveryState, int]
    """How many came how far, of all."""

    carriers: tuple[StationId, ...]
    """Neighbours that carry it, or did; at most 64 are noted."""


# -- Room


@dataclass(frozen=True)
class Usage:
    """How much there is."""

    messages: int
    """That are shown."""

    file_bytes: int
    """Of the database, what is free in it aside."""

    spare_bytes: int
    """Free in the database's file."""

    carried: tuple[tuple[int, int, int], ...]
    """What is carried for others: tier, records, bytes."""

    disk_free_bytes: int
    """On the disk, for us."""

    known: int = 0
    """Ids that are known, and not carried any more."""

    had: int = 0
    """Who has said to have what."""

    removed: int = 0
    """Ids of messages that had to make room."""


@dataclass(frozen=True)
class GetUsage(Operation[Usage]):
    """Ask how much there is."""


@dataclass(frozen=True)
class Candidate:
    """A message, by what decides whether it has to go."""

    number: int
    """Its row; later ones came here later."""

    outgoing: bool
    """Ours."""

    stranger: bool
    """Nothing is known of its author."""

    precedence: int
    """How urgent it was."""

    unread: bool
    """Incoming, and nobody has looked at it."""

    state: DeliveryState | None
    """Outgoing: how far it came with the one who is last; None: nobody has it."""

    expires_awake_s: float | None
    """Outgoing: when we stop trying."""

    bytes: int
    """About what it takes on disk."""


@dataclass(frozen=True)
class GetCandidates(Operation[tuple[Candidate, ...]]):
    """Ask for a part of the messages, those first that came first."""

    after: int
    """Only higher rows."""

    limit: int
    """At most so many."""


@dataclass(frozen=True)
class Evict(Operation[int]):
    """Remove messages to make room; returns how many.  Their ids stay known."""

    numbers: tuple[int, ...]
    """Their rows."""

    awake_s: float
    """Now."""


@dataclass(frozen=True)
class Shed(Operation[int]):
    """Have what is carried run out now, strangers' and what is least urgent first; returns bytes.

    It is dropped with the rest that has run out.
    """

    bytes: int
    """At least so many, if there are."""

    awake_s: float
    """Now."""

    limit: int
    """Records at a time."""


@dataclass(frozen=True)
class Forget(Operation[int]):
    """Drop ids beyond a bound, those first that would be dropped next; returns how many."""

    known: int
    """Of what was carried: so many may stay known."""

    had: int
    """Of who has what: so many may stay."""

    removed: int
    """Of messages that had to make room."""

    limit: int
    """At most so many at a time, of each."""


@dataclass(frozen=True)
class Eviction:
    """What had to make room in a conversation."""

    conversation: Conversation
    """Which."""

    undelivered: bool
    """They were ours, and had not arrived anywhere."""

    records: int
    """How many."""

    bytes: int
    """About what they took."""

    last_ms: int
    """When the latest of them had come here."""

    last_sure: bool
    """Whether the clock was sure."""


@dataclass(frozen=True)
class GetEvictions(Operation[tuple[Eviction, ...]]):
    """Ask what had to make room, the latest first."""

    conversation: Conversation = None
    """Which."""

    everything: bool = True
    """All conversations."""

    limit: int = field(default=64)
    """At most so many."""
