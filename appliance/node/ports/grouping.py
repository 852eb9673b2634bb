"""What groups need from a store, as operations (`ports` says how these work)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from appliance.model.group import GroupId
from appliance.model.identity import StationId
from appliance.model.record import Record
from appliance.node.ports import Operation, StoredMessage

R = TypeVar("R", covariant=True)


@dataclass(frozen=True)
class SaveGroup(Operation[None]):
    """Keep what is known of a group."""

    group: GroupId
    """Which."""

    state: bytes | None
    """All of it, with its keys; None: nothing is kept any more."""


@dataclass(frozen=True)
class GetGroups(Operation[tuple[tuple[GroupId, bytes], ...]]):
    """Ask for all groups."""


@dataclass(frozen=True)
class ShareHistory(Operation[int]):
    """Let the latest messages of a group wait for a new member; returns how many."""

    group: GroupId
    """Which."""

    station: StationId
    """For whom."""

    limit: int = 1000
    """At most so many."""


@dataclass(frozen=True)
class SaveGroupNews(Operation[None]):
    """Do all that came of something in a group, or nothing of it."""

    save: SaveGroup | None
    """What is known of the group now, if that is new."""

    records: tuple[tuple[StationId, Record], ...]
    """For whom, and what: each waits until it has arrived."""

    share: tuple[ShareHistory, ...] = ()
    """Earlier messages that new members get."""

    notices: tuple[tuple[StoredMessage, Record], ...] = ()
    """What the conversation shows of it."""


@dataclass(frozen=True)
class WithNews(Operation[R]):
    """Store what was sealed to a group together with what came of that, or nothing of it."""

    news: SaveGroupNews
    """The key above all, for all who have to have it."""

    operation: Operation[R]
    """Stores what was sealed: `SaveOutgoing` or `SaveResealed`."""


@dataclass(frozen=True)
class GetNotes(Operation[tuple[bytes, ...]]):
    """Ask which of some records are notes about groups that wait for a station: their ids."""

    station: StationId
    """For whom."""

    records: tuple[bytes, ...]
    """Ids."""


@dataclass(frozen=True)
class GetKept(Operation[tuple[tuple[int, bytes], ...]]):
    """Ask for what is carried and may be for us: messages to a group, and notes about any.

    Returns numbers, in order, and encoded records.
    """

    group: GroupId
    """Which."""

    own: StationId
    """Ourselves."""

    after: int
    """Only higher numbers."""

    limit: int
    """At most so many."""
