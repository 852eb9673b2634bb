"""What a station starts with, and the time that comes with every input."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.model.cargo import NOTHING, Cargo
from appliance.model.group import GroupId
from appliance.model.identity import StationKey
from appliance.node.ports import Moment, StoredStation
from appliance.node.prekeys import Prekeys


@dataclass(frozen=True)
class Identity:
    """What a station starts with."""

    key: StationKey
    """Who it is."""

    boot: bytes
    """This start."""

    prekeys: Prekeys
    """What others seal to, and what opens it."""


@dataclass(frozen=True)
class Memory:
    """What a station remembers from before."""

    stations: tuple[StoredStation, ...]
    """Whom it knows."""

    highest_order: int
    """Of all messages."""

    card: bytes | None
    """Its own last card."""

    cargo: Cargo = NOTHING
    """What it carries."""

    groups: tuple[tuple[GroupId, bytes], ...] = ()
    """What it knows of each."""

    talk: bytes | None = None
    """Which channels of talk groups are listened to."""

    restored: bool = False
    """It was restored from a backup or lost its store, and has written more than it remembers."""


@dataclass(frozen=True)
class Now:
    """The time of an input."""

    monotonic: float
    """Seconds; for everything that waits."""

    uptime_s: float
    """Since this start."""

    moment: Moment
    """For everything that is remembered or shown."""
