"""What checkers are told while it happens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from appliance.model.group import GroupId
from appliance.model.identity import StationId
from appliance.model.message import DeliveryState
from appliance.node.effects import AlarmRaised
from appliance.node.ports import StoredMessage

if TYPE_CHECKING:
    from sim.board import Board


class FaultError(Exception):
    """Something happened that must not; the run ends with it."""


@dataclass(frozen=True)
class Letter:
    """A message that an operator was told is stored."""

    id: bytes
    """Its record's."""

    author: int
    """Index of who wrote it."""

    to: int | None
    """For whom; None: everyone, or a group."""

    text: str
    """Unlike all others."""

    group: GroupId | None
    """Where it was written, if in a group."""

    audience: frozenset[int]
    """Who else was in that group by all that its author knew."""

    after: int
    """Where the latest message stood that its author could see then."""

    forever: bool
    """It never expires."""

    at: float
    """When."""


@dataclass(frozen=True)
class Started:
    """A process started."""

    board: Board
    """Where."""


@dataclass(frozen=True)
class Died:
    """A process ended, and what was not on disk is lost."""

    board: Board
    """Where."""

    power: bool
    """By a power cut."""


@dataclass(frozen=True)
class Restored:
    """A board has forgotten all that came after its backup."""

    board: Board
    """Which."""


@dataclass(frozen=True)
class Wrote:
    """An operator wrote a message and was told that it is stored."""

    board: Board
    """Where."""

    letter: Letter
    """What."""


@dataclass(frozen=True)
class Changed:
    """A message is new, or in a new state, and clients are told."""

    board: Board
    """Where."""

    message: StoredMessage
    """How it is now."""


@dataclass(frozen=True)
class Confirmed:
    """It is on an author's disk how far messages have come."""

    board: Board
    """The author's."""

    recipient: StationId
    """With whom."""

    messages: tuple[bytes, ...]
    """Which, those with which that is new."""

    state: DeliveryState
    """How far."""


@dataclass(frozen=True)
class Ended:
    """A station ends a session."""

    board: Board
    """Which."""

    reason: str
    """Why."""


@dataclass(frozen=True)
class Alarmed:
    """A station raises an alarm."""

    board: Board
    """Which."""

    alarm: AlarmRaised
    """What it says."""


Happening: TypeAlias = Started | Died | Restored | Wrote | Changed | Confirmed | Ended | Alarmed
