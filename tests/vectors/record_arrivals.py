"""Records `arrivals/*.txt`: packets of real calls between real stations, in trouble, as they come.

``python -m tests.vectors.record_arrivals [NAME...]`` with `tests`, `tests/village` and
`tests/bench` in the path, as root or where users may make namespaces.  Each recording comes out
differently; a test that replays one says what it is about.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

from mesh_seats import all_list_all, hops_become, mesh
from seats import Seat, pair, talk
from speech import long_speech

HERE = Path(__file__).parent / "arrivals"

CALM_S = 3.0
"""Before the trouble and after it."""

TROUBLE_S = 8.0

ONLY_PROCESSOR = 1
"""Of those stations that are busy."""

PORT = 9

_HOG = f"""
import os, time
os.sched_setaffinity(0, [{ONLY_PROCESSOR}])
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(60))
while True:
    until = time.monotonic() + 0.045
    while time.monotonic() < until:
        pass
    time.sleep(0.015)
"""

_LISTEN = f"""
import socket
with socket.create_server(("::", {PORT}), family=socket.AF_INET6, dualstack_ipv6=True) as server:
    print("ready", flush=True)
    peer, _ = server.accept()
    while peer.recv(65_536):
        pass
"""
_POUR = f"""
import socket, sys
with socket.create_connection((sys.argv[1], {PORT})) as peer:
    while True:
        peer.send(bytes(65_536))
"""

Trouble = Callable[[Seat, Seat], Awaitable[None]]


@contextlib.contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """It lives no longer than this."""
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _hog() -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", _HOG], text=True)


async def busy(a: Seat, b: Seat) -> None:
    """Both stations have one processor, of which something more urgent takes three quarters."""
    with ended(_hog()) as hog:
        await asyncio.sleep(TROUBLE_S)
        assert hog.poll() is None


async def transfer(a: Seat, b: Seat) -> None:
    """A file goes the same way, over a link that is thin and has one queue for all."""
    set_link = partial(a.village.link, "a", "b")
    await asyncio.to_thread(set_link, rate_kbit=600)
    python = [sys.executable, "-c"]
    host = a.village.topology.cable("a", "b").b
    assert host is not None
    listener = b.village.popen("b", [*python, _LISTEN], stdout=subprocess.PIPE, text=True)
    with ended(listener):
        assert listener.stdout is not None
        await asyncio.to_thread(listener.stdout.readline)
        with ended(a.village.popen("a", [*python, _POUR, host.ipv4], text=True)):
            await asyncio.sleep(TROUBLE_S)
    await asyncio.to_thread(set_link, rate_kbit=0)


async def lossy(a: Seat, b: Seat) -> None:
    """A fifth is lost, each packet by itself; copies follow."""
    await asyncio.to_thread(partial(a.village.link, "a", "b", loss_pct=20))
    await asyncio.sleep(TROUBLE_S)
    await asyncio.to_thread(partial(a.village.link, "a", "b", loss_pct=0))


async def fading(a: Seat, b: Seat) -> None:
    """A link as of somebody who walks: its rate goes up and down, and some are lost."""
    for rate_kbit in (200, 32, 1_000, 24, 100, 40, 300, 64):
        change = partial(a.village.link, "a", "b", rate_kbit=rate_kbit, loss_pct=4)
        await asyncio.to_thread(change)
        await asyncio.sleep(TROUBLE_S / 8)
    await asyncio.to_thread(partial(a.village.link, "a", "b", rate_kbit=0, loss_pct=0))


async def route(a: Seat, b: Seat) -> None:
    """A cable is pulled, babeld finds the way round, which is longer; then it is plugged again."""
    await asyncio.to_thread(partial(a.village.link, "a", "b", up=False))
    await hops_become(a, b, 2)
    await asyncio.sleep(TROUBLE_S / 2)
    await asyncio.to_thread(partial(a.village.link, "a", "b", up=True))
    await hops_become(a, b, 1)


TROUBLES: dict[str, Trouble] = {one.__name__: one for one in (busy, transfer, lossy, fading, route)}


@contextlib.asynccontextmanager
async def two(name: str, directory: Path) -> AsyncIterator[tuple[Seat, Seat]]:
    """Two stations; the changing route has a third one."""
    if name != "route":
        async with pair(directory) as seats:
            yield seats
        return
    async with mesh(directory, "cables:1-2,1-3,3-2", pulled=[("b", "c")]) as places:
        await all_list_all(places)  # By way of a: the cable of both is the shorter way.
        places["a"].village.link("b", "c", delay_ms=40, up=True)
        await hops_become(places["b"], places["c"], 1)
        yield places["a"], places["b"]


async def record(name: str) -> None:
    """One call: calm, trouble, calm."""
    with tempfile.TemporaryDirectory(prefix="fw-") as text:
        directory = Path(text)
        os.environ["FENCEWIRE_ARRIVALS"] = text
        os.environ["PYTHONPATH"] = str(HERE / "noting")
        speech = long_speech(directory / "speech.wav", times=6)
        async with two(name, directory / "village") as (a, b):
            played, kept = (speech, speech), (directory / "a.wav", directory / "b.wav")
            call, _ = await talk(a, b, play=played, record=kept)
            await asyncio.sleep(CALM_S)
            await TROUBLES[name](a, b)
            await asyncio.sleep(CALM_S)
            await a.client.hang_up(call.id)
        await asyncio.to_thread(keep, name, directory)


def keep(name: str, directory: Path) -> None:
    """Make a recording of what the second station noted."""
    notes = "".join(path.read_text("ascii") for path in directory.glob("b-*"))
    found = packed(notes.splitlines())
    (HERE / f"{name}.txt").write_text(found, "ascii")
    print(name, len(found.splitlines()), "packets")


def packed(notes: list[str]) -> str:
    """The form that `arrivals/README.md` describes, counted from the first packet."""
    rows = [line.split(" ") for line in notes]
    source, _ = Counter(row[1] for row in rows).most_common(1)[0]
    rows = [row for row in rows if row[1] == source]  # A change of the path brings another one.
    begin_s = float(rows[0][0])
    first, begun = int(rows[0][2]), int(rows[0][3])
    lines = []
    for came, _, number, timestamp, samples, marker, copies in rows:
        sent = (int(number) - first) & 0xFFFF
        stamp = (int(timestamp) - begun) & 0xFFFFFFFF
        distances = ",".join(str(int(one) // 48) for one in copies.split(",") if one)
        words = [
            str(sent - 0x10000 if sent > 0x8000 else sent),
            str((stamp - 2**32 if stamp > 2**31 else stamp) // 48),
            str(int(samples) // 48),
            f"{(float(came) - begin_s) * 1000:.1f}",
            distances or "-",
            *(["m"] if marker == "1" else []),
        ]
        lines.append(" ".join(words) + "\n")
    return "".join(lines)


async def main(names: list[str]) -> None:
    """Record those, or all."""
    everywhere = os.sched_getaffinity(0)
    for name in names or TROUBLES:
        os.sched_setaffinity(0, [ONLY_PROCESSOR] if name == "busy" else everywhere)
        await record(name)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
