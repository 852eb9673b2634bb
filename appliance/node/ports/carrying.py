"""What the carrying of records needs from a store, as operations (`ports` says how these work).

A record that is carried lies on the disk of stations that are neither its author nor whom it is
for, until a receipt overtakes it, its time is over, or others need the room.  An id that was once
taken or refused stays known until then, so that nobody brings it again.
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.model.cargo import Cargo, Load, Shipped
from appliance.model.identity import StationId
from appliance.node.ports import Operation


@dataclass(frozen=True)
class Ship(Operation[Shipped]):
    """Carry a record."""

    load: Load
    """What, and for how long."""

    if_waiting: bool = False
    """Only if it still waits for somebody."""


@dataclass(frozen=True)
class ShipAll(Operation[tuple[Shipped, ...]]):
    """Carry records."""

    loads: tuple[Load, ...]
    """What, and for how long."""


@dataclass(frozen=True)
class Overdue(Operation[tuple[bytes, ...]]):
    """Ask for records of ours that wait for somebody, or are for everyone, and are not carried."""

    awake_s: float
    """Now; what has expired by then is left out."""

    limit: int
    """At most so many."""


@dataclass(frozen=True)
class NoteHolder(Operation[tuple[bytes, ...]]):
    """A neighbour carries messages of ours; returns those for which that is new."""

    station: StationId
    """Who."""

    messages: tuple[bytes, ...]
    """Ids."""


@dataclass(frozen=True)
class GetCarried(Operation[tuple[tuple[bytes, float, bytes], ...]]):
    """Ask for records that are carried: ids, ages in seconds and encoded records."""

    records: tuple[bytes, ...]
    """Which; those that are not carried any more are left out."""

    awake_s: float
    """Now."""


@dataclass(frozen=True)
class GetCargo(Operation[Cargo]):
    """Ask for everything that is known."""


@dataclass(frozen=True)
class Expired:
    """What was too old.  Ids."""

    dropped: tuple[bytes, ...]
    """Not carried any more; these stay known for a while."""

    forgotten: tuple[bytes, ...]
    """Not known any more."""


@dataclass(frozen=True)
class Expire(Operation[Expired]):
    """Drop what is too old."""

    awake_s: float
    """Now."""

    limit: int
    """At most so many at a time."""
