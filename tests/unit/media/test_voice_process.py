"""Real voice processes talk over loopback, with files as microphone and speaker."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pesq import pesq
from speech import correlation
from voice_ends import silence_file, started, station, swapped

from appliance.adapters.media_client import MediaUnavailableError
from appliance.model.media import (
    FileStarted,
    FirstSound,
    MediaReady,
    OpenStream,
    SetStream,
    SoundProblem,
    SoundWarning,
    StartStream,
    StopStream,
    StreamStats,
)

SPEECH = Path("/usr/share/pocketsphinx/test/data/cards/005.wav")
"""3.5 s of natural speech at 16 kHz, from Debian's `pocketsphinx-testdata`."""

SAID_WITHIN_S = 2.0
"""What makes a call silent is said within this time."""


def samples_at_16_khz(path: Path) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    with wave.open(str(path)) as file:
        rate = file.getframerate()
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype=np.int16)
    if rate == 48_000:
        taps = np.sinc(np.arange(-48, 49) / 3) * np.hamming(97)
        filtered = np.convolve(samples, taps / taps.sum(), "same")[::3]
        samples = np.clip(filtered, -32_768, 32_767).astype(np.int16)
    return samples


@pytest.mark.skipif(not SPEECH.exists(), reason="Debian's pocketsphinx-testdata is not installed")
async def test_speech_arrives_well_and_soon(tmp_path: Path) -> None:
    async with station() as one, station() as two:
        ports = [await side.open("call") for side in (one, two)]
        command = started("call", ports[1])
        recorded = tmp_path / "recorded.wav"
        await two.client.send(
            replace(
                swapped(command, ports[0]),
                play=silence_file(tmp_path / "silence.wav"),
                record=str(recorded),
            )
        )
        await one.client.send(
            replace(command, play=str(SPEECH), record=str(tmp_path / "silent.wav"))
        )
        await two.events.first(FirstSound)
        await one.events.first(StreamStats, lambda e: e.packets_sent > 50 * 3.5 + 20)
        for side in (one, two):
            await side.client.send(StopStream("call"))
        closed = await two.closed("call")
        stats = [e for e in two.events.all if isinstance(e, StreamStats)][-1]
        spoken = [e for e in one.events.all if isinstance(e, FileStarted) and not e.recording]
        heard = [e for e in two.events.all if isinstance(e, FileStarted) and e.recording]
    assert sum(closed.late_histogram) > 150
    assert stats.rejected == 0
    reference, degraded = samples_at_16_khz(SPEECH), samples_at_16_khz(recorded)
    assert pesq(16_000, reference, degraded, "wb") >= 4.0
    lag = int(np.argmax(correlation(degraded.astype(float), reference.astype(float))))
    mouth_to_ear_s = heard[0].at_s + lag / 16_000 - spoken[0].at_s
    assert 0.03 < mouth_to_ear_s < 0.2, "80 ms is the goal; a busy machine may take longer"
    assert not [e for e in one.events.all + two.events.all if isinstance(e, SoundWarning)]


async def test_what_makes_a_call_silent_is_said(tmp_path: Path) -> None:
    (tmp_path / "not.wav").write_bytes(b"This is not sound at all.")
    silence = silence_file(tmp_path / "silence.wav")
    async with station() as one, station() as two:
        ports = {name: (await one.open(name), await two.open(name)) for name in ("keys", "file")}
        await one.open("lonely")

        def with_files(command: StartStream, record: str, play: str = silence) -> StartStream:
            return replace(command, play=play, record=str(tmp_path / record))

        keys = with_files(started("keys", ports["keys"][1]), "keys.wav")
        others = with_files(started("keys", ports["keys"][0]), "others.wav")
        alone = with_files(started("lonely", 9), "lonely.wav")
        file = with_files(
            started("file", ports["file"][1]), "no/where.wav", str(tmp_path / "not.wav")
        )
        async with asyncio.timeout(SAID_WITHIN_S):
            for command in (keys, alone, file):
                await one.client.send(command)
            await two.client.send(others)
            assert "can't be read" in await one.warned("keys", SoundProblem.UNREADABLE_SOUND)
            await one.warned("lonely", SoundProblem.NO_SOUND_ARRIVING)
            assert "not a WAV" in await one.warned("file", SoundProblem.WRONG_FORMAT)
            await one.warned("file", SoundProblem.CANNOT_RECORD)
        # The right keys in place of the wrong ones: the call goes on by itself.
        await two.client.send(with_files(swapped(keys, ports["keys"][0]), "others.wav"))
        await one.warned("keys", SoundProblem.UNREADABLE_SOUND, over=True)


async def test_addresses_and_keys_that_can_not_be_are_failures() -> None:
    async with station() as one:
        await one.client.send(OpenStream("far", "192.0.2.1"))
        await one.client.send(OpenStream("odd", "no address"))
        await one.client.send(started("unknown", 9))
        await one.open("short")
        await one.client.send(replace(started("short", 9), crypto_suite="ROT13"))
        for name in ("far", "odd", "unknown", "short"):
            assert (await one.failed(name)).detail.endswith(".")


async def test_a_flood_of_garbage_delays_nothing(tmp_path: Path) -> None:
    silence = silence_file(tmp_path / "silence.wav")
    async with station() as one:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as enemy:
            enemy.bind(("127.0.0.1", 0))
            port = await one.open("call")
            command = started("call", enemy.getsockname()[1])
            await one.client.send(
                replace(command, play=silence, record=str(tmp_path / "record.wav"))
            )
            for _ in range(30):
                for size in range(400):
                    enemy.sendto(os.urandom(size), ("127.0.0.1", port))
                    enemy.sendto(b"\x80\xc8" + os.urandom(size), ("127.0.0.1", port))
                await asyncio.sleep(0)
            await one.events.first(StreamStats, lambda e: e.rejected > 1_000)
            await one.events.first(StreamStats, lambda e: e.packets_sent > 50)
            await one.client.send(StopStream("call"))
            await one.closed("call")


async def test_a_voice_process_that_dies_is_started_again(tmp_path: Path) -> None:
    async with station() as one:
        await one.open("call")
        record = tmp_path / "record.wav"
        command = replace(started("call", 9), play=silence_file(tmp_path / "silence.wav"))
        await one.client.send(replace(command, record=str(record)))
        await one.events.first(StreamStats, lambda e: e.packets_sent >= 100)
        assert one.client.pid is not None
        os.kill(one.client.pid, signal.SIGKILL)
        await one.warned("call", SoundProblem.MEDIA_GONE)
        with pytest.raises(MediaUnavailableError):
            await one.client.send(SetStream("call", muted=True))
        await one.events.first(MediaReady)
        await one.open("another call")
    with wave.open(str(record)) as file:
        assert file.getnframes() >= 48_000, "what was recorded is there, and readable"


async def test_it_ends_with_the_daemon_and_completes_its_files(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "appliance.media", "--fd", str(theirs.fileno()),
        pass_fds=[theirs.fileno()],
    )  # fmt: skip
    theirs.close()
    assert await asyncio.to_thread(ours.recv, 4_096), "it says what it is"
    ours.close()
    assert await asyncio.wait_for(process.wait(), 5) == 0
