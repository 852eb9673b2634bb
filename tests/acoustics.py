"""A room that is computed: what a microphone hears of a loudspeaker, and how much of it is left."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from speech import RATE, samples

Sound = NDArray[np.float64]

CARD_RATE = 48_000


def at_card_rate(sound: Sound) -> Sound:
    """A sound of 16 kHz at the rate of sound cards."""
    return resampled(sound, 3 * len(sound))


def resampled(sound: Sound, size: int) -> Sound:
    """The same sound in another number of samples (by its spectrum, exactly)."""
    spectrum = np.zeros(size // 2 + 1, dtype=complex)
    ours = np.fft.rfft(sound)[: len(spectrum)]
    spectrum[: len(ours)] = ours
    return np.fft.irfft(spectrum, size) * size / len(sound)


def speech(path: Path, *, peak: float, times: int = 1) -> Sound:
    """A clip at 48 kHz, several times over; ``peak`` is of 32,768."""
    sound = at_card_rate(samples(path))
    return np.tile(sound / np.abs(sound).max() * peak, times)


def room(seed: int, *, reverberation_s: float) -> Sound:
    """An impulse response: the direct sound, and an exponential tail of noise."""
    moments = np.arange(CARD_RATE // 4) / CARD_RATE
    tail = np.random.default_rng(seed).standard_normal(len(moments)) * 0.012
    response = tail * 10 ** (-3 * moments / reverberation_s)
    response[0] = 0.25
    return response


def echo(far: Sound, response: Sound) -> Sound:
    """What of the loudspeaker's sound arrives."""
    size = 1 << (len(far) + len(response)).bit_length()
    product = np.fft.rfft(far, size) * np.fft.rfft(response, size)
    return np.fft.irfft(product, size)[: len(far)]


def power_db(sound: Sound) -> float:
    """Mean power; 90 is full scale."""
    return float(10 * np.log10(np.mean(sound**2) + 1e-9))


def pesq(reference: Sound, heard: Sound) -> float:
    """PESQ-WB of two sounds of 48 kHz that lie over each other."""
    measure = pytest.importorskip("pesq", reason="pesq could not be built here").pesq
    pair = [
        resampled(sound, len(sound) // 3).clip(-32_768, 32_767).astype(np.int16)
        for sound in (reference, heard)
    ]
    return float(measure(RATE, pair[0], pair[1], "wb"))


def frames(sound: Sound) -> list[bytes]:
    """20 ms each, as sound cards give them."""
    whole = sound.clip(-32_768, 32_767).astype(np.int16)
    return [whole[begin : begin + 960].tobytes() for begin in range(0, len(whole) - 959, 960)]


def joined(pieces: list[bytes]) -> Sound:
    """The other way round."""
    return np.frombuffer(b"".join(pieces), dtype=np.int16).astype(float)
