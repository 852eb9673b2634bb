"""How long a message takes from the send call to the recipient's receipt, and what it costs."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from _stations import clients, others, pids, village, written_bytes
from _systems import RETICULUM, environment, wrong_clock_library
from harness import Report, arguments
from peers import compare

from appliance.api.client import Client
from appliance.village.launch import daemon_command
from appliance.village.village import Village

MESSAGES = 200
SLOW_MESSAGES = 40
SLOW_FSYNC_US = 30_000
BURST = 500
DEADLINE_S = 60.0
WARM_UP = 5
"""The first messages load what the others reuse."""

TRACE = "strace"


class Deliveries:
    """When messages of ours were delivered, from the sender's event stream."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._at: dict[str, float] = {}
        self._news = asyncio.Condition()
        self._task = asyncio.create_task(self._follow())
        self.ready = asyncio.Event()

    async def _follow(self) -> None:
        async for event in self._client.events():
            self.ready.set()
            if event.type == "message" and event.data["state"] in {"delivered", "read"}:
                async with self._news:
                    self._at.setdefault(str(event.data["id"]), time.perf_counter())
                    self._news.notify_all()

    async def of(self, message: str) -> float:
        """Wait for a message's delivery and return when it was."""
        async with asyncio.timeout(DEADLINE_S), self._news:
            await self._news.wait_for(lambda: message in self._at)
            return self._at[message]

    async def stop(self) -> None:
        """End the stream."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def one_by_one(up: Village, count: int) -> list[float]:
    """Send messages one after the other; milliseconds from the call to the receipt."""
    async with clients(up, "a", "b") as (a, b):
        await others(b)
        (peer,) = await others(a)
        deliveries = Deliveries(a)
        await deliveries.ready.wait()
        took = []
        for number in range(count + WARM_UP):
            began = time.perf_counter()
            sent = await a.send(peer.id, f"message {number}: the road is open, send two people")
            took.append((await deliveries.of(sent.id) - began) * 1000)
        await deliveries.stop()
        return took[WARM_UP:]


async def sustained(up: Village) -> float:
    """Send many as fast as the sender takes them; delivered messages per second."""
    async with clients(up, "a") as (a,):
        (peer,) = await others(a)
        deliveries = Deliveries(a)
        await deliveries.ready.wait()
        began = time.perf_counter()
        gate = asyncio.Semaphore(16)

        async def send(number: int) -> str:
            async with gate:
                return (await a.send(peer.id, f"message {number} of many")).id

        ids = await asyncio.gather(*(send(number) for number in range(BURST)))
        ends = [await deliveries.of(message) for message in ids]
        await deliveries.stop()
        return BURST / (max(ends) - began)


def traced(*, delay_us: int) -> list[str]:
    """Run a daemon under strace, which counts its fsyncs or makes them slow."""
    calls = "fsync,fdatasync"
    inject = f"-e inject={calls}:delay_enter={delay_us}" if delay_us else ""
    strace = f'exec strace -f --seccomp-bpf -qq -o "$0"/{TRACE} -e trace={calls} {inject} "$@"'
    return ["sh", "-c", strace, "{state}", *daemon_command()]


def syncs(up: Village) -> int:
    """Count the fsyncs that both daemons have begun."""
    logs = [up.station(name).state / TRACE for name in "ab"]
    return sum(log.read_text().count("sync(") for log in logs)


def written(up: Village) -> int:
    """Count the bytes that the daemons have had written to disk."""
    return sum(written_bytes(pid) for pid in pids(up).values())


async def over_hops(report: Report, *, alone: bool) -> None:
    """Ours and LXMF over Reticulum in turn, over one hop and over three."""
    python = None if alone else await asyncio.to_thread(environment)
    goals = {"1hop": 4.0, "3hop": None}
    lxmf: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        library = wrong_clock_library(Path(scratch))
        for hops, goal in goals.items():
            took = await compare(f"message_{hops}_ms", python=python, library=library, net=True)
            what = "send call to receipt, both disks inside"
            report.add(f"delivered_{hops}_ms", took["ours"], goal=goal, what=what)
            report.add(f"delivered_{hops}_p99_ms", took["ours"], percent=99, what="the same")
            lxmf[hops] = took["theirs"]
    for hops, samples in lxmf.items():
        if alone:
            report.note(f"lxmf_{hops}_ms", None)
        else:
            what = f"{' '.join(RETICULUM)}, send call to proof, no disk"
            report.add(f"lxmf_{hops}_ms", samples, what=what)


async def measure(report: Report, *, alone: bool) -> None:
    await over_hops(report, alone=alone)
    async with village("pair") as up:
        await one_by_one(up, WARM_UP)
        before = written(up)
        await one_by_one(up, MESSAGES)
        alone_bytes = written(up) - before
        rate = await sustained(up)
        burst_bytes = written(up) - before - alone_bytes
    async with village("pair", command=traced(delay_us=0)) as up:
        await one_by_one(up, 20)
        before = syncs(up)
        await one_by_one(up, MESSAGES - WARM_UP)
        counted = syncs(up) - before
    async with village("pair", command=traced(delay_us=SLOW_FSYNC_US)) as up:
        slow = await one_by_one(up, SLOW_MESSAGES)
    report.add(
        "fsyncs_per_delivery", counted / MESSAGES, goal=2.0, what="both stations, checkpoints too"
    )
    report.add("delivered_slow_disk_ms", slow, goal=90.0, what="30 ms in every fsync")
    report.add(
        "disk_bytes_per_message",
        alone_bytes / (MESSAGES + WARM_UP),
        what="both stations together, one by one",
    )
    report.add(
        "disk_bytes_per_message_of_many",
        burst_bytes / BURST,
        what="the same, many in one write to disk",
    )
    report.add("sustained_per_s", rate, what=f"{BURST} messages, 16 calls at a time")


def main(argv: list[str]) -> int:
    parser = arguments(__doc__)
    parser.add_argument("--alone", action="store_true", help="without LXMF, which is installed")
    args = parser.parse_args(argv)
    report = Report("message")
    asyncio.run(measure(report, alone=args.alone))
    return report.finish(json=args.json)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
