"""TCP over three hops between the same namespaces: forwarded by us, by static routes, by Yggdrasil.

One of them is set up at a time, and everything of it is gone when its block ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from _debian import find
from _stations import WAIT_S, addressable, village
from _systems import Ours, path

from appliance.api.client import Client
from appliance.village.village import Village

T = TypeVar("T")

LINE = "line:4"
STATIC = "fdaa::"
YGGDRASIL_PORT = 4_000
LOOK_EVERY_S = 0.1


async def until(look: Callable[[], Awaitable[T]]) -> T:
    """The first answer that counts as true; bounded."""
    async with asyncio.timeout(WAIT_S):
        while True:
            if found := await look():
                return found
            await asyncio.sleep(LOOK_EVERY_S)


class Throughput:
    """A line of stations, and what was measured from its first to its last."""

    def __init__(self, up: Village, env: Mapping[str, str], *, seconds: float) -> None:
        """`env`: where iperf3 and yggdrasil are."""
        self._up, self._seconds = up, seconds
        self._env = ["env", *(f"{key}={value}" for key, value in env.items())]
        self._names = up.topology.stations
        self._ours = Ours(up, net=True)

    async def _run(self, name: str, *argv: str, check: bool = True) -> str:
        done = await asyncio.to_thread(
            self._up.exec, name, [*self._env, *argv], timeout_s=WAIT_S + self._seconds
        )
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(argv)}: {done.stdout}{done.stderr}")
        return done.stdout

    async def mbit_s(self, host: str) -> float:
        """What one connection carries to an address of the last station, once there is a way."""
        server = self._up.popen(
            self._names[-1], [*self._env, "iperf3", "--server"], stdout=subprocess.DEVNULL
        )
        try:
            return await until(lambda: self._try(host))
        finally:
            _end(server)

    async def _try(self, host: str) -> float:
        client = ["iperf3", "-6Jc", host, "--connect-timeout", "1000", "-O", "1"]
        said = await self._run(self._names[0], *client, "-t", str(self._seconds), check=False)
        measured: dict[str, Any] = json.loads(said)
        if "error" in measured:
            return 0.0
        return float(measured["end"]["sum_received"]["bits_per_second"]) / 1e6

    @contextlib.asynccontextmanager
    async def ours(self) -> AsyncIterator[str]:
        """Daemons and helpers; the last station's address."""
        await self._ours.start(*self._names)
        await self._ours.met(*self._names)
        address = (await Client(self._up.station(self._names[-1]).api).status()).address
        await until(self._down_the_line)
        yield address
        await self._ours.stop()

    async def _down_the_line(self) -> bool:
        """Whether packets go over all stations; routes come a little after cards."""
        ends = self._names[0], self._names[-1]
        try:
            return await asyncio.to_thread(path, self._up, *ends) == list(self._names)
        except subprocess.CalledProcessError:
            return False

    @contextlib.asynccontextmanager
    async def static(self) -> AsyncIterator[str]:
        """Addresses and routes by hand, and nothing that runs."""
        await self._everywhere("sysctl -qw net.ipv6.conf.all.forwarding=1")
        for place, name in enumerate(self._names):
            own = f"{STATIC}{place}"
            await self._run(name, *f"ip -6 address add {own}/128 dev lo".split())
            for other in range(len(self._names)):
                if other != place:
                    via = self._via(place, place + (1 if other > place else -1))
                    words = f"ip -6 route add {STATIC}{other}/128 {via} src {own}"
                    await self._run(name, *words.split())
        yield f"{STATIC}{len(self._names) - 1}"
        for place, name in enumerate(self._names):
            await self._run(name, *f"ip -6 route flush root {STATIC}/64".split())
            await self._run(name, *f"ip -6 address del {STATIC}{place}/128 dev lo".split())
        await self._everywhere("sysctl -qw net.ipv6.conf.all.forwarding=0")

    @contextlib.asynccontextmanager
    async def yggdrasil(self) -> AsyncIterator[str]:
        """Yggdrasil in every station, with the next one as its peer; the last one's address."""
        async with contextlib.AsyncExitStack() as running:
            # From the end, since a peer that does not listen yet is tried again after a minute.
            for place in reversed(range(len(self._names))):
                running.callback(_end, self._start_yggdrasil(place))
                await until(partial(self._listens, self._names[place]))
            yield await until(self._overlay_address)

    def _start_yggdrasil(self, place: int) -> subprocess.Popen[str]:
        peers = []
        if place + 1 < len(self._names):
            address, interface = self._next(place, place + 1)
            peers = [f"tcp://[{address}%25{interface}]:{YGGDRASIL_PORT}"]
        config = {
            "Peers": peers,
            "Listen": [f"tcp://[::]:{YGGDRASIL_PORT}"],
            "AdminListen": "none",
            "MulticastInterfaces": [],
            "IfName": "ygg0",
        }
        process = self._up.popen(
            self._names[place],
            [*self._env, "yggdrasil", "-useconf"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdin is not None
        with process.stdin:
            process.stdin.write(json.dumps(config))
        return process

    async def _listens(self, name: str) -> bool:
        return f":{YGGDRASIL_PORT} " in await self._run(name, "ss", "-Htln")

    async def _overlay_address(self) -> str:
        show = "ip -6 -oneline address show dev ygg0 scope global".split()
        words = (await self._run(self._names[-1], *show, check=False)).split()
        found = [word.partition("/")[0] for word in words if "/" in word]
        return found[0] if found else ""

    async def _everywhere(self, command: str) -> None:
        for name in self._names:
            await self._run(name, *command.split())

    def _next(self, place: int, other: int) -> tuple[str, str]:
        """A neighbour's link-local address, and our interface towards it."""
        here, there = self._names[place], self._names[other]
        cable = self._up.topology.cable(here, there)
        ends = {plug.station: plug for plug in (cable.a, cable.b) if plug is not None}
        return ends[there].ipv6_link_local, ends[here].interface

    def _via(self, place: int, other: int) -> str:
        address, interface = self._next(place, other)
        return f"via {address} dev {interface}"


def _end(process: subprocess.Popen[Any]) -> None:
    process.kill()
    process.wait()


PROGRAMS = {"iperf3": ("iperf3", "libiperf0", "libsctp1"), "yggdrasil": ("yggdrasil",)}


async def throughput(*, rounds: int, seconds: float) -> dict[str, list[float]]:
    """Mbit/s of each way, one after the other and round again."""
    measured: dict[str, list[float]] = {"static": [], "ours": [], "yggdrasil": []}
    with tempfile.TemporaryDirectory() as scratch:
        env = await asyncio.to_thread(find, Path(scratch), PROGRAMS)
        async with village(LINE, daemons=False, net=True) as up:
            await asyncio.to_thread(addressable, up)
            line = Throughput(up, env, seconds=seconds)
            await Ours(up, net=True).stop()
            for _ in range(rounds):
                for name, ways in measured.items():
                    way = {"static": line.static, "ours": line.ours, "yggdrasil": line.yggdrasil}
                    async with way[name]() as host:
                        ways.append(await line.mbit_s(host))
    return measured
