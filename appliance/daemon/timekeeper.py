"""The daemon's clocks: monotonic, awake and wall."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Final

from appliance.adapters.time_sources import Fix, machine_clock, satellite_time
from appliance.model.identity import StationId
from appliance.model.record import Certainty
from appliance.node.beginnings import Now
from appliance.node.ports import Moment
from appliance.protocol.agreed_time import AgreedTime, OwnSource
from appliance.protocol.time_choice import is_believable
from appliance.protocol.time_claim import TimeClaim

AWAKE_VALUE: Final = "awake_ms"
"""Name of the store's value that holds how long this station has been running in all its life."""

LOOK_EVERY_S: Final = 30.0
"""How often the machine is asked for a source of time."""

SLEPT_S: Final = 0.5
"""A machine that has slept for less has not."""


class Timekeeper:
    """Says what time it is, in all the ways in which that is asked."""

    def __init__(self, awake_before_s: float) -> None:
        self._started = time.monotonic()
        self._awake_before_s = awake_before_s
        self._agreed = AgreedTime()
        self._slept_s = _even() - self._started
        """How long this machine has slept since it was switched on."""
        self._woke_at = -math.inf
        self.changed: Callable[[], None] = lambda: None
        """Called when the time comes from somewhere else than before."""
        self._told = ""
        self._looked(_machine_error_s(), None)

    def now(self) -> Now:
        """Return the time of an input."""
        monotonic = time.monotonic()
        uptime = monotonic - self._started
        return Now(monotonic, uptime, self.moment(monotonic))

    def moment(self, monotonic: float | None = None) -> Moment:
        """Return the time of something that is remembered or shown."""
        monotonic = time.monotonic() if monotonic is None else monotonic
        reading = self._agreed.read(time.time(), self._even_now())
        return Moment(
            wall_ms=max(int(reading.wall_s * 1000), 0),
            sure=reading.certainty is not Certainty.UNSET,
            awake_s=self._awake_before_s + monotonic - self._started,
            agreed=reading.certainty is Certainty.PEERS,
        )

    def wall_ms_at(self, monotonic: float) -> int:
        """Return what our wall clock showed, or would have, at a monotonic moment."""
        now = time.monotonic()
        return max(self.moment(now).wall_ms - int((now - monotonic) * 1000), 0)

    @property
    def source(self) -> str:
        """Where the time comes from, in words."""
        return self._agreed.read(time.time(), self._even_now()).words

    def off_s(self, peer: StationId) -> float | None:
        """Return how far the clock of a station's machine is ahead of our time, if it said so."""
        even = self._even_now()
        theirs = self._agreed.clock_of(peer, even)
        return None if theirs is None else theirs - self._agreed.read(time.time(), even).wall_s

    # -- What others say

    def tell(self) -> TimeClaim:
        """Return what to answer to a ping."""
        return self._agreed.tell(time.time(), self._even_now())

    def heard(self, peer: StationId, claim: TimeClaim, round_trip_s: float) -> None:
        """Take what a station has just answered to a ping."""
        even = self._even_now()
        # A session's clock stands still while we sleep: the answer may have waited all the while.
        if time.monotonic() - round_trip_s > self._woke_at:
            self._agreed.heard(peer, claim, round_trip_s, even)
            self._note()

    # -- What the machine has

    async def keep_looking(self) -> None:
        """Ask the machine for sources of time now and then."""
        while True:
            error_s = _machine_error_s()
            self._looked(error_s, await satellite_time() if error_s is None else None)
            await asyncio.sleep(LOOK_EVERY_S)

    def _looked(self, error_s: float | None, fix: Fix | None) -> None:
        even = self._even_now()
        source = None
        if error_s is not None:
            source = OwnSource(None, error_s, gps=False)
        elif fix is not None:
            source = OwnSource(fix.wall_s - even, fix.error_s, gps=True)
        self._agreed.looked(source, even)
        self._note()

    def _note(self) -> None:
        source = self.source
        if source != self._told:
            self._told = source
            self.changed()

    def _even_now(self) -> float:
        even, monotonic = _even(), time.monotonic()
        if even - monotonic - self._slept_s > SLEPT_S:
            self._slept_s = even - monotonic
            self._woke_at = monotonic
            self._agreed.slept()
        return even


def _machine_error_s() -> float | None:
    """Return how far the machine's clock may be off; None: it is not kept right.

    What keeps it may itself be wrong: a router that has lost its clock serves the year 1970.
    """
    return machine_clock() if is_believable(time.time()) else None


def _even() -> float:
    """Return seconds that run evenly and that nobody can set, the machine's sleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
