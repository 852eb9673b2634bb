"""What a conference costs the station that mixes it: two voice processes over loopback."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
import wave
from array import array
from pathlib import Path

from _stations import cpu_s
from _voice import PAYLOAD_TYPE, Events

from appliance.adapters.media_client import MediaClient
from appliance.adapters.srtp import AES_GCM, new_key
from appliance.model.conference_media import Mix
from appliance.model.media import OpenStream, StartStream, StopStream, StreamStats

SIZES = (4, 8, 16)
"""People in it, with ours."""

TALKERS = 4
"""Of the others; a mix has no more voices."""

SETTLE_S, MEASURED_S = 3.0, 10.0

LOUD, ROOM = 4_000, 12
"""Amplitudes: of who talks, and of the room of who listens."""


def _file(path: Path, amplitude: int, seed: int) -> str:
    """Noise, which costs the encoder as much as speech; who talks swells as syllables do."""
    chance = random.Random(seed)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 48_000, 0, "NONE", ""))
        second = array("h", (chance.randint(-amplitude, amplitude) for _ in range(48_000)))
        for _ in range(int(SETTLE_S + MEASURED_S) + 20):
            file.writeframes(second.tobytes())
    return str(path)


async def _join(
    name: str, ends: tuple[tuple[MediaClient, Events], ...], plays: tuple[str, str], folder: Path
) -> None:
    keys, ports = [new_key(AES_GCM) for _ in ends], []
    for client, events in ends:
        await client.send(OpenStream(name, "127.0.0.1"))
        ports.append(await events.opened(name))
    for index, (client, _) in enumerate(ends):
        await client.send(
            StartStream(
                name,
                "127.0.0.1",
                ports[1 - index],
                PAYLOAD_TYPE,
                AES_GCM,
                keys[index],
                keys[1 - index],
                play=plays[index],
                record=str(folder / f"{name} {index}.wav"),
                red_payload_type=PAYLOAD_TYPE + 1,
                loss_reports=True,
                dtx=True,
            )
        )


async def mixing_cpu_pct(people: int) -> float:
    """Of a core, of the voice process that mixes a conference of so many."""
    focus, others = Events(), Events()
    ends = ((MediaClient(focus.take), focus), (MediaClient(others.take), others))
    names = [f"member {number}" for number in range(people - 1)]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        quiet = _file(folder / "quiet.wav", ROOM, 0)
        try:
            for client, _ in ends:
                await client.start()
            for number, name in enumerate(names):
                says = _file(folder / f"{name}.wav", LOUD, number) if number < TALKERS else quiet
                await _join(name, ends, (quiet, says), folder)
            await ends[0][0].send(Mix("conference", tuple(names)))
            await asyncio.sleep(SETTLE_S)
            pid = ends[0][0].pid
            assert pid is not None
            before, began = cpu_s(pid), time.perf_counter()
            await asyncio.sleep(MEASURED_S)
            used = (cpu_s(pid) - before) / (time.perf_counter() - began) * 100
            stats = [e for e in others.all if isinstance(e, StreamStats)]
            if min(e.packets_received for e in stats[-len(names) :]) < 50 * MEASURED_S / 2:
                raise RuntimeError("somebody did not hear the conference")
            for client, events in ends:
                for name in names:
                    await client.send(StopStream(name))
                    await events.closed(name)
            return used
        finally:
            for client, _ in ends:
                await client.stop()
