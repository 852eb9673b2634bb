"""Real stations for the benches: villages, clients, and what the kernel says of their processes."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from appliance.api.client import Client
from appliance.api.schema import Event, Station
from appliance.village.village import Village

WAIT_S = 30.0


@asynccontextmanager
async def village(
    topology: str, *, daemons: bool = True, command: list[str] | None = None
) -> AsyncIterator[Village]:
    """A village in a scratch directory; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="fw-") as directory:
        up = await asyncio.to_thread(
            Village.up, topology, directory=Path(directory), daemons=daemons, command=command
        )
        try:
            yield up
        finally:
            await asyncio.to_thread(up.close)


@asynccontextmanager
async def clients(up: Village, *names: str) -> AsyncIterator[list[Client]]:
    """A client for each of the stations."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Client(up.station(n).api)) for n in names]


async def wait_event(client: Client, cursor: str | None, wanted: Callable[[Event], bool]) -> Event:
    """Return the first event that fits; bounded."""
    async with asyncio.timeout(WAIT_S):
        async for event in client.events(cursor):
            if wanted(event):
                return event
    raise RuntimeError("the daemon ended its events")


async def others(client: Client, count: int = 1) -> list[Station]:
    """Wait until that many others are in reach with their cards."""

    async def here() -> list[Station]:
        return [s for s in await client.stations() if s.reach == "here" and s.has_card]

    async with asyncio.timeout(WAIT_S):
        found = await here()
        while len(found) < count:
            async for event in client.events(None):
                if event.type in {"station", "reset"}:
                    found = await here()
                if len(found) >= count:
                    break
    return found


def pids(up: Village) -> dict[str, int]:
    """Process ids of the daemons, as this machine counts them."""
    return {s["name"]: s["host_pid"] for s in up.status()["stations"]}


def children(pid: int) -> list[int]:
    """Process ids of a process's children."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            if int(stat.rpartition(")")[2].split()[1]) == pid:
                found.append(int(entry.name))
    return found


def memory_mb(pid: int) -> tuple[float, float]:
    """Resident and proportional set size in MB."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    sizes = {line.split(":")[0]: line.split()[1] for line in rollup.splitlines() if ":" in line}
    return int(sizes["Rss"]) / 1024, int(sizes["Pss"]) / 1024


def cpu_s(pid: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def written_bytes(pid: int) -> int:
    """Bytes that a process caused to be written to disk."""
    for line in Path(f"/proc/{pid}/io").read_text().splitlines():
        if line.startswith("write_bytes:"):
            return int(line.split()[1])
    raise RuntimeError("the kernel does not count writes")
