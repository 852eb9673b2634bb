"""The network helper's process with real links and babeld: reach, privileges, bad daemons, death.

Daemons are played by the tests.  Each test leaves helpers that run and have no daemon.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
from joiners import Joiner, kernel_of
from seats import WITHIN_S, eventually

from appliance.model.codec import encode as cbor
from appliance.model.identity import StationId, StationKey
from appliance.model.net import NET_VERSION, Avoid, Join, NetRefused
from appliance.net import link_rates
from appliance.net.admission import STATIONS
from appliance.protocol.net_wire import MAX_FRAME_BYTES, decode_event, encode
from appliance.village.station import NET
from appliance.village.village import Village

pytestmark = [pytest.mark.village, pytest.mark.usefixtures("may_make_namespaces")]

NET_ADMIN = f"{1 << 12:016x}"
BABEL_PORT = 6696


@pytest.fixture(scope="module")
def village(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Village]:
    directory = tmp_path_factory.mktemp("v") / "v"
    with Village.up("line:3", directory=directory, daemons=False, net=True) as village:
        yield village


@pytest.fixture(scope="module")
def untouched(village: Village) -> dict[str, str]:
    """What the kernels have before anybody joins."""
    return {name: kernel_of(village, name) for name in village.topology.stations}


@pytest.fixture(scope="module")
def keys(untouched: dict[str, str]) -> dict[str, StationId]:
    """Who each station is, in all tests."""
    return {name: StationKey.generate().id for name in untouched}


@pytest.fixture
def joiners(village: Village, keys: dict[str, StationId]) -> list[Joiner]:
    return [Joiner(village, name, key=key) for name, key in keys.items()]


def helper_pid(village: Village, name: str) -> int:
    """The process id as it is out here."""
    status = next(one for one in village.status()["stations"] if one["name"] == name)
    pid: int = status["net"]["host_pid"]
    return pid


def family_of(pid: int) -> list[int]:
    """A process and all that it has started; its commands come and go."""
    pids, children = [pid], []
    with suppress(FileNotFoundError, ProcessLookupError):
        for file in Path(f"/proc/{pid}/task").glob("*/children"):
            children += file.read_text().split()
    for child in children:
        pids += family_of(int(child))
    return pids


def status_of(pid: int) -> dict[str, str]:
    """What the kernel says of a process; nothing, if it has ended."""
    lines: list[str] = []
    with suppress(FileNotFoundError, ProcessLookupError):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def have_ended(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


async def until_untouched(village: Village, untouched: dict[str, str], name: str) -> None:
    async def look() -> bool:
        return await asyncio.to_thread(kernel_of, village, name) == untouched[name]

    try:
        await eventually(look)
    except AssertionError:
        assert kernel_of(village, name) == untouched[name]


async def test_all_reach_all_and_the_helpers_hold_one_capability(
    village: Village, joiners: list[Joiner]
) -> None:
    async with AsyncExitStack() as stack:
        for joiner in joiners:
            await stack.enter_async_context(joiner.there())
        for joiner in joiners:
            others = [other for other in joiners if other is not joiner]
            await joiner.until_reaches(*others)
            await joiner.until_synced()
        for joiner in joiners:
            for other in joiners:
                assert await asyncio.to_thread(joiner.pings, other)
        ends = joiners[0].mesh.way_to(joiners[2].id)
        assert ends is not None
        assert joiners[0].mesh.next_hop(joiners[2].id) is None  # Nobody told it who b is.
        joiners[0].mesh.learn([joiners[1].id])
        assert joiners[0].mesh.next_hop(joiners[2].id) == joiners[1].id

        helper = helper_pid(village, "b")
        looked_at = {pid: status for pid in family_of(helper) if (status := status_of(pid))}
        assert helper in looked_at
        assert "babeld" in {status["Name"] for status in looked_at.values()}
        for status in looked_at.values():
            for kind in ("CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd"):
                assert status[kind] == NET_ADMIN, (status["Name"], kind)
            assert status["NoNewPrivs"] == "1"
            assert set(status["Uid"].split()) == {str(os.getuid())}
        show = ["sh", "-c", "tail -n +2 /proc/net/tcp; cat /proc/net/tcp6 /proc/net/udp6"]
        listening = village.exec("b", show).stdout
        assert {
            int(fields[1].split(":")[1], 16)
            for fields in map(str.split, listening.splitlines())
            if fields[0] != "sl"
        } == {BABEL_PORT, link_rates.PORT}
        unix = village.exec("b", ["cat", "/proc/net/unix"]).stdout
        paths = {Path(line.split()[7]).name for line in unix.splitlines()[1:] if "/" in line}
        assert "net.sock" in paths
        assert len(paths) <= 2  # The other is babeld's, for the helper alone.


async def test_who_never_reads_does_not_keep_the_helper_from_others(
    village: Village, joiners: list[Joiner]
) -> None:
    b, c = joiners[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as deaf:
        deaf.connect(str(village.station("b").net))
        deaf.send(encode(Join(NET_VERSION, b.id.key)))
        async with c.there(), b.there():
            await b.until_reaches(c)
            await c.until_reaches(b)


async def test_a_helper_that_is_killed_or_ends_leaves_nothing_behind(
    village: Village, joiners: list[Joiner], untouched: dict[str, str]
) -> None:
    a, b, c = joiners
    async with a.there(), c.there():
        async with b.there():
            await a.until_reaches(c)
            family = family_of(helper_pid(village, "b"))
            await asyncio.to_thread(village.kill, "b", which=NET)
            await b.until(lambda: not b.mesh.joined)
            await eventually(lambda: asyncio.to_thread(have_ended, family))
        assert kernel_of(village, "b") != untouched["b"]
        await asyncio.to_thread(village.start, "b", which=NET)
        await until_untouched(village, untouched, "b")
        async with b.there():
            await a.until_reaches(b, c)
            await c.until_reaches(a, b)
            assert await asyncio.to_thread(a.pings, c)
            for name in untouched:
                await asyncio.to_thread(village.stop, name, which=NET)
                assert kernel_of(village, name) == untouched[name]
    for name in untouched:
        await asyncio.to_thread(village.start, name, which=NET)


async def test_the_mesh_stands_while_a_daemon_restarts(
    village: Village, joiners: list[Joiner]
) -> None:
    a, b, c = joiners
    async with a.there(), c.there():
        async with b.there():
            await a.until_reaches(c)
            await c.until_reaches(a)
        assert await asyncio.to_thread(a.pings, c)
        b.events.clear()
        async with b.there():
            await b.until_synced()
            assert b.mesh.reachable(a.id)
            assert b.mesh.reachable(c.id)


async def test_a_daemon_that_was_taken_over_can_do_nothing_else(
    village: Village, joiners: list[Joiner]
) -> None:
    a, b, _ = joiners
    path = str(village.station("a").net)
    loop = asyncio.get_running_loop()

    async def say(*packets: bytes) -> list[NetRefused]:
        """Say it on a connection of its own; with what it is refused."""
        refused = []
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as bad:
            bad.setblocking(False)
            async with asyncio.timeout(WITHIN_S):
                await loop.sock_connect(bad, path)
                try:
                    for packet in packets:
                        await loop.sock_sendall(bad, packet)
                    while data := await loop.sock_recv(bad, MAX_FRAME_BYTES):
                        event = decode_event(data)
                        refused += [event] if isinstance(event, NetRefused) else []
                except (BrokenPipeError, ConnectionResetError):
                    pass
        return refused

    async with a.there(), b.there():
        await a.until_reaches(b)
        before = kernel_of(village, "a")
        join = encode(Join(NET_VERSION, a.id.key))
        for bad in (
            os.urandom(64),
            b"\xff" * (MAX_FRAME_BYTES - 1),
            cbor({"type": "Exec", "command": "id"}),
            cbor({"type": "Join", "version": NET_VERSION, "station": b"", "address": "fd00::1"}),
            encode(Join(NET_VERSION + 1, a.id.key)),
            encode(Avoid(a.id.key, "eth0", "fe80::1")),
        ):
            assert len(await say(bad)) == 1
        await a.until(lambda: a.mesh.joined)
        assert kernel_of(village, "a") == before
        assert len(await say(*[join] * 10_000)) <= 1
        for _ in range(STATIONS):
            refused = await say(encode(Join(NET_VERSION, os.urandom(32))))
        assert refused, "the station can be changed as often as one likes"
    assert helper_pid(village, "a")
