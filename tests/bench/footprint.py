"""What a station costs: start-up, memory, and the processor while nothing happens."""

from __future__ import annotations

import asyncio
import os
import pty
import select
import signal
import subprocess
import sys
import time

from _stations import child_named, children, clients, cpu_s, memory_mb, others, pids, village
from harness import Report, arguments

from appliance.village.village import Village

STARTS = 7
IDLE_S = 30.0
SETTLE_S = 5.0
SCREEN_S = 20.0


def import_s() -> float:
    """Seconds to import what the daemon needs, in a fresh interpreter."""
    code = (
        "import time; began = time.perf_counter(); import appliance.daemon.main; "
        "print(time.perf_counter() - began)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return float(done.stdout)


def first_screen(api: str) -> tuple[float, int, int]:
    """Start the TUI in an 80×24 terminal; seconds until its key bar shows, its pid and terminal."""
    began = time.perf_counter()
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="linux", COLUMNS="80", LINES="24")
        os.execv(sys.executable, [sys.executable, "-m", "appliance", "--api", api, "tui"])
    seen = b""
    while b"F1" not in seen:
        ready, _, _ = select.select([terminal], [], [], SCREEN_S)
        if not ready:
            raise RuntimeError("the TUI shows nothing")
        seen += os.read(terminal, 65536)
    return time.perf_counter() - began, pid, terminal


def end(pid: int, terminal: int) -> None:
    """End a TUI that `first_screen` has started."""
    os.kill(pid, signal.SIGTERM)
    while True:
        try:
            if not os.read(terminal, 65536):
                break
        except OSError:
            break
    os.waitpid(pid, 0)
    os.close(terminal)


def helper(up: Village, name: str) -> int:
    """Process id of a station's network helper, as this machine counts them."""
    return next(int(s["net"]["host_pid"]) for s in up.status()["stations"] if s["name"] == name)


def used_s(running: tuple[int, ...]) -> float:
    """Processor time of several processes."""
    return sum(map(cpu_s, running))


async def measure(report: Report) -> None:
    report.add("import_s", [import_s() for _ in range(STARTS)], what="the daemon's imports")
    async with village("pair", net=True) as up, clients(up, "a", "b") as (a, b):
        await asyncio.gather(others(a), others(b))
        api = str(up.station("a").api)
        screens = []
        for _ in range(STARTS):
            took, pid, terminal = await asyncio.to_thread(first_screen, api)
            screens.append(took)
            await asyncio.to_thread(end, pid, terminal)
        daemon = pids(up)["a"]
        (media,) = children(daemon)
        net = helper(up, "a")
        babeld = child_named(net, "babeld")
        if babeld is None:
            raise RuntimeError("the helper runs no babeld")
        both, mesh = (daemon, media), (net, babeld)
        await asyncio.sleep(SETTLE_S)
        before, began = used_s(both), time.perf_counter()
        mesh_before = used_s(mesh)
        await asyncio.sleep(IDLE_S)
        took = time.perf_counter() - began
        idle = (used_s(both) - before) / took * 100
        mesh_idle = (used_s(mesh) - mesh_before) / took * 100
        _, pid, terminal = await asyncio.to_thread(first_screen, api)
        await asyncio.sleep(SETTLE_S)
        running = {"daemon": daemon, "media": media, "net": net, "babeld": babeld, "tui": pid}
        sizes = {name: memory_mb(of) for name, of in running.items()}
        await asyncio.to_thread(end, pid, terminal)
    report.add("first_screen_s", screens, goal=1.5, what="start of the TUI to its key bar")
    goals = {"daemon": 75.0, "media": 40.0, "tui": 55.0}
    for name, (rss, pss) in sizes.items():
        report.add(f"{name}_rss_mb", rss, goal=goals.get(name), what="with one session")
        report.add(f"{name}_pss_mb", pss, what="shared pages counted by share")
    report.add("total_pss_mb", sum(pss for _, pss in sizes.values()), what="all of them")
    report.add("idle_cpu_pct", idle, goal=1.0, what=f"daemon and voice process, {IDLE_S:.0f} s")
    report.add("net_idle_cpu_pct", mesh_idle, what="network helper and babeld")


def main(argv: list[str]) -> int:
    args = arguments(__doc__).parse_args(argv)
    report = Report("footprint")
    asyncio.run(measure(report))
    return report.finish(json=args.json)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
