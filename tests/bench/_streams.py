"""Many voice streams at one end, run inside a station: `_streams.py END FOLDER HOST OTHER SECONDS`.

The two ends, 0 and 1, tell each other ports and keys by files in the folder.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from _voice import PAYLOAD_TYPE, WAIT_S, Events, noise_file

from appliance.adapters.media_client import MediaClient
from appliance.adapters.srtp import AES_GCM, new_key
from appliance.model.media import OpenStream, StartStream, StopStream, StreamStats
from appliance.model.secret import Secret

STREAMS = 20


def _tell(path: Path, what: object) -> None:
    """So that whoever reads it reads all of it."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(what), encoding="utf-8")
    part.rename(path)


def _ask(path: Path) -> list[tuple[int, str]]:
    deadline = time.monotonic() + WAIT_S
    while not path.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{path.name} did not come")
        time.sleep(0.05)
    return [(port, key) for port, key in json.loads(path.read_text(encoding="utf-8"))]


async def run(end: int, folder: Path, host: str, other: str, seconds: float) -> None:
    """Talk, and leave how much arrived behind."""
    events = Events()
    client = MediaClient(events.take)
    play = str(noise_file(folder / f"play {end}.wav", seconds + 10.0))
    names = [f"stream {number}" for number in range(STREAMS)]
    keys = {name: new_key(AES_GCM) for name in names}
    await client.start()
    try:
        ports = []
        for name in names:
            await client.send(OpenStream(name, host))
            ports.append(await events.opened(name))
        told = [(port, keys[name].value.hex()) for port, name in zip(ports, names, strict=True)]
        _tell(folder / f"end {end}", told)
        theirs = await asyncio.to_thread(_ask, folder / f"end {1 - end}")
        for name, (port, key) in zip(names, theirs, strict=True):
            start = StartStream(
                stream=name,
                remote_host=other,
                remote_port=port,
                payload_type=PAYLOAD_TYPE,
                crypto_suite=AES_GCM,
                send_key=keys[name],
                receive_key=Secret(bytes.fromhex(key)),
                play=play,
                record=str(folder / f"{name} {end}.wav"),
            )
            await client.send(start)
        await asyncio.sleep(seconds)
        stats = {e.stream: e for e in events.all if isinstance(e, StreamStats)}
        _tell(folder / f"got {end}", [stats[name].packets_received for name in names])
        for name in names:
            await client.send(StopStream(name))
    finally:
        await client.stop()


if __name__ == "__main__":
    _, end, folder, host, other, seconds = sys.argv
    asyncio.run(run(int(end), Path(folder), host, other, float(seconds)))
