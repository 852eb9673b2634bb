"""When two neighbours compare what they carry, and what they say to each other then.

A comparison (`reconciliation`) finds what either lacks.  The side that lacks something asks for it;
what it asks for goes out like everything else (`carry`).
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from appliance.model.identity import StationId
from appliance.node.call_gate import CallGate
from appliance.node.effects import Effect, Send
from appliance.protocol.carrying import MAX_WANTED, Compare, Part, Wanted, encode_sync
from appliance.protocol.frames import Channel
from appliance.protocol.id_set import IdSet
from appliance.protocol.reconciliation import Reconciler

COMPARE_S: Final = (15.0, 600.0)
"""Least and most time between two comparisons with a neighbour: it doubles while they find
nothing."""

AGAIN_S: Final = 2.0
"""After one that had to leave out a part: what it found is on its way by then."""

BEGUN: Final = 8
"""Comparisons that a neighbour may begin in a row ..."""

BEGUN_S: Final = 1.0
"""... and seconds until it may begin one more: each costs us more than it."""

MAX_SAID: Final = 4 * 1024 * 1024
"""Bytes that both sides say in comparisons with a neighbour, in a row: 100,000 differences ..."""

SAID_PER_S: Final = 16 * 1024
"""... and how many more each second.  1 KB takes some milliseconds where much is carried, and a
small question may have a long answer.  What is beyond is not answered, and compared later."""

MAX_NEIGHBOURS: Final = 256
"""Of whom that is remembered; the one that has been quiet longest is forgotten first."""

NONCE_SIZE: Final = 16

STUCK_S: Final = 60.0
"""A comparison that is not answered for so long is given up."""


@dataclass
class _Comparisons:
    """Those with one neighbour."""

    at: float
    """When to begin the next."""

    interval_s: float = COMPARE_S[0]
    """Between two of them."""

    ours: Reconciler | None = None
    """The one that we have begun."""

    theirs: Reconciler | None = None
    """The one that it has begun."""

    differed: bool = False
    """The one that runs has found something."""


class Comparing:
    """The comparisons with all neighbours; times are seconds of being awake."""

    def __init__(
        self,
        carried: IdSet,
        *,
        gossips: Callable[[StationId], bool],
        knows: Callable[[bytes], bool],
        random: Callable[[], float],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """`carried` is looked at anew each time; `knows` tells what need not be asked for."""
        self._carried, self._gossips, self._knows = carried, gossips, knows
        self._random, self._random_bytes = random, random_bytes
        self._begun = CallGate(burst=BEGUN, refill_s=BEGUN_S)
        self._said: OrderedDict[StationId, tuple[float, float]] = OrderedDict()
        """Bytes that were said with a neighbour, less those that count no more, and when."""
        self._with: dict[StationId, _Comparisons] = {}

    def session_up(self, peer: StationId, now: float, *, begin: bool) -> list[Effect]:
        """A session stands; one of the two begins."""
        self._with[peer] = _Comparisons(now + COMPARE_S[0] * (1 + self._random()))
        return self._begin(peer, now) if begin else []

    def session_down(self, peer: StationId) -> None:
        """A session ended."""
        self._with.pop(peer, None)

    def soon(self, peer: StationId, now: float) -> None:
        """There was more for a neighbour than could wait here: look for the rest."""
        one = self._with.get(peer)
        if one is not None and one.ours is None:
            one.at = min(one.at, now)

    def wanted(self, peer: StationId) -> None:
        """A neighbour lacks something."""
        if peer in self._with:
            self._with[peer].differed = True

    def received(self, peer: StationId, message: Compare, now: float) -> list[Effect]:
        """Take part of a comparison; raises FormatError."""
        one = self._with.get(peer)
        if one is None or self._lately_said(peer, now) > MAX_SAID:
            return []
        if message.part is Part.BEGIN:
            if not self._begun.allows(peer, now):
                return []
            one.theirs = Reconciler(self._carried)
        answers = message.part is Part.ANSWER
        reconciler = one.ours if answers else one.theirs
        if reconciler is None:
            return []
        step = reconciler.received(message.data)
        self._note_said(peer, sum(map(len, (message.data, *step.replies))), now)
        part = Part.GO_ON if answers else Part.ANSWER
        replies = [Compare(part, reply) for reply in step.replies]
        wanted = _wanted([record for record in step.theirs if not self._knows(record)])
        one.differed |= bool(wanted)
        if step.done and answers:
            self._done(one, now, cut_short=step.cut_short)
        elif answers and (step.replies or step.theirs or step.ours):
            one.at = now + STUCK_S  # it goes on, be it slowly
        said: list[Compare | Wanted] = [*replies, *wanted]
        return [Send(peer, Channel.SYNC, encode_sync(part)) for part in said]

    def _lately_said(self, peer: StationId, now: float) -> float:
        size, at = self._said.get(peer, (0.0, now))
        return max(size - (now - at) * SAID_PER_S, 0.0)

    def _note_said(self, peer: StationId, size: int, now: float) -> None:
        total = self._lately_said(peer, now) + size
        self._said.pop(peer, None)
        self._said[peer] = (total, now)
        if len(self._said) > MAX_NEIGHBOURS:
            self._said.popitem(last=False)

    def _begin(self, peer: StationId, now: float) -> list[Effect]:
        one = self._with[peer]
        one.ours = Reconciler(self._carried)
        one.differed = False
        one.at = now + STUCK_S
        data = one.ours.begin(self._random_bytes(NONCE_SIZE))
        return [Send(peer, Channel.SYNC, encode_sync(Compare(Part.BEGIN, data)))]

    def _done(self, one: _Comparisons, now: float, *, cut_short: bool) -> None:
        least, most = COMPARE_S
        longer = min(one.interval_s * 2, most)
        one.interval_s = least if one.differed else longer
        one.ours = None
        wait = AGAIN_S if cut_short else one.interval_s
        one.at = now + wait * (0.75 + 0.5 * self._random())

    def next_wakeup(self) -> float:
        """Say when to call `wakeup`."""
        first = math.inf
        for one in self._with.values():
            if one.at < first:
                first = one.at
        return first

    def wakeup(self, now: float) -> list[Effect]:
        """Begin what is due."""
        effects: list[Effect] = []
        for peer, one in self._with.items():
            if one.at > now:
                continue
            if self._gossips(peer):
                effects += self._begin(peer, now)
            else:
                one.at = now + COMPARE_S[1]
        return effects


def _wanted(missing: Sequence[bytes]) -> list[Wanted]:
    starts = range(0, len(missing), MAX_WANTED)
    return [Wanted(tuple(missing[start : start + MAX_WANTED])) for start in starts]
