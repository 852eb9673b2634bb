"""The daemon's clocks: monotonic, awake and wall."""

from __future__ import annotations

import ctypes
import time
from pathlib import Path
from typing import Final

from appliance.node.beginnings import Now
from appliance.node.ports import Moment

AWAKE_VALUE: Final = "awake_ms"
"""Name of the store's value that holds how long this station has been running in all its life."""

_SYNC_MARK: Final = Path("/run/systemd/timesync/synchronized")
_STA_UNSYNC: Final = 0x40
"""adjtimex(2): the clock is not synchronised."""

_TIMEX_SIZE: Final = 208
_STATUS_OFFSET: Final = 40
_CHECK_EVERY_S: Final = 30.0


class Timekeeper:
    """Says what time it is, in all the ways in which that is asked."""

    def __init__(self, awake_before_s: float) -> None:
        self._started = time.monotonic()
        self._awake_before_s = awake_before_s
        self._sure = False
        self._checked: float | None = None

    def now(self) -> Now:
        """Return the time of an input."""
        monotonic = time.monotonic()
        uptime = monotonic - self._started
        return Now(monotonic, uptime, self.moment(monotonic))

    def moment(self, monotonic: float | None = None) -> Moment:
        """Return the time of something that is remembered or shown."""
        monotonic = time.monotonic() if monotonic is None else monotonic
        return Moment(
            wall_ms=max(time.time_ns() // 1_000_000, 0),
            sure=self._is_sure(monotonic),
            awake_s=self._awake_before_s + monotonic - self._started,
        )

    def wall_ms_at(self, monotonic: float) -> int:
        """Return what our wall clock showed, or would have, at a monotonic moment."""
        return max(time.time_ns() // 1_000_000 - int((time.monotonic() - monotonic) * 1000), 0)

    def _is_sure(self, monotonic: float) -> bool:
        if self._checked is None or monotonic - self._checked > _CHECK_EVERY_S:
            self._checked = monotonic
            self._sure = clock_is_synchronised()
        return self._sure


def clock_is_synchronised() -> bool:
    """Tell whether the kernel says that something keeps its clock right (adjtimex(2))."""
    if _SYNC_MARK.exists():
        return True
    timex = ctypes.create_string_buffer(_TIMEX_SIZE)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.adjtimex(timex) < 0:
        return False
    status = int.from_bytes(timex.raw[_STATUS_OFFSET : _STATUS_OFFSET + 4], "little")
    return not status & _STA_UNSYNC
