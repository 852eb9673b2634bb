"""One end of a call by aiortc, run in a station: `_aiortc_end.py speak|listen SAID HEARD`.

Session descriptions go out and come in as lines of JSON, and so does, at the end, when what began.
What arrives is laid down by its timestamps, so that what is missing is silence and nothing else.
"""

from __future__ import annotations

import asyncio
import fractions
import json
import sys
import time
import wave
from array import array
from contextlib import suppress
from pathlib import Path
from typing import Any

import av  # type: ignore[import-not-found]
from aiortc import (  # type: ignore[import-not-found]
    AudioStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError  # type: ignore[import-not-found]

RATE = 48_000
FRAME = 960
FRAME_S = FRAME / RATE


class Microphone(AudioStreamTrack):  # type: ignore[misc]
    """A file, 20 ms at a time, silence behind it."""

    def __init__(self, path: Path | None) -> None:
        super().__init__()
        self._pcm = b""
        if path is not None:
            with wave.open(str(path)) as file:
                self._pcm = file.readframes(file.getnframes())
        self._number = 0
        self.begun_at = 0.0

    async def recv(self) -> av.AudioFrame:
        """The next 20 ms, when they have been spoken."""
        if not self._number:
            self.begun_at = time.monotonic() - FRAME_S
        self._number += 1
        due = self.begun_at + self._number * FRAME_S
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        at = 2 * FRAME * (self._number - 1)
        data = self._pcm[at : at + 2 * FRAME].ljust(2 * FRAME, b"\0")
        frame = av.AudioFrame(format="s16", layout="mono", samples=FRAME)
        frame.planes[0].update(data)
        frame.sample_rate = RATE
        frame.pts = FRAME * (self._number - 1)
        frame.time_base = fractions.Fraction(1, RATE)
        return frame


class Speaker:
    """All that arrives, with when."""

    def __init__(self) -> None:
        self.frames: list[tuple[float, int, bytes]] = []

    async def listen(self, track: Any) -> None:
        """Take frames until it ends."""
        while True:
            frame = await track.recv()
            at = time.monotonic()
            channels = len(frame.layout.channels)
            sound = array("h", bytes(frame.planes[0])[: 2 * channels * frame.samples])
            self.frames.append((at, frame.pts, sound[::channels].tobytes()))

    def write(self, path: Path) -> float:
        """Lay it down; when the first sample was heard."""
        first = min(pts for _, pts, _ in self.frames)
        size = 2 * (max(pts for _, pts, _ in self.frames) - first + FRAME)
        sound = bytearray(size)
        for _, pts, pcm in self.frames:
            at = 2 * (pts - first)
            sound[at : at + len(pcm)] = pcm[: size - at]
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", ""))
            file.writeframes(bytes(sound))
        begins = sorted(at - (pts - first) / RATE for at, pts, _ in self.frames)
        return begins[len(begins) // 2]


async def lines() -> asyncio.StreamReader:
    """Standard input."""
    reader = asyncio.StreamReader(limit=1 << 20)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


def tell(**what: object) -> None:
    """A line for who started us."""
    print(json.dumps(what), flush=True)


async def main(role: str, said: Path, heard: Path) -> None:
    """Call or be called; end with the third line, or with the second one where we call."""
    orders = await lines()
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    microphone, speaker = Microphone(said if role == "speak" else None), Speaker()
    listening: list[asyncio.Task[None]] = []

    def on_track(track: Any) -> None:
        listening.append(asyncio.create_task(speaker.listen(track)))

    connection.on("track", on_track)
    connection.addTrack(microphone)
    if role == "speak":
        await connection.setLocalDescription(await connection.createOffer())
        tell(type="offer", sdp=connection.localDescription.sdp)
    description = json.loads(await orders.readline())
    await connection.setRemoteDescription(RTCSessionDescription(**description))
    if role != "speak":
        await connection.setLocalDescription(await connection.createAnswer())
        tell(type="answer", sdp=connection.localDescription.sdp)
    await orders.readline()
    for task in listening:
        task.cancel()
        with suppress(asyncio.CancelledError, MediaStreamError):
            await task
    begun = microphone.begun_at if role == "speak" else speaker.write(heard)
    tell(begun_at=begun)
    await connection.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))
