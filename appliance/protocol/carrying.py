"""How records are passed on from neighbour to neighbour, and what is missing is asked for.

A message of the CARRY channel is a list of parcels: for how long a record has been carried, in
seconds, and the record.  Nobody can check that age: a liar may make a record last longer, or keep
it from those who hear of it from him first.  Clocks that are wrong do neither.

Messages of the SYNC channel are lists of a number and its matter:

    0  a comparison begins         bytes (`reconciliation`)
    1  what the other side answers bytes
    2  who began goes on           bytes
    3  records that are asked for  list of ids
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from appliance.model.codec import FormatError, decode, encode
from appliance.model.record import ID_SIZE, MAX_LIFETIME_S, MAX_RECORD

MAX_COMPARED: Final = 48 * 1024
MAX_WANTED: Final = 1024
"""Ids in one message."""

MAX_PARCELS: Final = 64
PARCELS_BYTES: Final = 32 * 1024
"""Of one message; a record that is longer goes alone.  Small ones together cost half as much."""

_WANTS: Final = 3


class Part(IntEnum):
    """Where in a comparison a message belongs."""

    BEGIN = 0
    """Its first message."""

    ANSWER = 1
    """From who did not begin it."""

    GO_ON = 2
    """From who began it."""


@dataclass(frozen=True)
class Parcel:
    """A record on its way."""

    age_s: int
    """For how long it has been carried."""

    raw: bytes
    """The record, encoded."""


@dataclass(frozen=True)
class Compare:
    """Part of a comparison that finds out who lacks what."""

    part: Part
    """Which."""

    data: bytes
    """For `reconciliation`."""


@dataclass(frozen=True)
class Wanted:
    """Records that the sender lacks."""

    records: tuple[bytes, ...]
    """Ids."""


def in_messages(parcels: Sequence[Parcel]) -> Iterator[tuple[Parcel, ...]]:
    """Cut parcels into those that go together."""
    together: list[Parcel] = []
    size = 0
    for parcel in parcels:
        if together and (size + len(parcel.raw) > PARCELS_BYTES or len(together) == MAX_PARCELS):
            yield tuple(together)
            together, size = [], 0
        together.append(parcel)
        size += len(parcel.raw)
    if together:
        yield tuple(together)


def encode_parcels(parcels: tuple[Parcel, ...]) -> bytes:
    """Return the message."""
    return encode([[min(parcel.age_s, MAX_LIFETIME_S), parcel.raw] for parcel in parcels])


def decode_parcels(data: bytes) -> tuple[Parcel, ...]:
    """Read the message; raises FormatError."""
    items = decode(data, limit=MAX_RECORD + PARCELS_BYTES)
    if type(items) is not list or not 0 < len(items) <= MAX_PARCELS:
        raise FormatError("carried: not a list of parcels")
    return tuple(map(_parcel, items))


def _parcel(item: object) -> Parcel:
    if type(item) is not list or len(item) != 2:
        raise FormatError("carried: not an age and a record")
    age_s, raw = item
    if type(age_s) is not int or not 0 <= age_s <= MAX_LIFETIME_S or type(raw) is not bytes:
        raise FormatError("carried: not an age and a record")
    return Parcel(age_s, raw)


def encode_sync(message: Compare | Wanted) -> bytes:
    """Return the message."""
    match message:
        case Compare(part, data):
            return encode([int(part), data])
        case Wanted(records):
            if len(records) > MAX_WANTED:
                raise ValueError(f"at most {MAX_WANTED} records are asked for at a time")
            return encode([_WANTS, list(records)])


def decode_sync(data: bytes) -> Compare | Wanted | None:
    """Read the message; None: of a later version.  Raises FormatError."""
    items = decode(data, limit=64 * 1024)
    if type(items) is not list or len(items) != 2 or type(items[0]) is not int:
        raise FormatError("sync: not a number and its matter")
    kind, matter = items
    if kind in set(Part):
        if type(matter) is not bytes or len(matter) > MAX_COMPARED:
            raise FormatError("sync: nothing to compare")
        return Compare(Part(kind), matter)
    if kind == _WANTS:
        if type(matter) is not list or len(matter) > MAX_WANTED:
            raise FormatError("sync: no list of ids")
        if any(type(item) is not bytes or len(item) != ID_SIZE for item in matter):
            raise FormatError("sync: no list of ids")
        return Wanted(tuple(matter))
    return None
