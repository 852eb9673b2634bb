"""An ordered set of record ids that tells at once how a range of it compares with another's.

Ids lie in blocks, end to end; a block knows the sum and the number of its ids, so the fingerprint
of a range costs an addition per block, and two parts of blocks at its ends.  Blocks are split and
merged by what is in them, so whoever chooses among hashes gains nothing.

A fingerprint adds ids up, which is what makes it cheap.  Whoever can afford some 2^33 hashes finds
two sets of a thousand ids of his own with one sum.  If he also sees to it that two stations get one
each, what differs in that range stays hidden from those two, though from no others.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from struct import iter_unpack
from typing import Final

from appliance.model.record import ID_SIZE

FINGERPRINT_SIZE: Final = 16

FIRST: Final = b""
"""A bound that is below every id."""

END: Final = b"\xff" * (ID_SIZE + 1)
"""A bound that is above every id."""

_MOST: Final = 512
"""Ids in a block, which is then halved: few enough to add up, enough to have few blocks."""

_LEAST: Final = 64
"""A block with fewer is joined to another."""

_FILL: Final = 384
"""Ids in a block of a set that is made at once."""

_ONE: Final = 1 << 320
"""Counts one id in a weight, the sum being below: 2^64 ids fit."""

_SUM: Final = (1 << 8 * ID_SIZE) - 1


def weight_of(ids: Iterable[bytes]) -> int:
    """Return the sum of ids and, far above it, their number."""
    numbers = [*map(int.from_bytes, ids)]
    return sum(numbers) + len(numbers) * _ONE


def count_of(weight: int) -> int:
    """Return how many ids a weight is of."""
    return weight // _ONE


def fingerprint_of(weight: int, salt: bytes = b"") -> bytes:
    """Return what ids with this weight have in common, and hardly any others.

    A salt that was not known before makes it safe to compare a part of it.
    """
    total = (weight & _SUM).to_bytes(ID_SIZE)
    return hashlib.sha256(salt + total + count_of(weight).to_bytes(8)).digest()[:FINGERPRINT_SIZE]


class IdSet:
    """Record ids in order.

    A range is from a bound on and below another.  A bound is an id, the beginning of one (which is
    below all that begin so), FIRST or END.
    """

    def __init__(self, ids: Iterable[bytes] = ()) -> None:
        """Take ids in any order; raises ValueError."""
        self._blocks: list[bytearray] = []
        self._lows: list[bytes] = []
        self._weights: list[int] = []
        self._fill(ids)

    def _fill(self, ids: Iterable[bytes]) -> None:
        # By the first byte, so that only a part of them is ever there as objects.
        heaps = [bytearray() for _ in range(256)]
        for record in ids:
            heaps[_checked(record)[0]] += record
        size = _FILL * ID_SIZE
        rest = bytearray()
        for number, heap in enumerate(heaps):
            heaps[number] = bytearray()
            rest += b"".join(sorted({*_cut(heap)}))
            whole = len(rest) - len(rest) % size
            for start in range(0, whole, size):
                self._append(rest[start : start + size])
            del rest[:whole]
        if rest or not self._blocks:
            self._append(rest)

    def _append(self, block: bytearray) -> None:
        self._lows.append(bytes(block[:ID_SIZE]) if self._blocks else FIRST)
        self._blocks.append(block)
        self._weights.append(weight_of(_cut(block)))

    # -- One id

    def __contains__(self, record: bytes) -> bool:
        """Tell whether an id is in the set."""
        index, at = self._place(record)
        return bool(record) and self._blocks[index][at : at + ID_SIZE] == record

    def __len__(self) -> int:
        """Return how many ids there are."""
        return sum(map(len, self._blocks)) // ID_SIZE

    def __iter__(self) -> Iterator[bytes]:
        """Return all ids in order; the set must not change meanwhile."""
        return chain.from_iterable(map(_cut, self._blocks))

    def add(self, record: bytes) -> None:
        """Put an id in, if it is not there; raises ValueError."""
        index, at = self._place(_checked(record))
        block = self._blocks[index]
        if block[at : at + ID_SIZE] == record:
            return
        block[at:at] = record
        self._weights[index] += int.from_bytes(record) + _ONE
        if len(block) > _MOST * ID_SIZE:
            self._halve(index)

    def discard(self, record: bytes) -> None:
        """Take an id out, if it is there."""
        if record not in self:
            return
        index, at = self._place(record)
        block = self._blocks[index]
        del block[at : at + ID_SIZE]
        self._weights[index] -= int.from_bytes(record) + _ONE
        if len(block) < _LEAST * ID_SIZE and len(self._blocks) > 1:
            self._join(max(index - 1, 0))

    def _place(self, bound: bytes) -> tuple[int, int]:
        """Return the block that a bound falls into, and the first byte there that is not below."""
        index = bisect_right(self._lows, bound) - 1
        block = self._blocks[index]

        def nth(number: int) -> bytes:
            return bytes(block[number * ID_SIZE : (number + 1) * ID_SIZE])

        return index, bisect_left(range(len(block) // ID_SIZE), bound, key=nth) * ID_SIZE

    def _halve(self, index: int) -> None:
        block = self._blocks[index]
        middle = len(block) // ID_SIZE // 2 * ID_SIZE
        upper = block[middle:]
        weight = weight_of(_cut(upper))
        self._blocks[index : index + 1] = [block[:middle], upper]
        self._lows.insert(index + 1, bytes(upper[:ID_SIZE]))
        self._weights[index : index + 1] = [self._weights[index] - weight, weight]

    def _join(self, index: int) -> None:
        """Join a block and the next."""
        self._blocks[index] += self._blocks.pop(index + 1)
        self._weights[index] += self._weights.pop(index + 1)
        del self._lows[index + 1]
        if len(self._blocks[index]) > _MOST * ID_SIZE:
            self._halve(index)

    # -- Ranges

    def weights(self, bounds: Sequence[bytes]) -> list[int]:
        """Return the weight of each range between a bound and the next; they must ascend."""
        weights: list[int] = []
        index, at = self._place(bounds[0])
        for bound in bounds[1:]:
            last, end = self._place(bound)
            if last == index:
                weights.append(weight_of(_cut(self._blocks[index][at:end])))
            else:
                between = sum(self._weights[index + 1 : last])
                weights.append(
                    self._weights[index] - self._below(index, at) + between + self._below(last, end)
                )
            index, at = last, end
        return weights

    def _below(self, index: int, at: int) -> int:
        """Return the weight of what is in a block before a place, adding up the shorter part."""
        block = self._blocks[index]
        if at <= len(block) // 2:
            return weight_of(_cut(block[:at]))
        return self._weights[index] - weight_of(_cut(block[at:]))

    def count(self, lower: bytes = FIRST, upper: bytes = END) -> int:
        """Return how many ids a range has."""
        index, at = self._place(lower)
        last, end = self._place(upper)
        between = sum(map(len, self._blocks[index:last]))
        return max(between + end - at, 0) // ID_SIZE

    def fingerprint(self, lower: bytes = FIRST, upper: bytes = END, *, salt: bytes = b"") -> bytes:
        """Return what tells a range from another set's."""
        return fingerprint_of(self.weights((lower, upper))[0], salt)

    def ids(self, lower: bytes = FIRST, upper: bytes = END) -> list[bytes]:
        """Return the ids of a range in order."""
        index, at = self._place(lower)
        last, end = self._place(upper)
        if index == last:
            return [*_cut(self._blocks[index][at:end])]
        found = [*_cut(self._blocks[index][at:])]
        for block in self._blocks[index + 1 : last]:
            found += _cut(block)
        return [*found, *_cut(self._blocks[last][:end])]


def _checked(record: bytes) -> bytes:
    if len(record) != ID_SIZE:
        raise ValueError(f"an id has {ID_SIZE} bytes")
    return record


def _cut(block: bytes | bytearray) -> Iterator[bytes]:
    """Return the ids that lie in a block."""
    return chain.from_iterable(iter_unpack(f"{ID_SIZE}s", block))
