"""The links of the mesh, kept as they should be, and this machine as a router among them.

    links = Links(config, undo, on_change)
    async with links:
        await undo.undo_all()              # whatever an earlier process left behind
        running = create_task(links.run())
        await links.join(address)          # from here on interfaces are touched
        links.links(), links.problems()    # whenever `on_change` was called
        await links.firewall.set_stations(prefixes, routers)
        await links.leave()                # all is as before

Before `join` nothing is changed.  Whatever happens to interfaces, rules, the address or the
firewall afterwards, the next look repairs it; looks follow the kernel's events and are otherwise
rare.  What is to be done with an interface is decided in `link_policy`; every change is in the
journal (`undo`) before it is made.

What stays out: routing (babeld), the modes of radios, queues.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from ipaddress import IPv6Address
from typing import Final

from appliance.model.net import NetLink, NetProblem
from appliance.net.census import Census
from appliance.net.config import NetConfig
from appliance.net.firewall import NFTABLE, Firewall
from appliance.net.kernel_changes import ADDRESS, LINK_UP, RULE, KernelChanges
from appliance.net.link_policy import Verdict
from appliance.net.netlink import GEN_MODE_EUI64, RULES, Interface, Kernel, Picture
from appliance.net.sysctls import FORWARDING, SYSCTL, Sysctls
from appliance.net.table_watch import TableWatch
from appliance.net.undo import Undo, UndoError

log = logging.getLogger(__name__)

SAFETY_LOOK_S: Final = 30.0
"""How often we look although no event came, and try again what failed."""

RETRY_S: Final = 1.0
"""The same after an error."""

MIN_GAP_S: Final = 0.02
"""Least time between two looks.  The first event of a burst is acted on at once."""

GAP_LOOKS: Final = 4
MAX_GAP_S: Final = 0.25
"""The same in multiples of what a look took, for machines where many interfaces come and go; and no
more than this."""

HURRY_S: Final = 1.2
HURRY_EACH_S: Final = 0.05
"""After a change the kernel may sit on news of carriers for a second; we ask meanwhile."""

UDEV_EACH_S: Final = 0.25
"""How often we look whether udev is done with a new interface."""

KINDS: Final = frozenset({SYSCTL, FORWARDING, ADDRESS, LINK_UP, RULE, NFTABLE})
"""Changes in the journal that are made here."""

LINK_SYSCTLS: Final = (("optimistic_dad", 1), ("use_optimistic", 1), ("accept_redirects", 0))
"""An address can be used while it is tested (RFC 4429); a neighbour's redirects do not change our
routes."""

OWN_LINK_SYSCTLS: Final = (*LINK_SYSCTLS, ("accept_ra", 0))
"""The same where nobody used the interface before us: no router there is to change our routes."""

MAX_LINKS: Final = 256
"""Of more, those with the highest numbers are not shown."""


class Links:
    """See the module."""

    def __init__(self, config: NetConfig, undo: Undo, on_change: Callable[[], None]) -> None:
        """`on_change` is called when what `links` or `problems` return has changed."""
        self.firewall = Firewall(undo)
        """Also to be told who is a station."""
        self._undo = undo
        self._on_change = on_change
        self._wake = asyncio.Event()
        self._kernel = Kernel(self._wake.set)
        self._changes = KernelChanges(undo, self._kernel)
        self._sysctls = Sysctls(undo)
        self._census = Census(config)
        self._address: IPv6Address | None = None
        self._forwarded_before = False
        self._picture = Picture()
        self._shown: tuple[tuple[NetLink, ...], tuple[NetProblem, ...]] = ((), ())
        self._trouble: dict[int, str] = {}
        self._lock = asyncio.Lock()
        self._table_removed = False
        self._hurry_until = 0.0
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Links:
        self._stack.callback(self._census.close)
        await self._stack.enter_async_context(self._kernel)
        try:
            self._stack.enter_context(TableWatch(self._on_table_removed))
        except OSError as error:  # a kernel without nftables, so without a fence to watch
            log.info("nobody tells when a firewall table is removed: %s", error)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    def links(self) -> tuple[NetLink, ...]:
        """Return all interfaces of interest; others fill in hello intervals, rates, radios."""
        return self._shown[0]

    def problems(self) -> tuple[NetProblem, ...]:
        """Return what is wrong."""
        return self._shown[1]

    async def join(self, address: IPv6Address) -> None:
        """Make this machine a router of the mesh, by this address in place of one before."""
        async with self._lock:
            if self._address is None:
                self._forwarded_before = self._sysctls.forwarding
            elif self._address != address:
                await self._changes.remove_own(self._address)
            self._address = address
            await self._turn()

    async def leave(self) -> None:
        """Put everything back as it was."""
        async with self._lock:
            self._address = None
            await self._undo.undo_all(kinds=KINDS)
            await self.firewall.remove()
            self._census.forget()
            await self._turn()

    async def prepare_radio(self, name: str) -> None:
        """Set what a link needs before a radio of that name is switched on to join stations."""
        async with self._lock:
            for one in (await self._kernel.look()).interfaces:
                if one.name == name and self._address is not None:
                    await self._prepare(one, OWN_LINK_SYSCTLS)

    def set_radios(self, names: frozenset[str]) -> None:
        """Say which radios have joined, or may join, stations; they are links then."""
        self._census.radios = names
        self._wake.set()

    async def run(self) -> None:
        """Follow what changes, for ever."""
        trouble = ""
        while True:
            started = time.monotonic()
            self._wake.clear()
            async with self._lock:
                try:
                    if self._table_removed:
                        self._table_removed = False
                        await self.firewall.check()
                    await self._turn()
                    look_s = UDEV_EACH_S if self._census.waiting else SAFETY_LOOK_S
                    trouble = ""
                except (OSError, UndoError) as error:
                    if str(error) != trouble:
                        log.warning("could not keep the links: %s", error)
                    trouble = str(error)
                    look_s = RETRY_S
            took_s = time.monotonic() - started
            await asyncio.sleep(min(max(MIN_GAP_S, GAP_LOOKS * took_s), MAX_GAP_S))
            await self._wait(look_s)

    async def _wait(self, look_s: float) -> None:
        """Wait for an event, or until it is time to look without one."""
        look_at = time.monotonic() + look_s
        while (now := time.monotonic()) < look_at:
            hurried = now < self._hurry_until
            if hurried:
                self._census.hurry_carriers(self._picture)
            until = min(look_at, now + HURRY_EACH_S) if hurried else look_at
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(until - now):
                    await self._wake.wait()
                    return

    async def _turn(self) -> None:
        """Look, do what is to be done, and say what changed."""
        picture = await self._kernel.look()
        now = time.monotonic()
        if picture != self._picture:
            self._picture = picture
            self._hurry_until = now + HURRY_S
        verdicts = self._census.judge(picture, now)
        self._forget_gone(picture)
        if self._address is not None:
            for interface in picture.interfaces:
                await self._tend(interface, verdicts[interface.index])
            await self._be_router(picture, self._address, verdicts)
        self._show(picture, verdicts)

    async def _tend(self, interface: Interface, verdict: Verdict) -> None:
        """Do to an interface what its verdict says."""
        index = interface.index
        try:
            if verdict.hands_off:
                await self._let_go(index)
            elif verdict.bring_up:
                await self._prepare(interface, OWN_LINK_SYSCTLS)
                await self._changes.switch_on(interface)
            elif verdict.used:
                await self._prepare(interface, LINK_SYSCTLS)
        except (OSError, UndoError) as error:
            if self._trouble.get(index) != str(error):
                log.warning("%s could not be set up: %s", interface.name, error)
            self._trouble[index] = str(error)
        else:
            self._trouble.pop(index, None)

    async def _prepare(self, interface: Interface, sysctls: tuple[tuple[str, int], ...]) -> None:
        for key, value in sysctls:
            self._sysctls.set(interface.name, key, value)
        address = interface.eui64
        waiting = interface.gen_mode == GEN_MODE_EUI64 and not interface.carrier
        has_one = any(one.is_link_local for one in interface.addresses)
        if address is not None and waiting and not has_one:
            await self._changes.add_link_local(interface, address)

    async def _let_go(self, index: int) -> None:
        for change in reversed(self._undo.changes):
            if change.kind in KINDS and change.facts.get("index") == index:
                await self._undo.undo(change)

    def _forget_gone(self, picture: Picture) -> None:
        """Drop what was noted of interfaces that are gone, so that the journal does not grow."""
        there = {interface.index for interface in picture.interfaces} | {0}
        for change in self._undo.changes:
            index = change.facts.get("index", 0)
            if isinstance(index, int) and change.kind in KINDS and index not in there:
                self._undo.forget(change)
        self._trouble = {index: why for index, why in self._trouble.items() if index in there}

    async def _be_router(
        self, picture: Picture, address: IPv6Address, verdicts: Mapping[int, Verdict]
    ) -> None:
        """Have address, rules and fence, and forward behind that fence only."""
        for loopback in picture.interfaces:
            if loopback.loopback:
                if not loopback.ipv6:
                    raise OSError("IPv6 is switched off (net.ipv6.conf.lo.disable_ipv6)")
                if not loopback.up:
                    await self._changes.switch_on(loopback)
                if all(one.host != str(address) for one in loopback.addresses):
                    await self._changes.add_own(loopback, address)
        for rule in RULES:
            if rule.priority not in picture.rules:
                await self._changes.add_rule(rule)
        await self.firewall.install(address, forwarded_before=self._forwarded_before)
        used = frozenset(one.name for one in picture.interfaces if verdicts[one.index].used)
        await self.firewall.set_links(switched_on=self._switched_on(picture), used=used)
        if not self.firewall.holds:
            await self._undo.undo_all(kinds=frozenset({FORWARDING}))
        elif not self._sysctls.forwarding:
            self._sysctls.forwarding_on(leave_alone=self._census.leaves_alone)

    def _switched_on(self, picture: Picture) -> frozenset[str]:
        """Name the interfaces that are on by us, as long as nobody gives them an address."""
        ours = {change.facts["index"] for change in self._undo.changes if change.kind == LINK_UP}
        return frozenset(
            one.name
            for one in picture.interfaces
            if one.index in ours
            and not one.loopback
            and all(address.is_link_local for address in one.addresses)
        )

    def _show(self, picture: Picture, verdicts: Mapping[int, Verdict]) -> None:
        links = tuple(
            self._link(interface, verdicts[interface.index])
            for interface in picture.interfaces
            if verdicts[interface.index].shown
        )[:MAX_LINKS]
        problem = self.firewall.problem
        shown = (links, (problem,) if problem and self._address else ())
        if shown != self._shown:
            self._shown = shown
            self._on_change()

    def _link(self, interface: Interface, verdict: Verdict) -> NetLink:
        trouble = self._trouble.get(interface.index, "")
        return NetLink(
            name=interface.name,
            index=interface.index,
            kind=verdict.kind,
            used=verdict.used,
            why_not=f"It could not be set up: {trouble}." if trouble else verdict.why_not,
            carrier=interface.carrier,
            mtu=interface.mtu,
            hello_ms=0,
            rate_kbit=None,
            radio="",
        )

    def _on_table_removed(self) -> None:
        self._table_removed = True
        self._wake.set()
