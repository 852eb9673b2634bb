"""A call in virtual time: both ends as they are, with a trace between them in place of sockets.

Everything is decided by the seed, the keys of the call included, so that two versions of the sender
or of the jitter buffer can be compared in a minute and on a busy machine. What sockets, processes
and signalling add, the bench `voice` measures between real stations.
"""

from __future__ import annotations

import heapq
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from unittest import mock

import numpy as np
from _clips import Script, Sound, to_16_khz, to_48_khz
from _scores import scores
from _traces import ADAPTING_S, Row, Trace
from _voice_table import Result

from appliance.adapters.srtp import AES_GCM, new_key
from appliance.media import stand_ins
from appliance.media import stream as stream_module
from appliance.media.files import FileThread
from appliance.media.pcm import FRAME_BYTES, SILENCE
from appliance.media.stream import Stream
from appliance.model.media import FileStarted, MediaEvent, OpenStream, StartStream, StreamStats
from appliance.model.secret import Secret
from appliance.protocol.jitter import FRAME_S
from appliance.protocol.rtcp import is_rtcp

PATH_S = 0.001
"""One way, on a link that does nothing to packets."""

TAG_BYTES = 16
"""SRTP with AES-GCM (RFC 7714)."""

RTP_BYTES = 12
IP_BYTES = 48
"""IPv6 and UDP."""

PAYLOAD_TYPE, RED_PAYLOAD_TYPE = 96, 97


class _Microphone:
    """A `PlayFile` without a process."""

    path = "said"
    ready = True
    problem = None

    def __init__(self, script: Script | None) -> None:
        sound = to_48_khz(script.sound) if script else np.zeros(0)
        self._pcm = sound.astype("<i2").tobytes()
        self._at = 0

    @property
    def over(self) -> bool:
        return self._at >= len(self._pcm)

    def frame(self) -> bytes:
        frame = self._pcm[self._at : self._at + FRAME_BYTES]
        self._at += FRAME_BYTES
        return frame + SILENCE[len(frame) :]

    def close(self) -> None:
        """There is no process."""

    def reaped(self) -> bool:
        return True


class _Speaker:
    """A `RecordFile` in memory."""

    path = "heard"
    problem = None
    closed = True

    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def write(self, frame: bytes) -> None:
        self.frames.append(frame)

    def close(self) -> None:
        """There is no file."""

    def sound(self) -> Sound:
        return to_16_khz(np.frombuffer(b"".join(self.frames), dtype="<i2").astype(float))


class _Wire:
    """A `VoiceSocket` whose packets go into the world's future."""

    port = 1
    stamps = False
    age_s = 0.0

    def __init__(self, world: World, end: int) -> None:
        self._world, self._end = world, end
        self.waiting: list[bytes] = []

    def fileno(self) -> int:
        return -1

    def connect(self, host: str, port: int) -> None:
        """Both are known."""

    def send(self, data: bytes) -> None:
        self._world.carry(self._end, data)

    def receive(self) -> bytes | None:
        return self.waiting.pop(0) if self.waiting else None

    def close(self) -> None:
        pass


@dataclass
class _Counter:
    """What one end has sent since it had time to adapt."""

    payload: list[int] = field(default_factory=list)
    """In each second."""

    wire: int = 0


class World:
    """Two streams, a trace each way, and the time."""

    def __init__(self, kind: Row, seed: int, script: Script) -> None:
        self.now = self._begun = 100.0
        self._script = script
        self._future: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._random = random.Random(f"offline {seed}")
        self._traces = (Trace(kind, seed), Trace(kind, seed, back=True))
        self._paces = (1 + kind.drift_ppm / 1e6, 1.0)
        self._counters = (_Counter(), _Counter())
        self._microphones = [_Microphone(script), _Microphone(None)]
        self._speakers = [_Speaker(), _Speaker()]
        self._wires = [_Wire(self, 0), _Wire(self, 1)]
        self._streams: list[Stream] = []
        self.events: list[tuple[float, int, MediaEvent]] = []
        """When, of which end, what."""

    def run(self) -> Result:
        """The call from beginning to end."""
        with self._seeded():
            files = FileThread()
            try:
                for end in (0, 1):
                    self._begin(end, files)
                while self.now < self._begun + self._script.seconds:
                    self.now, _, what = heapq.heappop(self._future)
                    what()
                for stream in self._streams:
                    stream.close()
            finally:
                files.close()
        said_s, heard_s = (self._file_started(end, recording=bool(end)) for end in (0, 1))
        found = scores(
            self._script,
            self._speakers[1].sound(),
            begun_s=said_s - heard_s,
            pace=self._paces[0],
        )
        sent, took = self._counters[0], self.now - self._begun - ADAPTING_S
        stats = self.stats(1)[-1][1]
        return Result(
            scores=found,
            payload_kbit_s=sum(sent.payload) * 8 / 1000 / took,
            peak_kbit_s=max(sent.payload, default=0) * 8 / 1000,
            wire_kbit_s=sent.wire * 8 / 1000 / took,
            note=f"recovered {stats.recovered}, concealed {stats.concealed}",
        )

    @property
    def log(self) -> list[tuple[float, int, MediaEvent]]:
        """All that was said: the second of the call, the end (0 speaks, 1 listens), what."""
        return [(at - self._begun, end, event) for at, end, event in self.events]

    def stats(self, end: int) -> list[tuple[float, StreamStats]]:
        """What one end said of itself once a second, with the second."""
        return [
            (at - self._begun, event)
            for at, whose, event in self.events
            if whose == end and isinstance(event, StreamStats)
        ]

    def _file_started(self, end: int, *, recording: bool) -> float:
        return next(
            event.at_s / self._paces[end]
            for _, whose, event in self.events
            if whose == end and isinstance(event, FileStarted) and event.recording == recording
        )

    @contextmanager
    def _seeded(self) -> Iterator[None]:
        """Randomness from the seed, and sockets and files of ours, for as long as it lasts."""
        with (
            mock.patch.object(os, "urandom", self._random.randbytes),
            mock.patch.object(stream_module, "VoiceSocket", side_effect=self._wires),
            mock.patch.object(stand_ins, "PlayFile", side_effect=self._microphones),
            mock.patch.object(stand_ins, "RecordFile", side_effect=self._speakers),
        ):
            self._keys = [new_key(AES_GCM) for _ in range(2)]
            yield

    def _begin(self, end: int, files: FileThread) -> None:
        pace = self._paces[end]
        stream = Stream(
            OpenStream("call", "::1"),
            lambda event: self.events.append((self.now, end, event)),
            files,
            lambda: self.now * pace,
        )
        self._streams.append(stream)
        if not stream.start(_start(self._keys[end], self._keys[1 - end]), [0, 0], self.now * pace):
            raise RuntimeError(f"the call did not begin: {self.events}")
        stream.due = (self.now + self._random.uniform(0, FRAME_S)) * pace

        def beat() -> None:
            stream.beat(max(self.now * pace, stream.due))
            stream.due += FRAME_S
            self._later(stream.due / pace, beat)

        def tell() -> None:
            stream.tell_stats(self.now * pace)
            self._later(self.now + 1, tell)

        self._later(stream.due / pace, beat)
        self._later(self.now + 1, tell)

    def _later(self, at: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._future, (at, next(self._order), what))

    def carry(self, end: int, data: bytes) -> None:
        """A packet leaves an end."""
        sound = not is_rtcp(data)
        since_s = self.now - self._begun - ADAPTING_S
        if since_s >= 0:
            counter = self._counters[end]
            counter.wire += len(data) + IP_BYTES
            counter.payload += [0] * (int(since_s) + 1 - len(counter.payload))
            counter.payload[-1] += len(data) - RTP_BYTES - TAG_BYTES if sound else 0
        trace = self._traces[end]
        delay_s = trace.sound(self.now) if sound else trace.report(self.now)
        if delay_s is None:
            return

        def arrive() -> None:
            self._wires[1 - end].waiting.append(data)
            self._streams[1 - end].receive()

        self._later(self.now + PATH_S + delay_s, arrive)


def _start(ours: Secret, theirs: Secret) -> StartStream:
    return StartStream(
        stream="call",
        remote_host="::1",
        remote_port=1,
        payload_type=PAYLOAD_TYPE,
        crypto_suite=AES_GCM,
        send_key=ours,
        receive_key=theirs,
        play=_Microphone.path,
        record=_Speaker.path,
        red_payload_type=RED_PAYLOAD_TYPE,
        dtx=True,
    )
