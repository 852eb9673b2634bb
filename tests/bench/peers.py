"""Fencewire beside another system, in the same village, in the same run: `peers reticulum`."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from _flow import Flow
from _stations import addressable, cut_power, processes, restore_power, sizes_mb, village
from _systems import (
    RETICULUM,
    Ours,
    System,
    Theirs,
    environment,
    our_command,
    wrong_clock_library,
)
from harness import Report, arguments, percentile

from appliance.village.village import Village

Samples = dict[str, dict[str, list[float]]]
"""What was measured -> `ours` or `theirs` -> samples."""

BULK_BYTES = 10_000_000
LOST_S = 90.0
"""What takes longer is given up and counts as this."""

WARM_UP = 5
SETTLE_S = 5.0
STEADY_S = 3.0


async def cold(system: System, up: Village, _: int) -> float:
    """Both started at once on a cable: seconds until each can write to the other."""
    began = time.perf_counter()
    await system.start("a", "b")
    await system.met("a", "b")
    return time.perf_counter() - began


async def messages(system: System, up: Village, count: int) -> list[float]:
    """One after the other, from the first station to the last; milliseconds to the receipt."""
    names = up.topology.stations
    await system.start(*names)
    await system.met(*names)
    await asyncio.sleep(SETTLE_S)  # ours has cards before routes, and carries what is written then
    texts = [f"message {number}: the road is open, send two people" for number in range(count)]
    for number in range(WARM_UP):
        await system.delivered(names[0], names[-1], f"warm up {number}")
    return [await system.delivered(names[0], names[-1], text) for text in texts]


async def relay_kill(system: System, up: Village, _: int) -> float:
    """A ring of four, the relay in use without power: the longest time without a message."""
    names = up.topology.stations
    await system.start(*names)
    await system.met(*names)
    await system.delivered("a", "c", "warm up")
    flow = Flow(lambda text: system.send("a", "c", text), system.arrived("c"))
    relay = ""
    try:
        if not await flow.flowing(time.perf_counter(), within_s=LOST_S):
            raise RuntimeError(f"{system.name}: nothing flowed before the break")
        await asyncio.sleep(STEADY_S)
        relay = await system.relay("a", "c")
        killed = time.perf_counter()
        await asyncio.to_thread(cut_power, up, relay)
        came = await flow.flowing(time.perf_counter(), within_s=LOST_S)
        return flow.gap_s(killed) if came else LOST_S
    finally:
        await flow.stop()
        if relay:
            await asyncio.to_thread(restore_power, up, relay)
            await asyncio.to_thread(addressable, up)


async def bad_clock(system: System, up: Village, _: int) -> float:
    """A station starts anew with its clock a day slow: seconds until a message reaches it."""
    return await restart(system, slow_clock=True)


async def right_clock(system: System, up: Village, _: int) -> float:
    """The same with a right clock."""
    return await restart(system, slow_clock=False)


async def restart(system: System, *, slow_clock: bool) -> float:
    """Kill a station and start it, while the other writes to it once a second."""
    await system.start("a", "b")
    await system.met("a", "b")
    await system.delivered("a", "b", "warm up")
    await system.kill("b")
    began = time.perf_counter()
    flow = Flow(lambda text: system.send("a", "b", text), system.arrived("b"), every_s=1.0)
    try:
        await system.start("b", slow_clock=slow_clock)
        return await flow.first(began, within_s=LOST_S) or LOST_S
    finally:
        await flow.stop()


async def bulk(system: System, up: Village, runs: int) -> list[float]:
    """10 MB that can't be compressed, over a connection that stands; seconds."""
    await system.start("a", "b")
    await system.met("a", "b")
    return [await system.bulk("a", "b", BULK_BYTES) for _ in range(runs)]


async def memory(system: System, up: Village, _: int) -> float:
    """All processes of a station that has met another one: proportional set size in MB."""
    await system.start("a", "b")
    await system.met("a", "b")
    await system.delivered("a", "b", "warm up")
    await asyncio.sleep(SETTLE_S)
    return sum(pss for _, pss in sizes_mb(await asyncio.to_thread(processes, up, "a")))


Scenario = Callable[[System, Village, int], Awaitable[float | list[float]]]

SCENARIOS: dict[str, tuple[str, Scenario, int, int]] = {
    "cold_s": ("pair", cold, 5, 0),
    "message_1hop_ms": ("pair", messages, 2, 100),
    "message_3hop_ms": ("line:4", messages, 2, 100),
    "relaykill_s": ("ring:4", relay_kill, 3, 0),
    "bad_clock_s": ("pair", bad_clock, 3, 0),
    "right_clock_s": ("pair", right_clock, 2, 0),
    "bulk_s": ("pair", bulk, 2, 3),
    "memory_mb": ("pair", memory, 2, 0),
}
"""Name -> the village, what is done there, how often by each system in turn, and samples a time."""

MESH = {"message_3hop_ms", "relaykill_s"}
"""These need more than neighbours."""


async def compare(
    name: str, *, python: Path | None, library: Path, net: bool, runs: int | None = None
) -> dict[str, list[float]]:
    """Do one thing with one system, then with the other, and again; without Python ours alone."""
    topology, scenario, times, count = SCENARIOS[name]
    took: dict[str, list[float]] = {"ours": [], "theirs": []}
    command = our_command(library)
    async with village(topology, daemons=False, command=command, net=net) as up:
        await Ours(up, net=net).stop()
        await asyncio.to_thread(addressable, up)
        systems: list[System] = [Ours(up, net=net)]
        if python is not None:
            systems.append(Theirs(up, python, library))
        for system in systems * (runs or times):
            try:
                result = await scenario(system, up, count)
            finally:
                await system.stop()
            took[system.name] += result if isinstance(result, list) else [result]
            print(f"{name} {system.name}: {took[system.name][-1]:.3g}", file=sys.stderr)
    return took


def report_on(report: Report, took: Samples) -> None:
    """Both figures of each, and ours divided by theirs."""
    medians: dict[str, dict[str, float]] = {"ours": {}, "theirs": {}}
    for name, samples in took.items():
        words = (SCENARIOS[name][1].__doc__ or "").splitlines()[0].rstrip(".")
        for system, of in samples.items():
            medians[system][name] = percentile(of, 50)
            stem, _, unit = name.rpartition("_")
            report.add(f"{stem}_{system}_{unit}", of, what=words)
        ratio = medians["ours"][name] / medians["theirs"][name]
        report.add(f"{name.rpartition('_')[0]}_ratio", ratio, what="ours / theirs")
    for name in SCENARIOS.keys() - took.keys():
        report.note(f"{name.rpartition('_')[0]}_ratio", None)
    for system, figures in medians.items():
        report.note(system, figures)


async def measure(only: list[str], *, net: bool, runs: int | None) -> Samples:
    python = await asyncio.to_thread(environment)
    with tempfile.TemporaryDirectory() as scratch:
        library = wrong_clock_library(Path(scratch))
        return {
            name: await compare(name, python=python, library=library, net=net, runs=runs)
            for name in only
            if net or name not in MESH
        }


def main(argv: list[str]) -> int:
    parser = arguments(__doc__)
    parser.add_argument("peer", choices=["reticulum"], help="whom to compare with")
    parser.add_argument("--only", action="append", choices=SCENARIOS, help="may be given often")
    parser.add_argument("--runs", type=int, help="of each system in each scenario")
    parser.add_argument("--no-net", action="store_true", help="without the network helper")
    args = parser.parse_args(argv)
    report = Report("peers")
    print("with", " ".join(RETICULUM))
    took = asyncio.run(measure(args.only or list(SCENARIOS), net=not args.no_net, runs=args.runs))
    report_on(report, took)
    report.note("versions", list(RETICULUM))
    return report.finish(json=args.json)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
