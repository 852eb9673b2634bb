"""What the transfers of blobs need from outside, and what they tell.

`daemon/transfers.py` carries these out, on the disk and over the network.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from appliance.model.identity import StationId


class RunEnd(Enum):
    """How a fetch ended."""

    DONE = "done"
    """All that was asked for came."""

    HAS_NOT = "has-not"
    """That station does not have the blob."""

    BROKEN = "broken"
    """The connection broke, or was stopped, or none came to be."""

    BUSY = "busy"
    """That station serves too many now."""

    LIED = "lied"
    """What it sent is not what the root stands for."""

    NO_ROOM = "no-room"
    """Our disk can't take it now."""

    REFUSED = "refused"
    """It is larger than our operator allows."""


@dataclass(frozen=True)
class Look:
    """Find out what is here of a blob; the answer is `looked`."""

    root: bytes
    """Which."""

    size: int
    """Bytes as it travels."""


@dataclass(frozen=True)
class Fetch:
    """Get chunks in a row from a station; answers are `stored` for each, and `over`.

    Where the manifest is not known yet, it comes first, and `looked` when it has come.
    """

    root: bytes
    """Of which blob."""

    size: int
    """Bytes as it travels."""

    peer: StationId
    """From whom; a session with it stands."""

    first: int
    """The first chunk."""

    count: int
    """How many."""


@dataclass(frozen=True)
class StopFetch:
    """End a fetch; `over` is still the answer."""

    root: bytes
    """Of which blob."""

    peer: StationId
    """From whom."""


@dataclass(frozen=True)
class Finish:
    """All chunks are here: keep the blob for good; the answer is `finished`."""

    root: bytes
    """Which."""


@dataclass(frozen=True)
class Leave:
    """Close what is here of a blob for now."""

    root: bytes
    """Which."""

    drop: bool = False
    """It is not wanted any more: remove it, whole or not."""


BlobTask: TypeAlias = Look | Fetch | StopFetch | Finish | Leave
"""What the transfers want done."""


@dataclass(frozen=True)
class BlobArrived:
    """A blob that was wanted is here, whole and on disk."""

    root: bytes
    """Which."""


@dataclass(frozen=True)
class BlobProgress:
    """More of a blob is here; told twice a second at most."""

    root: bytes
    """Which."""

    have: int
    """Bytes that are here ..."""

    size: int
    """... of so many, as it travels."""


@dataclass(frozen=True)
class BlobTrouble:
    """A blob can't be had now, or at all."""

    root: bytes
    """Which."""

    end: RunEnd
    """NO_ROOM: it is tried again by itself.  REFUSED: it is wanted no more."""


@dataclass(frozen=True)
class NeedHolder:
    """Open a session with somebody who has what our operator waits for, if there is a way."""

    peer: StationId
    """With whom."""


BlobNews: TypeAlias = BlobArrived | BlobProgress | BlobTrouble | NeedHolder
"""What the transfers tell the station."""

BlobEffect: TypeAlias = BlobTask | BlobNews
