"""Two systems that do the same in the same village: ours, and Reticulum with LXMF.

One of them runs at a time. What is asked of them is the same: start, find each other, write, tell
over whom a message goes. Ours is asked through its API, Reticulum through `_reticulum_station.py`.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import IO, Any, Protocol

from _bulk_ends import fetching, holding
from _stations import listed

from appliance.api.client import Client
from appliance.village.launch import daemon_command
from appliance.village.station import DAEMON, NET
from appliance.village.village import Village

HERE = Path(__file__).parent
WAIT_S = 90.0
DAY_S = 86_400
RETICULUM = ("rns==1.5.7", "lxmf==1.2.1")
SLOW = "slow_clock"
"""File in a station's directory: its content is preloaded into the daemon."""


class System(Protocol):
    """What a scenario asks for."""

    name: str

    async def start(self, *names: str, slow_clock: bool = False) -> None:
        """Start stations."""

    async def met(self, *names: str) -> None:
        """Wait until each of these can write to each other one, whose key it holds."""

    async def send(self, author: str, reader: str, text: str) -> None:
        """Write a message."""

    def arrived(self, reader: str) -> dict[str, float]:
        """When messages came, by their text; it grows."""

    async def delivered(self, author: str, reader: str, text: str) -> float:
        """Write a message and wait for its receipt; milliseconds."""

    async def relay(self, author: str, reader: str) -> str:
        """The station next to the author over which messages to the reader go."""

    async def bulk(self, author: str, reader: str, size: int) -> float:
        """Move that many bytes; seconds once the connection stands."""

    async def kill(self, name: str) -> None:
        """End a station's programs at once."""

    async def stop(self) -> None:
        """End all of it and forget everything."""


def wrong_clock_library(directory: Path) -> Path:
    """What makes the wall clock of a program wrong, and no other clock."""
    library = directory / "wrong_clock.so"
    source = HERE.parent / "village/wrong_clock.c"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O", "-o", library, source], check=True)
    return library


def slow_by_a_day(library: Path) -> dict[str, str]:
    """The environment of a program whose clock is a day slow."""
    return {"LD_PRELOAD": str(library), "CLOCK_OFFSET_S": str(-DAY_S)}


def our_command(library: Path) -> list[str]:
    """What starts our daemon; with a slow clock where a file in the station's directory says so."""
    words = " ".join(f"{key}={value}" for key, value in slow_by_a_day(library).items())
    script = f'if [ -e "$0/../{SLOW}" ]; then export {words}; fi; exec "$@"'
    return ["sh", "-c", script, "{state}", *daemon_command()]


class Ours:
    """Fencewire; the village was made with `our_command`."""

    name = "ours"

    def __init__(self, up: Village, *, net: bool = False) -> None:
        """`net`: the village has network helpers, which start and stop with the daemons."""
        self._up, self._net = up, net
        self.ids: dict[str, str] = {}
        self._arrived: dict[str, dict[str, float]] = defaultdict(dict)
        self._receipts: dict[str, float] = {}
        self._news = asyncio.Condition()
        self._following: set[asyncio.Task[None]] = set()
        self._running: set[tuple[str, str]] = set()

    def _client(self, name: str) -> Client:
        return Client(self._up.station(name).api)

    async def start(self, *names: str, slow_clock: bool = False) -> None:
        for name in names:
            mark = self._up.station(name).state.parent / SLOW
            mark.touch() if slow_clock else mark.unlink(missing_ok=True)
        for which in (NET, DAEMON) if self._net else (DAEMON,):
            await asyncio.gather(*(self._start(name, which) for name in names))
        await asyncio.to_thread(self._up.wait_ready, names)
        await self.adopt(*names)

    async def _start(self, name: str, which: str) -> None:
        if (name, which) not in self._running:
            await asyncio.to_thread(partial(self._up.start, name, which=which))
            self._running.add((name, which))

    async def adopt(self, *names: str) -> None:
        """Follow stations that run already."""
        for name in names:
            self.ids[name] = (await self._client(name).status()).id
            self._following.add(asyncio.create_task(self._follow(name)))

    async def _follow(self, name: str) -> None:
        async for event in self._client(name).follow():
            if getattr(event, "type", "") != "message":
                continue
            data: dict[str, Any] = event.data  # type: ignore[union-attr]
            async with self._news:
                if not data["outgoing"]:
                    self._arrived[name].setdefault(data["text"], time.perf_counter())
                elif data["state"] in {"delivered", "read"}:
                    self._receipts.setdefault(data["text"], time.perf_counter())
                self._news.notify_all()

    async def met(self, *names: str) -> None:
        count = len(names) - 1
        await asyncio.gather(*(listed(self._client(n), count, within_s=WAIT_S) for n in names))

    async def send(self, author: str, reader: str, text: str) -> None:
        await self._client(author).send(self.ids[reader], text)

    def arrived(self, reader: str) -> dict[str, float]:
        return self._arrived[reader]

    async def delivered(self, author: str, reader: str, text: str) -> float:
        began = time.perf_counter()
        await self.send(author, reader, text)
        async with asyncio.timeout(WAIT_S), self._news:
            await self._news.wait_for(lambda: text in self._receipts)
        return (self._receipts[text] - began) * 1000

    async def relay(self, author: str, reader: str) -> str:
        return await asyncio.to_thread(next_station, self._up, author, reader)

    async def bulk(self, author: str, reader: str, size: int) -> float:
        direct = [n for c in self._up.topology.cables if author in c.ends for n in c.ends]
        host = (await self._client(author).status()).address
        if reader in direct:
            host = self._up.station(author).addresses[0]
        with holding(self._up, author, size) as held:
            done = await asyncio.to_thread(
                self._up.exec, reader, fetching(host, held), timeout_s=WAIT_S
            )
        if done.returncode:
            raise RuntimeError(done.stderr)
        return float(json.loads(done.stdout)["seconds"])

    async def kill(self, name: str) -> None:
        await asyncio.to_thread(self._up.kill, name)
        self._running.discard((name, DAEMON))

    async def leave(self) -> None:
        """Follow no more."""
        for task in self._following:
            task.cancel()
        await asyncio.gather(*self._following, return_exceptions=True)
        self._following.clear()

    async def stop(self) -> None:
        await self.leave()
        alive = {
            (item["name"], which)
            for item in (await asyncio.to_thread(self._up.status))["stations"]
            for which, pid in ((DAEMON, item["pid"]), (NET, item["net"]["pid"]))
            if pid
        }
        for name, which in sorted(alive):  # daemons before helpers
            await asyncio.to_thread(partial(self._up.stop, name, which=which))
        for name in self._up.topology.stations:
            state = self._up.station(name).state
            for file in state.iterdir():
                shutil.rmtree(file) if file.is_dir() else file.unlink()
        self._running.clear()
        self._arrived.clear()
        self._receipts.clear()


def path(up: Village, author: str, reader: str) -> list[str]:
    """All stations on the way from one to another, both ends too."""
    way = [author]
    while way[-1] != reader:
        if len(way) > len(up.topology.stations):
            raise RuntimeError(f"packets from {author} to {reader} go in a circle: {way}")
        way.append(next_station(up, way[-1], reader))
    return way


def next_station(up: Village, author: str, reader: str) -> str:
    """The neighbour over which the author's kernel sends what is for the reader's address."""
    show = ["ip", "-6", "-o", "address", "show", "dev", "lo"]
    words = up.exec(reader, show, check=True).stdout.split()
    address = next(word.partition("/")[0] for word in words if word.startswith("fd"))
    route = up.exec(author, ["ip", "-6", "route", "get", address], check=True).stdout.split()
    device = route[route.index("dev") + 1]
    for cable in up.topology.cables:
        for here, there in ((cable.a, cable.b), (cable.b, cable.a)):
            if here and there and (here.station, here.interface) == (author, device):
                return there.station
    raise RuntimeError(f"{author} reaches {reader} over {device}, which is no cable")


def environment(packages: tuple[str, ...] = RETICULUM) -> Path:
    """The Python of an environment with these, made from the package index if need be."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    place = cache / "fencewire-bench" / "-".join((sys.implementation.cache_tag, *packages))
    python = place / "bin/python"
    if not (place / "complete").exists():
        shutil.rmtree(place, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", place], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
        (place / "complete").touch()
    return python


class Theirs:
    """Reticulum and LXMF, one process a station, without a disk in the way of messages."""

    name = "theirs"

    def __init__(self, up: Village, python: Path, library: Path) -> None:
        self._up, self._python, self._library = up, python, library
        self._place: tempfile.TemporaryDirectory[str] | None = None
        """As long as it runs."""
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._log: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._arrived: dict[str, dict[str, float]] = defaultdict(dict)
        self._ids: dict[str, str] = {}
        self._transports: dict[str, str] = {}
        self._news = asyncio.Condition()
        self._following: set[asyncio.Task[None]] = set()

    async def start(self, *names: str, slow_clock: bool = False) -> None:
        extra = slow_by_a_day(self._library) if slow_clock else {}
        self._place = self._place or tempfile.TemporaryDirectory(prefix="fw-rns-")
        scratch = Path(self._place.name)
        for name in names:
            self._log[name].clear()
            script = str(HERE / "_reticulum_station.py")
            with (scratch / f"{name}.log").open("a") as log:
                self._running[name] = self._up.popen(
                    name,
                    [str(self._python), script, str(scratch / name)],
                    unprivileged=True,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    env={**os.environ, **extra},
                )
            self._following.add(asyncio.create_task(self._follow(name)))

    async def _follow(self, name: str) -> None:
        output: IO[str] | None = self._running[name].stdout
        assert output is not None
        while line := await asyncio.to_thread(output.readline):
            answer = json.loads(line)
            async with self._news:
                if answer["event"] == "ready":
                    self._ids[name] = answer["hash"]
                    self._transports[answer["transport"]] = name
                if answer["event"] == "received":
                    self._arrived[name].setdefault(answer["text"], answer["at"])
                self._log[name].append(answer)
                self._news.notify_all()

    def _tell(self, name: str, do: str, **order: object) -> None:
        order_line = json.dumps({"do": do, **order}) + "\n"
        pipe = self._running[name].stdin
        assert pipe is not None
        pipe.write(order_line)
        pipe.flush()

    async def _heard(self, name: str, event: str, **fields: object) -> dict[str, Any]:
        """Wait for a station's answer."""

        def found() -> dict[str, Any] | None:
            wanted = {"event": event, **fields}
            return next((a for a in self._log[name] if wanted.items() <= a.items()), None)

        async with asyncio.timeout(WAIT_S), self._news:
            await self._news.wait_for(found)
            answer = found()
        assert answer is not None
        return answer

    async def met(self, *names: str) -> None:
        for name in names:
            await self._heard(name, "ready")
        pairs = [(a, b) for a in names for b in names if a != b]
        asking = asyncio.create_task(self._seek(pairs))
        await asyncio.gather(*(self._heard(a, "heard", of=self._ids[b]) for a, b in pairs))
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        for name in names:
            self._tell(name, "quiet")

    async def _seek(self, pairs: list[tuple[str, str]]) -> None:
        """Ask for ways too, since an announcement that is lost is not repeated for long."""
        while True:
            await asyncio.sleep(2.0)
            for a, b in pairs:
                self._tell(a, "seek", to=self._ids[b])

    async def send(self, author: str, reader: str, text: str) -> None:
        self._tell(author, "send", to=self._ids[reader], text=text)

    def arrived(self, reader: str) -> dict[str, float]:
        return self._arrived[reader]

    async def delivered(self, author: str, reader: str, text: str) -> float:
        await self.send(author, reader, text)
        done = await self._heard(author, "delivered", text=text)
        sent = await self._heard(author, "sent", text=text)
        return float(done["at"] - sent["at"]) * 1000

    async def relay(self, author: str, reader: str) -> str:
        self._log[author] = [a for a in self._log[author] if a["event"] != "way"]
        self._tell(author, "way", to=self._ids[reader])
        return self._transports[(await self._heard(author, "way"))["over"]]

    async def bulk(self, author: str, reader: str, size: int) -> float:
        self._log[author] = [a for a in self._log[author] if not a["event"].startswith("bulk")]
        self._tell(author, "bulk", to=self._ids[reader], size=size)
        done = await self._heard(author, "bulk-done", good=True)
        return float(done["at"] - (await self._heard(author, "bulk-begun"))["at"])

    async def kill(self, name: str) -> None:
        process = self._running.pop(name)
        process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(process.wait)

    async def stop(self) -> None:
        for name in list(self._running):
            await self.kill(name)
        await asyncio.gather(*self._following)
        self._following.clear()
        if self._place is not None:
            self._place.cleanup()
            self._place = None
        self._log.clear()
        self._arrived.clear()
