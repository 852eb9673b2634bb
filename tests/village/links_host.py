"""A machine in namespaces of its own on which the links of the mesh are tried out.

For programs that `unshare` started in new user, network, mount and process namespaces.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from ipaddress import IPv6Address
from pathlib import Path

from appliance.model.net import NetLink
from appliance.net.config import NetConfig
from appliance.net.links import Links
from appliance.net.undo import Undo, this_kernel
from appliance.village import namespaces

STATION = IPv6Address("fd12:3456:789a:bcde:1111:2222:3333:4444")
WITHIN_S = 5.0
CONF = Path("/proc/sys/net/ipv6/conf")


def run(command: str) -> str:
    """Run a command line and return what it prints."""
    return subprocess.run(
        ["sh", "-ec", command],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        stdin=subprocess.DEVNULL,
    ).stdout


def state() -> str:
    """Everything that the helper may change, as text."""
    return run(
        "ip addr; ip rule; ip -6 rule; ip route show table all; ip -6 route show table all;"
        " nft list ruleset; sysctl -a --pattern '^net.ipv[46]' 2>/dev/null"
    )


def conf(where: str, key: str) -> int:
    """One sysctl of IPv6."""
    return int((CONF / where / key).read_text())


def settings(name: str) -> dict[str, str]:
    """All sysctls of IPv6 of an interface that can be read."""
    found = {}
    for path in sorted((CONF / name).iterdir()):
        with contextlib.suppress(OSError):
            found[path.name] = path.read_text()
    return found


async def eventually(condition: Callable[[], object], what: str) -> float:
    """Wait until something holds; returns how long that took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < WITHIN_S, f"never: {what}"
        await asyncio.sleep(0.002)
    return time.monotonic() - started


@contextlib.contextmanager
def inside(name: str) -> Iterator[None]:
    """Be in another machine's network namespace, to make sockets there."""
    home = namespaces.open_namespace("net")
    there = os.open(f"/run/netns/{name}", os.O_RDONLY)
    try:
        namespaces.setns(there)
        yield
    finally:
        namespaces.setns(home)
        os.close(there)
        os.close(home)


def other_machine(name: str, interface: str, *, up: bool = True) -> None:
    """Make another machine, whose ``far`` is at the other end of the cable in `interface`."""
    run(
        f"ip netns add {name}; ip -n {name} link set lo up;"
        f"ip link add {interface} type veth peer name far netns {name}"
    )
    if up:
        run(f"ip -n {name} link set far up; ip link set {interface} up")


def advertise(machine: str, prefix: str, *, lifetime_s: int = 1800) -> None:
    """Send one router advertisement (RFC 4861 section 4.2) with a prefix (4.6.2)."""
    with (
        inside(machine),
        socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as sock,
    ):
        index = socket.if_nametoindex("far")
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        head = struct.pack(">BBHBBHII", 134, 0, 0, 64, 0, lifetime_s, 0, 0)
        network = socket.inet_pton(socket.AF_INET6, prefix)
        option = struct.pack(">BBBBIII", 3, 4, 64, 0xC0, 7200, 3600, 0) + network
        sock.sendto(head + option, ("ff02::1", 0, 0, index))


class Host:
    """This machine, with the links of the mesh."""

    def __init__(self, directory: Path, *, config: NetConfig | None = None) -> None:
        self.undo = Undo(directory / "journal", where=this_kernel())
        self.mesh = Links(config or NetConfig(), self.undo, lambda: None)

    def link(self, name: str) -> NetLink | None:
        """What is said of an interface."""
        return next((link for link in self.mesh.links() if link.name == name), None)

    def used(self, name: str) -> bool:
        """Whether the mesh runs over it."""
        link = self.link(name)
        return link is not None and link.used

    def carrier(self, name: str) -> bool:
        """Whether a cable is plugged in."""
        link = self.link(name)
        return link is not None and link.carrier

    def why_not(self, name: str) -> str:
        """Why it does not."""
        link = self.link(name)
        return link.why_not if link else ""


@contextlib.asynccontextmanager
async def host(directory: Path, *, config: NetConfig | None = None) -> AsyncIterator[Host]:
    """A helper that has joined; afterwards it has left."""
    made = Host(directory, config=config)
    async with made.mesh:
        await made.undo.undo_all()
        running = asyncio.create_task(made.mesh.run())
        try:
            await made.mesh.join(STATION)
            yield made
            assert not running.done()
            await made.mesh.leave()
            assert made.undo.changes == ()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            made.undo.close()
