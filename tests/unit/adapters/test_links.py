"""Which interfaces there are, which are of use, and how a change is noticed."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from appliance.adapters.links import (
    Address,
    Interface,
    LinkSnapshot,
    LinkWatch,
    read_links,
    usable_links,
)

CABLE = Interface(
    name="eth0",
    index=2,
    up=True,
    carrier=True,
    multicast=True,
    loopback=False,
    point_to_point=False,
    addresses=(Address("10.0.0.1", 24, "global"), Address("fe80::1", 64, "link")),
)
LOOPBACK = replace(
    CABLE,
    name="lo",
    index=1,
    multicast=False,
    loopback=True,
    addresses=(Address("127.0.0.1", 8, "host"),),
)


def names(*interfaces: Interface, only: tuple[str, ...] = ()) -> list[str]:
    return [one.name for one in usable_links(LinkSnapshot(interfaces), only=only)]


def test_this_machine_has_loopback() -> None:
    [loopback] = [one for one in read_links().interfaces if one.loopback]
    assert loopback.index == 1
    assert loopback.name == "lo"
    if loopback.up:
        assert Address("127.0.0.1", 8, "host") in loopback.addresses


@pytest.mark.parametrize(
    "useless",
    [
        replace(CABLE, up=False),
        replace(CABLE, carrier=False),
        replace(CABLE, multicast=False),
        replace(CABLE, point_to_point=True),
        replace(CABLE, addresses=()),
        replace(CABLE, addresses=(Address("fe80::1", 64, "link", tentative=True),)),
        *(replace(CABLE, name=name) for name in ("docker0", "br-12ab", "virbr0", "veth77")),
    ],
)
def test_a_link_that_leads_to_no_neighbour(useless: Interface) -> None:
    assert names(LOOPBACK, useless) == ["lo"]
    assert names(LOOPBACK, useless, replace(CABLE, name="eth1")) == ["eth1"]


def test_named_interfaces_and_no_others() -> None:
    assert names(LOOPBACK, CABLE, only=("lo",)) == ["lo"]
    assert names(LOOPBACK, CABLE, only=("wlan0",)) == []
    assert names() == []


def test_addresses_that_others_can_use() -> None:
    waiting = replace(
        CABLE, name="eth1", addresses=(Address("fe80::2", 64, "link", tentative=True),)
    )
    snapshot = LinkSnapshot((LOOPBACK, CABLE, waiting))
    assert [a.host for one in snapshot.interfaces[1:] for a in one.ready] == ["10.0.0.1", "fe80::1"]
    assert snapshot.waiting
    assert not LinkSnapshot((CABLE,)).waiting


@pytest.mark.parametrize("use_netlink", [True, False])
async def test_the_present_state_comes_first(use_netlink: bool) -> None:
    async with asyncio.timeout(5), LinkWatch(use_netlink=use_netlink) as watch:
        async for snapshot in watch:
            assert snapshot == read_links()
            break
