"""The shapes of the local API that are about what is kept: found messages, recipients, room."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.api.schema import Message, Recipient, WallTime

MAX_RECIPIENTS = 200
"""In one answer."""

MAX_REMOVED = 64
"""Conversations in which something had to go, in one answer."""

MAX_SEARCH_CHARS = 200
MIN_STORE_BYTES = 64_000_000
MIN_MESSAGES = 1_000
MIN_ATTACHMENT_BYTES = 64_000
MIN_ATTACHMENTS_BYTES = 1_000_000


@dataclass(frozen=True)
class FoundMessages:
    """GET /v1/messages/search: what was found in the messages, as far as they were searched."""

    messages: tuple[Message, ...]
    """Latest first."""

    before: int | None
    """Give both of these to search on; None: all has been searched."""

    before_id: str | None
    """See `before`."""


@dataclass(frozen=True)
class Recipients:
    """GET /v1/messages/ID/recipients: how far a message of ours came with whom."""

    recipients: tuple[Recipient, ...]
    """In the order of their ids."""

    more: bool
    """There are more, after the last of these."""

    queued: int
    """Of all: it waits for so many."""

    relayed: int
    """Of all: for so many of these, others carry it."""

    delivered: int
    """Of all: so many have it, and have not read it."""

    read: int
    """Of all: so many have read it."""

    carriers: tuple[str, ...]
    """Ids of the neighbours that carry it, or did; at most 64."""


@dataclass(frozen=True)
class StorageClass:
    """One sort of what is kept."""

    name: str
    """``messages``; ``carried``: for others; ``carried-new``: of that, for those of whom nothing is
    known; ``ids``: what only stays known; ``attachments``: files, also those carried for others."""

    records: int
    """How many there are."""

    bytes: int
    """About what they take on disk."""

    max_records: int | None
    """More are not kept; None: no bound of its own."""

    max_bytes: int | None
    """More is not kept; None: no bound of its own."""


@dataclass(frozen=True)
class Removed:
    """What had to make room in a conversation."""

    conversation: str
    """As in Message."""

    name: str
    """Of the station; empty for everyone and groups."""

    records: int
    """Messages."""

    undelivered: int
    """Of these, ours that had not arrived anywhere."""

    up_to: WallTime
    """When the latest of them had come here."""


@dataclass(frozen=True)
class Storage:
    """GET and PUT /v1/storage: how much is kept, and what had to make room."""

    classes: tuple[StorageClass, ...]
    """What there is."""

    file_bytes: int
    """The message store on disk."""

    disk_free_bytes: int
    """Free on its disk."""

    removed: tuple[Removed, ...]
    """What had to make room, by conversation, latest first; at most 64."""

    removed_records: int
    """Of all conversations together."""

    max_attachment_bytes: int = 0
    """What one attachment may have; larger ones are neither sent nor fetched."""


@dataclass(frozen=True)
class SetStorage:
    """PUT /v1/storage; what is None stays as it is."""

    max_messages: int | None = None
    """At least 1,000."""

    max_bytes: int | None = None
    """Of messages; at least 64 MB."""

    max_carried_bytes: int | None = None
    """Of what is carried for others; 0 to 64 MB."""

    max_attachment_bytes: int | None = None
    """Of one attachment; 64 kB to 1 GB."""

    max_attachments_bytes: int | None = None
    """Of all attachments; at least 1 MB.  None goes for it: what is above comes no more."""
