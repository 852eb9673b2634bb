"""Two voice processes for the benches: how late frames leave, how long sound takes."""

from __future__ import annotations

import asyncio
import contextlib
import random
import tempfile
import wave
from array import array
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from appliance.adapters.media_client import MediaClient
from appliance.adapters.srtp import AES_GCM, new_key
from appliance.media.lateness import quantile_ms
from appliance.model.media import (
    FileStarted,
    MediaEvent,
    OpenStream,
    StartStream,
    StopStream,
    StreamClosed,
    StreamOpened,
    StreamStats,
)

STREAMS = 10
SECONDS = 60.0
WAIT_S = 20.0
CLICKS = 12

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


def mouth_to_ear() -> list[float]:
    """Milliseconds from a click's place in the played file to its place in the recorded one."""
    return asyncio.run(_clicks())


async def _clicks() -> list[float]:
    ours, theirs = Events(), Events()
    pair = ((MediaClient(ours.take), ours), (MediaClient(theirs.take), theirs))
    with tempfile.TemporaryDirectory() as directory:
        play = click_file(Path(directory, "clicks.wav"))
        try:
            for client, _ in pair:
                await client.start()
            await _connect(pair, "clicks", str(play), directory)
            await theirs.first(
                lambda e: isinstance(e, StreamStats) and e.packets_sent > 50 * (CLICKS + 1)
            )
            for client, events in pair:
                await client.send(StopStream("clicks"))
                await events.closed("clicks")
        finally:
            for client, _ in pair:
                await client.stop()
        recorded = clicks_in(Path(directory, "clicks 1.wav"))
    spoken_at = _begun(ours, recording=False)
    heard_at = _begun(theirs, recording=True)
    delays = []
    for second in range(1, CLICKS):
        heard = [heard_at + at for at in recorded if 0 <= heard_at + at - spoken_at - second < 0.5]
        if heard:
            delays.append((heard[0] - spoken_at - second) * 1000)
    return delays


def click_file(path: Path) -> Path:
    """A short loud burst at the beginning of every second."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 48_000, 0, "NONE", ""))
        burst = b"".join(
            (20_000 if i // 24 % 2 else -20_000).to_bytes(2, "little", signed=True)
            for i in range(480)
        )
        for _ in range(CLICKS):
            file.writeframes(burst + bytes(96_000 - len(burst)))
    return path


def clicks_in(path: Path) -> list[float]:
    """Seconds at which bursts begin."""
    with wave.open(str(path), "rb") as file:
        rate = file.getframerate()
        samples = array("h", file.readframes(file.getnframes()))
    found: list[float] = []
    for index, sample in enumerate(samples):
        if abs(sample) > 4_000 and (not found or index / rate - found[-1] > 0.5):
            found.append(index / rate)
    return found


def _begun(events: Events, *, recording: bool) -> float:
    return next(
        e.at_s for e in events.all if isinstance(e, FileStarted) and e.recording == recording
    )
