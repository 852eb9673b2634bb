"""What to believe of what stations say about the time: the rules of `agreed_time`.

Offsets are wall time less our even time, in seconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from appliance.model.identity import StationId

STALE_S: Final = 300.0
"""What somebody said this long ago counts no more: eight pings, where they are rarest."""

MAX_HOPS: Final = 15
"""RFC 5905 section 7.3: stratum 16 is unsynchronised."""

MAX_ERROR_S: Final = 10.0
"""A time that may be further off is not handed on, and is not sure.  People write down minutes."""

DRIFT: Final = 100e-6
"""Seconds a second; boards' crystals are within 50e-6, and a few are not."""

CLOCKS_WITHIN_S: Final = 300.0
"""Clocks without a source that show the same: a good one is off by a minute after a month."""

CLOCKS: Final = 3
"""So many, ours included, for a majority to mean something."""

HOLD_CLOCKS_S: Final = 24 * 3600.0
"""How long what clocks agreed on is held when they are gone."""

EARLIEST_S: Final = 1_780_000_000.0
"""May 2026: a clock before this was never set."""

LATEST_S: Final = EARLIEST_S + 50 * 365.25 * 86_400
"""No clock shows this by an honest mistake, and calendars have an end."""


@dataclass(frozen=True)
class Heard:
    """What one station said.  Offsets are wall time less our even time, in seconds."""

    station: StationId
    """Who."""

    at: float
    """When."""

    clock: float
    """Of its machine's clock."""

    source: float = 0.0
    """Of the time that it has from a source."""

    error_s: float = math.inf
    """How far that may be off, the way here included."""

    hops: int = MAX_HOPS
    """How far the source is from it; `MAX_HOPS`: it has none."""

    gps: bool = False
    """The source is a satellite."""

    @property
    def has_source(self) -> bool:
        """Tell whether it has a time that is worth something."""
        believable = is_believable(self.at + self.source)
        return self.hops < MAX_HOPS and self.error_s <= MAX_ERROR_S and believable


@dataclass(frozen=True)
class Held:
    """What we go by."""

    offset: float
    """Wall time less our even time, in seconds."""

    since: float
    """When it was taken."""

    heard_at: float
    """When somebody last said the same."""

    error_s: float
    """How far it may have been off when it was taken."""

    hops: int | None
    """How far the source is from us; None: it is what most clocks show."""

    gps: bool
    """The source is a satellite."""

    stations: frozenset[StationId]
    """Who says the same."""

    follows_machine: bool = False
    """The machine's clock is kept right, and is what we go by."""

    def error_at(self, now: float) -> float:
        """Return how far it may be off by now."""
        return self.error_s + DRIFT * (now - self.since)

    def holds(self, now: float) -> bool:
        """Tell whether it still says something."""
        if self.hops is None:
            return now - self.heard_at <= HOLD_CLOCKS_S
        return self.error_at(now) <= MAX_ERROR_S

    def words(self, now: float) -> str:
        """Say where it comes from."""
        origin = "GPS" if self.gps else "NTP"
        if self.hops is None:
            text = f"clock agreed with {_stations(len(self.stations))}"
        elif self.hops == 0:
            text = f"clock from {origin}"
        else:
            text = f"clock from {origin}, {_stations(self.hops)} away"
        quiet_s = now - self.heard_at
        return text if quiet_s <= STALE_S else f"{text}, {quiet_s / 60:.0f} min ago"


def _stations(count: int) -> str:
    return f"{count} station{'' if count == 1 else 's'}"


def is_believable(wall_s: float) -> bool:
    """Tell whether somebody may have set a clock to this time."""
    return EARLIEST_S <= wall_s <= LATEST_S


def choose(held: Held | None, found: Held | None, now: float) -> Held | None:
    """Stay with what we go by, or take what was found."""
    if held is None or found is None:
        return held or found
    if (held.hops is None) != (found.hops is None):
        return held if found.hops is None else found
    apart = abs(found.offset - held.offset)
    if found.hops is None:
        if apart <= CLOCKS_WITHIN_S:
            # Else each clock that comes and goes would move it.
            return replace(held, heard_at=found.heard_at, stations=found.stations)
        return found
    if apart <= 2 * MAX_ERROR_S:
        if held.error_at(now) <= found.error_at(now):
            return replace(held, heard_at=found.heard_at, stations=found.stations)
        return found
    if len(found.stations) == 1 and not found.stations & held.stations:
        return held  # one alone that was never with us, and says something else than a source did
    return found


def _groups(offsets: Sequence[float], within_s: float) -> list[range]:
    """Return the runs of ascending offsets that lie within so much of each other, longest ones."""
    found: list[range] = []
    end = 0
    for start, first in enumerate(offsets):
        before = end
        while end < len(offsets) and offsets[end] - first <= within_s:
            end += 1
        if end > before:
            found.append(range(start, end))
    return found


def from_sources(
    fresh: Sequence[Heard], machine: float, held: Held | None, now: float
) -> Held | None:
    """Take what the largest number of stations with a source agree on."""
    said = sorted((one for one in fresh if one.has_source), key=lambda one: one.source)
    if not said:
        return None
    bystanders = [(machine, None)] + [
        (one.clock, one.station) for one in fresh if not one.has_source
    ]

    def weight(group: range) -> tuple[int, int, bool, int]:
        middle = said[group[(len(group) - 1) // 2]].source
        return (
            len(group),
            sum(abs(clock - middle) <= CLOCKS_WITHIN_S for clock, _ in bystanders),
            held is not None and abs(held.offset - middle) <= 2 * MAX_ERROR_S,
            -min(said[place].hops for place in group),
        )

    best = max(_groups([one.source for one in said], 2 * MAX_ERROR_S), key=weight)
    middle = said[best[(len(best) - 1) // 2]]
    witnesses = [
        station
        for clock, station in bystanders
        if station is not None and abs(clock - middle.source) <= CLOCKS_WITHIN_S
    ]
    return Held(
        offset=middle.source,
        since=middle.at,
        heard_at=max(said[place].at for place in best),
        error_s=middle.error_s,
        hops=1 + min(said[place].hops for place in best),
        gps=middle.gps,
        stations=frozenset([*(said[place].station for place in best), *witnesses]),
    )


def from_clocks(fresh: Sequence[Heard], machine: float, now: float) -> Held | None:
    """Take what more than half of the clocks show, those left out that were never set."""
    if len(fresh) + 1 < CLOCKS:
        return None
    clocks: list[tuple[float, Heard | None]] = [(machine, None)]
    clocks += [(one.clock, one) for one in fresh]
    clocks = sorted((one for one in clocks if is_believable(now + one[0])), key=lambda one: one[0])
    groups = _groups([offset for offset, _ in clocks], CLOCKS_WITHIN_S)
    best = max(groups, key=len, default=range(0))
    if len(best) < CLOCKS - 1 or 2 * len(best) <= len(clocks):
        return None
    agreeing = [one for place in best if (one := clocks[place][1]) is not None]
    return Held(
        offset=clocks[best[(len(best) - 1) // 2]][0],
        since=now,
        heard_at=max(one.at for one in agreeing),
        error_s=0.0,
        hops=None,
        gps=False,
        stations=frozenset(one.station for one in agreeing),
    )
