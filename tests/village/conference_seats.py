"""Operators in a conference: each hums a tone of his own, so that all can be told from all."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from seats import Seat, eventually
from speech import RATE, samples

from appliance.api.errors import RequestError
from appliance.api.schema import CallInfo

TONES_HZ = dict(zip("abcd", (400.0, 700.0, 1_100.0, 1_700.0), strict=True))
"""What each of them says: a hum that can be told from the others while all hum at once."""

PIECE = RATE // 10

HEARD, UNHEARD = 400.0, 100.0
"""Amplitude of a hum in a recording; each says it with 4,000."""


def hum(name: str, folder: Path) -> Path:
    """45 s of somebody's hum, which swells four times a second as speech does."""
    at = np.arange(45 * 48_000) / 48_000  # the rate of calls: playing it asks for no arithmetic
    sound = np.sin(2 * np.pi * TONES_HZ[name] * at) * (3_000 + 1_000 * np.sin(8 * np.pi * at))
    path = folder / f"{name}-says.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 48_000, 0, "NONE", ""))
        file.writeframes(sound.astype(np.int16).tobytes())
    return path


def loudness(sound: NDArray[np.float64], tone_hz: float) -> float:
    """Amplitude of a hum, in pieces of 0.1 s: a jitter buffer stretches what is longer."""
    pieces = sound[: len(sound) // PIECE * PIECE].reshape(-1, PIECE)
    window = np.hanning(PIECE)
    wave_ = np.exp(-2j * np.pi * tone_hz * np.arange(PIECE) / RATE) * window
    return float(np.median(2 * np.abs(pieces @ wave_)) / np.sum(window))


def who_is_heard(recorded: Path, *, begin: float) -> str:
    """Whose hum is in a second of a recording, from so many seconds before its end."""
    sound = samples(recorded)[int(begin * RATE) :][:RATE]
    heard = ""
    for name, tone_hz in TONES_HZ.items():
        amplitude = loudness(sound, tone_hz)
        assert not UNHEARD < amplitude < HEARD, f"{recorded.name}: {name} at {amplitude:.0f}"
        heard += name if amplitude >= HEARD else ""
    return heard


async def together(seat: Seat, focus: Seat, everybody: list[Seat]) -> CallInfo | None:
    """A call of the conference, if just these are in it and one mixes."""
    for call in await seat.client.calls():
        room = call.conference
        if call.state != "talking" or room is None or room.searching or room.focus != focus.id:
            continue
        if {m.station for m in room.members if m.state == "in"} == {one.id for one in everybody}:
            return call
    return None


async def all_talk(seat: Seat, focus: Seat, everybody: list[Seat]) -> bool:
    """Whether who mixes hears each of them, as somebody is told once a second."""
    call = await together(seat, focus, everybody)
    room = call.conference if call is not None else None
    return room is not None and all(m.talking for m in room.members if m.state == "in")


async def leave(seat: Seat) -> None:
    """Hang up; of the last two, one may have done it for both."""
    running = await seat.call_in("talking")
    if running is None:
        return
    try:
        await seat.client.hang_up(running.id)
    except RequestError as error:
        if error.status != 409:
            raise


async def over(seat: Seat) -> bool:
    return all(call.state == "ended" for call in await seat.client.calls())


async def join(focus: Seat, other: Seat, folder: Path, name: str) -> None:
    """Have another one added to the call of who mixes, and answer."""
    running = await focus.call_in("talking")
    assert running is not None
    await focus.client.add_to_call(running.id, other.id)
    ringing = await eventually(other.ringing)
    assert ringing is not None
    said, heard = hum(name, folder), folder / f"{name}.wav"
    await other.client.answer(ringing.id, play=str(said), record=str(heard))
