"""What a net of 10 to 1,000 simulated stations costs each of them, and 100,000 on paper."""

from __future__ import annotations

import math
import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

sys.path.append(str(Path(__file__).parents[1]))  # for sim

from _scale import Costs, measure
from harness import Report, arguments

SIZES: Final = (10, 30, 100, 300, 1_000)

BUDGET_MIN: Final = 45.0
"""Minutes of one processor that one size may take."""

RECEIPTS_UP_TO: Final = 1_000
"""Beyond, a message to everyone is followed only until it is everywhere: its receipts are as many
as there are stations, each has all of them, and simulating that takes hours."""

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
    # What is next to nothing can come out below it, less what is said in idle time.
    grown = max(large[1], 1e-3) / max(small[1], 1e-3)
    return math.log(grown) / math.log(large[0] / small[0])


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


HEADINGS: Final = (
    "stations  cards s  to all s  told s  to one s  join kB  idle B/s  to all kB  to one kB"
    "  restart kB  MB/day  MB each"
)


def row(one: Costs) -> str:
    """Return a line of the table; nan is what was not measured."""
    return (
        f"{one.stations:>8}  {one.cards_s:7.1f}  {one.to_all_s:8.1f}  {one.confirmed_s:6.1f}"
        f"  {one.to_one_s:8.1f}  {one.join_bytes / 1e3:7.0f}  {one.idle_bytes_per_s:8.1f}"
        f"  {one.to_all_bytes / one.stations / 1e3:9.1f}"
        f"  {one.to_one_bytes / one.stations / 1e3:9.1f}"
        f"  {one.restart_bytes / one.stations / 1e3:10.1f}"
        f"  {per_day(one) / 1e6:6.1f}  {one.memory_mb:7.2f}"
    )


def remarks(one: Costs) -> Iterator[str]:
    """Return what has to be said of a row."""
    if not one.whole:
        yield "  the rest was not measured: see above"
    if one.cut_off:
        yield f"  {one.cut_off} of its messages and starts were cut off, so their kB are too few"


def alone(stations: int, minutes: float) -> Costs:
    """Measure one size in a process of its own, whose memory is then that of the size."""
    context = multiprocessing.get_context("spawn")
    receipts = stations <= RECEIPTS_UP_TO
    with ProcessPoolExecutor(1, context) as pool:
        return pool.submit(measure, stations, receipts=receipts, budget_s=60 * minutes).result()


def known(value: float) -> float | None:
    """Return a figure, or None if it was not measured: JSON has no NaN."""
    return None if math.isnan(value) else value


def main(argv: list[str]) -> int:
    """Measure all sizes; fails if there was no time for one."""
    parser = arguments(__doc__)
    parser.add_argument("--stations", type=int, nargs="+", default=list(SIZES), metavar="N")
    parser.add_argument(
        "--minutes",
        type=float,
        default=BUDGET_MIN,
        metavar="M",
        help="of one processor that each size may take; then it says what it has until then",
    )
    args = parser.parse_args(argv)
    report = Report("scale")
    costs: list[Costs] = []
    for stations in args.stations:
        costs.append(with_receipts(alone(stations, args.minutes), costs))
        one = costs[-1]
        print("\n".join((HEADINGS, row(one), *remarks(one))))
        print(f"  measured in {one.took_s:.0f} s of one processor\n", flush=True)
    print("\n".join((HEADINGS, *map(row, costs))), end="\n\n")
    print(
        f"kB are of each station for one message or start.  A day: {MESSAGES} messages of each"
        f" station, {TO_ALL} of them to everyone, and {RESTARTS} start of each, added up from what"
        " one costs.\nOnly neighbours have sessions, as without a helper: each message to one"
        " station also goes over all.\n"
    )
    whole = [one for one in costs if one.whole and not math.isnan(one.confirmed_s)]
    report.note("stations", [one.stations for one in costs])
    report.note("converged_s", [known(one.to_all_s) for one in costs])
    report.note("confirmed_s", [known(one.confirmed_s) for one in costs])
    report.note("bytes_per_station_per_day", [known(per_day(one)) for one in costs])
    report.note("memory_mb", [known(one.memory_mb) for one in costs])
    report.note(
        "details", [{name: known(value) for name, value in asdict(one).items()} for one in costs]
    )
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
        last = whole[-1]
        report.add("to_all_s", last.to_all_s, what=f"to everyone of {last.stations} stations")
        report.add("station_mb", last.memory_mb, what="memory of one of them")
    report.finish(json=args.json)
    return 0 if all(one.whole for one in costs) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
