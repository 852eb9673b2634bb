"""What happens to a machine's interfaces, routes and packets while the links of the mesh are kept.

Run as ``unshare -Urnmp --fork --mount-proc python links_scenarios.py SCENARIO DIRECTORY``, as
`test_links_helper.py` does.  A scenario fails by its traceback.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import time
from pathlib import Path

from links_crashes import killed_at_every_step
from links_host import (
    CONF,
    STATION,
    WITHIN_S,
    advertise,
    conf,
    eventually,
    host,
    inside,
    other_machine,
    run,
    settings,
    state,
)

from appliance.net import firewall
from appliance.net.config import NetConfig
from appliance.net.numbers import ROUTE_TABLE

# -- A router that advertises itself


def has_default_route() -> bool:
    return "default via fe80:" in run("ip -6 route show default")


async def a_default_route_by_advertisement_survives(directory: Path) -> None:
    other_machine("router", "eth0")
    await eventually(lambda: "tentative" not in run("ip -n router -6 addr show far"), "router")
    await eventually(lambda: "tentative" not in run("ip -6 addr show eth0"), "address")
    advertise("router", "2001:db8:1::")
    await eventually(has_default_route, "default route")
    before = settings("eth0")

    async with host(directory) as here:
        assert conf("all", "forwarding") == 1
        assert has_default_route()
        assert conf("eth0", "accept_ra") == conf("default", "accept_ra") == 2
        advertise("router", "2001:db8:2::")
        await eventually(lambda: "2001:db8:2:" in run("ip -6 addr show eth0"), "second prefix")
        assert "anycast 2001:" not in run("ip -6 route show table local"), "we are no router there"
        # An interface that comes later hears advertisements too.
        other_machine("later", "eth1")
        await eventually(lambda: here.used("eth1"), "eth1 used")
        await eventually(lambda: "tentative" not in run("ip -n later -6 addr show far"), "later")
        advertise("later", "2001:db8:3::")
        await eventually(lambda: "2001:db8:3:" in run("ip -6 addr show eth1"), "third prefix")
        # One that we switch on does not: nothing on it was ours to route by.
        run("ip link add eth2 type veth peer name far2; ip link set far2 netns router")
        await eventually(lambda: here.used("eth2"), "eth2 used")
        assert conf("eth2", "accept_ra") == 0
        assert has_default_route()
        run("ip link del eth1")

    assert has_default_route()
    assert conf("all", "forwarding") == 0
    assert settings("eth0") == before
    # That all this was needed:
    (CONF / "all/forwarding").write_text("1")
    assert not has_default_route()


# -- Interfaces that are somebody else's


async def an_excluded_interface_is_untouched(directory: Path) -> None:
    for name in ("eth0", "eth1", "eth2", "eth3"):
        run(f"ip link add {name} type veth peer name far{name}; ip link set far{name} up")
    run("ip link set eth2 up")
    udev = Path("/run/udev")
    (udev / "data").mkdir(parents=True)
    for index, _ in socket.if_nameindex():
        (udev / f"data/n{index}").write_text("I:1\n")
    ignored = udev / f"data/n{socket.if_nametoindex('eth3')}"
    ignored.write_text("E:FENCEWIRE_IGNORE=1\n")
    (udev / "control").touch()

    def untouched() -> list[object]:
        names = ("eth1", "eth2", "eth3")
        return [run(f"ip addr show {name}; tc qdisc show dev {name}") for name in names] + [
            settings(name) for name in names
        ]

    await eventually(lambda: "tentative" not in run("ip -6 addr"), "addresses")
    before = untouched()
    async with host(directory, config=NetConfig(exclude=("eth[12]",))) as here:
        await eventually(lambda: here.used("eth0"), "eth0 used")
        for carrier in (False, True):
            run(f"ip link set fareth2 {'up' if carrier else 'down'}")
            await eventually(lambda c=carrier: here.carrier("eth2") == c, "carrier")  # type: ignore[misc]
        assert here.why_not("eth1") == here.why_not("eth2") == "The configuration excludes it."
        assert here.why_not("eth3") == "A udev rule excludes it."
        assert untouched() == before
    assert untouched() == before


async def the_operators_networks_go_first(directory: Path) -> None:
    other_machine("mesh", "eth0")
    other_machine("office", "eth1")
    run("ip addr add fd55:1::2/64 dev eth1 nodad; ip -6 route add fd55:2::/48 via fd55:1::1")
    run("ip -6 route add default via fd55:1::1; ip -6 route add fd00::/8 via fd55:1::1")
    async with host(directory):
        # What a station far away may claim.
        for prefix in ("fd55:1::9/128", "fd55:2::/64", "fd77::1/128", "2001:db8::1/128"):
            run(f"ip -6 route add {prefix} via fe80::1 dev eth0 table {ROUTE_TABLE}")
        for address, interface in {
            "fd55:1::9": "eth1",
            "fd55:2::1": "eth1",
            "fd77::1": "eth0",
            "fd78::1": "eth1",
            "2001:db8::1": "eth1",
        }.items():
            assert f"dev {interface} " in run(f"ip -6 route get {address}"), address
        run(f"ip -6 route flush table {ROUTE_TABLE}")


# -- Switching on and off


def bind_takes_s(name: str) -> float | None:
    """How long after now the interface's link-local address can be used."""
    started = time.monotonic()
    index = socket.if_nametoindex(name)
    while time.monotonic() - started < WITHIN_S:
        for line in Path("/proc/net/if_inet6").read_text().splitlines():
            digits, number, *_ = line.split()
            if int(number, 16) == index and digits.startswith("fe80"):
                host = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits))
                with (
                    contextlib.suppress(OSError),
                    socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock,
                ):
                    sock.bind((host, 0, 0, index))
                    return time.monotonic() - started
    return None


async def an_unused_interface_is_switched_on_and_off_again(directory: Path) -> None:
    for name in ("eth0", "eth1", "eth2"):
        other_machine(f"far{name}", name, up=False)
        # An interface that was never on has no queue at all, to which there is no way back.
        run(f"ip link set {name} up; ip link set {name} down")
    before = state()
    async with host(directory) as here:
        assert conf("all", "forwarding") == 1
        for name in ("eth0", "eth1", "eth2"):
            await eventually(lambda n=name: here.used(n), f"{name} used")  # type: ignore[misc]
            run(f"ip -n far{name} link set far up")
            took_s = bind_takes_s(name)
            print(f"{name}: link-local address {took_s} s after the cable")
            assert took_s is not None
            assert took_s < 0.2
        # Somebody switches one off and means it.
        run("ip link set eth1 down")
        await eventually(lambda: here.why_not("eth1") == "Somebody switched it off.", "eth1 off")
        run("ip link set eth1 up")
        await eventually(lambda: here.used("eth1"), "eth1 used again")
    assert state() == before

    async with host(directory) as here:
        await eventually(lambda: all(map(here.used, ("eth0", "eth1", "eth2"))), "used again")
        # Somebody logs in over one, and gives another an address.
        far = "ip -n fareth0 -6 addr show far"
        await eventually(lambda: "tentative" not in run(far), "the other end")
        found = run("ip -6 addr show eth0").partition("inet6 ")[2].partition("/")[0]
        with inside("fareth0"):
            ssh, scope = socket.socket(socket.AF_INET6), socket.if_nametoindex("far")
        with ssh, socket.socket(socket.AF_INET6) as sshd:
            sshd.bind((found, 22, 0, socket.if_nametoindex("eth0")))
            sshd.listen()
            ssh.connect((found, 22, 0, scope))
            run("ip addr add 192.0.2.1/24 dev eth1")
            await here.mesh.leave()
        up = [line.split()[1] for line in run("ip -o link show up").splitlines()]
        assert [name.partition("@")[0].rstrip(":") for name in up] == ["lo", "eth0", "eth1"]


async def interfaces_come_go_and_change(directory: Path) -> None:
    run("ip link add eth0 type veth peer name far0; ip link set far0 up")
    run("ip netns add elsewhere")
    async with host(directory, config=NetConfig(exclude=("secret*", "far*"))) as here:
        await eventually(lambda: here.used("eth0"), "used")
        files = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        size = len(here.undo.changes)

        run("ip link set eth0 name lan0")
        await eventually(lambda: here.used("lan0") and not here.link("eth0"), "renamed")
        run("ip link set lan0 mtu 1200")
        await eventually(lambda: "MTU" in here.why_not("lan0"), "small MTU")
        run("ip link set lan0 mtu 1400")
        await eventually(lambda: here.used("lan0"), "larger MTU")
        link = here.link("lan0")
        assert link is not None
        assert link.mtu == 1400
        assert conf("lan0", "accept_redirects") == 0, "set anew with the kernel's new IPv6"
        run("ip link set lan0 name secret0")
        await eventually(lambda: "excludes" in here.why_not("secret0"), "excluded by its new name")
        assert conf("secret0", "accept_redirects") == 1
        run("ip link set secret0 name lan0; ip link set lan0 up")
        await eventually(lambda: here.used("lan0"), "included by its new name")
        run("ip link add br0 type bridge; ip link set lan0 master br0")
        await eventually(lambda: "bridge" in here.why_not("lan0"), "enslaved")
        assert here.why_not("br0") == "It is switched off."
        run("ip link del br0; ip link set lan0 netns elsewhere")
        await eventually(lambda: not here.link("lan0"), "moved away")
        run("ip -n elsewhere link set lan0 netns 1")
        await eventually(lambda: here.used("lan0"), "came back")
        assert len(here.undo.changes) <= size + 2

        began, cpu = time.monotonic(), time.process_time()
        for _ in range(25):
            run("ip link set far0 down; ip link set far0 up")
            run("ip link add eth5 type veth peer name far5; ip link set eth5 up; ip link del eth5")
        await eventually(lambda: here.used("lan0") and not here.link("eth5"), "calm")
        print(f"CPU: {(time.process_time() - cpu) / (time.monotonic() - began):.3f}")
        assert len(here.undo.changes) <= size + 2
        assert len(os.listdir("/proc/self/fd")) == files  # noqa: PTH208
        run("ip link del lan0")
        await eventually(lambda: not here.link("lan0"), "vanished")


# -- The fence


ROUTERS = [("eth0", "fe80::2"), ("eth1", "fe80::2")]


def passes(source: str, destination: str, *, sent_by: str = "a", port: int = 5000) -> bool:
    """Whether a packet from the machine `a`, or another, reaches the machine `b`."""
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    with inside("b"):
        receiver = socket.socket(family, socket.SOCK_DGRAM)
    with inside(sent_by):
        sender = socket.socket(family, socket.SOCK_DGRAM)
    with receiver, sender:
        receiver.bind((destination, port))
        receiver.settimeout(0.15)
        sender.bind((source, port))
        for _ in range(2):  # the first may wait for neighbour discovery longer than we do
            sender.sendto(b"?", (destination, port))
            with contextlib.suppress(TimeoutError):
                receiver.recv(1)
                return True
    return False


def reaches_us(source: str) -> bool:
    """Whether a packet from the machine `a` is heard here."""
    with inside("a"):
        sender, scope = (
            socket.socket(socket.AF_INET6, socket.SOCK_DGRAM),
            socket.if_nametoindex("far"),
        )
    with sender, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("fe80::1", 5000, 0, socket.if_nametoindex("eth0")))
        receiver.settimeout(0.2)
        sender.bind((source, 5001))
        for _ in range(2):  # the first may wait for neighbour discovery longer than we do
            sender.sendto(b"?", ("fe80::1", 5000, 0, scope))
            with contextlib.suppress(TimeoutError):
                return receiver.recv(1) == b"?"
    return False


async def only_stations_are_forwarded(directory: Path) -> None:
    for name, interface in (("a", "eth0"), ("b", "eth1")):
        other_machine(name, interface)
        run(
            f"ip -n {name} addr add fd0{name}::1/128 dev lo nodad;"
            f"ip -n {name} addr add 2001:db8:{name}::1/128 dev lo nodad;"
            f"ip addr add fe80::1/64 dev {interface} nodad;"
            f"ip -n {name} addr add fe80::2/64 dev far nodad;"
            f"ip -n {name} -6 route add default via fe80::1 dev far;"
            f"ip -6 route add fd0{name}::/64 via fe80::2 dev {interface};"
            f"ip -6 route add 2001:db8:{name}::1/128 via fe80::2 dev {interface}"
        )
    station, stranger = ("fd0a::1", "fd0b::1"), ("2001:db8:a::1", "2001:db8:b::1")
    async with host(directory) as here:
        assert not passes(*station), "nobody is known as a station"
        await here.mesh.firewall.set_stations(["fd0a::1/128", "fd0b::/64"], ROUTERS)
        assert passes(*station)
        assert not passes(station[0], stranger[1])
        assert not passes(stranger[0], station[1])
        assert not passes(*stranger)
        await here.mesh.firewall.set_stations(["fd0a::1/128"], ROUTERS)
        assert not passes(*station)
        await here.mesh.firewall.set_stations(["fd0a::/64", "fd0b::1/128"], ROUTERS)
        assert passes(*station)
        run("nft flush ruleset")
        await eventually(lambda: "fencewire" in run("nft list tables"), "made again")
        await eventually(lambda: not passes(*stranger) and passes(*station), "fenced again")
        assert reaches_us("fd0a::1")
        run(f"ip -n a addr add {STATION}/128 dev lo nodad")
        assert not reaches_us(str(STATION)), "it claims to come from us"

    (CONF / "all/forwarding").write_text("1")
    async with host(directory) as here:
        await here.mesh.firewall.set_stations(["fd0a::1/128"], ROUTERS)
        assert passes(*stranger), "what the operator forwards is the operator's"
        assert not passes(station[0], stranger[1])
    assert conf("all", "forwarding") == 1
    (CONF / "all/forwarding").write_text("0")

    firewall._SEARCH = "/nonexistent"  # type: ignore[misc]
    async with host(directory) as here:
        assert conf("all", "forwarding") == 0
        assert [problem.code for problem in here.mesh.problems()] == ["no-nft"]


async def the_operators_networks_are_no_stations_whatever_is_announced(directory: Path) -> None:
    """`a` is a station, `b` one that is the operator's too, `c` is where no mesh is."""
    run("sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0")
    for name, interface in (("a", "eth0"), ("b", "eth1"), ("c", "eth9")):
        other_machine(name, interface, up=name != "a")
    async with host(directory, config=NetConfig(exclude=("eth9",))) as here:
        await eventually(lambda: here.used("eth0") and here.used("eth1"), "used")
        run("ip -n a link set far up")
        for name, interface in (("a", "eth0"), ("b", "eth1"), ("c", "eth9")):
            run(
                f"ip addr add fe80::1/64 dev {interface} nodad;"
                f"ip -n {name} addr add fe80::2/64 dev far nodad;"
                f"ip -n {name} addr add fd0{name}::1/128 dev lo nodad;"
                f"ip -n {name} -6 route add default via fe80::1 dev far;"
                f"ip -6 route add fd0{name}::1 via fe80::2 dev {interface} table {ROUTE_TABLE}"
            )
        run(
            "ip -n b addr add fd66::2/64 dev far nodad; ip addr add fd66::1/64 dev eth1 nodad;"
            "ip -n b addr add fe80::3/64 dev far nodad; ip -n b addr add fd67::2 dev lo nodad;"
            "ip -6 route add fd67::/64 via fe80::3 dev eth1;"
            f"ip -6 route add fd66::/64 via fe80::2 dev eth0 table {ROUTE_TABLE};"
            f"ip -6 route add fd67::/64 via fe80::2 dev eth0 table {ROUTE_TABLE};"
            "ip addr add 192.0.2.1/24 dev eth1; ip -n b addr add 192.0.2.2/24 dev far;"
            "ip -n a addr add 198.51.100.1/32 dev far;"
            "ip -n a route add default via 192.0.2.1 dev far onlink"
        )
        announced = [f"fd{number}::/64" for number in ("0a", "0b", "0c", "66", "67")]
        await here.mesh.firewall.set_stations(announced, ROUTERS)
        assert passes("fd0a::1", "fd0b::1")
        assert not passes("fd0a::1", "fd66::2"), "it is next to us"
        assert not passes("fd0a::1", "fd67::2"), "it is behind another router"
        assert not passes("fd0c::1", "fd0b::1", sent_by="c"), "no station is there"
        assert not passes("198.51.100.1", "192.0.2.2"), "IPv4 over a link that was off"
        run("ip addr add 203.0.113.1/24 dev eth0")
        await eventually(
            lambda: '"eth0"' not in run("nft list set inet fencewire links"), "the operator's"
        )
        assert passes("198.51.100.1", "192.0.2.2"), "the operator uses the link by now"
        attached = f"{STATION.exploded[:19]}::9"
        run(f"ip -n b addr add {attached}/64 dev far nodad; ip -6 route add default via fd66::2")
        assert not passes("fd0a::1", attached), "there is no way to it but out of the mesh"
        run(f"ip -6 route add {attached}/128 dev eth1")
        assert passes("fd0a::1", attached), "it is attached to us"
        await here.mesh.firewall.set_stations(announced, ROUTERS[:1])
        assert not passes("fd0a::1", "fd0b::1"), "no router of the mesh is there any more"
        run(f"ip -6 route flush table {ROUTE_TABLE}")


SCENARIOS = (
    a_default_route_by_advertisement_survives,
    an_excluded_interface_is_untouched,
    the_operators_networks_go_first,
    an_unused_interface_is_switched_on_and_off_again,
    interfaces_come_go_and_change,
    only_stations_are_forwarded,
    the_operators_networks_are_no_stations_whatever_is_announced,
    killed_at_every_step,
)


if __name__ == "__main__":
    run("mount -t tmpfs tmpfs /run; mkdir /run/netns; ip link set lo up")
    for scenario in SCENARIOS:
        if scenario.__name__ == sys.argv[1]:
            doing = scenario(Path(sys.argv[2]))
            if doing is not None:
                asyncio.run(doing)
