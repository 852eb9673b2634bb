"""What is asked of a store about bulk data: which of it belongs to what, as operations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from appliance.model.cargo import Tier
from appliance.model.identity import StationId
from appliance.model.record import Precedence
from appliance.node.ports import Operation

MAX_USES: Final = 32
"""Records that are returned with one blob: anybody can name the same one over and over."""


@dataclass(frozen=True)
class BlobUse:
    """A record that needs a blob."""

    size: int
    """Bytes of the blob as it travels, as the record says."""

    record: bytes
    """The record's id."""

    mine: bool
    """It is a message that is shown here."""

    wished: bool
    """Our operator has asked for the blob."""

    author: StationId
    """Who wrote the record."""

    tier: Tier
    """How far the author is trusted."""

    precedence: Precedence
    """How urgent it is believed to be."""

    came_from: StationId | None
    """It is carried: the neighbour that has brought it."""

    born_awake_s: float
    """When it was written, in seconds of our being awake, as far as it is known."""


@dataclass(frozen=True)
class GetUses(Operation[tuple[BlobUse, ...]]):
    """Ask what needs a blob; messages that are shown here first."""

    root: bytes
    """Which."""


@dataclass(frozen=True)
class ScanUses(Operation[tuple[tuple[bytes, tuple[BlobUse, ...]], ...]]):
    """Ask for a part of the blobs that are needed, in the order of their roots."""

    after: bytes
    """Only those behind this root."""

    limit: int
    """At most so many."""


@dataclass(frozen=True)
class Wish(Operation[bool]):
    """Note that our operator wants a blob of a message; False: there is no such message."""

    message: bytes
    """The message's id."""

    root: bytes
    """Which blob."""
