"""What keeps the time on this machine: the kernel's word on its clock, and GPS by gpsd.

Both are believed: a program of this machine that takes gpsd's port in its place sets the time that
this station shows.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Final

GPSD_HOST: Final = "127.0.0.1"
GPSD_PORT: Final = 2947
"""gpsd(8)."""

WATCH: Final = b'?WATCH={"enable":true,"json":true};\n'
"""gpsd_json(5): send what there is as it comes."""

ANSWER_S: Final = 3.0
"""For a report with a time: receivers have one a second."""

MAX_LINE: Final = 10 * 1024
"""Bytes; gpsd's own longest line."""

MAX_LINES: Final = 200
"""Reports between two that say the time: one for each satellite system and second at most."""

FIX_ERROR_S: Final = 1.0
"""The report comes up to so long after the second that it names."""

MODE_2D: Final = 2
"""gpsd_json(5), TPV: from here on there is a fix."""

_STA_UNSYNC: Final = 0x40
"""adjtimex(2): the clock is not synchronised."""

_TIMEX_SIZE: Final = 208
_MAX_ERROR: Final = slice(24, 32)
_STATUS: Final = slice(40, 44)
"""struct timex of 64-bit Linux; the error is in microseconds."""


@dataclass(frozen=True)
class Fix:
    """A time from satellites, just now."""

    wall_s: float
    """Seconds since 1970."""

    error_s: float
    """How far it may be off."""


def machine_clock() -> float | None:
    """Return how far the machine's clock may be off, in seconds; None: nothing keeps it right."""
    timex = ctypes.create_string_buffer(_TIMEX_SIZE)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.adjtimex(timex) < 0:
        return None
    status = int.from_bytes(timex.raw[_STATUS], "little")
    if status & _STA_UNSYNC:
        return None
    return int.from_bytes(timex.raw[_MAX_ERROR], "little") / 1e6


async def satellite_time(host: str = GPSD_HOST, port: int = GPSD_PORT) -> Fix | None:
    """Ask gpsd for the time; None: there is no gpsd, no receiver or no fix."""
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(ANSWER_S):
            reader, writer = await asyncio.open_connection(host, port, limit=MAX_LINE)
            writer.write(WATCH)
            for _ in range(MAX_LINES):
                line = await reader.readline()
                if not line:
                    return None
                wall_s = time_of_report(line)
                if wall_s is not None:
                    return Fix(wall_s, FIX_ERROR_S)
    except (OSError, TimeoutError, ValueError):
        # Whoever listens there may be no gpsd: a line that is too long is a ValueError.
        return None
    finally:
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(ANSWER_S):
                    await writer.wait_closed()
    return None


def time_of_report(line: bytes) -> float | None:
    """Return the time in a report of gpsd, in seconds since 1970; None where it has none."""
    try:
        report = json.loads(line)
        if type(report) is not dict or report.get("class") != "TPV":
            return None
        mode, text = report.get("mode"), report.get("time")
        if type(mode) is not int or mode < MODE_2D or type(text) is not str:
            return None
        moment = datetime.fromisoformat(text)
        return moment.timestamp() if moment.tzinfo is not None else None
    except (ValueError, OverflowError, RecursionError):
        return None
