"""What is being fetched at a moment, and for what the disk has no room: where more may begin."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Final

from appliance.model.identity import StationId
from appliance.node.wanted import Transfer

MAX_RUNS: Final = 4
"""Fetches at a time ..."""

MORE_RUNS: Final = 2
"""... and so many more for what is more urgent than all of them ..."""

STRANGERS_RUNS: Final = 2
"""... and at most so many of what only strangers name, whatever they call it."""

NO_ROOM_S: Final = 60.0
"""After which the disk is tried again."""


class UnderWay:
    """What is being fetched from whom at a moment, by one look at all that is wanted."""

    def __init__(self, transfers: Iterable[Transfer]) -> None:
        self.opened: list[Transfer] = []
        """What is not only waiting."""

        self._runs: Counter[StationId] = Counter()
        self._urgency: dict[StationId, int] = {}
        """Of the most urgent that comes from each; what is lower is more urgent."""

        self._of_strangers = 0
        for transfer in transfers:
            if transfer.state != "waiting":
                self.opened.append(transfer)
            for peer in transfer.runs:
                self.begin(transfer, peer)

    def begin(self, transfer: Transfer, peer: StationId) -> None:
        """One more fetch begins."""
        urgency = transfer.want.rank[0]
        self._runs[peer] += 1
        self._urgency[peer] = min(urgency, self._urgency.get(peer, urgency))
        self._of_strangers += not transfer.want.trusted

    def from_(self, peer: StationId) -> int:
        """Return how much a station sends."""
        return self._runs[peer]

    def has_place(self, transfer: Transfer) -> bool:
        """Tell whether one more may begin."""
        urgent = transfer.want.rank[0] < min(self._urgency.values(), default=math.inf)
        return self._runs.total() < MAX_RUNS + (MORE_RUNS if urgent else 0)

    @property
    def strangers_are_full(self) -> bool:
        """Tell whether of what only strangers name as much is fetched as may be."""
        return self._of_strangers >= STRANGERS_RUNS

    def is_free(self, transfer: Transfer, peer: StationId) -> bool:
        """Tell whether a station sends nothing, or one thing that is less urgent than this."""
        running = self._runs[peer]
        return not running or (running == 1 and transfer.want.rank[0] < self._urgency[peer])


class Room:
    """For which blobs the disk had no room: nor has it for larger ones, but perhaps for small."""

    def __init__(self) -> None:
        self._full: dict[bool, tuple[float, int]] = {}
        """Until when, and the least size: for our operator, whom what is carried must not hold up,
        and for others."""

    def lacks(self, transfer: Transfer, now: float) -> None:
        """The disk did not take this one."""
        want = transfer.want
        transfer.room_at = now + NO_ROOM_S
        until, size = self._full.get(want.mine, (0.0, 0))
        least = min(size, want.size) if until > now else want.size
        self._full[want.mine] = (transfer.room_at, least)

    def try_at(self, transfer: Transfer) -> float:
        """Return when the disk may be tried with one again."""
        want, at = transfer.want, transfer.room_at
        if transfer.missing is not None:  # its room is its own already
            return at
        for mine, (until, least) in self._full.items():
            if want.size >= least if mine == want.mine else mine:
                at = max(at, until)
        return at
