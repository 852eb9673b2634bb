"""How speech that went through a call compares with what was said: PESQ-WB, STOI, delay."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from _clips import RATE, Script, Sound

SEARCH_S = 1.5
"""A clip is looked for this much before and behind where it should be."""

LOWEST_PESQ = 1.0
"""Of what has no speech in it at all; PESQ-WB ends at 1.02."""

STOI_RATE = 10_000
STOI_FRAME = 256
STOI_BANDS = 15
STOI_FROM_HZ = 150
STOI_SEGMENT = 30
STOI_RANGE_DB = 40.0
STOI_CLIP_DB = -15.0
"""As in Taal, Hendriks, Heusdens, Jensen: "An algorithm for intelligibility prediction of
time-frequency weighted noisy speech", IEEE TASLP 19(7), 2011, section II."""


@dataclass(frozen=True)
class Score:
    """Of one clip."""

    pesq: float
    """PESQ-WB (P.862.2), 1.0 to 4.64."""

    stoi: float
    """Short-time objective intelligibility, 0 to 1."""

    lag_s: float
    """By how much it was heard later than its place in what was said."""


def scores(said: Script, heard: Sound, *, begun_s: float, pace: float = 1.0) -> list[Score]:
    """Of each clip; ``begun_s``: the moment at which the script began, counted from the beginning
    of what was heard; ``pace``: how fast the clock of who spoke ran."""
    found = []
    for begin, end in said.clips:
        clip = said.sound[begin:end]
        due_s = begun_s + begin / RATE / pace
        at = max(0, round((due_s - SEARCH_S) * RATE))
        piece = heard[at : at + len(clip) + round(2 * SEARCH_S * RATE)]
        piece = np.concatenate([piece, np.zeros(max(0, len(clip) + 1 - len(piece)))])
        place = find(clip, piece)
        lag_s = (at + place) / RATE - due_s
        piece = piece[place : place + len(clip)]
        piece = np.concatenate([piece, np.zeros(len(clip) - len(piece))])
        found.append(Score(quality(clip, piece), intelligibility(clip, piece), lag_s))
    return found


def find(clip: Sound, heard: Sound) -> int:
    """Where the clip is in what was heard, by cross correlation."""
    size = 1 << (len(heard) + len(clip)).bit_length()
    both = np.fft.irfft(np.fft.rfft(heard, size) * np.fft.rfft(clip, size).conj(), size)
    return int(np.argmax(both[: max(1, len(heard) - len(clip) + 1)]))


def quality(clip: Sound, heard: Sound) -> float:
    """PESQ-WB; the least there is where nothing was heard."""
    if not np.any(np.abs(heard) > 1):
        return LOWEST_PESQ
    # Has no wheels, and what else is in here does without it.
    from pesq import NoUtterancesError, pesq

    try:
        return float(pesq(RATE, clip.astype(np.int16), heard.astype(np.int16), "wb"))
    except NoUtterancesError:
        return LOWEST_PESQ


def intelligibility(clip: Sound, heard: Sound) -> float:
    """STOI of speech and what became of it, of the same length at 16 kHz."""
    x, y = _at_10_khz(clip), _at_10_khz(heard)
    x, y = _without_silence(x, y)
    bands = _bands()
    first, second = (np.sqrt(bands @ np.abs(_spectra(sound)).T ** 2) for sound in (x, y))
    count = first.shape[1] - STOI_SEGMENT + 1
    if count < 1:
        raise ValueError("speech of less than 0.4 s has no STOI")
    total = 0.0
    limit = 1 + 10 ** (-STOI_CLIP_DB / 20)
    for start in range(count):
        a = first[:, start : start + STOI_SEGMENT]
        b = second[:, start : start + STOI_SEGMENT]
        scale = np.linalg.norm(a, axis=1) / (np.linalg.norm(b, axis=1) + 1e-12)
        b = np.minimum(b * scale[:, None], a * limit)
        a = a - a.mean(axis=1, keepdims=True)
        b = b - b.mean(axis=1, keepdims=True)
        norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1) + 1e-12
        total += float(np.mean(np.sum(a * b, axis=1) / norms))
    return float(total / count)


def _at_10_khz(sound: Sound) -> Sound:
    """By its spectrum, since 10 is no part of 16."""
    size = len(sound) * STOI_RATE // RATE
    return np.fft.irfft(np.fft.rfft(sound)[: size // 2 + 1], size) * size / len(sound)


def _frames(sound: Sound) -> Sound:
    window = np.hanning(STOI_FRAME + 2)[1:-1]
    view = np.lib.stride_tricks.sliding_window_view(sound, STOI_FRAME)[:: STOI_FRAME // 2]
    return np.asarray(view * window)


def _spectra(sound: Sound) -> Sound:
    return np.asarray(np.fft.rfft(_frames(sound), 2 * STOI_FRAME))


def _without_silence(x: Sound, y: Sound) -> tuple[Sound, Sound]:
    """Only the frames in which the speech is within 40 dB of its loudest."""
    ours, theirs = _frames(x), _frames(y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the logarithm of digital silence
        energy = 20 * np.log10(np.linalg.norm(ours, axis=1))
    kept = energy > energy.max() - STOI_RANGE_DB
    return _overlapped(ours[kept]), _overlapped(theirs[kept])


def _overlapped(frames: Sound) -> Sound:
    half = STOI_FRAME // 2
    sound = np.zeros((len(frames) + 1) * half)
    for number, frame in enumerate(frames):
        sound[number * half : number * half + STOI_FRAME] += frame
    return sound


def _bands() -> Sound:
    """Which lines of a spectrum are in which third of an octave."""
    lines = np.linspace(0, STOI_RATE, 2 * STOI_FRAME + 1)[: STOI_FRAME + 1]
    bands = np.zeros((STOI_BANDS, len(lines)))
    for number in range(STOI_BANDS):
        low, high = (STOI_FROM_HZ * 2 ** ((2 * number + side) / 6) for side in (-1, 1))
        first, last = (int(np.argmin((lines - edge) ** 2)) for edge in (low, high))
        bands[number, first:last] = 1
    return bands
