"""What receipts, and requests to seal again, need from a store (`ports` says how these work).

A message to many is receipted a while after it has come, together with others of its author; that
this is still to be done is on disk with the message.
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.model.attachment import Attachment
from appliance.model.group import Conversation
from appliance.model.identity import StationId
from appliance.model.record import Precedence, Record
from appliance.node.ports import Operation


@dataclass(frozen=True)
class GetOwed(Operation[tuple[tuple[bytes, bool], ...]]):
    """Ask for messages of an author that are not receipted, and whether our operator saw each."""

    author: StationId
    """Whose."""

    limit: int
    """At most so many."""


@dataclass(frozen=True)
class GetOwing(Operation[tuple[StationId, ...]]):
    """Ask for authors of messages that are not receipted."""

    limit: int
    """At most so many."""


@dataclass(frozen=True)
class LetWait(Operation[None]):
    """Keep records of ours for stations until these have them."""

    records: tuple[tuple[StationId, Record], ...]
    """For whom, and what."""


@dataclass(frozen=True)
class GetComplete(Operation[tuple[bytes, ...]]):
    """Ask which messages of ours to groups have come to everybody: ids of all their records."""

    messages: tuple[bytes, ...]
    """Ids of records."""


@dataclass(frozen=True)
class Unopened:
    """A message of ours that somebody could not open."""

    record: bytes
    """The record that it could not open."""

    message: bytes
    """The record that was the first to say it."""

    conversation: Conversation
    """To whom it was written."""

    line: str
    """Line there."""

    text: str
    """What it says."""

    attachments: tuple[Attachment, ...]
    """What comes with it."""

    precedence: Precedence
    """How urgent."""

    expires_awake_s: float | None
    """When we stop trying."""

    prekey: bytes
    """To what that record was sealed."""

    prekeys: frozenset[bytes]
    """To what those are sealed that say it and wait for this station."""


@dataclass(frozen=True)
class GetUnopened(Operation[tuple[Unopened, ...]]):
    """Ask for those messages of ours that a station has not got and that have not expired."""

    station: StationId
    """Who could not open them."""

    records: tuple[bytes, ...]
    """Ids of the records that it could not open."""

    awake_s: float
    """Now."""


@dataclass(frozen=True)
class SaveResealed(Operation[tuple[bytes, ...]]):
    """Let a new record take the place of one that somebody can't open.

    Returns the ids of those that are not carried any more.
    """

    message: bytes
    """The record that was the first to say it."""

    old: bytes
    """What can't be opened."""

    record: Record
    """What says the same."""

    station: StationId
    """Who could not open it."""

    awake_s: float
    """Now."""
