"""A real voice process records and plays voice messages, with files as microphone and speaker."""

from __future__ import annotations

import os
import signal
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from voice_ends import Station, silence_file, station

from appliance.adapters.oggopus import examine
from appliance.model.media import OpenStream, Ring, StopStream, StreamClosed
from appliance.model.note import (
    NoteEnd,
    PausePlayback,
    PlaybackEnded,
    PlaybackMoved,
    RecordingEnded,
    RecordingHeard,
    StartPlayback,
    StartRecording,
    StopPlayback,
)

SECONDS = 0.3


def warble(path: Path) -> NDArray[np.float64]:
    """A sound like no other part of itself, from 300 to 1,500 Hz; written as a WAV file."""
    moments = np.arange(int(48_000 * SECONDS)) / 48_000
    sound = 9_000 * np.sin(2 * np.pi * (300 + 1_000 * moments) * moments)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 48_000, 0, "NONE", ""))
        file.writeframes(sound.astype("<i2").tobytes())
    return sound


def likeness(sent: NDArray[np.float64], recorded: Path) -> float:
    """Correlation of what was heard with what was said, at the place where it fits best."""
    with wave.open(str(recorded)) as file:
        heard = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(float)
    lag = int(np.argmax(np.correlate(heard[::6], sent[::6], "valid"))) * 6
    best = 0.0
    for place in range(max(0, lag - 6), lag + 7):
        part = heard[place : place + len(sent)]
        best = max(best, float(np.corrcoef(part, sent[: len(part)])[0, 1]))
    return best


def recorded_ms(note: Path) -> int:
    with note.open("rb") as file:
        return examine(file).duration_ms


async def ended(one: Station, name: str) -> RecordingEnded | PlaybackEnded:
    def meant(event: object) -> bool:
        recording = isinstance(event, RecordingEnded) and event.recording == name
        return recording or (isinstance(event, PlaybackEnded) and event.playback == name)

    event = await one.events.first(object, meant)
    assert isinstance(event, RecordingEnded | PlaybackEnded)
    return event


async def test_what_was_recorded_is_played(tmp_path: Path) -> None:
    said, note, heard = tmp_path / "said.wav", tmp_path / "note.opus", tmp_path / "heard.wav"
    sound = warble(said)
    async with station() as one:
        await one.client.send(StartRecording("r", str(note), 60.0, play=str(said)))
        assert await ended(one, "r") == RecordingEnded("r", NoteEnd.DONE, "")
        levels = [e for e in one.events.all if isinstance(e, RecordingHeard)]
        assert levels[-1].level_db > -20
        assert 0 < levels[-1].recorded_ms <= 1000 * SECONDS
        assert recorded_ms(note) == 1000 * SECONDS
        await one.client.send(StartPlayback("p", str(note), record=str(heard)))
        over = await ended(one, "p")
        assert over == PlaybackEnded("p", NoteEnd.DONE, int(1000 * SECONDS), "")
        assert likeness(sound, heard) > 0.9

        await one.client.send(StartPlayback("q", str(note), 100, record=str(heard)))
        await one.client.send(PausePlayback("q", paused=True))
        moved = await one.events.first(PlaybackMoved, lambda e: e.playback == "q" and e.paused)
        assert 100 <= moved.position_ms < 300
        await one.client.send(StopPlayback("q"))
        held = await ended(one, "q")
        assert held == PlaybackEnded("q", NoteEnd.DONE, moved.position_ms, "")


async def test_what_can_not_be_recorded_or_played_is_said(tmp_path: Path) -> None:
    silence, note = silence_file(tmp_path / "silence.wav"), tmp_path / "note.opus"
    heard = str(tmp_path / "heard.wav")
    note.write_bytes(b"OggS" * 1_000)
    async with station() as one:
        await one.client.send(StartRecording("where", str(tmp_path / "no" / "where"), 60.0))
        await one.client.send(StartRecording("full", "/dev/full", 60.0, play=silence))
        full = await ended(one, "full")
        await one.client.send(StartPlayback("strange", str(note)))
        for over in (await ended(one, "where"), full, await ended(one, "strange")):
            assert over.end is NoteEnd.FAILED
            assert over.detail.endswith(".")
        await one.client.send(StartRecording("long", str(note), 0.1, play=silence))
        assert (await ended(one, "long")).end is NoteEnd.FULL
        assert recorded_ms(note) == 100

        await one.client.send(StartPlayback("p", silence, record=heard))
        await one.client.send(Ring("ring"))
        await one.client.send(Ring(None))
        await one.client.send(OpenStream("call", "127.0.0.1"))
        await one.client.send(StartPlayback("q", silence, record=heard))
        await one.client.send(StartRecording("r", str(note), 60.0, play=silence))
        for name in "pqr":
            over = await ended(one, name)
            assert (over.end, over.detail) == (NoteEnd.CALL, "A call comes first.")
        assert recorded_ms(note) == 100, "what is there is not touched"

        await one.client.send(StopStream("call"))
        await one.events.first(StreamClosed)
        await one.client.send(StartRecording("lost", str(note), 60.0, play=silence))
        await one.events.first(RecordingHeard, lambda e: e.recording == "lost")
        assert one.client.pid is not None
        os.kill(one.client.pid, signal.SIGKILL)
        lost = await ended(one, "lost")
        assert lost.end is NoteEnd.FAILED
        assert "being started again" in lost.detail
