"""Two stations on a cable find each other by mDNS, whatever happens to the cable."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.village.village import Village

pytestmark = pytest.mark.village

PROGRAM = Path(__file__).with_name("mdns_station.py")
LIMIT_S = 20.0

News = list[Any]


class Ear:
    """One `mdns_station.py` and what it has said."""

    def __init__(
        self, village: Village, station: str, *, seed: int, boot: str, how: str = "netlink"
    ) -> None:
        self.news: list[News] = []
        self._rest = b""
        self._netlink = False
        self._process: subprocess.Popen[bytes] = village.popen(
            station,
            [sys.executable, str(PROGRAM), str(seed), boot, "4100", how],
            unprivileged=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def until(self, wanted: Callable[[News], bool]) -> News:
        """Read until there is such news, and forget it and all before it."""
        deadline = time.monotonic() + LIMIT_S
        while True:
            for number, news in enumerate(self.news):
                if wanted(news):
                    del self.news[: number + 1]
                    return news
            self._read(deadline)

    def wait_for_netlink(self) -> None:
        """Wait until the kernel tells the station of changes."""
        deadline = time.monotonic() + LIMIT_S
        while not self._netlink:
            self._read(deadline)

    def _read(self, deadline: float) -> None:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        ready, _, _ = select.select([descriptor], [], [], max(0, deadline - time.monotonic()))
        assert ready, f"nothing more after {LIMIT_S} s; unread: {self.news}"
        data = os.read(descriptor, 65536)
        assert data, "the station ended"
        *lines, self._rest = (self._rest + data).split(b"\n")
        said = [json.loads(line) for line in lines]
        self._netlink |= ["netlink"] in said
        self.news += [news for news in said if news != ["netlink"]]

    def stop(self) -> None:
        """End it in order, with goodbyes."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(LIMIT_S) == 0

    def __enter__(self) -> Ear:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            self._process.terminate()


def seen(seed: int, *hosts: str) -> Callable[[News], bool]:
    return lambda news: bool(news[0] == "seen" and news[2] == seed and set(hosts) <= set(news[3]))


def gone(news: News) -> bool:
    return bool(news[0] == "gone")


@pytest.fixture
def village(tmp_path: Path) -> Iterator[Village]:
    with Village.up("pair", directory=tmp_path / "village", daemons=False) as made:
        yield made


def hosts(village: Village, station: str) -> tuple[str, str]:
    """IPv6 address as the neighbour names it, and IPv4 address."""
    info = village.station(station)
    return f"{info.addresses6[0]}%eth0", info.addresses[0]


@pytest.mark.parametrize("how", ["netlink", "poll"])
def test_a_cable_is_pulled_and_plugged(village: Village, how: str) -> None:
    a, b = village.topology.stations
    with (
        Ear(village, a, seed=1, boot="aaaa", how=how) as one,
        Ear(village, b, seed=2, boot="bbbb", how=how) as other,
    ):
        assert one.until(seen(2, *hosts(village, b)))[3][0] == hosts(village, b)[0]
        other.until(seen(1, *hosts(village, a)))
        if how == "netlink":
            one.wait_for_netlink()
            other.wait_for_netlink()
        village.link(a, b, up=False)
        one.until(gone)
        other.until(gone)
        village.link(a, b, up=True)
        one.until(seen(2, *hosts(village, b)))
        other.until(seen(1, *hosts(village, a)))
        other.stop()
        one.until(gone)
        one.stop()


def test_an_address_changes(village: Village) -> None:
    a, b = village.topology.stations
    old6, old = hosts(village, b)
    new = old.rpartition(".")[0] + ".200"

    def ip(*words: str) -> None:
        village.exec(b, ["ip", "address", *words, "dev", "eth0"], check=True)

    with (
        Ear(village, a, seed=1, boot="aaaa") as one,
        Ear(village, b, seed=2, boot="bbbb") as other,
    ):
        one.until(seen(2, old6, old))
        ip("add", f"{new}/24")
        one.until(seen(2, new))
        ip("flush")
        ip("add", f"{new}/24")
        one.until(lambda news: news[0] == "seen" and news[3] == [new])
        other.until(gone)
        other.until(seen(1, hosts(village, a)[1]))


def test_two_machines_with_one_key_see_each_other(village: Village) -> None:
    a, b = village.topology.stations
    with (
        Ear(village, a, seed=1, boot="aaaa") as one,
        Ear(village, b, seed=1, boot="bbbb") as other,
    ):
        one.until(seen(1, *hosts(village, b)))
        other.until(seen(1, *hosts(village, a)))


@pytest.mark.parametrize("ipv6", [True, False])
def test_the_middle_of_a_line_is_another_on_each_link(tmp_path: Path, ipv6: bool) -> None:
    with Village.up("line:3", directory=tmp_path / "village", daemons=False) as village:
        a, b, c = village.topology.stations
        for station in () if ipv6 else (a, b, c):
            switch = "net.ipv6.conf.all.disable_ipv6=1"
            village.exec(station, ["sysctl", "-w", switch], check=True)
        info = village.station(b)
        with (
            Ear(village, a, seed=1, boot="aaaa") as left,
            Ear(village, b, seed=2, boot="bbbb") as middle,
            Ear(village, c, seed=3, boot="cccc") as right,
        ):
            for ear, ipv4, link_local in zip(
                (left, right), info.addresses, info.addresses6, strict=True
            ):
                wanted = [f"{link_local}%eth0"] * ipv6 + [ipv4]
                assert set(ear.until(seen(2, *wanted))[3]) == set(wanted)
            middle.until(seen(1, village.station(a).addresses[0]))
        with (
            Ear(village, b, seed=2, boot="dddd") as middle,
            Ear(village, c, seed=3, boot="eeee"),
        ):
            heard = middle.until(seen(3, village.station(c).addresses[0]))
            assert not [host for host in heard[3] if host.endswith("%eth0")]


def test_garbage_on_the_port_changes_nothing(village: Village) -> None:
    a, b = village.topology.stations
    garbage = (
        "import random, socket, sys\n"
        "sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "here = socket.inet_aton(sys.argv[1])\n"
        "sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, here)\n"
        "header = b'\\0\\0\\x84\\0\\0\\0\\0\\3\\0\\0\\0\\0'\n"
        "name = b'\\x0a_fencewire\\x04_tcp\\x05local\\0\\0\\x0c\\0\\1'\n"
        "for number in range(500):\n"
        "    noise = random.Random(number).randbytes(random.Random(number).randrange(400))\n"
        "    for data in (noise, header + noise, header + name + noise):\n"
        "        sock.sendto(data, ('224.0.0.251', 5353))\n"
    )
    with Ear(village, a, seed=1, boot="aaaa") as one:
        with Ear(village, b, seed=2, boot="bbbb") as other:
            one.until(seen(2))
            address = village.station(b).addresses[0]
            village.exec(b, [sys.executable, "-c", garbage, address], check=True)
            other.stop()
            one.until(gone)
        with Ear(village, b, seed=2, boot="cccc"):
            one.until(seen(2, *hosts(village, b)))
