"""Interfaces, addresses and rules of the kernel: looking at them, hearing of changes, making some.

pyroute2 looks and changes.  What changed is not read from the kernel's events: they only say that
it is time to look again, so a lost event, a renamed interface and one that came back under its old
name need no code.  The events come by a socket of their own that is read without decoding, since on
a host where containers come and go they are many, and pyroute2 queues them without bound.

What stays out: deciding anything, and sysctls.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address
from types import TracebackType
from typing import Any, Final

from pyroute2 import AsyncIPRoute, NetlinkError
from pyroute2.netlink.exceptions import NetlinkDumpInterrupted

from appliance.net.numbers import (
    DETOUR_TABLE,
    MESH_NETWORK,
    ROUTE_TABLE,
    RULE_DETOURS,
    RULE_OWN_NETWORKS,
    RULE_ROUTES,
)

log = logging.getLogger(__name__)

MAX_INTERFACES: Final = 1024
"""Of more, those with the highest numbers are not seen."""

ANSWER_S: Final = 10.0
"""How long the kernel may take.  It takes microseconds, and an answer that was lost never comes."""

LOOKS: Final = 5
"""Attempts, where the kernel says that something changed while it was telling."""

# linux/if.h, linux/if_arp.h, linux/if_link.h
IFF_UP: Final = 0x1
IFF_LOOPBACK: Final = 0x8
IFF_LOWER_UP: Final = 0x10000
ARPHRD_ETHER: Final = 1
GEN_MODE_EUI64: Final = 0
"""The link-local address is made from the hardware address."""

# linux/if_addr.h
IFA_F_NODAD: Final = 0x02
IFA_F_OPTIMISTIC: Final = 0x04
IFA_F_NOPREFIXROUTE: Final = 0x200
_IFAPROT_KERNEL_LL: Final = 3

# linux/rtnetlink.h
_RTMGRP_LINK: Final = 0x1
_RTMGRP_IPV4_IFADDR: Final = 0x10
_RTMGRP_IPV6_IFADDR: Final = 0x100
_RTMGRP_IPV6_RULE: Final = 1 << 18
_SKIP_STATS: Final = 8
"""RTEXT_FILTER_SKIP_STATS: half of what an interface's description weighs."""

_MAIN_TABLE: Final = 254
_LOCAL_TABLE: Final = 255
_EVENT_BYTES: Final = 32768
_MAX_READS: Final = 256
"""Of events at a time, so that a storm of them does not keep the loop."""

GONE: Final = frozenset({errno.ENODEV, errno.ENOENT, errno.EADDRNOTAVAIL, errno.ESRCH})
"""What the kernel says when a thing that is to be changed or removed is not there."""


class KernelError(OSError):
    """The kernel refused a change; `errno` says why."""


@dataclass(frozen=True)
class Address:
    """An address of an interface."""

    host: str
    """As text, without a zone."""

    bits: int
    """Length of its network part."""

    @property
    def is_link_local(self) -> bool:
        """Whether it is one that the kernel makes by itself (RFC 4291 section 2.5.6)."""
        return self.host.startswith("fe80:")


@dataclass(frozen=True)
class Interface:
    """A network interface, as the kernel describes it."""

    name: str
    """Its name."""

    index: int
    """The kernel's number for it."""

    up: bool
    """Switched on."""

    carrier: bool
    """A cable is plugged in, or a radio has joined."""

    loopback: bool
    """Leads to this machine only."""

    ethernet: bool
    """Carries Ethernet frames."""

    kind: str
    """What made it: ``bridge``, ``veth``; empty where there is hardware behind it."""

    master: int
    """Number of the bridge or bond that it is a part of; 0: none."""

    mtu: int
    """Longest packet in bytes."""

    mac: bytes
    """Hardware address, 6 bytes, or empty."""

    ipv6: bool
    """The kernel speaks IPv6 on it."""

    gen_mode: int
    """How the kernel makes its link-local address."""

    carrier_ups: int
    """How often it has had a carrier."""

    addresses: tuple[Address, ...]
    """IPv4 and IPv6."""

    @property
    def eui64(self) -> IPv6Address | None:
        """The link-local address by its hardware address (RFC 4291 appendix A)."""
        if len(self.mac) != 6:
            return None
        head, tail = bytes([self.mac[0] ^ 2]) + self.mac[1:3], self.mac[3:]
        return IPv6Address(b"\xfe\x80" + bytes(6) + head + b"\xff\xfe" + tail)


@dataclass(frozen=True)
class Rule:
    """A rule that says in which table routes are looked up (ip-rule(8))."""

    priority: int
    """Its place, and by which it is told from others."""

    table: int
    """Where to look."""

    longer_than: int | None = None
    """Routes to networks of this prefix length or shorter do not count."""


RULES: Final = (
    # A route to all of fd00::/8 or more is no network of the operator's but the way to the internet
    # or a stop for stray packets, and stations are nearer than that.
    Rule(RULE_OWN_NETWORKS, _MAIN_TABLE, longer_than=8),
    Rule(RULE_DETOURS, DETOUR_TABLE),
    Rule(RULE_ROUTES, ROUTE_TABLE),
)
"""All are for fd00::/8 only; other packets go as before."""


@dataclass(frozen=True)
class Picture:
    """What there was at one moment."""

    interfaces: tuple[Interface, ...] = ()
    """In the order of their numbers."""

    rules: frozenset[int] = frozenset()
    """Priorities of all rules of IPv6."""


class Kernel:
    """Looks and changes; use as ``async with Kernel(on_event) as kernel``."""

    def __init__(self, on_event: Callable[[], None]) -> None:
        """`on_event` is called when something has changed; looking again says what."""
        self._netlink: Any = None
        self._events: socket.socket | None = None
        self._on_event = on_event

    async def __aenter__(self) -> Kernel:
        self._netlink = await AsyncIPRoute().__aenter__()
        events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        groups = _RTMGRP_LINK | _RTMGRP_IPV4_IFADDR | _RTMGRP_IPV6_IFADDR | _RTMGRP_IPV6_RULE
        events.bind((0, groups))
        self._events = events
        asyncio.get_running_loop().add_reader(events, self._read_events)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._events is not None:
            asyncio.get_running_loop().remove_reader(self._events)
            self._events.close()
        await self._netlink.__aexit__(kind, error, trace)

    async def look(self) -> Picture:
        """Return all interfaces and rules as they are now; raises KernelError or TimeoutError."""
        for _ in range(LOOKS):
            with contextlib.suppress(NetlinkDumpInterrupted):
                async with asyncio.timeout(ANSWER_S):
                    return await self._look()
        raise KernelError(errno.EINTR, "interfaces change too fast to be looked at")

    async def _look(self) -> Picture:
        try:
            links = [link async for link in await self._netlink.link("dump", ext_mask=_SKIP_STATS)]
            found = [one async for one in await self._netlink.addr("dump")]
            rules = [
                rule async for rule in await self._netlink.rule("dump", family=socket.AF_INET6)
            ]
        except NetlinkDumpInterrupted:
            raise
        except NetlinkError as error:
            raise KernelError(error.code, str(error)) from error
        addresses: dict[int, list[Address]] = {}
        for one in found:
            address = Address(one.get("IFA_LOCAL") or one.get("IFA_ADDRESS"), one["prefixlen"])
            addresses.setdefault(one["index"], []).append(address)
        links.sort(key=lambda link: link["index"])
        return Picture(
            tuple(
                _interface(link, tuple(addresses.get(link["index"], ())))
                for link in links[:MAX_INTERFACES]
            ),
            frozenset(rule.get("FRA_PRIORITY") or 0 for rule in rules),
        )

    async def set_up(self, index: int, *, up: bool) -> None:
        """Switch an interface on or off; raises KernelError."""
        await self._do("link", "set", index=index, state="up" if up else "down")

    async def add_address(self, index: int, address: IPv6Address, *, bits: int, flags: int) -> None:
        """Add an address; raises KernelError, with EEXIST where it is there.

        A link-local one is marked as the kernel's own, which it stands for.
        """
        marks = {"proto": _IFAPROT_KERNEL_LL} if address.is_link_local else {}
        await self._address("add", index, address, bits=bits, flags=flags, **marks)

    async def remove_address(self, index: int, address: IPv6Address, *, bits: int) -> None:
        """Remove an address; raises KernelError."""
        await self._address("del", index, address, bits=bits)

    async def _address(
        self, verb: str, index: int, address: IPv6Address, *, bits: int, **more: int
    ) -> None:
        where = {"index": index, "address": str(address), "prefixlen": bits}
        await self._do("addr", verb, family=socket.AF_INET6, **where, **more)

    async def remove_multicast_route(self, index: int) -> None:
        """Remove the route that comes with an interface's first address; raises KernelError."""
        multicast = {"dst": "ff00::/8", "table": _LOCAL_TABLE, "type": "multicast"}
        await self._do("route", "del", family=socket.AF_INET6, oif=index, **multicast)

    async def add_rule(self, rule: Rule) -> None:
        """Add a rule; raises KernelError, with EEXIST where it is there."""
        await self._do("rule", "add", **_rule(rule))

    async def remove_rule(self, rule: Rule) -> None:
        """Remove a rule; raises KernelError."""
        await self._do("rule", "del", **_rule(rule))

    async def _do(self, what: str, verb: str, **arguments: object) -> None:
        try:
            async with asyncio.timeout(ANSWER_S):
                await getattr(self._netlink, what)(verb, **arguments)
        except NetlinkError as error:
            raise KernelError(error.code, f"{what} {verb}: {error}") from error

    def _read_events(self) -> None:
        assert self._events is not None
        self._on_event()
        for _ in range(_MAX_READS):
            try:
                self._events.recv(_EVENT_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                # Too many at once: some are lost, which does no harm, since we look.
                log.debug("netlink events: %s", error)


def _rule(rule: Rule) -> Mapping[str, object]:
    network, _, bits = MESH_NETWORK.partition("/")
    values: dict[str, object] = {
        "family": socket.AF_INET6,
        "priority": rule.priority,
        "table": rule.table,
        "dst": network,
        "dst_len": int(bits),
    }
    if rule.longer_than is not None:
        values["suppress_prefixlen"] = rule.longer_than
    return values


def _interface(link: Any, addresses: tuple[Address, ...]) -> Interface:
    flags = link["flags"]
    info = link.get("IFLA_LINKINFO")
    families = link.get("IFLA_AF_SPEC")
    ipv6 = families.get("AF_INET6") if families else None
    settings = (ipv6.get("IFLA_INET6_CONF") if ipv6 else None) or {}
    name = link.get("IFLA_IFNAME")
    mac = bytes.fromhex((link.get("IFLA_ADDRESS") or "").replace(":", ""))
    return Interface(
        # The kernel takes any bytes; what is no text is no name that a link of the mesh may have.
        name=name if isinstance(name, str) else name.decode(errors="replace"),
        index=link["index"],
        up=bool(flags & IFF_UP),
        carrier=bool(flags & IFF_UP and flags & IFF_LOWER_UP),
        loopback=bool(flags & IFF_LOOPBACK),
        ethernet=link["ifi_type"] == ARPHRD_ETHER,
        kind=(info.get("IFLA_INFO_KIND") if info else None) or "",
        master=link.get("IFLA_MASTER") or 0,
        mtu=link.get("IFLA_MTU") or 0,
        mac=mac if len(mac) == 6 else b"",
        ipv6=bool(settings) and not settings["disable_ipv6"],
        gen_mode=(ipv6.get("IFLA_INET6_ADDR_GEN_MODE") if ipv6 else None) or GEN_MODE_EUI64,
        carrier_ups=link.get("IFLA_CARRIER_UP_COUNT") or 0,
        addresses=addresses,
    )
