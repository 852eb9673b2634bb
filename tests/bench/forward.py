"""TCP over three hops beside static routes and Yggdrasil; calls and bulk on a slow link."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from statistics import mean

sys.path.append(str(Path(__file__).parents[1]))  # for speech

from _slow_link import LINK_KBIT, SLACK_PCT, Measured, slow_link
from _throughput import throughput
from harness import Report, arguments

ROUNDS = 3
IPERF_S = 3.0
CALL_ROUNDS = 2
CLIPS = 3
PARTS = ("throughput", "slow-link")


def add_throughput(report: Report, mbit_s: dict[str, list[float]]) -> None:
    """Ratios of what was measured right after each other."""
    for name, values in mbit_s.items():
        report.add(f"{name}_mbit_s", values, what="one TCP connection over three hops")

    def ratios(other: str) -> list[float]:
        return [a / b for a, b in zip(mbit_s["ours"], mbit_s[other], strict=True)]

    report.add(
        "ratio_to_static",
        ratios("static"),
        goal=0.95,
        at_least=True,
        what="helper, routing and firewall against routes by hand",
    )
    report.add("ratio_to_yggdrasil", ratios("yggdrasil"), what="the same against Yggdrasil")


def add_slow_link(report: Report, measured: Measured, *, end: str, goals: bool) -> None:
    """Names end in `end`; the goals are for links whose rate we know."""
    report.add(f"call_pesq_alone{end}", measured.alone, what="PESQ of speech, calls alone")
    report.add(f"call_pesq_beside{end}", measured.beside, what="the same beside a transfer")
    report.add(
        f"call_pesq_drop{end}",
        mean(measured.alone) - mean(measured.beside),
        goal=0.1 if goals else None,
        what="difference of the means, with the transfer",
    )
    report.add(
        f"call_pesq_drop_back{end}",
        mean(measured.back_alone) - mean(measured.back_beside),
        what="the same against the transfer's direction",
    )
    report.add(
        f"bulk_share{end}",
        measured.shares,
        goal=0.7 if goals else None,
        at_least=True,
        what="blobs' content, of what the calls leave of the link",
    )
    report.add(f"bulk{end}_kbit_s", measured.bulk_kbit_s)
    report.add(f"call{end}_kbit_s", measured.call_kbit_s, what="of a call alone, one way")


def main(argv: list[str]) -> int:
    parser = arguments(__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; else all")
    parts = (args := parser.parse_args(argv)).parts or PARTS
    if unknown := set(parts) - set(PARTS):
        parser.error(f"there is no part {unknown.pop()}")
    report = Report("forward")
    if "throughput" in parts:
        add_throughput(report, asyncio.run(throughput(rounds=ROUNDS, seconds=IPERF_S)))
    if "slow-link" in parts:
        for told, end in ((True, ""), (False, "_untold")):
            measured = asyncio.run(slow_link(told=told, rounds=CALL_ROUNDS, clips=CLIPS))
            add_slow_link(report, measured, end=end, goals=told)
        report.add("link_kbit_s", LINK_KBIT, what=f"told to be {SLACK_PCT} % less, or not told")
    return report.finish(json=args.json)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
