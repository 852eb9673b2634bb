"""mDNS on one network interface: announce this station, hear others (RFC 6762, by zeroconf).

Each interface has a zeroconf of its own, since one for all announces every address on every
link, where most of them lead nowhere, and cannot say on which link somebody was heard.

What stays out: which interfaces there are and what is made of all links together (`mdns`).
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import random
import socket
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Final

from zeroconf import Error as ZeroconfError
from zeroconf import IPVersion, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from appliance.adapters.links import Interface, LinkSnapshot
from appliance.protocol.dnssd import MAX_INSTANCES, SERVICE_TYPE, Announcement, DnssdError

log = logging.getLogger(__name__)

START_JITTER_S: Final = 0.1
"""Longest random wait before a link is used, so that a switch that gets its power back, or a
whole village that starts at once, is not one burst (RFC 6762 section 8.1 has the like).  IPv6 alone
does without: the kernel's duplicate address detection has waited up to a second at random."""

REPEAT_S: Final = (1.0, 3.0)
"""When to announce and ask once more, counted from the start; zeroconf's own repetitions end
after 0.45 s, and a radio may lose them all together."""

REPEAT_JITTER_S: Final = 0.3
REOPEN_S: Final = 0.02
"""Least wait between asking zeroconf to open a socket and sending through it."""

MAX_HOSTS: Final = 4
"""How many of our addresses of each family are announced on a link."""

MAX_RESOLVING: Final = 64
"""How many instances are asked for their missing records at a time; others wait for their next
announcement."""

RESOLVE_TIMEOUT_MS: Final = 3000

FLUSHED_AFTER_S: Final = 1.2
"""RFC 6762 section 10.2: what an announcement replaces is kept for another second, after which
we look once more, so that addresses which are no more are not tried first."""


@dataclass(frozen=True)
class Offer:
    """The addresses at which we can be reached on a link."""

    index: int
    """The kernel's number of the interface."""

    ipv4: tuple[str, ...]
    """IPv4 addresses."""

    ipv6: tuple[str, ...]
    """IPv6 link-local addresses without their zone."""

    networks: tuple[ipaddress.IPv4Network, ...]
    """The IPv4 networks that are on the link."""

    shared_ipv6: bool = False
    """Another interface has the same IPv6 address, as a bridge and its first port do."""

    @classmethod
    def of(cls, interface: Interface, snapshot: LinkSnapshot) -> Offer | None:
        """Return what `interface` offers; None when it has no address that is of use here."""
        ipv4 = [address for address in interface.ready if address.is_ipv4][:MAX_HOSTS]
        ipv6 = [
            address.host
            for address in interface.ready
            if not address.is_ipv4 and address.scope == "link"
        ][:MAX_HOSTS]
        if not ipv4 and not ipv6:
            return None
        networks = tuple(
            ipaddress.IPv4Network((address.host, address.prefix_bits), strict=False)
            for address in ipv4
        )
        shared = any(
            address.host in ipv6[:1]
            for other in snapshot.interfaces
            if other.index != interface.index
            for address in other.addresses
        )
        hosts = tuple(address.host for address in ipv4)
        return cls(interface.index, hosts, tuple(ipv6), networks, shared)


@dataclass(frozen=True)
class Heard:
    """An instance that was heard on a link, with the addresses that can be of use."""

    instance: str
    """Its name."""

    announcement: Announcement
    """What its TXT record says."""

    hosts: tuple[str, ...]
    """IPv6 link-local ones with the zone of this link, and IPv4 ones that are on this link."""


class MdnsLink:
    """Announces and browses on one interface."""

    def __init__(
        self,
        *,
        name: str,
        offer: Offer,
        instance: str,
        announcement: Announcement,
        on_heard: Callable[[str, Heard], None],
        on_lost: Callable[[str, str], None],
        rng: random.Random,
    ) -> None:
        """Prepare for the interface `name`; the callbacks get this name first."""
        self.name = name
        self.offer = offer
        """The addresses that we announce."""

        self._instance = instance
        self._announcement = announcement
        self._on_heard = on_heard
        self._on_lost = on_lost
        self._rng = rng
        self._zeroconf: AsyncZeroconf | None = None
        self._browser: AsyncServiceBrowser | None = None
        self._info: AsyncServiceInfo | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._resolving: set[str] = set()
        self._rechecking: set[str] = set()

    @property
    def index(self) -> int:
        """The kernel's number of the interface; another one means another interface."""
        return self.offer.index

    def start(self) -> None:
        """Open the sockets; announcing begins within START_JITTER_S.

        Raises OSError, RuntimeError or ValueError when the interface has just changed, port 5353
        is taken by somebody who does not share it, or the kernel (before 5.7) keeps us from
        binding to an interface; trying later may help.
        """
        version = IPVersion.All if socket.has_dualstack_ipv6() else IPVersion.V4Only
        choice = _sender_choice(self.offer)
        try:
            self._zeroconf = AsyncZeroconf(interfaces=choice, ip_version=version)
        except (RuntimeError, ValueError):
            # For IPv6, zeroconf lists all interfaces and stumbles over one that is going away or
            # whose name is no UTF-8.  IPv4 does without.
            if not self.offer.ipv4:
                raise
            self._zeroconf = AsyncZeroconf(interfaces=choice[:1], ip_version=version)
        _hear_own_link_only(self._zeroconf.zeroconf, self.name)
        self._spawn(partial(self._begin, self._zeroconf.zeroconf))

    def update(self, offer: Offer) -> None:
        """Follow a change of address."""
        self.offer = offer
        if self._zeroconf is not None:
            self._spawn(partial(self._follow, self._zeroconf.zeroconf, offer))

    async def close(self, *, goodbye: bool) -> None:
        """Stop; with `goodbye`, tell the neighbours first, which takes a quarter of a second."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._zeroconf is None:
            return
        if self._browser is not None:
            await self._browser.async_cancel()
        if self._info is not None and not goodbye:
            self._zeroconf.zeroconf.registry.async_remove(self._info)
        await self._zeroconf.async_close()
        self._zeroconf = None

    async def _begin(self, zeroconf: Zeroconf) -> None:
        await asyncio.sleep(self._rng.uniform(0, START_JITTER_S if self.offer.ipv4 else 0))
        self._info = self._make_info()
        # The name holds the key's text and a boot id, so nobody is asked whether it is free.
        announcing = await zeroconf.async_register_service(self._info, cooperating_responders=True)
        self._browse(zeroconf)
        self._ask(zeroconf)
        await announcing
        await self._repeat(zeroconf)

    async def _follow(self, zeroconf: Zeroconf, offer: Offer) -> None:
        if self._info is not None:
            self._info = self._make_info()
            zeroconf.registry.async_update(self._info)
        # Announces by itself on every socket that is new, which takes half a second.
        opening = asyncio.ensure_future(
            zeroconf.async_update_interfaces(interfaces=_sender_choice(offer))
        )
        await asyncio.sleep(self._rng.uniform(REOPEN_S, 2 * REOPEN_S))
        if self._info is not None:
            self._browse(zeroconf)  # anew, since what is of use here has changed
            self._announce(zeroconf)
            self._ask(zeroconf)
        await opening
        await self._repeat(zeroconf)

    async def _repeat(self, zeroconf: Zeroconf) -> None:
        passed_s = 0.0
        for due_s in REPEAT_S:
            await asyncio.sleep(due_s - passed_s + self._rng.uniform(0, REPEAT_JITTER_S))
            passed_s = due_s
            self._announce(zeroconf)
            self._ask(zeroconf)

    def _announce(self, zeroconf: Zeroconf) -> None:
        if self._info is not None:
            zeroconf.async_send(zeroconf.generate_service_broadcast(self._info, None))

    def _ask(self, zeroconf: Zeroconf) -> None:
        """Send a probe for our name: neighbours answer that at once and by unicast.

        A browser's own questions are answered up to 0.5 s later, and within a second of
        an announcement only a second after it (RFC 6762 section 6).
        """
        if self._info is not None:
            zeroconf.async_send(zeroconf.generate_service_query(self._info))

    def _browse(self, zeroconf: Zeroconf) -> None:
        old = self._browser
        self._browser = AsyncServiceBrowser(zeroconf, SERVICE_TYPE, [self._on_change])
        if old is not None:
            self._spawn(old.async_cancel)

    def _make_info(self) -> AsyncServiceInfo:
        return AsyncServiceInfo(
            SERVICE_TYPE,
            f"{self._instance}.{SERVICE_TYPE}",
            port=self._announcement.port,
            properties=self._announcement.to_properties(),
            # Another name for each link, so that no link's addresses flush another's from caches,
            # and after each change, so that a family which is no more is not remembered.
            server=f"{self._instance}-{self._rng.getrandbits(32):08x}.local.",
            parsed_addresses=[*self.offer.ipv4, *self.offer.ipv6],
        )

    def _on_change(
        self,
        zeroconf: Zeroconf,
        service_type: str,
        name: str,
        state_change: ServiceStateChange,
    ) -> None:
        instance = name.removesuffix(f".{service_type}")
        if instance == self._instance:
            return
        if state_change is ServiceStateChange.Removed:
            self._on_lost(self.name, instance)
            return
        if (
            state_change is ServiceStateChange.Updated
            and name not in self._rechecking
            and len(self._rechecking) < MAX_INSTANCES
        ):
            self._rechecking.add(name)
            self._spawn(partial(self._recheck, zeroconf, instance, name))
        self._look_up(zeroconf, instance, name)

    def _look_up(self, zeroconf: Zeroconf, instance: str, name: str) -> None:
        try:
            info = AsyncServiceInfo(SERVICE_TYPE, name)
        except ZeroconfError:
            log.debug("%s: an instance with an impossible name", self.name)
            return
        if info.load_from_cache(zeroconf):
            self._hear(instance, info)
        elif name not in self._resolving and len(self._resolving) < MAX_RESOLVING:
            self._resolving.add(name)
            self._spawn(partial(self._resolve, zeroconf, instance, info))

    async def _resolve(self, zeroconf: Zeroconf, instance: str, info: AsyncServiceInfo) -> None:
        try:
            if await info.async_request(zeroconf, RESOLVE_TIMEOUT_MS):
                self._hear(instance, info)
        finally:
            self._resolving.discard(info.name)

    async def _recheck(self, zeroconf: Zeroconf, instance: str, name: str) -> None:
        await asyncio.sleep(FLUSHED_AFTER_S)
        self._rechecking.discard(name)
        info = AsyncServiceInfo(SERVICE_TYPE, name)
        if info.load_from_cache(zeroconf):
            self._hear(instance, info)

    def _hear(self, instance: str, info: AsyncServiceInfo) -> None:
        try:
            announcement = Announcement.parse(info.text or b"")
        except DnssdError as error:
            log.debug("%s: not a station: %s", self.name, error)
            return
        hosts = tuple(filter(None, map(self._usable_host, info.parsed_scoped_addresses())))
        self._on_heard(self.name, Heard(instance, announcement, hosts))

    def _usable_host(self, text: str) -> str | None:
        """Return the address as it can be connected to from here; None for one that leads away.

        mDNS is for neighbours: an address elsewhere is a mistake, or somebody who wants every
        station to knock on a third party's door.
        """
        host, _, zone = text.partition("%")
        ip = ipaddress.ip_address(host)
        if isinstance(ip, ipaddress.IPv6Address):
            # One that came in an IPv4 packet has no zone, but it came on this link.
            here = ip.is_link_local and zone in {"", str(self.offer.index)}
            return f"{host}%{self.name}" if here else None
        known = any(ip in network for network in self.offer.networks)
        return host if known and not ip.is_multicast else None

    def _spawn(self, work: Callable[[], Coroutine[object, object, None]]) -> None:
        task = asyncio.create_task(self._logged(work), name=f"mdns-{self.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _logged(self, work: Callable[[], Coroutine[object, object, None]]) -> None:
        try:
            await work()
        except (OSError, RuntimeError, ValueError, ZeroconfError) as error:
            # The interface is going away: its end comes as an event of its own.
            log.info("%s: mDNS stumbled: %s", self.name, error)


def _sender_choice(offer: Offer) -> list[str | int | tuple[tuple[str, int, int], int]]:
    """Return what zeroconf sends from: one address of each family, as it joins groups by link."""
    choice: list[str | int | tuple[tuple[str, int, int], int]] = [*offer.ipv4[:1]]
    if offer.ipv6:
        # Ports of a bridge share its address; only the index says which one is meant.
        choice.append(offer.index if offer.shared_ipv6 else offer.ipv6[0])
    return choice


def _hear_own_link_only(zeroconf: Zeroconf, name: str) -> None:
    """Bind the socket that listens to the interface `name`; no privilege is needed for that.

    Otherwise every link would hear all links' IPv6 groups and answer on the wrong one, and the
    kernel (6.6 and newer) would give an IPv4 packet to any one of these sockets, as they share
    a port by SO_REUSEPORT and only one of them has joined the group on that link.
    """
    listening = getattr(zeroconf.engine, "_listen_socket", None)
    if not isinstance(listening, socket.socket):
        raise OSError("this version of zeroconf hides its socket")
    listening.setsockopt(
        socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name.encode("utf-8", "surrogateescape")
    )
