"""Natural speech for the benches of calls: two readers, out of Debian's packages.

A script is what one side says: some speech while both ends adapt, then the clips that are scored,
with pauses as people make them. All of it is 16 kHz, as PESQ-WB wants, and is played at 48 kHz.
"""

from __future__ import annotations

import ctypes
import wave
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Sound = NDArray[np.float64]

RATE = 16_000
CALL_RATE = 48_000

LIBRIVOX = Path("/usr/share/pocketsphinx/test/data/librivox")
"""Debian's pocketsphinx-testdata."""

PROMPTS = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
"""Debian's asterisk-core-sounds-en-g722."""

LEVEL = 1_640.0
"""Root mean square of each piece: -26 dB full scale, the level that speech is tested at (P.56)."""

QUIET_S = 0.3
"""Of silence before the script begins."""

PAUSE_S = 0.5
"""Between two clips."""

ADAPT_S = 5.0
"""Speech before the first clip that is scored; whoever adapts has this long."""

END_S = 0.6
"""Of silence behind the last clip, so that all of it is heard before the call ends."""


@dataclass(frozen=True)
class Script:
    """What is said, and where the clips are in it."""

    sound: Sound
    """16 kHz."""

    clips: tuple[tuple[int, int], ...]
    """Begin and end of each scored clip, in samples."""

    @property
    def seconds(self) -> float:
        """How long it takes to say."""
        return len(self.sound) / RATE

    def write(self, path: Path) -> Path:
        """As a file of 48 kHz, so that playing it asks for no arithmetic."""
        return _written(path, to_48_khz(self.sound).astype("<i2").tobytes())

    def silent(self, path: Path) -> Path:
        """A file as long, for who listens."""
        return _written(path, bytes(6 * len(self.sound)))


def _written(path: Path, pcm: bytes) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, CALL_RATE, 0, "NONE", ""))
        file.writeframes(pcm)
    return path


@cache
def script(clips: int = 3) -> Script:
    """The first of the clips, in an order in which the two readers take turns."""
    pieces = [np.zeros(round(QUIET_S * RATE)), _prompt("demo-abouttotry", 0, ADAPT_S)]
    where = []
    for clip in _clips()[:clips]:
        pieces.append(np.zeros(round(PAUSE_S * RATE)))
        begin = sum(map(len, pieces))
        where.append((begin, begin + len(clip)))
        pieces.append(clip)
    pieces.append(np.zeros(round(END_S * RATE)))
    return Script(np.concatenate(pieces), tuple(where))


def _clips() -> list[Sound]:
    return [
        _read("0870"),
        _prompt("demo-congrats", 0, 8.0),
        _read("0920"),
        _prompt("demo-instruct", 0, 8.0),
        np.concatenate([_read("0880"), _read("0890")]),
        _prompt("basic-pbx-ivr-main", 0, 8.0),
    ]


def _read(number: str) -> Sound:
    return _levelled(samples(LIBRIVOX / f"sense_and_sensibility_01_austen_64kb-{number}.wav"))


def _prompt(name: str, begin_s: float, seconds: float) -> Sound:
    """A part of one of Asterisk's announcements (G.722 of 64 kbit/s), by Debian's libspandsp2."""
    data = (PROMPTS / f"{name}.g722").read_bytes()
    library = ctypes.CDLL("libspandsp.so.2")
    library.g722_decode_init.restype = ctypes.c_void_p
    library.g722_decode_init.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
    library.g722_decode.argtypes = [
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_char_p,
        ctypes.c_int,
    ]
    state = library.g722_decode_init(None, 64_000, 0)
    decoded = np.zeros(2 * len(data) + 64, dtype=np.int16)
    size = library.g722_decode(state, decoded.ctypes.data, data, len(data))
    begin = round(begin_s * RATE)
    return _levelled(decoded[:size][begin : begin + round(seconds * RATE)].astype(float))


def _levelled(sound: Sound) -> Sound:
    level = float(np.sqrt(np.mean(sound**2)))
    return np.clip(sound * LEVEL / level, -32_768, 32_767)


def samples(path: Path, channel: int = 0) -> Sound:
    """One channel of a file of 16 or 48 kHz, at 16 kHz."""
    with wave.open(str(path)) as file:
        channels, rate = file.getnchannels(), file.getframerate()
        data = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    sound = data[channel::channels].astype(float)
    return to_16_khz(sound) if rate == CALL_RATE else sound


def _low_pass() -> Sound:
    taps = np.sinc(np.arange(-48, 49) / 3) * np.hamming(97)
    return np.asarray(taps / taps.sum())


def to_16_khz(sound: Sound) -> Sound:
    """Every third sample of what is left below 8 kHz."""
    if not len(sound):
        return sound
    return np.clip(np.convolve(sound, _low_pass(), "same")[::3], -32_768, 32_767)


def to_48_khz(sound: Sound) -> Sound:
    """Two samples between each two."""
    spread = np.zeros(3 * len(sound))
    spread[::3] = 3 * sound
    return np.clip(np.convolve(spread, _low_pass(), "same"), -32_768, 32_767)
