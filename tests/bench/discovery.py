"""How long two stations take to find each other and prove their keys."""

from __future__ import annotations

import asyncio
import sys
import time

from _stations import WAIT_S, clients, others, village, wait_event
from harness import Report, arguments

from appliance.api.client import Client

RUNS = 10


async def cold_start(*, net: bool) -> float:
    """Start both daemons at once on a cable; seconds until both hold the other's proof."""
    async with village("pair", daemons=False, net=net) as up:
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
                    await alone(client)
                began = time.perf_counter()
                await asyncio.to_thread(lambda: up.link("a", "b", up=True))
                await asyncio.gather(*waiting)
                took.append(time.perf_counter() - began)
    return took


async def alone(client: Client) -> None:
    """Wait until a station says that something is wrong."""
    async with asyncio.timeout(WAIT_S):
        while not (await client.status()).problems:
            # Events begin with "reset": what was said before we listened is asked for again.
            await wait_event(client, None, lambda e: e.type in {"status", "reset"})
            await asyncio.sleep(0.02)


async def measure(report: Report, runs: int) -> None:
    for end, net, goal, where in (
        ("", False, 1.5, "without the helper"),
        ("_net", True, 0.5, "with the helper"),
    ):
        cold = [await cold_start(net=net) for _ in range(runs)]
        plugged = await cable_plugged(runs, net=net)
        what = f"start of both daemons to proof and card, {where}"
        report.add(f"cold_start{end}_s", cold, goal=2.0, what=what)
        report.add(f"cold_start_p95{end}_s", cold, percent=95, what="the same")
        what = f"cable plugged to proved session, {where}"
        report.add(f"cable_to_proved{end}_s", plugged, goal=goal, what=what)
        report.add(f"cable_to_proved_p95{end}_s", plugged, percent=95, what="the same")


def main(argv: list[str]) -> int:
    parser = arguments(__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help="of each; at least 10 for a figure")
    args = parser.parse_args(argv)
    report = Report("discovery")
    asyncio.run(measure(report, args.runs))
    return report.finish(json=args.json)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
