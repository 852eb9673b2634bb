"""Real stations for the benches: villages, clients, and what the kernel says of their processes."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

from appliance.api.client import Client
from appliance.api.schema import Event, Station
from appliance.village.village import Village

WAIT_S = 30.0


@asynccontextmanager
async def village(
    topology: str, *, daemons: bool = True, command: list[str] | None = None, net: bool = False
) -> AsyncIterator[Village]:
    """A village in a scratch directory; gone afterwards. `net`: with the network helper."""
    more: dict[str, bool] = {"net": True} if net else {}
    with tempfile.TemporaryDirectory(prefix="fw-") as directory:
        up = await asyncio.to_thread(
            Village.up,
            topology,
            directory=Path(directory),
            daemons=daemons,
            command=command,
            **more,
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


async def listed(client: Client, count: int, *, within_s: float = WAIT_S) -> float:
    """When the proved cards of that many others were there; without asking again and again."""
    held: set[str] = set()
    async with asyncio.timeout(within_s):
        async for event in client.events(None):
            if event.type == "reset":
                held = {station.id for station in await client.stations() if station.has_card}
            elif event.type == "station" and event.data["has_card"]:
                held.add(str(event.data["id"]))
            if len(held) >= count:
                return time.perf_counter()
    raise RuntimeError("the daemon ended its events")


def addressable(up: Village) -> None:
    """Wait until the kernel has checked the link-local addresses, as it has on a running machine.

    What waits is the peers, some of which don't start on an address that is not there yet.
    """
    show = ["ip", "-6", "address", "show", "tentative"]
    deadline = time.monotonic() + WAIT_S
    for name in up.topology.stations:
        while up.exec(name, show).stdout:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the addresses of {name} stay tentative")
            time.sleep(0.2)


def processes(up: Village, name: str) -> list[int]:
    """Process ids, as this machine counts them, of all that runs in a station."""
    keeper = Path(f"/proc/{up.keeper_pid()}/ns/pid").readlink()
    found: dict[int, Path] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if (entry / "ns/pid").readlink() == keeper:
                    found[int(entry.name)] = (entry / "ns/net").readlink()
            except OSError:
                continue
    mark = up.exec(name, ["readlink", "/proc/self/ns/net"], check=True).stdout.strip()
    return [pid for pid, net in found.items() if str(net) == mark]


def cut_power(up: Village, name: str) -> None:
    """End all that runs in a station, at once, and silence its interfaces.

    The others' interfaces keep their carrier, as if there were a switch in each cable: what they
    don't hear any more is all that they can go by.
    """
    running = processes(up, name)
    _signal(running, signal.SIGSTOP)  # or it would say farewell, or turn the interfaces on again
    for plug in up.topology.plugs(name):
        up.exec(name, ["ip", "link", "set", plug.interface, "down"], check=True)
    _signal(running, signal.SIGKILL)


def _signal(running: list[int], number: int) -> None:
    for pid in running:
        with suppress(ProcessLookupError):  # a helper takes its babeld along
            os.kill(pid, number)


def restore_power(up: Village, name: str) -> None:
    """Let a station's interfaces speak again; its programs stay ended."""
    for plug in up.topology.plugs(name):
        up.exec(name, ["ip", "link", "set", plug.interface, "up"], check=True)


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


def child_named(pid: int, name: str) -> int | None:
    """Process id of a process's child that runs a program; commands may come and go beside it."""
    for child in children(pid):
        with suppress(FileNotFoundError, ProcessLookupError):
            if Path(f"/proc/{child}/comm").read_text().strip() == name:
                return child
    return None


def memory_mb(pid: int) -> tuple[float, float]:
    """Resident and proportional set size in MB."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    sizes = {line.split(":")[0]: line.split()[1] for line in rollup.splitlines() if ":" in line}
    return int(sizes["Rss"]) / 1024, int(sizes["Pss"]) / 1024


def sizes_mb(running: Iterable[int]) -> list[tuple[float, float]]:
    """The same of each that still runs; helpers start commands that end soon."""
    found = []
    for pid in running:
        with suppress(FileNotFoundError, ProcessLookupError):
            found.append(memory_mb(pid))
    return found


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
