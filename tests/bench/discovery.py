"""How long two stations take to find each other and prove their keys."""

from __future__ import annotations

import asyncio
import sys
import time

from _stations import clients, others, village, wait_event
from harness import Report, arguments

RUNS = 10


async def cold_start() -> float:
    """Start both daemons at once on a cable; seconds until both hold the other's proof."""
    async with village("pair", daemons=False) as up:
        began = time.perf_counter()
        await asyncio.gather(*(asyncio.to_thread(up.start, name) for name in "ab"))
        await asyncio.to_thread(up.wait_ready)
        async with clients(up, "a", "b") as both:
            await asyncio.gather(*(others(client) for client in both))
            return time.perf_counter() - began


async def cable_plugged(runs: int, *, net: bool = False) -> list[float]:
    """Plug a cable between two stations that run; seconds until both hold the other's proof."""
    took = []
    for _ in range(runs):
        async with village("pair", daemons=False, net=net) as up:
            await asyncio.to_thread(lambda: up.link("a", "b", up=False))
            await asyncio.gather(*(asyncio.to_thread(up.start, name) for name in "ab"))
            await asyncio.to_thread(up.wait_ready)
            async with clients(up, "a", "b") as (a, b):
                waiting = [
                    asyncio.create_task(
                        wait_event(
                            client,
                            None,
                            lambda e: e.type == "station" and e.data["reach"] == "here",
                        )
                    )
                    for client in (a, b)
                ]
                # Both have said that they are without a network before the cable goes in.
                for client in (a, b):
                    while not (await client.status()).problems:
                        await wait_event(client, None, lambda e: e.type == "status")
                began = time.perf_counter()
                await asyncio.to_thread(lambda: up.link("a", "b", up=True))
                await asyncio.gather(*waiting)
                took.append(time.perf_counter() - began)
    return took


async def measure(report: Report, runs: int) -> None:
    cold = [await cold_start() for _ in range(runs)]
    plugged = await cable_plugged(runs)
    report.add("cold_start_s", cold, goal=2.0, what="start of both daemons to proof and card")
    report.add("cold_start_p95_s", cold, percent=95, what="the same")
    report.add("cable_to_proved_s", plugged, goal=1.5, what="cable plugged to proved session")
    report.add("cable_to_proved_p95_s", plugged, percent=95, what="the same")


def main(argv: list[str]) -> int:
    parser = arguments(__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help="of each; at least 10 for a figure")
    args = parser.parse_args(argv)
    report = Report("discovery")
    asyncio.run(measure(report, args.runs))
    return report.finish(json=args.json)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
