"""The links of this machine: which network interfaces there are, and when that changes.

A snapshot is read from the kernel's oldest interfaces, netdevice(7) and /proc/net, which need
no privilege, no netlink and no process, and which always mean the network namespace that we are
in (/sys does not).  Netlink, through pyroute2, only says *when* to look again; where there is none
we look every two seconds.  pyroute2 costs 9 MB and 0.2 s, so it is imported in the background,
after the first snapshot.

What stays out: changing anything.  That needs privilege and is the helper's work.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import errno
import fcntl
import importlib
import ipaddress
import logging
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, Literal

log = logging.getLogger(__name__)

Scope = Literal["host", "link", "global"]

CONTAINER_HOST_NAMES: Final = ("docker*", "br-*", "virbr*", "veth*", "lxc*", "lxdbr*", "podman*")
"""Interfaces that lead to containers and virtual machines of this host, and to no neighbour."""

POLL_S: Final = 2.0
"""How often we look where the kernel does not tell us."""

POLL_TENTATIVE_S: Final = 0.2
"""The same while an address waits for duplicate address detection, which takes 1 to 2 s."""

SAFETY_POLL_S: Final = 30.0
"""How often we look although netlink works: costs nothing and repairs whatever was lost."""

MIN_GAP_S: Final = 0.02
"""Least time between two looks.  The first event of a burst is acted on at once."""

NETLINK_RETRY_S: Final = 5.0
MAX_INTERFACES: Final = 256
MAX_ADDRESSES: Final = 4096
_EVENTS_QUEUE: Final = 4096
"""Events that pyroute2 may hold; beyond this it raises, and we open the socket anew."""

# netdevice(7), linux/sockios.h, linux/if.h
_SIOCGIFCONF: Final = 0x8912
_SIOCGIFFLAGS: Final = 0x8913
_SIOCGIFNETMASK: Final = 0x891B
_SIOCGIFINDEX: Final = 0x8933
_SIOCETHTOOL: Final = 0x8946
_ETHTOOL_GLINK: Final = 0x0A
_IFREQ_BYTES: Final = 40
_IFF_UP: Final = 0x1
_IFF_LOOPBACK: Final = 0x8
_IFF_POINTOPOINT: Final = 0x10
_IFF_RUNNING: Final = 0x40
_IFF_MULTICAST: Final = 0x1000

# linux/if_addr.h: the flags of an IPv6 address as /proc/net/if_inet6 shows them
_IFA_F_OPTIMISTIC: Final = 0x04
_IFA_F_DADFAILED: Final = 0x08
_IFA_F_TENTATIVE: Final = 0x40


@dataclass(frozen=True)
class Address:
    """An IP address of an interface."""

    host: str
    """The address as text, without a zone."""

    prefix_bits: int
    """Length of the network part."""

    scope: Scope
    """How far the address reaches: this host, this link, or beyond."""

    tentative: bool = False
    """Duplicate address detection (RFC 4862) is not done, or found one: nothing can be sent."""

    @property
    def is_ipv4(self) -> bool:
        """Whether it is an IPv4 address."""
        return ":" not in self.host


@dataclass(frozen=True)
class Interface:
    """A network interface."""

    name: str
    """Its name, such as ``eth0``; bytes that are no UTF-8 are surrogates."""

    index: int
    """The kernel's number for it; an interface that returns has a new one."""

    up: bool
    """Switched on by its administrator."""

    carrier: bool
    """A cable is plugged in, or a radio is associated."""

    multicast: bool
    """Can send to groups."""

    loopback: bool
    """Leads to this machine only."""

    point_to_point: bool
    """A tunnel or a dial-up line."""

    addresses: tuple[Address, ...]
    """Every IPv4 and IPv6 address, IPv4 first, else in the kernel's order."""

    @property
    def ready(self) -> tuple[Address, ...]:
        """The addresses that can be used now."""
        return tuple(address for address in self.addresses if not address.tentative)


@dataclass(frozen=True)
class LinkSnapshot:
    """All network interfaces at one moment."""

    interfaces: tuple[Interface, ...] = ()
    """In the order of their index."""

    @property
    def waiting(self) -> bool:
        """Whether an address is still waiting for duplicate address detection."""
        return any(len(one.ready) < len(one.addresses) for one in self.interfaces)


def usable_links(
    snapshot: LinkSnapshot,
    *,
    only: tuple[str, ...] = (),
    exclude: tuple[str, ...] = CONTAINER_HOST_NAMES,
) -> tuple[Interface, ...]:
    """Return the interfaces on which a neighbour can be.

    Those are up, have a carrier, multicast and an address that can be used, and are no tunnel.
    `only` names the interfaces to use, whatever they are; `exclude` has shell patterns of names
    to leave out.  With nothing else, loopback is returned, so that two daemons on a machine without
    a network still meet.
    """
    alive = [one for one in snapshot.interfaces if one.up and one.carrier and one.ready]
    if only:
        return tuple(one for one in alive if one.name in only)
    links = tuple(
        one
        for one in alive
        if one.multicast
        and not one.loopback
        and not one.point_to_point
        and not any(fnmatchcase(one.name, pattern) for pattern in exclude)
    )
    return links or tuple(one for one in alive if one.loopback)


def read_links() -> LinkSnapshot:
    """Read all interfaces of this network namespace.

    An interface that disappears meanwhile is left out.  Raises OSError where /proc/net is not
    readable or no IPv4 socket can be made.
    """
    names = [
        line.partition(b":")[0].strip()
        for line in Path("/proc/net/dev").read_bytes().splitlines()[2 : MAX_INTERFACES + 2]
    ]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        ipv4 = _ipv4_addresses(sock)
        ipv6 = _ipv6_addresses()
        interfaces = []
        for name in names:
            with contextlib.suppress(OSError):
                index = int(_ifreq(sock, _SIOCGIFINDEX, name, "i"))
                flags = _flags(sock, name)
                addresses = (*ipv4.get(name, ()), *ipv6.get(index, ()))
                interfaces.append(_interface(name, index, flags, addresses))
    return LinkSnapshot(tuple(sorted(interfaces, key=lambda one: one.index)))


def _interface(name: bytes, index: int, flags: int, addresses: tuple[Address, ...]) -> Interface:
    return Interface(
        name=name.decode("utf-8", "surrogateescape"),
        index=index,
        up=bool(flags & _IFF_UP),
        carrier=bool(flags & _IFF_RUNNING),
        multicast=bool(flags & _IFF_MULTICAST),
        loopback=bool(flags & _IFF_LOOPBACK),
        point_to_point=bool(flags & _IFF_POINTOPOINT),
        addresses=addresses,
    )


def _ifreq(sock: socket.socket, request: int, name: bytes, shape: str) -> Any:
    reply = fcntl.ioctl(sock, request, struct.pack("16s24x", name))
    return struct.unpack_from(shape, reply, 16)[0]


def _flags(sock: socket.socket, name: bytes) -> int:
    """Return the interface's flags; hurries a carrier that has just come.

    The kernel may sit on a carrier change for up to a second (it allows one such event a second),
    and starts duplicate address detection only then.  Asking for the link state makes it act.
    """
    flags = int(_ifreq(sock, _SIOCGIFFLAGS, name, "H"))
    if not flags & _IFF_UP or flags & _IFF_RUNNING:
        return flags
    value = array.array("I", (_ETHTOOL_GLINK, 0))
    with contextlib.suppress(OSError):  # not every driver can say
        fcntl.ioctl(sock, _SIOCETHTOOL, struct.pack("16sP16x", name, value.buffer_info()[0]))
    return int(_ifreq(sock, _SIOCGIFFLAGS, name, "H"))


def _ipv4_addresses(sock: socket.socket) -> dict[bytes, list[Address]]:
    """Return the IPv4 addresses by name of interface."""
    room = array.array("B", bytes(_IFREQ_BYTES * MAX_ADDRESSES))
    used, _ = struct.unpack(
        "iP", fcntl.ioctl(sock, _SIOCGIFCONF, struct.pack("iP", len(room), room.buffer_info()[0]))
    )
    found: dict[bytes, list[Address]] = {}
    for start in range(0, used, _IFREQ_BYTES):
        request = room[start : start + _IFREQ_BYTES].tobytes()
        label = request[:16].partition(b"\0")[0]
        with contextlib.suppress(OSError):  # it has just been removed
            mask = fcntl.ioctl(sock, _SIOCGIFNETMASK, request)[20:24]
            ip = ipaddress.IPv4Address(request[20:24])
            scope: Scope = "host" if ip.is_loopback else "link" if ip.is_link_local else "global"
            bits = int.from_bytes(mask, "big").bit_count()
            name = label.partition(b":")[0]
            found.setdefault(name, []).append(Address(str(ip), bits, scope))
    return found


def _ipv6_addresses() -> dict[int, list[Address]]:
    """Return the IPv6 addresses by index of interface; none where the kernel has no IPv6."""
    try:
        lines = Path("/proc/net/if_inet6").read_text("ascii", "replace").splitlines()
    except FileNotFoundError:
        return {}
    found: dict[int, list[Address]] = {}
    for line in lines[:MAX_ADDRESSES]:
        digits, index, bits, _, flags, _ = line.split(maxsplit=5)
        ip = ipaddress.IPv6Address(int(digits, 16))
        scope: Scope = "host" if ip.is_loopback else "link" if ip.is_link_local else "global"
        state = int(flags, 16)
        waiting = bool(state & _IFA_F_TENTATIVE) and not state & _IFA_F_OPTIMISTIC
        tentative = waiting or bool(state & _IFA_F_DADFAILED)
        address = Address(str(ip), int(bits, 16), scope, tentative)
        found.setdefault(int(index, 16), []).append(address)
    return found


class LinkWatch:
    """Yields a snapshot now and whenever the interfaces have changed.

    Use as ``async with LinkWatch() as watch: async for snapshot in watch: ...``.  A slow consumer
    gets the newest snapshot and misses those between.
    """

    def __init__(self, *, use_netlink: bool = True) -> None:
        self._use_netlink = use_netlink
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.netlink_works = False
        """Whether the kernel tells us of changes; otherwise we poll."""

    async def __aenter__(self) -> LinkWatch:
        if self._use_netlink:
            self._task = asyncio.create_task(self._follow_netlink(), name="links-netlink")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def __aiter__(self) -> AsyncIterator[LinkSnapshot]:
        """Yield the present snapshot, then each one that differs from the last."""
        last: LinkSnapshot | None = None
        while True:
            self._changed.clear()
            try:
                snapshot = read_links()
            except OSError as error:
                log.warning("cannot read the network interfaces: %s", error)
                snapshot = last or LinkSnapshot()
            if snapshot != last:
                last = snapshot
                yield snapshot
            await self._wait(snapshot)

    async def _wait(self, snapshot: LinkSnapshot) -> None:
        if self.netlink_works:
            wait_s = SAFETY_POLL_S
        else:
            wait_s = POLL_TENTATIVE_S if snapshot.waiting else POLL_S
        await asyncio.sleep(MIN_GAP_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._changed.wait()

    async def _follow_netlink(self) -> None:
        """Set `_changed` on every event, until netlink turns out not to be there."""
        try:
            # In a thread: the import takes 0.2 s, seconds on a small board.
            pyroute2 = await asyncio.to_thread(importlib.import_module, "pyroute2")
            rtnl = importlib.import_module("pyroute2.netlink.rtnl")
        except ImportError as error:
            log.warning("no netlink events, looking every %s s instead: %s", POLL_S, error)
            return
        groups = rtnl.RTMGRP_LINK | rtnl.RTMGRP_IPV4_IFADDR | rtnl.RTMGRP_IPV6_IFADDR
        while True:
            try:
                async with pyroute2.AsyncIPRoute(async_qsize=_EVENTS_QUEUE) as netlink:
                    await netlink.bind(groups=groups)
                    self.netlink_works = True
                    self._changed.set()
                    while True:  # get() ends after each batch
                        async for _ in netlink.get():
                            self._changed.set()
            except (OSError, pyroute2.NetlinkError) as error:
                self.netlink_works = False
                self._changed.set()
                log.info("netlink events stopped: %s", error)
                if error.errno in {errno.EAFNOSUPPORT, errno.EPERM, errno.EPROTONOSUPPORT}:
                    return
            await asyncio.sleep(NETLINK_RETRY_S)
