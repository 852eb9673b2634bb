"""A 100 MB attachment over one and three hops, hashed and on disk at its end."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

from _bulk_ends import Held, fetching, holding
from _stations import addressable, village
from _systems import Ours, path
from _throughput import until
from harness import Report, arguments

from appliance.api.client import Client
from appliance.village.village import Village

LINE = "line:4"
SIZE = 100_000_000
RUNS = 5
GOAL_MBIT_S = 500
WAIT_S = 120.0


async def measure(up: Village, holder: str, fetcher: str, host: str) -> Held:
    """Move a blob once."""
    with holding(up, holder, SIZE) as held:
        command = fetching(host, held)
        done = await asyncio.to_thread(up.exec, fetcher, command, check=True, timeout_s=WAIT_S)
    return Held(**json.loads(done.stdout))


async def _down_the_line(up: Village) -> bool:
    """Whether packets go over all stations; routes come a little after cards."""
    names = list(up.topology.stations)
    try:
        return await asyncio.to_thread(path, up, names[0], names[-1]) == names
    except subprocess.CalledProcessError:
        return False


async def run(report: Report, runs: int) -> None:
    """One hop and three in turn."""
    found: dict[int, list[Held]] = {1: [], 3: []}
    async with village(LINE, daemons=False, net=True) as up:
        await asyncio.to_thread(addressable, up)
        ours = Ours(up, net=True)
        names = up.topology.stations
        await ours.stop()
        await ours.start(*names)
        try:
            await ours.met(*names)
            await until(lambda: _down_the_line(up))
            host = (await Client(up.station(names[0]).api).status()).address
            for _ in range(runs):
                for hops, measured in found.items():
                    measured.append(await measure(up, names[0], names[hops], host))
        finally:
            await ours.stop()
    for hops, measured in found.items():
        report.add(
            f"bulk_{hops}hop_mbit_s",
            [SIZE * 8 / 1e6 / each.seconds for each in measured],
            goal=GOAL_MBIT_S,
            at_least=True,
            what=f"100 MB, sealed, over {hops} hop{'s'[: hops - 1]}, synced to disk",
        )
    cpu = [each.cpu_s * 1000 / (SIZE / 1e6) for each in found[1]]
    report.add("receiver_cpu_per_mb_ms", cpu, what="processor time of the receiver, per MB")
    late = [each.late_ms for each in found[1]]
    report.add("receiver_late_p99_ms", late, what="what else the receiver does waits so long")


def main(argv: list[str]) -> int:
    parser = arguments(__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help="of each")
    args = parser.parse_args(argv)
    report = Report("bulk")
    asyncio.run(run(report, args.runs))
    return report.finish(json=args.json)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
