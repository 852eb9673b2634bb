"""One blob that is wanted: who may have it, what is missing, and what is fetched of it now."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from appliance.model.attachment import CHUNK
from appliance.model.identity import StationId
from appliance.model.record import Precedence
from appliance.node.ports.blobs import RunEnd
from appliance.protocol.chunks import chunk_count

MAX_SOURCES: Final = 8
"""Stations that are remembered to have a blob."""

RUNS_PER_BLOB: Final = 2
"""Fetches of one blob at a time, each from somebody else."""

SLOW_S: Final = 20.0
"""A chunk that takes longer is looked for elsewhere where somebody else can be asked: 105 kbit/s.
What is here of it is not lost."""

STALLED_S: Final = 180.0
"""The same where nobody can: 11 kbit/s."""

RUN_S: Final = 8.0
"""How long a fetch shall take: something more urgent may wait for its end."""

MAX_RUN: Final = 256
FIRST_RUN: Final = 4
"""Chunks of a fetch: at most, and from somebody of whom no rate is known."""

AGAIN_S: Final = {
    RunEnd.HAS_NOT: (60.0, 3600.0),
    RunEnd.BROKEN: (2.0, 120.0),
    RunEnd.BUSY: (5.0, 60.0),
    RunEnd.LIED: (3600.0, 24 * 3600.0),
}
"""When somebody is asked for the same blob again: at first, doubling, and at most."""


SOON_S: Final = 2.0
"""The same for somebody who has brought the record and has not got the blob: it may be about to
come."""


Rank: TypeAlias = tuple[int, bool, bool, int, bytes]


@dataclass(frozen=True)
class Want:
    """A blob that is to be here."""

    root: bytes
    """Its name."""

    size: int
    """Bytes as it travels."""

    precedence: Precedence = Precedence.ROUTINE
    """Of the message that names it."""

    mine: bool = True
    """It is for our operator; else to be carried for others, for which no session is opened."""

    trusted: bool = True
    """Our operator has asked for it, or somebody who is no stranger names it."""

    sources: tuple[StationId, ...] = ()
    """Who has it, likely: its author, and who brought the record."""

    @property
    def rank(self) -> Rank:
        """What sorts lower goes first."""
        return (-self.precedence, not self.mine, not self.trusted, self.size, self.root)


@dataclass
class Holder:
    """Somebody who may have a blob."""

    hinted: bool = False
    """Somebody has said so, or it has written it."""

    ask_at: float = 0.0
    """When it may be asked again."""

    wait_s: float = 0.0
    """The last pause; 0: all went well."""

    lied: bool = False
    """It has sent something else under the blob's name."""

    def pause(self, end: RunEnd, now: float, random: float, *, mine: bool = False) -> None:
        """Ask it again later, after a fetch that ended so; `mine`: our operator waits for it."""
        first_s, most_s = AGAIN_S[end]
        if end is RunEnd.HAS_NOT and (self.hinted or mine):
            first_s = SOON_S
        self.lied = self.lied or end is RunEnd.LIED
        self.wait_s = min(max(2 * self.wait_s, first_s), most_s)
        self.ask_at = now + self.wait_s * (1 + random / 4)

    def is_well(self) -> None:
        """It has delivered, or there is a new reason to ask it; a liar stays one."""
        if not self.lied:
            self.ask_at = self.wait_s = 0.0


@dataclass
class Run:
    """A fetch that is under way."""

    chunks: range
    """Which."""

    began: float
    """When."""

    heard_at: float
    """When the last chunk came."""

    def look_at(self, now: float) -> float:
        """Return when to look whether it has stalled."""
        slow_at = self.heard_at + SLOW_S
        if slow_at > now:
            return slow_at
        # One that was told to stop and has not yet is looked at again a little later.
        return max(now + 1.0, min(now + SLOW_S, self.heard_at + STALLED_S))


@dataclass
class Transfer:
    """A wanted blob and how far it is."""

    want: Want
    """What."""

    holders: dict[StationId, Holder] = field(default_factory=dict)
    """Who was asked or is to be."""

    runs: dict[StationId, Run] = field(default_factory=dict)
    """Who is sending."""

    state: str = "waiting"
    """waiting → looking → open → finishing; back to waiting where others need the room."""

    missing: set[int] | None = None
    """Chunks; None: not known, since the manifest is not here."""

    look_at: float = 0.0
    """Nobody need be sought before."""

    room_at: float = 0.0
    """The disk could not take it, and is not tried before."""

    told_at: float = -math.inf
    """When progress was told."""

    @property
    def have(self) -> int:
        """How many bytes are here, as far as is known."""
        return 0 if self.missing is None else max(0, self.want.size - len(self.missing) * CHUNK)

    def hint(self, source: StationId) -> None:
        """Somebody has it, likely."""
        hinted = sum(holder.hinted for holder in self.holders.values())
        holder = self.holders.setdefault(source, Holder())
        if not holder.hinted and hinted < MAX_SOURCES:
            holder.hinted, self.look_at = True, 0.0
            holder.is_well()  # it may have got it since it was asked

    def may_ask(self, peer: StationId, now: float) -> bool:
        """Tell whether a station with a session may be asked now."""
        holder = self.holders.get(peer)
        return peer not in self.runs and (holder is None or holder.ask_at <= now)

    def next_chunks(self, rate: float | None) -> range:
        """Choose chunks in a row that are missing and that nobody sends.

        `rate`: bytes a second of whom is to be asked, if they are known.
        """
        length = FIRST_RUN if rate is None else int(rate * RUN_S / CHUNK)
        length = max(1, min(length, MAX_RUN))
        if self.missing is None:
            return range(min(length, chunk_count(self.want.size)))
        fetched = [run.chunks for run in self.runs.values()]
        free = sorted(i for i in self.missing if not any(i in chunks for chunks in fetched))
        if not free:
            return range(0)
        end = free[0] + 1
        for index in free[1:length]:
            if index != end:
                break
            end += 1
        return range(free[0], end)
