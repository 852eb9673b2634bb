"""A tone for one side of a call, and how long it was missing at the other."""

from __future__ import annotations

import wave
from array import array
from pathlib import Path

RATE = 48_000
LOUDNESS = 3_000
HEARD = 500
"""Mean of absolute samples from which a frame has the tone in it."""

FRAME_S = 0.02
END_S = 0.3
"""At the end of a recording there may be nothing: who hangs up is not heard until the last."""


def tone_file(path: Path, seconds: float) -> str:
    """A square wave of 400 Hz."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        period = LOUDNESS.to_bytes(2, "little", signed=True) * 60
        rest = (-LOUDNESS).to_bytes(2, "little", signed=True) * 60
        file.writeframes((period + rest) * round(400 * seconds))
    return str(path)


def longest_silence_s(path: Path) -> float:
    """The longest time without the tone between its first and its last moment."""
    heard = _heard(path)
    if True not in heard:
        raise RuntimeError("the tone was never heard")
    longest = silent = 0
    for frame in heard[heard.index(True) :]:
        if frame:
            longest, silent = max(longest, silent), 0
        else:
            silent += 1
    return longest * FRAME_S


def heard_to_the_end(path: Path) -> bool:
    """Whether the tone was there in the last second before the call was ended."""
    frames = _heard(path)
    end = len(frames) - round(END_S / FRAME_S)
    return True in frames[max(0, end - round(1 / FRAME_S)) : max(0, end)]


def _heard(path: Path) -> list[bool]:
    """Of each frame of a recording, whether the tone is in it."""
    with wave.open(str(path)) as file:
        size = round(file.getframerate() * FRAME_S)
        samples = array("h", file.readframes(file.getnframes()))
    return [
        sum(map(abs, samples[start : start + size : 4])) * 4 > HEARD * size
        for start in range(0, len(samples) - size, size)
    ]
