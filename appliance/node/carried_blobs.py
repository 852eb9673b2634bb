"""Which small blobs are carried for others, as the records are that name them (`carry`).

So a voice message arrives though its author and its recipient are never connected. Large ones are
fetched by whoever needs them. Like the room for records, that for blobs is shared by trust: all
strangers together have a part of it, and what one neighbour brings of theirs a part of that.

What stays out: what our own operator needs, which counts as the operator's, and all bytes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Final

from appliance.model.attachment import CHUNK
from appliance.model.cargo import Tier
from appliance.model.identity import StationId
from appliance.model.record import Precedence

MAX_SIZE: Final = CHUNK
"""Bytes of a blob that is carried, as it travels: a minute of voice, a reduced photo."""

MAX_BYTES: Final = 128 * 1024 * 1024
MAX_COUNT: Final = 4096
"""Of all that is carried."""

STRANGERS_SHARE: Final = 0.25
"""Of that, for all authors together of whom nothing is known: keys are free to make."""

URGENT_STRANGERS_SHARE: Final = 0.05
"""Of that, for what these call an emergency; the rest counts as routine."""

NEIGHBOUR_SHARE: Final = 0.5
"""Of what strangers may take, for those whose records one neighbour brought."""


@dataclass(frozen=True)
class CarriedBlob:
    """A blob that is carried, or may be."""

    root: bytes
    """Which."""

    size: int
    """Bytes as it travels."""

    tier: Tier
    """The author's."""

    precedence: Precedence
    """Of the record that names it."""

    came_from: StationId
    """The neighbour that brought the record."""

    born_awake_s: float
    """When it was written, in seconds of our being awake: the oldest goes first."""

    @property
    def worth(self) -> tuple[int, int, float]:
        """What sorts lower goes first."""
        return (int(self.precedence), int(self.tier), self.born_awake_s)


ALL: Final = b"all"
STRANGERS: Final = b"strangers"
URGENT: Final = b"urgent strangers"


def _crowds(blob: CarriedBlob) -> tuple[bytes, ...]:
    """Name those with whom a blob shares room, the smallest first."""
    if blob.tier is not Tier.NEW:
        return (ALL,)
    urgent = (URGENT,) if blob.precedence is Precedence.EMERGENCY else ()
    return (*urgent, blob.came_from.key, STRANGERS, ALL)


def _room(crowd: bytes) -> tuple[float, float]:
    """Return how many bytes and how many blobs a crowd may have."""
    share = {ALL: 1.0, STRANGERS: STRANGERS_SHARE, URGENT: URGENT_STRANGERS_SHARE}.get(
        crowd, STRANGERS_SHARE * NEIGHBOUR_SHARE
    )
    return share * MAX_BYTES, share * MAX_COUNT


class CarriedBlobs:
    """What is carried, and who makes room for whom."""

    def __init__(self) -> None:
        self._all: dict[bytes, CarriedBlob] = {}
        self._bytes: Counter[bytes] = Counter()
        self._count: Counter[bytes] = Counter()
        """By crowd."""

    def __contains__(self, root: bytes) -> bool:
        return root in self._all

    def roots(self) -> set[bytes]:
        """Return what is carried."""
        return set(self._all)

    @property
    def total(self) -> int:
        """Bytes of all that is carried, whether it is here yet or not."""
        return self._bytes[ALL]

    def take(self, blob: CarriedBlob) -> tuple[bytes, ...] | None:
        """Carry a blob; returns which others have to go for it, None: it is not carried itself."""
        if not 0 < blob.size <= MAX_SIZE:
            return None
        known = self._all.get(blob.root)
        if known is not None and known.size != blob.size:
            self.give_up(blob.root)  # it was counted by what another record said of its size
            known = None
        if known is not None and known.worth >= blob.worth:
            return ()
        self.give_up(blob.root)
        if URGENT in _crowds(blob) and self._bytes[URGENT] + blob.size > _room(URGENT)[0]:
            # What strangers call an emergency is one as far as there is room for such.
            blob = replace(blob, precedence=Precedence.ROUTINE)
        gone: list[CarriedBlob] = []
        for crowd in _crowds(blob):
            gone += self._shrink(crowd, blob.size, 1)
        if any(each.worth > blob.worth for each in gone):
            for each in (*gone, *([known] if known is not None else [])):
                self._put(each)
            return None if known is None else ()
        self._put(blob)
        return tuple(each.root for each in gone)

    def give_up(self, root: bytes) -> None:
        """A blob is not carried any more: its record went, or our operator needs it."""
        blob = self._all.pop(root, None)
        if blob is None:
            return
        for crowd in _crowds(blob):
            self._bytes[crowd] -= blob.size
            self._count[crowd] -= 1
            if not self._count[crowd]:
                del self._count[crowd], self._bytes[crowd]

    def make_room(self, size: int) -> tuple[bytes, ...]:
        """Drop what is worth least, of so many bytes at least, for something of our operator's."""
        free = MAX_BYTES - self._bytes[ALL]
        return tuple(blob.root for blob in self._shrink(ALL, size + free, 0))

    def _put(self, blob: CarriedBlob) -> None:
        self._all[blob.root] = blob
        for crowd in _crowds(blob):
            self._bytes[crowd] += blob.size
            self._count[crowd] += 1

    def _shrink(self, crowd: bytes, size: int, count: int) -> list[CarriedBlob]:
        """Take out what is worth least, until a crowd has room for so much more."""
        most_bytes, most = _room(crowd)
        gone: list[CarriedBlob] = []
        if self._bytes[crowd] + size <= most_bytes and self._count[crowd] + count <= most:
            return gone
        those = [blob for blob in self._all.values() if crowd in _crowds(blob)]
        for blob in sorted(those, key=lambda blob: blob.worth):
            if self._bytes[crowd] + size <= most_bytes and self._count[crowd] + count <= most:
                break
            gone.append(blob)
            self.give_up(blob.root)
        return gone
