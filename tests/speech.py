"""Natural speech as sound of calls, and how much of it arrived."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

RATE = 16_000

DATA = Path("/usr/share/pocketsphinx/test/data")
SHORT = DATA / "cards/005.wav"
"""3.5 s."""

LONG = DATA / "librivox/sense_and_sensibility_01_austen_64kb-0870.wav"
"""7.1 s."""

needs_speech = pytest.mark.skipif(
    not DATA.exists(), reason="Debian's pocketsphinx-testdata is not installed"
)


def samples(path: Path) -> NDArray[np.float64]:
    """The sound of a 16 or 48 kHz file, at 16 kHz."""
    with wave.open(str(path)) as file:
        rate = file.getframerate()
        sound = np.frombuffer(file.readframes(file.getnframes()), dtype=np.int16).astype(float)
    if rate == 3 * RATE:
        taps = np.sinc(np.arange(-48, 49) / 3) * np.hamming(97)
        sound = np.convolve(sound, taps / taps.sum(), "same")[::3].clip(-32_768, 32_767)
    return sound


def correlation(heard: NDArray[np.float64], said: NDArray[np.float64]) -> NDArray[np.float64]:
    """How well a sound fits in each place of another, as `np.correlate` says it, but soon."""
    size = 1 << (len(heard) + len(said)).bit_length()
    product = np.fft.rfft(heard, size) * np.fft.rfft(said, size).conj()
    fits = max(1, len(heard) - len(said) + 1)
    found: NDArray[np.float64] = np.fft.irfft(product, size)[:fits]
    return found


def quality(sent: Path, recorded: Path) -> float:
    """PESQ-WB of what was recorded, cut to where the sent sound is in it."""
    pesq = pytest.importorskip("pesq", reason="pesq could not be built here").pesq
    reference, heard = samples(sent), samples(recorded)
    lag = int(np.argmax(correlation(heard, reference)))
    heard = heard[lag : lag + len(reference)]
    return float(pesq(RATE, reference.astype(np.int16), heard.astype(np.int16), "wb"))


def silence(path: Path, seconds: float = 60.0) -> Path:
    """A file of silence, for a side that only listens."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(bytes(int(2 * RATE * seconds)))
    return path


def at_48_khz(clip: Path, path: Path) -> Path:
    """The clip at the rate of calls, so that playing it asks for no arithmetic."""
    spread = np.zeros(3 * len(samples(clip)))
    spread[::3] = samples(clip)
    taps = np.sinc(np.arange(-48, 49) / 3) * np.hamming(97)
    sound = np.convolve(spread, taps, "same").clip(-32_768, 32_767).astype(np.int16)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 3 * RATE, 0, "NONE", ""))
        file.writeframes(sound.tobytes())
    return path


def long_speech(path: Path, *, times: int) -> Path:
    """The long clip several times over."""
    with wave.open(str(LONG)) as clip, wave.open(str(path), "wb") as file:
        file.setparams(clip.getparams())
        frames = clip.readframes(clip.getnframes())
        for _ in range(times):
            file.writeframes(frames)
    return path
