"""What came out at the far end of a call, and when: from files that grow as they are recorded."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from _clips import CALL_RATE, Sound, to_16_khz

LOOK_S = 0.001
WATCH_S = 3.0
"""Of a file's growth; its beginning is known to a millisecond by then."""

FRAME_S = 0.02
"""What all write at once."""


@dataclass(frozen=True)
class Heard:
    """Of one call."""

    sound: Sound
    """At 16 kHz, what the ear got."""

    begun_s: float
    """When the mouth began to say the script, on the time of `sound`; seldom exactly known."""


class System(Protocol):
    """Something that calls, with one end in each of two stations."""

    name: str

    tag_bytes: int
    """At the end of each RTP payload, for authentication."""

    async def start(self, *, drift: dict[str, str]) -> None:
        """Get ready; ``drift`` is put into the environment of who speaks."""

    async def call(self, talk_s: float) -> Heard:
        """Call, say the script, hang up."""

    async def stop(self) -> None:
        """End all that was started."""


def drifting(library: Path, ppm: float) -> dict[str, str]:
    """The environment of a program whose clocks run fast from now on."""
    return {
        "LD_PRELOAD": str(library),
        "DRIFT_PPM": f"{ppm:.0f}",
        "DRIFT_FROM_NS": str(time.monotonic_ns()),
    }


def true_time(at_s: float, drift: dict[str, str]) -> float:
    """What our monotonic clock said when that program's said something."""
    if not drift:
        return at_s
    since_s = int(drift["DRIFT_FROM_NS"]) / 1e9
    return since_s + (at_s - since_s) / (1 + int(drift["DRIFT_PPM"]) / 1e6)


def begin_of(growth: list[tuple[float, int]], bytes_per_s: int) -> float:
    """When the first sample was due, from when how many bytes were there.

    Nothing is written before its time, so the earliest says most.

    >>> begin_of([(10.021, 192), (10.040, 384), (10.065, 576)], 9600)
    10.0
    """
    return round(min(at - size / bytes_per_s for at, size in growth), 6)


def growth(path: Path, *, header: int, within_s: float) -> list[tuple[float, int]]:
    """Moments at which a file got longer, and its bytes of sound, from its beginning on.

    Blocks meanwhile. Raises TimeoutError.
    """
    seen: list[tuple[float, int]] = []
    deadline = time.monotonic() + within_s
    size = header
    while not seen or time.monotonic() < seen[0][0] + WATCH_S:
        try:
            now, found = time.monotonic(), path.stat().st_size
        except FileNotFoundError:
            found = 0
        if found > size:
            size = found
            seen.append((now, found - header))
        if not seen and time.monotonic() > deadline:
            raise TimeoutError(f"{path.name} did not begin")
        time.sleep(LOOK_S)
    return seen


def recorded(path: Path) -> tuple[Sound, int, int]:
    """A WAV file, also one that was not completed, at 16 kHz; its channels and header's length."""
    data = path.read_bytes()
    at = data.index(b"data") + 8
    channels = int.from_bytes(data[22:24], "little")
    rate = int.from_bytes(data[24:28], "little")
    if data[:4] != b"RIFF" or data[34:36] != b"\x10\x00" or rate != CALL_RATE:
        raise ValueError(f"{path.name} is no recording of 48 kHz and 16 bit")
    body = data[at : len(data) - (len(data) - at) % (2 * channels)]
    sound = np.frombuffer(body, dtype="<i2")[::channels].astype(float)
    return to_16_khz(sound), channels, at
