"""How late voice frames leave: ten streams, idle machine and beside a process that stores."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
import tempfile
import wave
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from harness import Report, arguments

from appliance.adapters.media_client import MediaClient
from appliance.adapters.srtp import AES_GCM, new_key
from appliance.media.lateness import quantile_ms
from appliance.model.media import (
    MediaEvent,
    OpenStream,
    StartStream,
    StopStream,
    StreamClosed,
    StreamOpened,
)

STREAMS = 10
SECONDS = 60.0
WAIT_S = 20.0

STORER = """
import hashlib, os, sqlite3, sys
store = sqlite3.connect(sys.argv[1], isolation_level=None)
store.execute("PRAGMA journal_mode=WAL")
store.execute("PRAGMA synchronous=FULL")
store.execute("CREATE TABLE records (hash BLOB PRIMARY KEY, body BLOB)")
while True:
    body = os.urandom(600)
    store.execute("INSERT INTO records VALUES (?, ?)", (hashlib.sha256(body).digest(), body))
"""
"""Stores without a pause; what the store itself takes can be run in its place."""

PAYLOAD_TYPE = 96


class Events:
    """What one voice process said, to be waited for."""

    def __init__(self) -> None:
        self.all: list[MediaEvent] = []
        self._more = asyncio.Event()

    def take(self, event: MediaEvent) -> None:
        """For `MediaClient`."""
        self.all.append(event)
        self._more.set()

    async def first(self, wanted: Callable[[MediaEvent], bool]) -> MediaEvent:
        """The first event, old or new, that is wanted."""
        async with asyncio.timeout(WAIT_S):
            while True:
                for event in self.all:
                    if wanted(event):
                        return event
                self._more.clear()
                await self._more.wait()

    async def opened(self, stream: str) -> int:
        """Port of a stream."""
        event = await self.first(lambda e: isinstance(e, StreamOpened) and e.stream == stream)
        assert isinstance(event, StreamOpened)
        return event.port

    async def closed(self, stream: str) -> StreamClosed:
        """End of a stream."""
        event = await self.first(lambda e: isinstance(e, StreamClosed) and e.stream == stream)
        assert isinstance(event, StreamClosed)
        return event


def noise_file(path: Path, seconds: float) -> Path:
    """Sound that costs the encoder as much as speech does."""
    randomness = random.Random(1)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48_000)
        second = bytes(randomness.getrandbits(8) if i % 2 == 0 else 0 for i in range(96_000))
        for _ in range(int(seconds)):
            file.writeframes(second)
    return path


@contextlib.asynccontextmanager
async def beside(command: Sequence[str] | None) -> AsyncIterator[None]:
    """Another process, for as long as the block runs."""
    if command is None:
        yield
        return
    process = await asyncio.create_subprocess_exec(*command)
    try:
        yield
    finally:
        process.kill()
        await process.wait()


async def frame_lateness(
    *, streams: int = STREAMS, seconds: float = SECONDS, command: Sequence[str] | None = None
) -> list[tuple[int, ...]]:
    """Histograms of all frames that two voice processes send each other, ``command`` beside."""
    ours, theirs = Events(), Events()
    pair = ((MediaClient(ours.take), ours), (MediaClient(theirs.take), theirs))
    with tempfile.TemporaryDirectory() as directory:
        play = str(noise_file(Path(directory, "play.wav"), seconds))
        try:
            for client, _ in pair:
                await client.start()
            async with beside(command):
                names = [f"stream {number}" for number in range(streams)]
                for name in names:
                    await _connect(pair, name, play, directory)
                await asyncio.sleep(seconds)
                for client, _ in pair:
                    for name in names:
                        await client.send(StopStream(name))
                return [
                    (await events.closed(name)).late_histogram
                    for _, events in pair
                    for name in names
                ]
        finally:
            for client, _ in pair:
                await client.stop()


async def _connect(
    pair: Sequence[tuple[MediaClient, Events]], name: str, play: str, directory: str
) -> None:
    """One stream between the two, each playing and recording a file."""
    keys, ports = [], []
    for client, events in pair:
        await client.send(OpenStream(name, "127.0.0.1"))
        ports.append(await events.opened(name))
        keys.append(new_key(AES_GCM))
    for index, (client, _) in enumerate(pair):
        await client.send(
            StartStream(
                stream=name,
                remote_host="127.0.0.1",
                remote_port=ports[1 - index],
                payload_type=PAYLOAD_TYPE,
                crypto_suite=AES_GCM,
                send_key=keys[index],
                receive_key=keys[1 - index],
                play=play,
                record=str(Path(directory, f"{name} {index}.wav")),
            )
        )


def measure(*, streams: int, seconds: float, command: Sequence[str] | None) -> tuple[float, int]:
    """Lateness in ms that 99.9 % of the frames stay below, and how many frames there were."""
    histograms = asyncio.run(frame_lateness(streams=streams, seconds=seconds, command=command))
    late = quantile_ms(histograms, 0.999)
    if late is None:
        raise RuntimeError("no frame was sent")
    return late, sum(map(sum, histograms))


def main(argv: list[str]) -> int:
    parser = arguments(__doc__)
    parser.add_argument("--streams", type=int, default=STREAMS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    args = parser.parse_args(argv)
    report = Report("lateness")
    idle, frames = measure(streams=args.streams, seconds=args.seconds, command=None)
    with tempfile.TemporaryDirectory() as directory:
        storer = [sys.executable, "-c", STORER, str(Path(directory, "store.db"))]
        busy, _ = measure(streams=args.streams, seconds=args.seconds, command=storer)
    report.add("frame_late_idle_p999_ms", idle, what="lateness of sent frames, idle machine")
    report.add(
        "frame_late_busy_p999_ms", busy, goal=idle + 2.0, what="beside a process that stores"
    )
    report.note("frames", frames)
    return report.finish(json=args.json)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
