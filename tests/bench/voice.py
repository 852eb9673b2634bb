"""How speech sounds over bad links, beside baresip and aiortc; --offline: ours in virtual time."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections import defaultdict

from _clips import script
from _offline import World
from _traces import ROWS, Row, row
from _voice_table import Result, heading, line, summary
from _voice_village import SYSTEMS, bad_link
from harness import Report, arguments

CLIPS, ROUNDS = 3, 2
OFFLINE_CLIPS, OFFLINE_ROUNDS = 6, 2
BESIDE = ("ours", "baresip", "aiortc")
ONCE = "aiortc"
"""Is far from a goal: the first round is enough."""

Results = dict[tuple[str, str], list[Result]]


def offline(rows: list[Row], *, clips: int, rounds: int, details: bool) -> Results:
    """Our own calls in virtual time."""
    results: Results = defaultdict(list)
    said = script(clips)
    print(heading())
    for kind in rows:
        for seed in range(1, rounds + 1):
            world = World(kind, seed, said)
            results[kind.name, "ours"].append(world.run())
            if details:
                print(*(f"{at:6.1f} {end} {event}" for at, end, event in world.log), sep="\n")
            print(line(kind, "ours", results[kind.name, "ours"][-1:]), flush=True)
        if rounds > 1:
            print(line(kind, "ours", results[kind.name, "ours"]), flush=True)
    return results


async def beside(rows: list[Row], systems: list[str], *, clips: int, rounds: int) -> Results:
    """Calls between real stations, and those of others, in turn over the same traces."""
    results: Results = defaultdict(list)
    said = script(clips)
    async with bad_link(said) as link:
        print(heading())
        for kind in rows:
            for seed in range(1, rounds + 1):
                for who in systems:
                    if who != ONCE or seed == 1:
                        result = await link.call(who, kind, seed)
                        results[kind.name, who].append(result)
                        print(line(kind, who, [result]), flush=True)
    return results


def _listed(text: str, known: tuple[str, ...]) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in known]:
        raise argparse.ArgumentTypeError(f"no {unknown[0]!r}; there are {', '.join(known)}")
    return names


def main(argv: list[str]) -> int:
    parser = arguments(__doc__)
    names = tuple(kind.name for kind in ROWS)
    parser.add_argument("--rows", type=lambda text: _listed(text, names), default=list(names))
    parser.add_argument("--systems", type=lambda text: _listed(text, SYSTEMS), default=list(BESIDE))
    parser.add_argument("--clips", type=int, help="that are scored in each call, at most 6")
    parser.add_argument("--rounds", type=int, help="of all systems, each with traces of its own")
    parser.add_argument("--offline", action="store_true", help="ours alone, in virtual time")
    parser.add_argument("--details", action="store_true", help="offline: what both ends say")
    args = parser.parse_args(argv)
    rows = [row(name) for name in args.rows]
    report = Report("voice")
    if args.offline:
        clips, rounds = args.clips or OFFLINE_CLIPS, args.rounds or OFFLINE_ROUNDS
        results = offline(rows, clips=clips, rounds=rounds, details=args.details)
    else:
        clips, rounds = args.clips or CLIPS, args.rounds or ROUNDS
        results = asyncio.run(beside(rows, args.systems, clips=clips, rounds=rounds))
    print()
    report.note("load1_end", round(os.getloadavg()[0], 2))
    summary(report, rows, results)
    return report.finish(json=args.json)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
