"""Four real daemons in a conference: all hear all, and go on when whoever mixes is killed."""

from __future__ import annotations

import asyncio
import time
import wave
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from seats import Seat, eventually, meet, talk
from speech import RATE, samples

from appliance.api.schema import CallInfo
from appliance.village.village import Village

pytestmark = [pytest.mark.village, pytest.mark.usefixtures("may_make_namespaces")]

NAMES = "abcd"
TONES_HZ = dict(zip(NAMES, (400.0, 700.0, 1_100.0, 1_700.0), strict=True))
"""What each of them says: a hum that can be told from the others while all hum at once."""

PIECE = RATE // 10
TAKEN_OVER_S = 5.0
LISTEN_S = 3.0
HEARD, UNHEARD = 400.0, 100.0
"""Amplitude of a hum in a recording; each says it with 4,000."""


@pytest.fixture
async def four(tmp_path: Path) -> AsyncIterator[dict[str, Seat]]:
    """Four stations on one network, each met by all others."""
    with Village.up("lan:4", directory=tmp_path / "v") as village:
        names = village.topology.stations
        seats = {name: Seat(village, station) for name, station in zip(NAMES, names, strict=True)}
        await meet(*seats.values())
        yield seats


def hum(name: str, folder: Path) -> Path:
    """A minute of somebody's hum, which swells four times a second as speech does."""
    at = np.arange(60 * 48_000) / 48_000  # the rate of calls: playing it asks for no arithmetic
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
    """Whose hum is in two seconds of a recording, from so many seconds before its end."""
    sound = samples(recorded)[int(begin * RATE) :][: 2 * RATE]
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


async def leave(seat: Seat) -> None:
    running = await seat.call_in("talking")
    assert running is not None
    await seat.client.hang_up(running.id)


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


async def test_all_hear_all_and_go_on_when_the_focus_is_killed(
    four: dict[str, Seat], tmp_path: Path
) -> None:
    a, b, c, d = four.values()
    play = (hum("a", tmp_path), hum("b", tmp_path))
    await talk(a, b, play=play, record=(tmp_path / "a.wav", tmp_path / "b.wav"))
    await join(a, c, tmp_path, "c")
    await join(a, d, tmp_path, "d")
    calls = {}
    for seat in (a, b, c, d):
        found = await eventually(partial(together, seat, a, [a, b, c, d]))
        assert found is not None
        calls[seat.name] = found.id
    await asyncio.sleep(LISTEN_S)
    a.village.kill(a.name)
    killed_at = time.monotonic()
    for seat in (b, c, d):
        assert await eventually(partial(together, seat, b, [b, c, d]), within_s=TAKEN_OVER_S)
    taken_over_s = time.monotonic() - killed_at
    assert taken_over_s < TAKEN_OVER_S
    await asyncio.sleep(LISTEN_S)
    for seat in (c, d):  # It is the same call for their operators.
        assert calls[seat.name] in {one.id for one in await seat.client.calls()}
    await asyncio.gather(*(leave(seat) for seat in (b, c, d)))
    for seat in (b, c, d):
        await eventually(partial(over, seat))
    for name, others in (("b", "cd"), ("c", "bd"), ("d", "bc")):
        assert who_is_heard(tmp_path / f"{name}.wav", begin=-LISTEN_S) == others
    for name, others in (("b", "acd"), ("c", "abd"), ("d", "abc")):
        before_s = LISTEN_S + taken_over_s + 2.7  # two seconds, up to a moment before the kill
        assert who_is_heard(tmp_path / f"{name}.wav", begin=-before_s) == others
