"""How much this station keeps, and what has to go first when that is too much.

Messages go in this order, of each sort first the least urgent, and of these those that came first:

1. what strangers have written, while it is more than their share, what was read before the rest;
2. ours whose time ran out before they arrived;
3. ours that everybody has read whom they are for;
4. what our operator has read, and ours that have arrived;
5. what nobody has read here yet;
6. ours that have not arrived.

What is carried for others has a bound of its own in the store, of which strangers have a small
part.  A disk that is nearly full makes room in its own order: what is carried for others,
strangers' first, then what has been read.  The database's file does not shrink by that, but what is
free in it takes what comes next.

Ids that stay known, and notes of who has what, have bounds too: those go that would go next anyway.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from appliance.model.message import DeliveryState
from appliance.node.effects import Effect, Transact
from appliance.node.ports import Moment
from appliance.node.ports.keeping import (
    Candidate,
    Evict,
    Forget,
    GetCandidates,
    GetUsage,
    Shed,
    Usage,
)

MB: Final = 1_000_000

LOOK_EVERY_S: Final = 10.0
"""How often it is asked how much there is, which takes about a millisecond."""

STRANGERS_SHARE: Final = 0.25
"""Of messages and their bytes, for all authors together of whom nothing is known."""

CARRIED_ROW_BYTES: Final = 350
"""About what the rows and indexes of a record take that is carried, beside itself."""

LOW_DISK_BYTES: Final = 6 * MB
"""Free on the disk and in the database's file; less is nearly full ..."""

SPARE_BYTES: Final = 2 * MB
"""... and then so much is kept free in the file, which nobody else can take."""

AT_A_TIME: Final = 0.02
"""Of all messages, how many go before it is asked again how much there is: a look at all of them
comes before it."""

MAX_AT_A_TIME: Final = 8_192
"""The same at most; they are remembered meanwhile."""

SLICE: Final = 500
"""Messages that are looked at in one operation, some milliseconds ..."""

EVICTED: Final = 32
"""... and that are removed in one."""

IN_A_COMMIT: Final = 8 * EVICTED
"""Messages that are removed before it is waited for the disk: each touches pages that others touch
too, and is worth no commit of its own."""

SHED: Final = 256
"""Records that are carried and dropped in one operation."""

MAX_KNOWN: Final = 200_000
"""Ids that stay known when they are not carried any more, about 12 MB on disk."""

MAX_HAD: Final = 50_000
"""Notes of who has which message, about 8 MB on disk."""

MAX_REMOVED: Final = 100_000
"""Ids of messages that had to make room, about 9 MB on disk."""

FORGOTTEN: Final = 1_000
"""Of these, dropped in one operation."""


@dataclass(frozen=True)
class Bounds:
    """How much may be kept."""

    messages: int = 200_000
    """That are shown."""

    bytes: int = 256 * MB
    """Of the database, what is carried for others aside."""

    carried_bytes: int = 64 * MB
    """Of what is carried for others; more than the store's own bound changes nothing."""


_Entry: TypeAlias = tuple[tuple[int, int, int], int]
"""What goes first is highest: sort, precedence and row, all negative; then bytes."""

ENDED, READ_BY_ALL, SEEN, UNSEEN, WAITING = range(5)
"""Sorts of messages, those first that go first."""


def sort_of(one: Candidate, awake_s: float) -> int:
    """Return which sort a message is of."""
    if not one.outgoing:
        return UNSEEN if one.unread else SEEN
    if one.state is not None and one.state >= DeliveryState.DELIVERED:
        return READ_BY_ALL if one.state >= DeliveryState.READ else SEEN
    if one.expires_awake_s is not None and one.expires_awake_s <= awake_s:
        return ENDED
    return WAITING


def bytes_of_messages(usage: Usage) -> int:
    """Return what messages take, and everything else in the database that is not carried."""
    return max(usage.file_bytes - bytes_of_carried(usage), 0)


def bytes_of_carried(usage: Usage) -> int:
    """Return about what is carried for others takes on disk."""
    return sum(size + CARRIED_ROW_BYTES * records for _, records, size in usage.carried)


@dataclass
class _Look:
    """A look at all messages, to find those that have to go."""

    wanted: int
    """How many at most."""

    bytes: int
    """Enough when they take so much."""

    most: int
    """The last sort that may go."""

    share: int
    """Messages that strangers may have."""

    share_bytes: int
    """And what these may take."""

    strangers: int = 0
    """That they have."""

    strangers_bytes: int = 0
    """What these take."""

    theirs: list[_Entry] = field(default_factory=list)
    """A heap of what goes first of strangers' messages."""

    all: list[_Entry] = field(default_factory=list)
    """The same of all messages."""

    def add(self, one: Candidate, awake_s: float) -> None:
        """Look at a message."""
        sort = sort_of(one, awake_s)
        entry = ((-sort, -one.precedence, -one.number), one.bytes)
        if one.stranger:
            self.strangers += 1
            self.strangers_bytes += one.bytes
            self._keep(self.theirs, entry)
        if sort <= self.most:
            self._keep(self.all, entry)

    def _keep(self, heap: list[_Entry], entry: _Entry) -> None:
        if len(heap) < self.wanted:
            heapq.heappush(heap, entry)
        elif entry > heap[0]:
            heapq.heapreplace(heap, entry)

    def victims(self) -> list[int]:
        """Return the rows of those that have to go, the first one first."""
        chosen: dict[int, None] = {}
        total = 0
        for rank, size in (*self._beyond_share(), *sorted(self.all, reverse=True)):
            if total >= self.bytes or len(chosen) >= self.wanted:
                break
            if -rank[2] not in chosen:
                chosen[-rank[2]] = None
                total += size
        return list(chosen)

    def _beyond_share(self) -> list[_Entry]:
        count, size = self.strangers, self.strangers_bytes
        beyond: list[_Entry] = []
        for entry in sorted(self.theirs, reverse=True):
            if count <= self.share and size <= self.share_bytes:
                break
            beyond.append(entry)
            count, size = count - 1, size - entry[1]
        return beyond


class Retention:
    """Keeps what there is within its bounds."""

    def __init__(self, bounds: Bounds, *, changed: Callable[[], None]) -> None:
        """`changed` is called when messages had to go."""
        self.bounds = bounds
        self._changed = changed
        self._look_at = 0.0
        self._busy = False
        """Operations are under way."""

    def next_wakeup(self) -> float:
        """Say when to call `wakeup`, in seconds of being awake."""
        return self._look_at

    def wakeup(self, moment: Moment) -> list[Effect]:
        """Look whether there is too much, unless that is being mended."""
        if self._look_at > moment.awake_s:
            return []
        self._look_at = moment.awake_s + LOOK_EVERY_S
        return [] if self._busy else self._ask(moment)

    def _ask(self, moment: Moment) -> list[Effect]:
        self._busy = True
        return [Transact(GetUsage(), lambda usage: self._judge(usage, moment), self._failed)]

    def _failed(self, _: str) -> Sequence[Effect]:
        self._busy = False
        return ()

    def _judge(self, usage: Usage, moment: Moment) -> Sequence[Effect]:
        effects: list[Effect] = []
        if usage.known > MAX_KNOWN or usage.had > MAX_HAD or usage.removed > MAX_REMOVED:
            effects += self._forget()
        carried = bytes_of_carried(usage)
        short = 0
        if usage.disk_free_bytes + usage.spare_bytes < LOW_DISK_BYTES:
            short = max(SPARE_BYTES - usage.spare_bytes, 0)
        shed = max(carried - self.bounds.carried_bytes, min(short, carried))
        if shed > 0:
            effects.append(Transact(Shed(shed, moment.awake_s, SHED), lambda _: (), lazy=True))
        look = self._look_for(usage, short - min(short, carried))
        if look is None:
            self._busy = False
            return effects
        return [*effects, *self._scan(look, 0, moment)]

    def _forget(self) -> list[Effect]:
        def gone(count: int) -> Sequence[Effect]:
            return self._forget() if count >= FORGOTTEN else ()

        return [Transact(Forget(MAX_KNOWN, MAX_HAD, MAX_REMOVED, FORGOTTEN), gone, lazy=True)]

    def _look_for(self, usage: Usage, short: int) -> _Look | None:
        """Begin a look at all messages if some have to go; `short`: bytes for a full disk."""
        bounds, there = self.bounds, bytes_of_messages(usage)
        count, size = usage.messages - bounds.messages, there - bounds.bytes
        if (count <= 0 and size <= 0 and short <= 0) or not usage.messages:
            return None
        # Some more than must go, so that it is not the same again for the very next message.
        if count > 0:
            wanted, enough = count + int(AT_A_TIME * bounds.messages), 1 << 62
        else:
            wanted, enough = usage.messages, max(size, short) + int(AT_A_TIME * there)
        return _Look(
            wanted=min(wanted, MAX_AT_A_TIME),
            bytes=enough,
            most=WAITING if count > 0 or size > 0 else SEEN,
            share=int(STRANGERS_SHARE * min(usage.messages, bounds.messages)),
            share_bytes=int(STRANGERS_SHARE * min(there, bounds.bytes)),
        )

    def _scan(self, look: _Look, after: int, moment: Moment) -> list[Effect]:
        def found(some: tuple[Candidate, ...]) -> Sequence[Effect]:
            for one in some:
                look.add(one, moment.awake_s)
            if len(some) == SLICE:
                return self._scan(look, some[-1].number, moment)
            return self._evict(look.victims(), moment)

        return [Transact(GetCandidates(after, SLICE), found, self._failed)]

    def _evict(self, victims: list[int], moment: Moment) -> list[Effect]:
        """Remove messages, some at a time; then see whether that was enough."""
        if not victims:
            self._busy = False
            return []
        part, rest = Evict(tuple(victims[:EVICTED]), moment.awake_s), victims[EVICTED:]

        def gone(_: int) -> Sequence[Effect]:
            if rest:
                return self._evict(rest, moment)
            self._changed()
            return self._ask(moment)

        if len(rest) % IN_A_COMMIT < EVICTED:
            return [Transact(part, gone, self._failed)]
        return [Transact(part, lambda _: (), self._failed, lazy=True, early=gone)]
