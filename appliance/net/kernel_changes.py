"""Changes to interfaces, addresses and rules, each in the journal before it is made.

What stays out: when to make them (`links`).
"""

from __future__ import annotations

import errno
from collections.abc import Awaitable
from ipaddress import IPv6Address
from typing import Final

from appliance.net.facts import session_addresses
from appliance.net.link_policy import may_switch_off
from appliance.net.netlink import (
    GONE,
    IFA_F_NODAD,
    IFA_F_NOPREFIXROUTE,
    IFA_F_OPTIMISTIC,
    Interface,
    Kernel,
    KernelError,
    Rule,
)
from appliance.net.undo import Change, Facts, Undo, UndoError

LINK_UP: Final = "link-up"
ADDRESS: Final = "address"
RULE: Final = "rule"
"""Kinds of changes in the journal."""

_ALWAYS_OURS: Final = -1
"""In place of a count of carriers, for an address that only we would add."""


class KernelChanges:
    """Makes changes by netlink, and undoes them."""

    def __init__(self, undo: Undo, kernel: Kernel) -> None:
        self._undo = undo
        self._kernel = kernel
        undo.knows(LINK_UP, self._undo_link_up)
        undo.knows(ADDRESS, self._undo_address)
        undo.knows(RULE, self._undo_rule)

    async def switch_on(self, interface: Interface) -> None:
        """Switch an interface on; raises KernelError."""
        change = self._undo.note(LINK_UP, index=interface.index)
        try:
            await self._kernel.set_up(interface.index, up=True)
        except KernelError:
            self._undo.forget(change)
            raise

    async def add_link_local(self, interface: Interface, address: IPv6Address) -> None:
        """Add the link-local address that the kernel would make at the first carrier.

        Made by the kernel it would be tested for up to two seconds before its first use, since the
        kernel makes no optimistic ones while it forwards.
        """
        ups = interface.carrier_ups
        await self._add(interface.index, address, bits=64, flags=IFA_F_OPTIMISTIC, ups=ups)

    async def add_own(self, loopback: Interface, address: IPv6Address) -> None:
        """Add the station's address; the kernel answers for it on every link.

        Without a route of its own, which the local table has anyway.
        """
        flags = IFA_F_NODAD | IFA_F_NOPREFIXROUTE
        await self._add(loopback.index, address, bits=128, flags=flags, ups=_ALWAYS_OURS)

    async def remove_own(self, address: IPv6Address) -> None:
        """Take a station's address away again."""
        for change in self._undo.changes:
            if change.kind == ADDRESS and change.facts["address"] == str(address):
                await self._undo.undo(change)

    async def add_rule(self, rule: Rule) -> None:
        """Add a rule; raises KernelError."""
        longer_than = -1 if rule.longer_than is None else rule.longer_than
        change = self._undo.note(
            RULE, priority=rule.priority, table=rule.table, longer_than=longer_than
        )
        await self._unless_there(change, self._kernel.add_rule(rule))

    async def _add(
        self, index: int, address: IPv6Address, *, bits: int, flags: int, ups: int
    ) -> None:
        change = self._undo.note(ADDRESS, index=index, address=str(address), bits=bits, ups=ups)
        adding = self._kernel.add_address(index, address, bits=bits, flags=flags)
        await self._unless_there(change, adding)

    async def _unless_there(self, change: Change, adding: Awaitable[None]) -> None:
        """Add something; what was there already is not ours to remove."""
        try:
            await adding
        except KernelError as error:
            self._undo.forget(change)
            if error.errno != errno.EEXIST:
                raise

    async def _undo_link_up(self, facts: Facts) -> None:
        index = _number(facts, "index")
        for interface in (await self._kernel.look()).interfaces:
            if interface.index == index and may_switch_off(interface, session_addresses()):
                await self._kernel.set_up(index, up=False)

    async def _undo_address(self, facts: Facts) -> None:
        index, ups = _number(facts, "index"), _number(facts, "ups")
        if ups != _ALWAYS_OURS:
            for interface in (await self._kernel.look()).interfaces:
                if interface.index == index and interface.up and interface.carrier_ups != ups:
                    return  # the kernel would have made it by now, and makes it only once
        address = IPv6Address(str(facts["address"]))
        try:
            await self._kernel.remove_address(index, address, bits=_number(facts, "bits"))
        except KernelError as error:
            if error.errno not in GONE:
                raise
        if ups != _ALWAYS_OURS:
            await self._remove_multicast_route(index)

    async def _remove_multicast_route(self, index: int) -> None:
        """Remove what the kernel made with our link-local address, where that was the only one."""
        for interface in (await self._kernel.look()).interfaces:
            if interface.index != index or any(":" in one.host for one in interface.addresses):
                continue
            try:
                await self._kernel.remove_multicast_route(index)
            except KernelError as error:
                if error.errno not in GONE:
                    raise

    async def _undo_rule(self, facts: Facts) -> None:
        longer_than = _number(facts, "longer_than")
        rule = Rule(
            _number(facts, "priority"),
            _number(facts, "table"),
            longer_than=None if longer_than < 0 else longer_than,
        )
        try:
            await self._kernel.remove_rule(rule)
        except KernelError as error:
            if error.errno not in GONE:
                raise


def _number(facts: Facts, name: str) -> int:
    value = facts[name]
    if not isinstance(value, int):
        raise UndoError(f"{name} is no number")
    return value
