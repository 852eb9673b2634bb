"""What 20 calls cost the station that they go through."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from _stations import clients, cpu_s, listed, processes, village
from _streams import STREAMS
from _voice import WAIT_S

from appliance.village.village import Village

IDLE_S = 10.0
TALK_S = 20.0
SETTLE_S = 5.0
"""Streams stand, and what a net does in its first seconds is done."""

LEAST_PACKETS = TALK_S / 0.12
"""Of each call, with the longest frames that there are."""


def _used_s(running: list[int]) -> float:
    used = 0.0
    for pid in running:
        with suppress(FileNotFoundError, ProcessLookupError):
            used += cpu_s(pid)
    return used


async def _pct(running: list[int], seconds: float) -> float:
    """Processor time of programs in percent of a core; what the kernel forwards is none."""
    before, began = _used_s(running), time.perf_counter()
    await asyncio.sleep(seconds)
    return (_used_s(running) - before) / (time.perf_counter() - began) * 100


async def _talking(up: Village, hosts: list[str], folder: Path) -> list[float]:
    """Percent of the relay's programs: idle, and with the calls."""
    relay = processes(up, "b")
    idle = await _pct(relay, IDLE_S)
    script = str(Path(__file__).with_name("_streams.py"))
    seconds = SETTLE_S + TALK_S + 2.0
    ends = [
        asyncio.create_task(
            asyncio.to_thread(
                up.exec,
                "ac"[end],
                [sys.executable, script, str(end), str(folder), *pair, str(seconds)],
                timeout_s=seconds + 2 * WAIT_S,
                check=True,
            )
        )
        for end, pair in enumerate((hosts, hosts[::-1]))
    ]
    async with asyncio.timeout(WAIT_S):
        while not all((folder / f"end {end}").exists() for end in (0, 1)):  # noqa: ASYNC110
            await asyncio.sleep(0.1)  # other processes make them
    await asyncio.sleep(SETTLE_S)
    busy = await _pct(relay, TALK_S)
    await asyncio.gather(*ends)
    for end in (0, 1):
        got = json.loads((folder / f"got {end}").read_text(encoding="utf-8"))
        if len(got) != STREAMS or min(got) < LEAST_PACKETS:
            raise RuntimeError(f"the calls did not get through: {got}")
    return [idle, busy]


async def relay_cpu() -> list[float]:
    """Percent of a core that a relay's programs use: idle, and while 20 calls go through it."""
    async with village("line:3", net=True) as up, clients(up, "a", "c") as (a, c):
        await asyncio.gather(listed(a, 2), listed(c, 2))
        hosts = [str((await client.status()).address) for client in (a, c)]
        await asyncio.sleep(SETTLE_S)
        with tempfile.TemporaryDirectory() as folder:
            return await _talking(up, hosts, Path(folder))
