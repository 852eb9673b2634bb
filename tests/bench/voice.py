"""How speech sounds over bad links; so far in virtual time (--offline)."""

from __future__ import annotations

import sys
from statistics import mean

from _clips import script
from _offline import Measured, World
from _traces import GOAL_KBIT_S, ROWS, Row, row
from harness import arguments

OFFLINE_CLIPS = 6
OFFLINE_SEEDS = 2


def offline(rows: list[Row], *, clips: int, seeds: list[int], details: bool) -> None:
    """A table of our own calls in virtual time."""
    said = script(clips)
    print(
        f"{'row':10} {'seed':>4} {'pesq':>6} {'least':>6} {'goal':>5} {'stoi':>6} "
        f"{'m2e ms':>7} {'worst':>6} {'payload':>8} {'wire':>6}  of the receiver"
    )
    for kind in rows:
        all_of: list[Measured] = []
        for seed in seeds:
            world = World(kind, seed, said)
            measured = world.run()
            if details:
                print(*(f"{at:6.1f} {end} {event}" for at, end, event in world.log), sep="\n")
            all_of.append(measured)
            _line(kind, str(seed), [measured])
        if len(seeds) > 1:
            _line(kind, "all", all_of)


def _line(kind: Row, seed: str, runs: list[Measured]) -> None:
    found = [score for run in runs for score in run.scores]
    quality = [score.pesq for score in found]
    lags = [score.lag_s * 1000 for score in found]
    payload, wire = (mean(r.payload_kbit_s for r in runs), mean(r.wire_kbit_s for r in runs))
    said = ""
    if (stats := runs[-1].stats) is not None and len(runs) == 1:
        said = f"recovered {stats.recovered} concealed {stats.concealed}"
    goal = f"{kind.goal_pesq:.1f}" if kind.goal_pesq else ""
    verdict = (
        "" if kind.goal_pesq is None else "met" if mean(quality) >= kind.goal_pesq else "MISSED"
    )
    if payload > GOAL_KBIT_S:
        verdict += " too many bytes"
    print(
        f"{kind.name:10} {seed:>4} {mean(quality):6.2f} {min(quality):6.2f} {goal:>5} "
        f"{mean(s.stoi for s in found):6.3f} {mean(lags):7.1f} {max(lags):6.1f} "
        f"{payload:8.1f} {wire:6.1f}  {said} {verdict}",
        flush=True,
    )


def main(argv: list[str]) -> int:
    parser = arguments(__doc__)
    parser.add_argument(
        "--rows", type=lambda text: [row(n) for n in text.split(",")], default=list(ROWS)
    )
    parser.add_argument("--offline", action="store_true")
    parser.add_argument("--clips", type=int, default=OFFLINE_CLIPS)
    parser.add_argument("--seeds", type=int, default=OFFLINE_SEEDS)
    parser.add_argument("--details", action="store_true", help="what both ends say of themselves")
    args = parser.parse_args(argv)
    offline(args.rows, clips=args.clips, seeds=list(range(1, args.seeds + 1)), details=args.details)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
