"""How soon everyone lists everyone, how breaks heal while people talk, and what the mesh costs."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from _flow import Flow
from _neighbours import room_for
from _stations import (
    addressable,
    clients,
    cpu_s,
    cut_power,
    listed,
    processes,
    restore_power,
    sizes_mb,
    village,
)
from _systems import Ours, path
from _tone import heard_to_the_end, longest_silence_s, tone_file
from discovery import cable_plugged
from harness import Report, arguments

from appliance.api.client import Client
from appliance.village.station import NET
from appliance.village.topology import parse_topology
from appliance.village.village import Village

LISTED_WITHIN_S = 120.0
HEALED_WITHIN_S = 60.0
SETTLE_S = 10.0
IDLE_S = 30.0
STEADY_S = 3.0
CALL_S = 120.0
PLUGS = 10

SHAPES: dict[str, tuple[str, float | None, int]] = {
    "line5": ("line:5", 3.0, 3),
    "ring8": ("ring:8", None, 3),
    "grid25": ("grid:5x5", 6.0, 2),
    "lan50": ("lan:50", 10.0, 1),
}
"""Name -> village, goal in seconds, runs."""

BREAKS = {"linkdown": 1.5, "silent": 4.0, "relaykill": 4.0}
"""What is broken in the middle of the way that is in use -> goal in seconds."""

PARTS = (*SHAPES, "heal", "merge", "idle", "cable")


async def all_listed(up: Village, since: float) -> float:
    """Seconds from a moment until every station holds every other's proved card."""
    names = up.topology.stations
    async with clients(up, *names) as all_clients:
        count = len(names) - 1
        waits = (listed(client, count, within_s=LISTED_WITHIN_S) for client in all_clients)
        return max(await asyncio.gather(*waits)) - since


async def shape(report: Report, name: str, runs: int | None) -> None:
    """From the last daemon's readiness; a fresh village each time."""
    topology, goal, times = SHAPES[name]
    took = []
    with room_for(parse_topology(topology)) as said:
        for run in range(runs or times):
            async with village(topology, net=True) as up:
                took.append(await all_listed(up, time.perf_counter()))
                print(f"{name}: {took[-1]:.2f} s", file=sys.stderr)
                if name == "lan50" and run == 0:
                    await crowd(report, up)
    if said:
        report.note(f"{name}_kernel", said)
    report.add(f"{name}_all_listed_s", took, goal=goal, what="last daemon ready to all cards")


async def crowd(report: Report, up: Village) -> None:
    """What a station on a full link has to do."""
    await asyncio.sleep(SETTLE_S)
    names = up.topology.stations
    async with clients(up, *names) as all_clients:
        everyone = [await client.stations() for client in all_clients]
    sessions = [sum(station.reach == "here" for station in others) for others in everyone]
    report.add("lan50_max_sessions", float(max(sessions)), what="at one station, of any kind")
    sent, cpu, sizes = await idle_costs(up)
    links = len(up.topology.cables)
    report.add("lan50_idle_bytes_per_s", sent / links, what="that one station sends")
    report.add("lan50_station_idle_cpu_pct", cpu, what="all processes of one station")
    report.add("lan50_station_rss_mb", sizes, what="the same")


async def idle_costs(up: Village) -> tuple[float, float, float]:
    """Bytes/s that all stations send; of one station on average, CPU in % and RSS in MB."""
    names = up.topology.stations
    everyone = [pid for name in names for pid in await asyncio.to_thread(processes, up, name)]
    sent, used, began = await asyncio.to_thread(sent_by, up), _cpu(everyone), time.perf_counter()
    await asyncio.sleep(IDLE_S)
    took = time.perf_counter() - began
    after = _cpu(everyone)
    later = await asyncio.to_thread(sent_by, up)
    bytes_per_s = sum(
        (count - sent[name][1]) / (at - sent[name][0]) for name, (at, count) in later.items()
    )
    cpu = sum(after[pid] - used[pid] for pid in after)
    size = sum(rss for rss, _ in sizes_mb(after))
    return bytes_per_s, cpu / took * 100 / len(names), size / len(names)


def _cpu(pids: list[int]) -> dict[int, float]:
    """Processor time of those that still run; helpers start commands that end soon."""
    found = {}
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            found[pid] = cpu_s(pid)
    return found


def sent_by(up: Village) -> dict[str, tuple[float, int]]:
    """Of each station: when it was asked, and the bytes that it had sent on all its cables.

    Asking many takes seconds, in which they go on sending.
    """
    found = {}
    for name in up.topology.stations:
        files = [
            f"/sys/class/net/{p.interface}/statistics/tx_bytes" for p in up.topology.plugs(name)
        ]
        counts = up.exec(name, ["cat", *files], check=True).stdout.split()
        found[name] = time.perf_counter(), sum(map(int, counts))
    return found


async def idle(report: Report) -> None:
    """The ring when nobody does anything."""
    async with village("ring:8", net=True) as up:
        await all_listed(up, time.perf_counter())
        await asyncio.sleep(SETTLE_S)
        sent, cpu, sizes = await idle_costs(up)
        links = len(up.topology.cables)
    report.add(
        "idle_bytes_per_s", sent / links, goal=700.0, what=f"a link, both ways, {IDLE_S:g} s"
    )
    report.add("station_rss_mb", sizes, what="all processes of one station, on the ring")
    report.add("station_idle_cpu_pct", cpu, what="the same")


async def merge(report: Report, runs: int | None) -> None:
    """Two lines of three become one line of six."""
    took = []
    for _ in range(runs or 3):
        async with village("cables:1-2,2-3,4-5,5-6,3-4", daemons=False, net=True) as up:
            await asyncio.to_thread(partial(up.link, "c", "d", up=False))
            await start_all(up)
            async with clients(up, *up.topology.stations) as islanders:
                await asyncio.gather(*(listed(client, 2) for client in islanders))
                await asyncio.sleep(STEADY_S)
                known = [len(await client.stations()) for client in islanders]
            if known != [2] * len(known):
                raise RuntimeError(f"the islands are none: {known}")
            began = time.perf_counter()
            await asyncio.to_thread(partial(up.link, "c", "d", up=True))
            took.append(await all_listed(up, began))
    report.add("merge_s", took, what="cable between two islands of three plugged to all cards")


async def start_all(up: Village) -> None:
    """Start all daemons at once."""
    names = up.topology.stations
    await asyncio.gather(*(asyncio.to_thread(up.start, name) for name in names))


class Broken:
    """A break in the middle of a way, and its repair."""

    def __init__(self, up: Village, kind: str, way: list[str]) -> None:
        self._up, self._kind = up, kind
        self._near, self._far = way[len(way) // 2 - 1 : len(way) // 2 + 1]

    def make(self) -> None:
        """Break it, now."""
        if self._kind == "linkdown":
            self._up.link(self._near, self._far, up=False)
        elif self._kind == "silent":
            self._up.link(self._near, self._far, loss_pct=100)
        else:
            cut_power(self._up, self._far)

    def mend(self) -> None:
        """Make it as it was."""
        if self._kind == "relaykill":
            restore_power(self._up, self._far)
            addressable(self._up)
            self._up.start(self._far, which=NET)
            self._up.start(self._far)
        else:
            self._up.link(self._near, self._far, up=True, loss_pct=0)


async def heal_once(up: Village, ours: Ours, kind: str, scratch: Path) -> tuple[float, float]:
    """Break the way between two opposite stations that write and talk: both longest gaps."""
    a, e = (Client(up.station(name).api) for name in "ae")
    recorded = scratch / f"{time.perf_counter():.0f}.wav"
    tone = tone_file(scratch / "tone.wav", CALL_S)
    call = await a.call(ours.ids["e"], play=tone, record=str(scratch / "a.wav"))
    ringing = await state(e, "ringing-here")
    await e.answer(ringing, play=tone, record=str(recorded))
    await state(a, "talking")
    flow = Flow(lambda text: ours.send("a", "e", text), ours.arrived("e"))
    try:
        if not await flow.flowing(time.perf_counter(), within_s=HEALED_WITHIN_S):
            raise RuntimeError(f"{kind}: nothing flowed before the break")
        await asyncio.sleep(STEADY_S)
        way = await asyncio.to_thread(path, up, "a", "e")
        broken = Broken(up, kind, way)
        began = time.perf_counter()
        await asyncio.to_thread(broken.make)
        if not await flow.flowing(time.perf_counter(), within_s=HEALED_WITHIN_S):
            raise RuntimeError(f"{kind}: no message came for {HEALED_WITHIN_S:g} s")
        await asyncio.sleep(STEADY_S)
        gap = flow.gap_s(began)
    finally:
        await flow.stop()
    states = [(await client.calls())[0].state for client in (a, e)]
    if states != ["talking"] * 2:
        raise RuntimeError(f"{kind}: the call did not outlive the break, it is {states}")
    await a.hang_up(call.id)
    await state(e, "ended")
    await asyncio.to_thread(broken.mend)
    silence = await asyncio.to_thread(longest_silence_s, recorded)
    if not await asyncio.to_thread(heard_to_the_end, recorded):
        raise RuntimeError(f"{kind}: nobody was heard any more in the end of the call")
    words = f"messages {gap:.2f} s, sound {silence:.2f} s"
    print(f"{kind} on {'-'.join(way)}: {words}", file=sys.stderr)
    return gap, silence


async def state(client: Client, wanted: str) -> str:
    """Wait for the latest call to come into a state; its id."""
    async with asyncio.timeout(HEALED_WITHIN_S):
        async for event in client.events(None):
            calls = await client.calls() if event.type in {"reset", "call"} else ()
            if calls and calls[0].state == wanted:
                return calls[0].id
    raise RuntimeError("the daemon ended its events")


async def heal(report: Report, runs: int | None) -> None:
    """Break and mend the ring, again and again."""
    gaps: dict[str, list[tuple[float, float]]] = {kind: [] for kind in BREAKS}
    with tempfile.TemporaryDirectory() as scratch:
        async with village("ring:8", net=True) as up:
            ours = Ours(up, net=True)
            await all_listed(up, time.perf_counter())
            await ours.adopt("a", "e")
            for _ in range(runs or 3):
                for kind, of in gaps.items():
                    of.append(await heal_once(up, ours, kind, Path(scratch)))
                    await all_listed(up, time.perf_counter())
                    await asyncio.sleep(SETTLE_S)
            await ours.leave()
    for kind, goal in BREAKS.items():
        messages, sounds = zip(*gaps[kind], strict=True)
        report.add(f"gap_{kind}_s", messages, goal=goal, what="longest time without a message")
        report.add(f"call_gap_{kind}_s", sounds, goal=goal, what="longest time without sound")


async def cable(report: Report, runs: int | None) -> None:
    """Plug a cable between two stations with their helpers."""
    plugged = await cable_plugged(runs or PLUGS, net=True)
    report.add("cable_to_proved_s", plugged, goal=0.5, what="cable plugged to proved session")
    report.add("cable_to_proved_p95_s", plugged, percent=95, what="the same")


async def measure(report: Report, only: list[str], runs: int | None) -> None:
    parts: dict[str, Callable[[], Awaitable[None]]] = {
        **{name: partial(shape, report, name, runs) for name in SHAPES},
        "heal": partial(heal, report, runs),
        "merge": partial(merge, report, runs),
        "idle": partial(idle, report),
        "cable": partial(cable, report, runs),
    }
    for name in only:
        await parts[name]()


def main(argv: list[str]) -> int:
    parser = arguments(__doc__)
    parser.add_argument("--only", action="append", choices=PARTS, help="may be given often")
    parser.add_argument("--runs", type=int, help="of each part, in place of its own number")
    args = parser.parse_args(argv)
    report = Report("mesh")
    asyncio.run(measure(report, args.only or list(PARTS), args.runs))
    return report.finish(json=args.json)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
