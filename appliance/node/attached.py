"""Which blobs are to be here: what our operator's messages name, and what is carried for others.

Whatever of it decides is read from the store each time, so that neither a crash nor a lost word
between two parts can make a difference.  A message that is shown here needs its blobs for as long
as it is kept.  What somebody unknown sends is fetched by itself only while it is small and while
all such together have not much; else our operator asks for it.  What is only carried is small
(`carried_blobs`).

What stays out: whom to ask for a blob (`transfers`), and all bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from appliance.model.attachment import travelling_size
from appliance.model.cargo import Tier
from appliance.model.identity import StationId
from appliance.node.carried_blobs import MAX_SIZE, CarriedBlob, CarriedBlobs
from appliance.node.ports.attaching import BlobUse
from appliance.node.wanted import Want

STRANGERS_EACH: Final = 1 << 20
"""Bytes of a file by somebody unknown that is fetched by itself."""

STRANGERS_SHARE: Final = 0.25
"""Of all room, for what is fetched of theirs by itself: keys are free to make."""

STRANGERS_COUNT: Final = 1024


@dataclass(frozen=True)
class Verdict:
    """What is to become of a blob."""

    want: Want | None = None
    """It is to be here."""

    needed: bool = False
    """It stays if it is here, wanted or not."""

    others: tuple[bytes, ...] = ()
    """Blobs that are not carried any more, to make room for this one."""

    messages: tuple[bytes, ...] = ()
    """Messages that are shown here and need it."""

    authors: tuple[StationId, ...] = ()
    """Who has written these, where it is not to be here by itself."""


class Attached:
    """Decides about blobs, one at a time."""

    def __init__(self, own: StationId, *, each: int, total: int) -> None:
        """`each`, `total`: what the operator allows, in bytes, of one file and of all."""
        self._own = own
        self.each, self.total = each, total
        self._carried = CarriedBlobs()
        self._strangers: dict[bytes, int] = {}
        """Sizes of what is fetched of strangers by itself."""
        self._of_strangers = 0

    def too_large(self, size: int) -> bool:
        """Tell whether our operator allows no blob of this size."""
        return size > travelling_size(self.each, sealed=True)

    def waits_for_a_wish(self, size: int) -> bool:
        """Tell whether a stranger's blob of this size is not fetched by itself, ever."""
        return size > travelling_size(STRANGERS_EACH, sealed=True)

    def judge(self, root: bytes, uses: Sequence[BlobUse], here: int | None) -> Verdict:
        """Say what is to become of a blob, by all that needs it; `here`: its size if it is here."""
        size = here if here is not None else max(uses, key=_weight).size if uses else 0
        # A root stands for one size only: whoever names another lies.
        uses = [use for use in uses if use.size == size]
        mine = [use for use in uses if use.mine]
        messages = tuple(use.record for use in mine)
        if mine and self._is_wanted(root, size, mine):
            self._carried.give_up(root)
            return Verdict(self._want(root, size, uses, mine=True), True, (), messages)
        self._forget_stranger(root)
        others = self._carry(root, size, uses)
        if others is not None:
            return Verdict(self._want(root, size, uses, mine=False), True, others, messages)
        authors = tuple(dict.fromkeys(use.author for use in mine))
        return Verdict(needed=bool(mine), messages=messages, authors=authors)

    def unused(self, root: bytes) -> None:
        """Nothing needs a blob any more."""
        self._forget_stranger(root)
        self._carried.give_up(root)

    def roots(self) -> set[bytes]:
        """Return what has a part of some room."""
        return {*self._strangers, *self._carried.roots()}

    def make_room(self, size: int) -> tuple[bytes, ...]:
        """Give up what is carried and worth least, of so many bytes, for our operator's sake."""
        return self._carried.make_room(size)

    def _is_wanted(self, root: bytes, size: int, mine: Iterable[BlobUse]) -> bool:
        """Tell whether a blob is to be fetched for our operator."""
        if self.too_large(size):
            return False
        if any(use.wished or use.tier is not Tier.NEW for use in mine):
            self._forget_stranger(root)
            return True
        if self._strangers.get(root) == size:
            return True
        self._forget_stranger(root)  # it was counted by what somebody else said of its size
        full = (
            self._of_strangers + size > STRANGERS_SHARE * self.total
            or len(self._strangers) >= STRANGERS_COUNT
        )
        if full or self.waits_for_a_wish(size):
            return False
        self._strangers[root] = size
        self._of_strangers += size
        return True

    def _forget_stranger(self, root: bytes) -> None:
        self._of_strangers -= self._strangers.pop(root, 0)

    def _carry(self, root: bytes, size: int, uses: Iterable[BlobUse]) -> tuple[bytes, ...] | None:
        carried = [
            CarriedBlob(root, size, use.tier, use.precedence, use.came_from, use.born_awake_s)
            for use in uses
            if use.came_from is not None
        ]
        if not carried or size > MAX_SIZE or self.too_large(size):
            self._carried.give_up(root)
            return None
        others = self._carried.take(max(carried, key=lambda blob: blob.worth))
        if others is not None:
            return others
        return () if root in self._carried else None

    def _want(self, root: bytes, size: int, uses: Sequence[BlobUse], *, mine: bool) -> Want:
        named = (one for use in uses for one in (use.came_from, use.author) if one is not None)
        return Want(
            root=root,
            size=size,
            precedence=max(use.precedence for use in uses if use.mine or not mine),
            mine=mine,
            trusted=any(use.wished or use.tier is not Tier.NEW for use in uses),
            sources=tuple(dict.fromkeys(one for one in named if one != self._own)),
        )


def _weight(use: BlobUse) -> tuple[bool, bool, int]:
    return (use.mine, use.wished, int(use.tier))
