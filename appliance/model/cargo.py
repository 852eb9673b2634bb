"""Records that are carried for others: what decides for how long, and what became of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from appliance.model.group import Conversation
from appliance.model.identity import StationId
from appliance.model.record import Precedence, Record


class Tier(IntEnum):
    """How far an author is trusted here; what room it may take follows from that."""

    NEW = 0
    """Nothing is known of it; keys are free to make."""

    KNOWN = 1
    """Our operator wrote to it or called it."""

    VERIFIED = 2
    """Our operator compared keys with its operator."""

    OWN = 3
    """It is this station."""


LAST: Final = -1
"""Urgency of what strangers write: behind all that others do, but for the emergencies that are
believed."""


@dataclass(frozen=True)
class Load:
    """A record that is to be carried, and what decides for how long."""

    record: Record
    """What."""

    recipient: Conversation
    """For whom; None: for everyone."""

    covers: tuple[bytes, ...]
    """Messages that need not be carried any more, as its author says: it has them or can't open
    them, or has written them, and all of a group have them."""

    came_from: StationId
    """The neighbour that brought it; ourselves if it is ours."""

    tier: Tier
    """Its author's."""

    age_s: float
    """For how long it has been carried so far, as those who carried it say."""

    lifetime_s: float
    """How old it may become."""

    awake_s: float
    """Now, in seconds of our being awake."""


@dataclass(frozen=True)
class Shipped:
    """What became of a record that was to be carried."""

    taken: bool
    """It is carried; else it was known already, or there is no room for it."""

    full: bool
    """There is no room for it, and it is known as refused."""

    dropped: tuple[bytes, ...]
    """Which others are not carried any more: delivered, or they had to make room."""

    believed: Precedence = Precedence.ROUTINE
    """Taken: how urgent it is held to be here, whatever its author says."""


@dataclass(frozen=True)
class Cargo:
    """What is known of all that is or was carried."""

    carried: tuple[tuple[bytes, int, bool], ...]
    """Ids and urgencies of what is here, and whether it is ours."""

    known: tuple[bytes, ...]
    """Ids of what was here, or was refused."""


NOTHING: Final = Cargo((), ())
