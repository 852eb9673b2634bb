"""How two stations find out what each lacks, and how fast 10,000 missing records are brought."""

from __future__ import annotations

import asyncio
import math
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))  # for cargo

from _reconciliation import Figures
from _reconciliation import measure as compare
from _stations import clients, cpu_s, others, pids, village, wait_event
from cargo import carried, load, records
from harness import Report, arguments

from appliance.daemon.main import STORE_NAME
from appliance.village.village import Village

SIZES = (1_000, 10_000, 100_000, 1_000_000)
DIFFERENCES = (0, 10, 1_000)
MISSING = 10_000
RUNS = 3
PER_DIFFERENCE = 80
"""Bytes for each difference and each doubling of the set."""

DEADLINE_S = 120.0


def received_bytes(up: Village, name: str) -> int:
    """Bytes that a station's interfaces have taken in."""
    lines = up.exec(name, ["cat", "/proc/net/dev"], check=True).stdout.splitlines()[2:]
    return sum(int(line.split(":")[1].split()[0]) for line in lines)


async def merge(seed: int) -> tuple[float, float, float]:
    """Seconds, processor seconds and bytes until one station has all of the other's."""
    cargo = records(MISSING, seed=seed)
    async with village("pair") as up:
        paths = {name: up.station(name).state / STORE_NAME for name in "ab"}
        async with clients(up, "a", "b") as (a, b):
            await others(a)
            await others(b)
        up.stop("a")
        await load(paths["a"], cargo)
        async with clients(up, "b") as (b,):
            before = received_bytes(up, "b")
            up.start("a")
            await wait_event(b, None, lambda event: event.type == "station")
            await others(b)
            used = sum(map(cpu_s, pids(up).values()))
            began = time.perf_counter()
            deadline = began + DEADLINE_S
            while carried(paths["b"]) < MISSING:
                if time.perf_counter() > deadline:
                    raise TimeoutError(f"{carried(paths['b'])} of {MISSING} have come")
                await asyncio.sleep(0.02)
            took = time.perf_counter() - began
            used = sum(map(cpu_s, pids(up).values())) - used
            size = received_bytes(up, "b") - before
    return took, used, size / sum(len(record.raw) for record in cargo)


def rows() -> list[Figures]:
    """Every size with every number of differences."""
    return [compare(size, differences) for size in SIZES for differences in DIFFERENCES]


def main(argv: list[str]) -> int:
    args = arguments(__doc__).parse_args(argv)
    report = Report("sync")
    found = rows()
    print(
        "records  differ      bytes  half rounds  seconds  CPU s   bytes a difference and doubling"
    )
    for one in found:
        total = sum(one.sent_bytes)
        each = total / one.differences / math.log2(one.records) if one.differences else 0.0
        print(
            f"{one.records:>7}  {one.differences:>6}  {total:>9}  {one.half_rounds:>11}"
            f"  {one.seconds:>7.3f}  {one.cpu_s:>5.2f}   {each:.1f}"
        )
    print()
    million = {one.differences: one for one in found if one.records == SIZES[-1]}
    merges = [asyncio.run(merge(seed)) for seed in range(RUNS)]
    report.add("merge_10k_s", [took for took, _, _ in merges], goal=3.0, what="from the session on")
    report.add("merge_10k_cpu_s", [used for _, used, _ in merges], what="both stations")
    report.add("bytes_ratio_10k", [ratio for _, _, ratio in merges], goal=1.2, what="on the wire")
    report.add(
        "round_trips", million[1_000].half_rounds, goal=6, what="half, of a million, 1,000 differ"
    )
    report.add(
        "idle_check_1m_bytes", sum(million[0].sent_bytes), what="of a million, nothing differs"
    )
    worst = max(
        sum(one.sent_bytes) / one.differences / math.log2(one.records)
        for one in found
        if one.differences
    )
    report.add(
        "bytes_per_difference_and_doubling", worst, goal=PER_DIFFERENCE, what="worst of the table"
    )
    return report.finish(json=args.json)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
