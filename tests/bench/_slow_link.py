"""A call and a large transfer over the same slow link in the middle of a line of stations.

The link is slow by itself, as a radio bridge is that hangs on an Ethernet port: a bucket and a
plain queue of 200 ms where nobody of ours has a say.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from _bulk_ends import fetching, holding
from _stations import WAIT_S, addressable, clients, village
from _systems import Ours
from call import state
from numpy.typing import NDArray
from pesq import pesq
from speech import LONG, RATE, long_speech, samples

from appliance.api.client import Client
from appliance.village.village import Village

LINE = "line:4"
LINK_KBIT = 2_000
SLACK_PCT = 5
"""By how much the rate that we are told is below that of the link."""

BLOCK = 512
"""Bytes, in which the kernel counts what of a file is on disk."""

BLOB_BYTES = 30_000_000
"""Far more than is needed; the link carries some 6 MB while a call is measured."""

FLOWING_BYTES = 200_000
"""Of the transfer, before the call is measured beside it."""

SOME_S = 1.0
"""Of a call, before the speech that is measured: the jitter buffer has found its size."""

Sound = NDArray[np.float64]


@dataclass(frozen=True)
class Call:
    """What was found in one call."""

    there: list[float]
    """PESQ of each piece of speech, in the direction of the transfer."""

    back: list[float]
    """The same against it."""

    sent_kbit_s: float
    """What the first station sent, of any kind, while they talked."""

    bulk_kbit_s: float
    """Content of blobs that arrived in the same time."""


@dataclass
class Measured:
    """Of one way of keeping queues."""

    alone: list[float] = field(default_factory=list)
    """PESQ of each piece of speech of calls alone, in the direction of the transfer."""

    beside: list[float] = field(default_factory=list)
    """The same beside the transfer."""

    back_alone: list[float] = field(default_factory=list)
    """Against the transfer's direction: calls alone."""

    back_beside: list[float] = field(default_factory=list)
    """The same beside the transfer."""

    call_kbit_s: list[float] = field(default_factory=list)
    """What calls alone put on the slow link in the direction of the transfer."""

    bulk_kbit_s: list[float] = field(default_factory=list)
    """Content of blobs that arrived beside a call."""

    @property
    def shares(self) -> list[float]:
        """Of what the calls leave of the link, how much was content of blobs."""
        left = LINK_KBIT - sum(self.call_kbit_s) / len(self.call_kbit_s)
        return [bulk / left for bulk in self.bulk_kbit_s]


def find(clip: Sound, heard: Sound) -> int:
    """Where the clip is in what was heard."""
    size = 1 << (len(heard) + len(clip)).bit_length()
    both = np.fft.irfft(np.fft.rfft(heard, size) * np.fft.rfft(clip, size).conj(), size)
    return int(np.argmax(both[: max(1, len(heard) - len(clip) + 1)]))


def qualities(recorded: Path, times: int) -> list[float]:
    """PESQ-WB of each repetition of the long clip but the last, which may have been cut."""
    clip, heard = samples(LONG), samples(recorded)
    found = []
    for number in range(times - 1):
        begin = max(0, number * len(clip) - RATE)
        piece = heard[begin : begin + len(clip) + 3 * RATE]
        at = find(clip, piece)
        piece = piece[at : at + len(clip)]
        found.append(float(pesq(RATE, clip.astype(np.int16), piece.astype(np.int16), "wb")))
    return found


class SlowLink:
    """A line of stations that have met."""

    def __init__(self, up: Village, scratch: Path, *, clips: int) -> None:
        self._up, self._scratch, self._clips = up, scratch, clips
        names = up.topology.stations
        self._first, self._last = names[0], names[-1]
        self._speech = long_speech(scratch / "speech.wav", times=clips + 1)
        self._seconds = len(samples(LONG)) / RATE * clips + SOME_S
        self._number = 0
        self._blobs = scratch / "blobs"
        self._blobs.mkdir()

    def received(self) -> int:
        """Bytes of blobs that have come to the last station; what is a hole has not."""
        files = self._blobs.rglob("*.part")
        return sum(file.stat().st_blocks * BLOCK for file in files)

    def _sent(self) -> int:
        """Bytes that the first station has sent."""
        counter = "/sys/class/net/eth0/statistics/tx_bytes"
        return int(self._up.exec(self._first, ["cat", counter], check=True).stdout)

    def _counted(self) -> tuple[float, int, int]:
        """Now, what the first station has sent by now, and what has come of blobs."""
        return time.perf_counter(), self._sent(), self.received()

    async def call(self) -> Call:
        """Talk for a while; what is on the link is counted only while they do."""
        self._number += 1
        at_first, at_last = (
            self._scratch / f"{self._number} {name}.wav" for name in (self._first, self._last)
        )
        async with clients(self._up, self._first, self._last) as (a, b):
            peer = await b.status()
            incoming = asyncio.create_task(state(b, None, "ringing-here"))
            talking = asyncio.create_task(state(a, None, "talking"))
            ended = asyncio.create_task(state(b, None, "ended"))
            await asyncio.sleep(0.2)  # the event streams stand
            await a.call(peer.id, play=str(self._speech), record=str(at_first))
            _, call = await incoming
            await b.answer(call, play=str(self._speech), record=str(at_last))
            await talking
            before = self._counted()
            await asyncio.sleep(self._seconds)
            took, sent, came = (x - y for x, y in zip(self._counted(), before, strict=True))
            await b.hang_up(call)
            await ended
        there = await asyncio.to_thread(qualities, at_last, self._clips + 1)
        back = await asyncio.to_thread(qualities, at_first, self._clips + 1)
        return Call(there, back, sent * 8 / 1000 / took, came * 8 / 1000 / took)

    @contextlib.asynccontextmanager
    async def transfer(self) -> AsyncIterator[None]:
        """A blob from the first to the last station, from when it flows."""
        host = (await Client(self._up.station(self._first).api).status()).address
        before = self.received()
        with holding(self._up, self._first, BLOB_BYTES) as held:
            directory = self._blobs / held.root
            directory.mkdir()
            fetcher = self._up.popen(
                self._last, fetching(host, held, directory), stdout=subprocess.DEVNULL
            )
            try:
                async with asyncio.timeout(WAIT_S):
                    while self.received() < before + FLOWING_BYTES:  # noqa: ASYNC110 (a file's)
                        await asyncio.sleep(0.05)
                yield
            finally:
                fetcher.kill()
                fetcher.wait()

    async def measure(self, rounds: int) -> Measured:
        """Calls alone and beside a transfer, in turn."""
        measured = Measured()
        for _ in range(rounds):
            alone = await self.call()
            measured.alone += alone.there
            measured.back_alone += alone.back
            measured.call_kbit_s.append(alone.sent_kbit_s)
            async with self.transfer():
                beside = await self.call()
            measured.beside += beside.there
            measured.back_beside += beside.back
            measured.bulk_kbit_s.append(beside.bulk_kbit_s)
        return measured


async def slow_link(*, told: bool, rounds: int, clips: int, line: str = LINE) -> Measured:
    """All of it. `told`: the stations at the slow link have its rate in their settings."""
    with tempfile.TemporaryDirectory() as scratch:
        async with village(line, daemons=False, net=True) as up:
            await asyncio.to_thread(addressable, up)
            names = up.topology.stations
            middle = names[len(names) // 2 - 1], names[len(names) // 2]
            await asyncio.to_thread(up.link, *middle, rate_kbit=LINK_KBIT)
            ours = Ours(up, net=True)
            await ours.stop()
            if told:
                _tell(up, *middle)
            await ours.start(*names)
            try:
                await ours.met(*names)
                return await SlowLink(up, Path(scratch), clips=clips).measure(rounds)
            finally:
                await ours.stop()


def _tell(up: Village, a: str, b: str) -> None:
    rate_kbit = LINK_KBIT * (100 - SLACK_PCT) // 100
    cable = up.topology.cable(a, b)
    for plug in (cable.a, cable.b):
        if plug is not None:
            settings = f"[rate_kbit]\n{plug.interface} = {rate_kbit}\n"
            up.station(plug.station).net_config.write_text(settings, encoding="utf-8")
