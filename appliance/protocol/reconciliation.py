"""Two stations find out which record ids either lacks, with bytes by what differs.

Range-based set reconciliation (A. Meyer, 2022), as in negentropy: fingerprints of ranges are
compared, those that differ are split, and small ones are listed.  Here ranges are halves of
halves: all ids that begin with certain bits.  Ids are hashes, so that splits as evenly as places
in the set would, and needs no bounds on the wire.  Whoever makes hashes that begin alike makes his
own go through a few more steps, at the price of 32 times the work for each.

A message is a version, flags, the salt of the exchange, and items in ascending order, none within
another:

    kind and split (4 bits each), number of bits, the bits in whole bytes, then by kind
    0  SPLIT   2^split fingerprints of 8 bytes, of equal parts
    1  LIST    number of ids, ids in short: all that the sender has
    2  ANSWER  numbers of both; ids that the list lacked; ids in short that its sender is to name
    3  OFFER   number of ids, ids: the named ones

Fingerprints and ids in short are hashes that begin with the salt, which the side that begins draws
for each exchange.  So short ones are safe: what is made to collide would have to be made before
the salt is known.  By accident one difference in 2^48 is overlooked, until the next exchange.

Every message is answered from itself and the set as it is then: nothing is kept but counts, and
the set may change between messages.  What goes beyond the limits waits for the next exchange.

What stays out: when to begin, and the records (`appliance.node.carry`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from appliance.model.codec import FormatError
from appliance.model.record import ID_SIZE
from appliance.protocol.id_set import END, FIRST, IdSet, count_of, fingerprint_of

VERSION: Final = 1

MAX_MESSAGE: Final = 48 * 1024
"""Bytes of one."""

MAX_REPLIES: Final = 8
"""Messages that answer one; the rest waits for the next exchange."""

MAX_SENT: Final = 128
"""Messages that one side fills in an exchange; after that its answers are empty."""

MAX_RECEIVED: Final = 256
"""Messages of an exchange: those, and an empty one for each of ours."""

SALT_SIZE: Final = 8

MAX_LISTED: Final = 64
"""Ids in a LIST: 31 are in a range of a million ids after three splits, and 64 hardly ever."""

MAX_LACKED: Final = 255
"""Ids in an ANSWER: who has more in a listed range splits it."""

MAX_SPLIT: Final = 5
"""Bits by which a range is split at most: 32 parts."""

_PART: Final = 16
"""Ids that a part should have when a split needs less than that."""

_BITS: Final = 8 * ID_SIZE
_MAX_DEPTH: Final = 255
"""Bits that the ids of a range have in common, of which the number is one byte."""

_PRINT: Final = 8
_SHORT: Final = 6
_BEGINS, _MORE = 1, 2
_HEAD: Final = 2 + SALT_SIZE


class _Kind(IntEnum):
    SPLIT = 0
    LIST = 1
    ANSWER = 2
    OFFER = 3


@dataclass(frozen=True)
class Step:
    """What came of a message."""

    replies: tuple[bytes, ...] = ()
    """What is to be sent, in this order."""

    theirs: tuple[bytes, ...] = ()
    """Ids that the peer has and we lack."""

    ours: tuple[bytes, ...] = ()
    """Ids that we have and the peer lacks."""

    done: bool = False
    """No answer is awaited any more.  For the side that began, the exchange is over."""

    cut_short: bool = False
    """Something was left for the next exchange."""


@dataclass(frozen=True)
class _Range:
    """All ids that begin with certain bits."""

    number: int
    """The bits."""

    depth: int
    """How many."""

    @property
    def lower(self) -> bytes:
        """The first id that begins so."""
        return _bound(self.number << _BITS - self.depth)

    @property
    def upper(self) -> bytes:
        """The first id after those."""
        return _bound(self.number + 1 << _BITS - self.depth)

    def part(self, split: int, part: int) -> _Range:
        """Return one of 2^split parts."""
        return _Range((self.number << split) + part, self.depth + split)

    def bounds(self, split: int) -> list[bytes]:
        """Return where 2^split parts begin, and the end."""
        return [*(self.part(split, part).lower for part in range(1 << split)), self.upper]


@dataclass(frozen=True)
class _Item:
    """An item of a message."""

    kind: _Kind
    """What it says."""

    range: _Range
    """Of which ids."""

    split: int = 0
    """By how many bits a SPLIT splits."""

    prints: tuple[bytes, ...] = ()
    """Fingerprints of the parts."""

    ids: tuple[bytes, ...] = ()
    """Whole ids."""

    shorts: tuple[bytes, ...] = ()
    """Ids in short."""

    @property
    def asks(self) -> bool:
        """It is to be answered."""
        return self.kind in (_Kind.SPLIT, _Kind.LIST) or bool(self.shorts)

    def encode(self) -> bytes:
        """Return its bytes."""
        size = (self.range.depth + 7) // 8
        bits = (self.range.number << 8 * size - self.range.depth).to_bytes(size)
        numbers = {
            _Kind.SPLIT: (),
            _Kind.LIST: (len(self.shorts),),
            _Kind.ANSWER: (len(self.ids), len(self.shorts)),
            _Kind.OFFER: (len(self.ids),),
        }[self.kind]
        begin = bytes((self.kind << 4 | self.split, self.range.depth)) + bits + bytes(numbers)
        return b"".join((begin, *self.prints, *self.ids, *self.shorts))


class Reconciler:
    """One side of exchanges with one peer: of one that it begins, or of those that the peer does.

    Raises FormatError for what no peer sends that keeps to the protocol.
    """

    def __init__(self, ids: IdSet) -> None:
        """`ids` may change between calls."""
        self._ids = ids
        self._began = False
        self._start(b"")

    def _start(self, salt: bytes) -> None:
        self._salt = salt
        self._awaited = self._sent = self._received = 0

    def begin(self, nonce: bytes = b"") -> bytes:
        """Return the first message of an exchange.

        A `nonce` that nobody could know makes the salt one that nobody could; without it, it is
        one that nobody knew before the set became what it is.
        """
        self._began = True
        self._start(self._ids.fingerprint(salt=nonce)[:SALT_SIZE])
        answer = _Answer(self._ids, self._salt, limit=1)
        answer.split(_Range(0, 0), len(self._ids))
        return self._send(answer, flags=_BEGINS)[0]

    def received(self, message: bytes) -> Step:
        """Take a message of the peer's; raises FormatError."""
        if not _HEAD <= len(message) <= MAX_MESSAGE or message[0] != VERSION:
            raise FormatError("reconciliation: no message of this version")
        flags, salt = message[1], message[2:_HEAD]
        if flags not in (0, _BEGINS, _MORE) or (flags == _BEGINS and self._began):
            raise FormatError("reconciliation: flags that do not fit")
        if flags == _BEGINS:
            self._start(salt)
        elif not self._awaited or salt != self._salt:
            return Step()  # of an exchange that was given up
        elif flags != _MORE:
            self._awaited -= 1
        self._received += 1
        if self._received > MAX_RECEIVED:
            raise FormatError("reconciliation: it does not end")
        items = _read(message[_HEAD:])
        answer = _Answer(self._ids, salt, limit=min(MAX_REPLIES, MAX_SENT - self._sent))
        answer.take(items)
        return Step(
            replies=self._send(answer) if any(item.asks for item in items) else (),
            theirs=tuple(dict.fromkeys(answer.theirs)),
            ours=tuple(dict.fromkeys(answer.ours)),
            done=not self._awaited,
            cut_short=answer.full,
        )

    def _send(self, answer: _Answer, *, flags: int = 0) -> tuple[bytes, ...]:
        self._awaited += sum(answer.asks)
        self._sent += sum(map(bool, answer.messages))
        last = len(answer.messages) - 1
        return tuple(
            bytes((VERSION, flags | (_MORE if number < last else 0))) + self._salt + message
            for number, message in enumerate(answer.messages)
        )


class _Answer:
    """What is to be said to the items of one message."""

    def __init__(self, ids: IdSet, salt: bytes, *, limit: int) -> None:
        """At most `limit` messages, but an empty one in any case."""
        self._ids, self._salt, self._limit = ids, salt, limit
        self.messages = [b""]
        """Without their heads."""
        self.asks = [False]
        """Which of them are to be answered."""
        self.full = False
        """Something found no room."""
        self.theirs: list[bytes] = []
        self.ours: list[bytes] = []

    def take(self, items: Iterable[_Item]) -> None:
        """Answer items."""
        handle = {
            _Kind.SPLIT: self._split,
            _Kind.LIST: self._list,
            _Kind.ANSWER: self._answer,
            _Kind.OFFER: self._offer,
        }
        for item in items:
            handle[item.kind](item)
            if self.full:
                break

    def _add(self, item: _Item) -> bool:
        """Take an item, if there is room; tell whether there was."""
        data = item.encode()
        another = _HEAD + len(self.messages[-1]) + len(data) > MAX_MESSAGE
        if len(self.messages) + another > self._limit:
            self.full = True
            return False
        if another:
            self.messages.append(b"")
            self.asks.append(False)
        self.messages[-1] += data
        self.asks[-1] |= item.asks
        return True

    # -- Fingerprints

    def split(self, whole: _Range, count: int) -> None:
        """Tell the fingerprints of a range's parts; we have so many ids there."""
        split = min(MAX_SPLIT, ((count - 1) // _PART).bit_length()) if count else 0
        weights = self._ids.weights(whole.bounds(split))
        prints = tuple(self._print(weight) for weight in weights)
        self._add(_Item(_Kind.SPLIT, whole, split, prints=prints))

    def _split(self, item: _Item) -> None:
        weights = self._ids.weights(item.range.bounds(item.split))
        for part, (weight, theirs) in enumerate(zip(weights, item.prints, strict=True)):
            if self._print(weight) != theirs and not self.full:
                self._tell(item.range.part(item.split, part), count_of(weight))

    def _print(self, weight: int) -> bytes:
        return fingerprint_of(weight, self._salt)[:_PRINT]

    def _tell(self, whole: _Range, count: int) -> None:
        if count > MAX_LISTED:
            self.split(whole, count)
        else:
            self._add(_Item(_Kind.LIST, whole, shorts=tuple(self._shorts(whole))))

    # -- Ids

    def _shorts(self, whole: _Range) -> dict[bytes, bytes]:
        """Return the ids that we have in a range, by what they are in short."""
        salt, sha256 = self._salt, hashlib.sha256
        found = self._ids.ids(whole.lower, whole.upper)
        return {sha256(salt + record).digest()[:_SHORT]: record for record in found}

    def _list(self, item: _Item) -> None:
        count = self._ids.count(item.range.lower, item.range.upper)
        if count > MAX_LACKED:
            self.split(item.range, count)
            return
        own, listed = self._shorts(item.range), frozenset(item.shorts)
        lacked = tuple(record for short, record in own.items() if short not in listed)
        unknown = tuple(short for short in item.shorts if short not in own)
        if lacked or unknown:
            answer = _Item(_Kind.ANSWER, item.range, ids=lacked, shorts=unknown)
            if self._add(answer):
                self.ours += lacked

    def _answer(self, item: _Item) -> None:
        self._offer(item)
        whole = item.range
        if not item.shorts or self._ids.count(whole.lower, whole.upper) > 2 * MAX_LISTED:
            return
        own = self._shorts(whole)
        named = tuple(own[short] for short in item.shorts if short in own)
        if named and self._add(_Item(_Kind.OFFER, whole, ids=named)):
            self.ours += named

    def _offer(self, item: _Item) -> None:
        self.theirs += (record for record in item.ids if record not in self._ids)


# -- Bytes


def _bound(number: int) -> bytes:
    return END if number >> _BITS else number.to_bytes(ID_SIZE)


def _read(data: bytes) -> list[_Item]:
    """Return the items of a message."""
    items: list[_Item] = []
    reach, at = FIRST, 0
    while at < len(data):
        item, at = _read_item(data, at)
        if item.range.lower < reach:
            raise FormatError("reconciliation: ranges that do not ascend")
        reach = item.range.upper
        if any(not item.range.lower <= record < reach for record in item.ids):
            raise FormatError("reconciliation: an id outside of its range")
        items.append(item)
    return items


def _read_item(data: bytes, at: int) -> tuple[_Item, int]:
    """Read an item from a place on; return where it ends as well."""

    def take(number: int, size: int = 1) -> tuple[bytes, ...]:
        nonlocal at
        start, at = at, at + number * size
        if at > len(data):
            raise FormatError("reconciliation: it is cut off")
        return tuple(data[place : place + size] for place in range(start, at, size))

    def number(most: int) -> int:
        value = take(1)[0][0]
        if value > most:
            raise FormatError("reconciliation: a number beyond its limit")
        return value

    kind, split = divmod(number(0xFF), 16)
    depth = number(_MAX_DEPTH)
    size = (depth + 7) // 8
    bits = int.from_bytes(b"".join(take(size)))
    if bits & (1 << 8 * size - depth) - 1:
        raise FormatError("reconciliation: bits beyond their number")
    whole = _Range(bits >> 8 * size - depth, depth)
    if split > (min(MAX_SPLIT, _MAX_DEPTH - depth) if kind == _Kind.SPLIT else 0):
        raise FormatError("reconciliation: a split that is too fine")
    match kind:
        case _Kind.SPLIT:
            return _Item(_Kind.SPLIT, whole, split, prints=take(1 << split, _PRINT)), at
        case _Kind.LIST:
            return _Item(_Kind.LIST, whole, shorts=take(number(MAX_LISTED), _SHORT)), at
        case _Kind.ANSWER:
            lacked, unknown = number(MAX_LACKED), number(MAX_LISTED)
            ids, shorts = take(lacked, ID_SIZE), take(unknown, _SHORT)
            return _Item(_Kind.ANSWER, whole, ids=ids, shorts=shorts), at
        case _Kind.OFFER:
            return _Item(_Kind.OFFER, whole, ids=take(number(MAX_LISTED), ID_SIZE)), at
    raise FormatError("reconciliation: an item of no known kind")
