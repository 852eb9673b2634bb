"""Stations by the dozen or hundred in a simulated bad network; one seed decides everything."""

from __future__ import annotations

import argparse
import resource
import secrets
import sys
import time
from collections.abc import Iterator
from typing import Final

from sim.scenario import Scenario
from sim.world import Outcome, world

EXAMPLES: Final = """
examples:
  scripts/sim                                 one fresh seed, which is printed
  scripts/sim --seed 7 --stations 8           that run, the same each time
  scripts/sim --seed 7 --stations 8 --trace   and all that happens in it
  scripts/sim --seeds 1-200 --stations 5-12   many of them
  scripts/sim --seed 1 --stations 300 --minutes 2
"""


def _span(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/sim",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    seeds = parser.add_mutually_exclusive_group()
    seeds.add_argument("--seed", type=int, help="what decides everything; else a fresh one")
    seeds.add_argument("--seeds", type=_span, metavar="A-B", help="all of these, one by one")
    parser.add_argument(
        "--stations", type=_span, default=_span("5-12"), metavar="N", help="how many, or from-to"
    )
    parser.add_argument(
        "--minutes", type=float, default=5.0, help="of faults and traffic, in simulated time"
    )
    parser.add_argument("--trace", action="store_true", help="print all that happens")
    return parser.parse_args(argv)


def scenarios(seeds: range, stations: range, minutes: float) -> Iterator[Scenario]:
    """Return a run for each seed; the numbers of stations take turns."""
    for seed in seeds:
        yield Scenario.of(seed, stations[seed % len(stations)], minutes)


def simulate(scenario: Scenario, *, trace: bool = False) -> Outcome:
    """Run one."""
    with world(scenario, trace=print if trace else None) as made:
        return made.run()


def report(outcome: Outcome, took_s: float) -> str:
    """Say in a line or more what came of a run."""
    scenario = outcome.scenario
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures = " ".join(f"{value} {name}" for name, value in outcome.figures.items())
    settled = f"settled in {outcome.settled_s:.0f} s" if outcome.settled_s else "not settled"
    lines = [
        f"seed {scenario.seed}: {scenario.stations} stations, {settled}; {figures};"
        f" {outcome.simulated_s:.0f} s in {took_s:.1f} s"
        f" ({1000 * took_s / outcome.simulated_s:.1f} ms each), {megabytes:.0f} MB,"
        f" fingerprint {outcome.fingerprint:08x}"
    ]
    if outcome.faults:
        lines += [f"  FAULT: {fault}" for fault in outcome.faults]
        lines.append(f"  again: {scenario.replay}")
    return "\n".join(lines)


def main(argv: list[str]) -> int:
    """Run what is asked for; returns how many runs had faults, at most 1."""
    options = _arguments(argv)
    fresh = secrets.randbelow(1 << 32)
    seed = options.seed if options.seed is not None else fresh
    seeds = options.seeds or range(seed, seed + 1)
    failed = 0
    for scenario in scenarios(seeds, options.stations, options.minutes):
        started = time.monotonic()
        outcome = simulate(scenario, trace=options.trace)
        print(report(outcome, time.monotonic() - started), flush=True)
        failed += bool(outcome.faults)
    if len(seeds) > 1:
        print(f"{len(seeds)} runs, {failed} with faults")
    return min(failed, 1)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
