"""The fence: which packets this machine forwards.

An nftables table of our own, ``inet fencewire``.  Between stations everything passes; where just
one side is a station nothing does, so no station reaches the operator's networks and none of those
reach stations.  What is between strangers is dropped as well where it would use a link that we
switched on, and all IPv6 if the machine did not forward it before us.  Stations are those in two
named sets, full addresses and whole /64s, which need no order among themselves, unlike intervals.

Anybody may announce an address of the operator's as a station's, and the operator's own routes go
first.  So what passes must also come over a link of the mesh and leave to one of its routers, by
the route that it really takes.  What is attached to this station, in its /64, is next to us.

The host's own traffic is left alone, but for packets from outside that claim our own address.

Without the fence there is no forwarding: `Firewall.holds` says whether it stands, and a removed
table is noticed and made again.

What stays out: deciding who is a station, and forwarding itself (`links`).
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from ipaddress import IPv6Address, IPv6Network
from typing import Final, TypeAlias

from appliance.model.net import NetProblem
from appliance.net.numbers import MESH_NETWORK
from appliance.net.program import SEARCH, run
from appliance.net.sysctls import FORWARDING
from appliance.net.undo import Facts, Undo, UndoError

log = logging.getLogger(__name__)

TABLE: Final = "inet fencewire"
MAX_STATIONS: Final = 8192
"""Prefixes in a set.  Of more, which only an attack makes, some are not forwarded."""

NFT_S: Final = 5.0
"""How long nft may take; it takes some milliseconds."""

SPACING_S: Final = 0.1
"""Least time between two changes.  The first of many stations is let through at once; to start nft
costs some milliseconds of a processor."""

RETRY_S: Final = 20.0
"""After a failure."""

NFTABLE: Final = "nftables"
"""The kind of change in the journal."""

_MASK: Final = "ffff:ffff:ffff:ffff::"
_SEARCH: Final = SEARCH
_MAX_ERROR_CHARS: Final = 300

Runner: TypeAlias = Callable[[str], Awaitable[str | None]]
"""Has nft carry out a script, whole or not at all; returns None or what it complained about."""

_RESET: Final = f"table {TABLE} {{}}\ndelete table {TABLE}\n"
"""Removes the table whether or not it is there."""

_LOOK: Final = f"list chain {TABLE} forward\n"
"""Fails without the table."""


@dataclass(frozen=True)
class Fence:
    """What the table says."""

    own: IPv6Address
    """This station's address."""

    forwarded_before: bool = False
    """The machine forwarded IPv6 before us, so strangers' packets are not ours to judge."""

    links: frozenset[str] = frozenset()
    """Interfaces that we switched on and nobody else uses; stations' packets are all that may."""

    used: frozenset[str] = frozenset()
    """Interfaces that the mesh uses."""

    routers: frozenset[tuple[str, str]] = frozenset()
    """The mesh's routers next to us: our interface, and their link-local address."""

    hosts: frozenset[IPv6Address] = frozenset()
    """Stations by their addresses."""

    networks: frozenset[IPv6Network] = frozenset()
    """Stations by their /64s."""


def sort_prefixes(
    prefixes: Iterable[str], *, own: IPv6Address
) -> tuple[frozenset[IPv6Address], frozenset[IPv6Network]]:
    """Sort prefixes of stations into addresses and /64s; what is neither is no station's.

    What is attached to us counts by its /64 alone: nobody else can say that part of it is theirs.
    """
    hosts: set[IPv6Address] = set()
    attached = IPv6Network((own, 64), strict=False)
    networks = {attached}
    mesh = IPv6Network(MESH_NETWORK)
    for text in prefixes:
        network = IPv6Network(text)
        if not network.subnet_of(mesh):
            continue
        if network.prefixlen == 128:
            if len(hosts) < MAX_STATIONS and not network.subnet_of(attached):
                hosts.add(network.network_address)
        elif network.prefixlen == 64 and len(networks) < MAX_STATIONS:
            networks.add(network)
    return frozenset(hosts), frozenset(networks)


def table_script(fence: Fence) -> str:
    """Write the whole table, in place of the one that may be there.

    The first rule is for what nearly all packets are, from station to station over others; it lets
    nothing pass that the rest would not, in a third of the steps.
    """
    strangers = "" if fence.forwarded_before else "meta nfproto ipv6 drop"
    attached = IPv6Network((fence.own, 64), strict=False).network_address
    return f"""{_RESET}
table {TABLE} {{
  set stations {{ type ipv6_addr; {_elements(_hosts(fence))} }}
  set networks {{ type ipv6_addr; {_elements(_networks(fence))} }}
  set links {{ type ifname; {_elements(_links(fence))} }}
  set used {{ type ifname; {_elements(_used(fence))} }}
  set routers {{ type ifname . ipv6_addr; {_elements(_routers(fence))} }}
  chain forward {{
    type filter hook forward priority filter; policy accept;
    ip6 saddr @stations ip6 daddr @stations iifname @used oifname . rt ip6 nexthop @routers accept
    ip6 saddr @stations goto station
    ip6 saddr & {_MASK} @networks goto station
    ip6 daddr @stations drop
    ip6 daddr & {_MASK} @networks drop
    iifname @links drop
    oifname @links drop
    {strangers}
  }}
  chain station {{
    ip6 saddr {fence.own} drop
    ip6 saddr & {_MASK} != {attached} iifname != @used drop
    ip6 daddr & {_MASK} != {attached} oifname . rt ip6 nexthop != @routers drop
    ip6 daddr & {_MASK} == {attached} rt ip6 nexthop & {_MASK} != {attached} drop
    ip6 daddr @stations accept
    ip6 daddr & {_MASK} @networks accept
    drop
  }}
  chain impostors {{
    type filter hook input priority filter; policy accept;
    ip6 saddr {fence.own} iifname != "lo" meta pkttype {{ host, multicast }} drop
  }}
}}
"""


CLAMP_SCRIPT: Final = f"""
insert rule {TABLE} forward ip6 nexthdr tcp tcp flags & (syn | rst) == syn \
tcp option maxseg size set rt mtu
"""
"""Links of a way differ in their MTU; TCP then starts with segments that fit, and need not lose
the first long ones to learn it.  On its own, so that a kernel without it still has the fence."""


def change_script(before: Fence, after: Fence) -> str:
    """Write what turns one fence into another that differs in its sets only."""
    lines = []
    for name, of in _SETS.items():
        old, new = of(before), of(after)
        lines += [
            f"{verb} element {TABLE} {name} {{ {', '.join(sorted(elements))} }}"
            for verb, elements in (("delete", old - new), ("add", new - old))
            if elements
        ]
    return "\n".join(lines)


def _hosts(fence: Fence) -> frozenset[str]:
    return frozenset(map(str, fence.hosts))


def _networks(fence: Fence) -> frozenset[str]:
    return frozenset(str(network.network_address) for network in fence.networks)


def _links(fence: Fence) -> frozenset[str]:
    return frozenset(f'"{name}"' for name in fence.links)


def _used(fence: Fence) -> frozenset[str]:
    return frozenset(f'"{name}"' for name in fence.used)


def _routers(fence: Fence) -> frozenset[str]:
    return frozenset(f'"{name}" . {address}' for name, address in fence.routers)


_SETS: Final = {
    "stations": _hosts,
    "networks": _networks,
    "links": _links,
    "used": _used,
    "routers": _routers,
}


def _elements(elements: frozenset[str]) -> str:
    return f"elements = {{ {', '.join(sorted(elements))} }};" if elements else ""


async def run_nft(script: str) -> str | None:
    """Have nft carry out a script; see `Runner`."""
    program = shutil.which("nft", path=_SEARCH)
    if program is None:
        return "nft is not installed"
    try:
        code, _, errors = await run((program, "-f", "-"), given=script.encode(), within_s=NFT_S)
    except TimeoutError:
        return "nft takes too long"
    except OSError as error:
        return f"nft does not start: {error.strerror}"
    if code == 0:
        return None
    return errors.decode(errors="replace")[:_MAX_ERROR_CHARS] or "nft failed"


class Firewall:
    """Keeps the table in the kernel as it should be."""

    def __init__(self, undo: Undo, *, run: Runner = run_nft) -> None:
        self._undo = undo
        self._run = run
        self._wanted: Fence | None = None
        self._made: Fence | None = None
        self._prefixes: tuple[str, ...] = ()
        self._routers: frozenset[tuple[str, str]] = frozenset()
        self._was_made = False
        self._retry_at = 0.0
        self._next_at = 0.0
        self._lock = asyncio.Lock()
        self.complaint = ""
        """Why there is no fence where there should be one."""
        undo.knows(NFTABLE, self._undo_table)

    @property
    def holds(self) -> bool:
        """Whether the fence stands, so that forwarding is safe."""
        return self._made is not None

    @property
    def problem(self) -> NetProblem | None:
        """What the operator should know."""
        if not self.complaint:
            return None
        return NetProblem(
            code="no-nft",
            text=f"No packets are forwarded for other stations: {self.complaint}.",
            fix="Install nftables; this station will notice within a minute.",
        )

    async def install(self, own: IPv6Address, *, forwarded_before: bool) -> None:
        """Make the table for a station; afterwards `holds` or `problem`."""
        wanted = self._wanted
        if wanted is None or (wanted.own, wanted.forwarded_before) != (own, forwarded_before):
            base = wanted or Fence(own, routers=self._routers)
            hosts, networks = sort_prefixes(self._prefixes, own=own)
            self._wanted = replace(
                base,
                own=own,
                forwarded_before=forwarded_before,
                hosts=hosts,
                networks=networks,
            )
        await self.apply()

    async def set_stations(
        self, prefixes: Iterable[str], routers: Iterable[tuple[str, str]]
    ) -> None:
        """Say which prefixes are stations', besides our own: `a:b::c/128` and `a:b::/64`.

        `routers`: those next to us, as in `Fence`.  Returns when it holds.  While nft runs, later
        calls gather, and the last one counts.
        """
        self._prefixes, self._routers = tuple(prefixes), frozenset(routers)
        if self._wanted is not None:
            hosts, networks = sort_prefixes(self._prefixes, own=self._wanted.own)
            self._wanted = replace(
                self._wanted, hosts=hosts, networks=networks, routers=self._routers
            )
            await self.apply()

    async def set_links(self, *, switched_on: frozenset[str], used: frozenset[str]) -> None:
        """Say which interfaces nobody uses but us, and which the mesh uses."""
        if self._wanted is not None:
            self._wanted = replace(self._wanted, links=switched_on, used=used)
            await self.apply()

    async def apply(self) -> None:
        """Make what is wanted true, anew where it was lost."""
        async with self._lock:
            if self._wanted is None or self._wanted == self._made:
                return
            await asyncio.sleep(self._next_at - asyncio.get_running_loop().time())
            wanted, made = self._wanted, self._made
            same_rules = made is not None and (made.own, made.forwarded_before) == (
                wanted.own,
                wanted.forwarded_before,
            )
            if made is not None and same_rules:
                complaint = await self._run(change_script(made, wanted))
                if complaint is None:
                    self._made = wanted
                    self._next_at = asyncio.get_running_loop().time() + SPACING_S
                    return
                log.warning("the fence is made anew: %s", complaint)
            await self._make(wanted)

    async def remove(self) -> None:
        """Take the table away.  Forwarding must be off by now."""
        async with self._lock:
            self._wanted = self._made = None
            self.complaint, self._retry_at = "", 0.0
            await self._undo.undo_all(kinds=frozenset({NFTABLE}))

    async def check(self) -> None:
        """Look whether the table is still there, and make it again where it is not."""
        async with self._lock:
            if self._made is not None and await self._run(_LOOK) is not None:
                log.warning("somebody removed the fence; it is made again")
                self._made = None
        await self.apply()

    async def _make(self, wanted: Fence) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._retry_at:
            return
        change = self._undo.note(NFTABLE, table=TABLE)
        complaint = await self._run(table_script(wanted))
        self._made = wanted if complaint is None else None
        self.complaint = complaint or ""
        if complaint is not None:
            log.warning("no fence: %s", complaint)
            self._retry_at = now + RETRY_S
            if not self._was_made:
                self._undo.forget(change)
            return
        self._was_made = True
        refused = await self._run(CLAMP_SCRIPT)
        if refused is not None:
            log.info("segments are not clamped to the MTU: %s", refused)

    async def _undo_table(self, _: Facts) -> None:
        if any(change.kind == FORWARDING for change in self._undo.changes):
            raise UndoError("packets are still forwarded")
        complaint = await self._run(_RESET)
        if complaint is not None:
            raise UndoError(complaint)
