"""babeld under our supervisor, in a line of four; the last one is another babeld, and hostile."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

import pytest
from babel_station import ECHO_PORT

from appliance.net.babeld import Babeld
from appliance.net.numbers import ROUTE_TABLE
from appliance.village.launch import module_environment
from appliance.village.village import Village

pytestmark = [pytest.mark.village, pytest.mark.usefixtures("may_make_namespaces")]

WITHIN_S = 20.0
"""A busy machine included; it takes about a second."""

WITHDRAWN_S = 1.5
"""For a neighbour to hear that we go; missing our hellos would take longer."""

A, B, C, D = (f"fd00:{number:x}::{number:x}:0:0:{number:x}" for number in range(10, 14))
ADDRESSES = {"a": A, "b": B, "c": C}
FOREIGN = ("2001:db8:7::/48", "8.8.8.8", "fd99::/48")

PROBE = f"""
import socket, sys, time
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.settimeout(0.3)
for _ in range(int(sys.argv[2])):
    try:
        s.connect((sys.argv[1], {ECHO_PORT}))
        s.send(b"?")
        print(s.recvfrom(9)[1][0], s.getsockname()[0])
        break
    except TimeoutError:
        pass
    except OSError:
        time.sleep(0.3)
"""

HOSTILE = f"""
sysctl -qw net.ipv6.conf.all.forwarding=1
ip addr add {D}/128 dev lo nodad
ip addr add fd99::1/48 dev lo nodad
ip addr add 2001:db8:7::1/48 dev lo nodad
ip route add 8.8.8.8/32 dev lo proto static
ip -6 route add default dev lo metric 5 proto static
ip route add default dev lo proto static
ip -6 route add unreachable fd77::7/128 proto static
exec babeld -c /dev/null -I '' -S "$0/state" -h 0.4 -H 0.4 -t {ROUTE_TABLE} \
    -C 'redistribute local' -C 'redistribute ip fd77::7/128 src-prefix fd00::/8' \
    -C 'redistribute ip fd99::/48' -C 'redistribute' eth0
"""


class Router:
    """One of our stations."""

    def __init__(self, village: Village, name: str, directory: Path) -> None:
        self.village, self.name, self.address = village, name, ADDRESSES[name]
        self._output = directory / f"{name}.out"
        self._run_dir = directory / name
        self._run_dir.mkdir()
        self._process: subprocess.Popen[Any] | None = None

    def start(self) -> None:
        script = Path(__file__).with_name("babel_station.py")
        with self._output.open("ab") as output:
            self._process = self.village.popen(
                self.name,
                [sys.executable, str(script), str(self._run_dir), self.address],
                stdout=output,
                env=module_environment(),
            )

    def stop(self) -> None:
        """End it in order."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(WITHIN_S) == 0

    def end(self) -> None:
        """End it, if it is there."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def says(self) -> dict[str, Any]:
        """The last that it said, as far as it is written to its end."""
        said = self._output.read_text() if self._output.exists() else ""
        lines = said[: said.rfind("\n") + 1].splitlines()
        return dict(json.loads(lines[-1])) if lines else {}

    def reaches(self, *addresses: str) -> bool:
        return {f"{address}/128" for address in addresses} <= set(self.says().get("installed", ()))

    def run(self, *argv: str) -> str:
        """What a command prints, which must succeed."""
        return self.village.exec(self.name, argv, check=True).stdout

    def table(self) -> str:
        return self.run("ip", "-6", "route", "show", "table", str(ROUTE_TABLE))

    def babeld(self) -> str:
        """Return the process id of its babeld; all stations are in one process namespace."""
        state = str(self._run_dir)
        found = self.run("pgrep", "-f", f"^/usr/sbin/babeld.*{state}/")
        return found.strip()

    def answered_by(self, address: str, *, tries: int = 30) -> list[str]:
        """Return who answered a packet to that address, and from which of ours it went."""
        return self.run(sys.executable, "-c", PROBE, address, str(tries)).split()


def until(holds: Callable[[], object], *, within_s: float = WITHIN_S) -> float:
    """Return how long it took until something is so."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < within_s, "it did not come about"
        time.sleep(0.02)
    return time.monotonic() - began


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Router]]:
    directory = tmp_path_factory.mktemp("r")
    with Village.up("line:4", directory=directory / "v", daemons=False) as village:
        hostile = village.popen("d", ["sh", "-c", HOSTILE, str(directory)])
        routers = {name: Router(village, name, directory) for name in ADDRESSES}
        try:
            for router in routers.values():
                router.start()
            until(lambda: routers["a"].reaches(B, C, D))
            until(lambda: routers["c"].reaches(A, B, D))
            yield routers
        finally:
            for router in routers.values():
                router.end()
            hostile.kill()
            hostile.wait()


def test_packets_go_from_address_to_address(line: dict[str, Router]) -> None:
    assert line["a"].answered_by(C) == [C, A]
    assert line["c"].answered_by(A) == [A, C]


def test_what_is_no_station_is_installed_nowhere(line: dict[str, Router]) -> None:
    """The neighbour hears it, and so would the others."""
    for router in line.values():
        for family in ("-4", "-6"):
            routes = router.run("ip", family, "route", "show", "table", "all", "proto", "babel")
            assert "default" not in routes
            assert not [prefix for prefix in (*FOREIGN, "fd77::7") if prefix in routes]
        rules = router.run("ip", "-6", "rule")
        assert " from fd" not in rules
        assert all(prefix.startswith("fd") for prefix in router.says()["offered"])
    assert D in line["c"].table()


def test_the_own_network_is_announced_once_it_is_used(line: dict[str, Router]) -> None:
    network = IPv6Address(IPv6Address(A).packed[:8] + bytes(8))
    a, c = line["a"], line["c"]
    assert f"{network}/64" not in c.says()["installed"]
    a.run(
        "sh",
        "-ec",
        f"ip link add br9 type bridge; ip link set br9 up; "
        f"ip addr add {network + 99}/64 dev br9 nodad; ip addr add fd88::1/64 dev br9 nodad",
    )
    until(lambda: f"{network}/64" in c.says()["installed"])
    assert c.answered_by(A) == [A, C]
    a.run("ip", "link", "delete", "br9")
    assert not [prefix for prefix in c.says()["offered"] if prefix.startswith("fd88")]


def test_a_killed_babeld_leaves_its_routes_to_the_next_one(line: dict[str, Router]) -> None:
    b = line["b"]
    before, routes = b.babeld(), b.table()
    assert f"{A} via" in routes
    assert f"{C} via" in routes
    b.run("kill", "-9", before)
    seen = []

    def is_replaced() -> bool:
        table = b.table()
        seen.append(all(f"\n{address} via" in f"\n{table}" for address in (A, C)))
        priorities = {line.split(" metric ")[1].split()[0] for line in table.splitlines()}
        return len(priorities) == 1 and not routes.count(f"metric {priorities.pop()} ")

    until(is_replaced)
    assert all(seen)
    assert b.babeld() != before
    until(lambda: line["a"].reaches(B, C, D))
    assert line["a"].answered_by(C) == [C, A]


def test_an_interface_may_change_its_name(line: dict[str, Router]) -> None:
    b = line["b"]
    for old, new in (("eth1", "wire7"), ("wire7", "eth1")):
        b.run(
            "sh",
            "-ec",
            f"ip link set {old} down; ip link set {old} name {new}; ip link set {new} up",
        )
        until(lambda: not line["a"].reaches(C))
        until(lambda name=new: line["a"].reaches(C, D) and f"dev {name} " in b.table())  # type: ignore[misc]


def test_a_cable_that_is_pulled_is_known_at_once(line: dict[str, Router]) -> None:
    village = line["a"].village
    village.link("b", "c", up=False)
    until(lambda: not line["a"].reaches(C))
    village.link("b", "c", up=True)
    until(lambda: line["a"].reaches(C, D))


def test_who_stops_in_order_is_missed_at_once(line: dict[str, Router]) -> None:
    b, c = line["b"], line["c"]
    c.stop()
    assert until(lambda: not b.reaches(C) and not b.reaches(D)) < WITHDRAWN_S
    assert b.reaches(A)
    assert c.table() == ""


async def test_without_babeld_the_operator_is_told(tmp_path: Path) -> None:
    told = asyncio.Event()

    def changed() -> None:
        if babeld.problem is not None:
            told.set()

    babeld = Babeld(tmp_path, IPv6Address(A), changed, program="babeld-is-not-here")
    running = asyncio.create_task(babeld.run())
    try:
        async with asyncio.timeout(WITHIN_S):
            await told.wait()
    finally:
        running.cancel()
    assert babeld.problem is not None
    assert babeld.problem.code == "no-babeld"
    assert not babeld.running
