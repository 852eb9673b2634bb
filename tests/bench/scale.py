"""What a net of 10 to 1,000 simulated stations costs each of them, and 100,000 on paper."""

from __future__ import annotations

import math
import multiprocessing
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

sys.path.append(str(Path(__file__).parents[1]))  # for sim

from _scale import Costs, measure
from harness import Report, arguments

SIZES: Final = (10, 30, 100, 300)
RECEIPTS_UP_TO: Final = 300
"""Beyond, a message to everyone is followed only until it is everywhere: its receipts are as many
as there are stations, and simulating them takes hours."""

MESSAGES: Final = 20
"""What each station writes in a day."""

TO_ALL: Final = 2
"""How many of them are for everyone."""

RESTARTS: Final = 1
"""How often each starts again in a day."""

PAPER: Final = 100_000


def per_day(costs: Costs) -> float:
    """Return what one station receives in a day, if each does what is said above."""
    return costs.per_day(to_all=TO_ALL, to_one=MESSAGES - TO_ALL, restarts=RESTARTS)


def power(small: tuple[int, float], large: tuple[int, float]) -> float:
    """Return how fast something grows with the number of stations; 1: in step with it."""
    return math.log(large[1] / small[1]) / math.log(large[0] / small[0])


def on_paper(costs: Sequence[Costs]) -> dict[str, float]:
    """Go on to the largest number as the last two sizes went on."""
    small, large = costs[-2:]
    found = {}
    for name in (
        "spread_bytes",
        "to_all_bytes",
        "to_one_bytes",
        "restart_bytes",
        "idle_bytes_per_s",
    ):
        a, b = getattr(small, name), getattr(large, name)
        grows = power((small.stations, a), (large.stations, b))
        found[name] = b * (PAPER / large.stations) ** grows
        found[f"{name}_grows"] = grows
    once = TO_ALL * found["to_all_bytes"] + (MESSAGES - TO_ALL) * found["to_one_bytes"]
    idle = 86_400 * found["idle_bytes_per_s"]
    found["bytes_per_station_per_day"] = idle + once + RESTARTS * found["restart_bytes"]
    receipts = TO_ALL * (found["to_all_bytes"] - found["spread_bytes"])
    found["without_receipts_of_all"] = found["bytes_per_station_per_day"] - receipts
    return found


def with_receipts(one: Costs, before: Sequence[Costs]) -> Costs:
    """Return the costs of a size whose receipts were not simulated, with those as they grow."""
    if not math.isnan(one.to_all_bytes) or len(before) < 2:
        return one
    small, large = before[-2:]
    grows = power((small.stations, small.to_all_bytes), (large.stations, large.to_all_bytes))
    total = large.to_all_bytes * (one.stations / large.stations) ** grows
    return replace(one, to_all_bytes=total)


def table(costs: Sequence[Costs]) -> str:
    """Return one line for each size."""
    lines = [
        "stations  cards s  to all s  told s  to one s  join kB  idle B/s  to all kB  to one kB"
        "  restart kB  MB/day  MB each"
    ]
    lines += [
        f"{one.stations:>8}  {one.cards_s:7.1f}  {one.to_all_s:8.1f}  {one.confirmed_s:6.1f}"
        f"  {one.to_one_s:8.1f}  {one.join_bytes / 1e3:7.0f}  {one.idle_bytes_per_s:8.1f}"
        f"  {one.to_all_bytes / one.stations / 1e3:9.1f}"
        f"  {one.to_one_bytes / one.stations / 1e3:9.1f}"
        f"  {one.restart_bytes / one.stations / 1e3:10.1f}"
        f"  {per_day(one) / 1e6:6.1f}  {one.memory_mb:7.2f}"
        for one in costs
    ]
    return "\n".join(lines)


def alone(stations: int) -> Costs:
    """Measure one size in a process of its own, whose memory is then that of the size."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as pool:
        return pool.submit(measure, stations, receipts=stations <= RECEIPTS_UP_TO).result()


def main(argv: list[str]) -> int:
    """Measure all sizes."""
    parser = arguments(__doc__)
    parser.add_argument("--stations", type=int, nargs="+", default=list(SIZES), metavar="N")
    args = parser.parse_args(argv)
    report = Report("scale")
    costs: list[Costs] = []
    for stations in args.stations:
        costs.append(with_receipts(alone(stations), costs))
        print(f"{stations} stations: measured in {costs[-1].took_s:.0f} s", flush=True)
    print(f"\n{table(costs)}\n")
    print(
        f"kB are of each station for one message or start.  A day: {MESSAGES} messages of each"
        f" station, {TO_ALL} of them to everyone, and {RESTARTS} start of each, added up from what"
        " one costs.\nOnly neighbours have sessions, as without a helper: each message to one"
        " station also goes over all.\n"
    )
    whole = [one for one in costs if not math.isnan(one.confirmed_s)]
    report.note("stations", [one.stations for one in costs])
    report.note("converged_s", [one.to_all_s for one in costs])
    report.note("confirmed_s", [one.confirmed_s for one in whole])
    report.note("bytes_per_station_per_day", [per_day(one) for one in costs])
    report.note("memory_mb", [one.memory_mb for one in costs])
    report.note("details", [asdict(one) for one in whole])
    if len(whole) >= 2:
        paper = on_paper(whole)
        report.note("paper", paper)
        report.add(
            "paper_100000_mb",
            paper["bytes_per_station_per_day"] / 1e6,
            what="of each station in a day at 100,000 stations, as it grows between the last two",
        )
        report.add(
            "paper_no_receipts_mb",
            paper["without_receipts_of_all"] / 1e6,
            what="the same if nobody answered what is for everyone",
        )
    last = costs[-1]
    report.add("to_all_s", last.to_all_s, what=f"to everyone of {last.stations} stations")
    report.add("station_mb", last.memory_mb, what="memory of one of them")
    return report.finish(json=args.json)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
