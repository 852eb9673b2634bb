"""Which interfaces the mesh uses, why not the others, and which are switched on."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from link_samples import ETH0

from appliance.model.net import LinkKind
from appliance.net.link_policy import LinkFacts, Verdict, judge, may_switch_off
from appliance.net.netlink import Address

LAN = Address("192.168.1.4", 24)
LINK_LOCAL = Address("fe80::1", 64)


def verdict(facts: Mapping[str, Any] | None = None, **interface: Any) -> Verdict:
    return judge(LinkFacts(replace(ETH0, **interface), **(facts or {})))


@pytest.mark.parametrize(
    ("interface", "facts", "kind"),
    [
        ({}, {}, LinkKind.ETHERNET),
        ({"carrier": False}, {}, LinkKind.ETHERNET),
        ({"addresses": (LAN, LINK_LOCAL)}, {}, LinkKind.ETHERNET),
        ({"kind": "veth"}, {"driver": "veth"}, LinkKind.ETHERNET),
        ({"name": "br0", "kind": "bridge"}, {}, LinkKind.ETHERNET),
        ({"name": "eth0.5", "kind": "vlan"}, {}, LinkKind.ETHERNET),
        ({"name": "usb0"}, {"gadget": True, "driver": "g_ether"}, LinkKind.CABLE),
        ({"name": "usb0"}, {"driver": "g_ether"}, LinkKind.CABLE),
        ({"name": "enx02"}, {"driver": "cdc_ncm"}, LinkKind.ETHERNET),
        ({"name": "mesh0"}, {"wireless": True, "joined_radio": True}, LinkKind.RADIO),
    ],
)
def test_used(interface: dict[str, Any], facts: dict[str, Any], kind: LinkKind) -> None:
    assert verdict(facts, **interface) == Verdict(used=True, kind=kind)


@pytest.mark.parametrize(
    ("interface", "facts", "why"),
    [
        ({"master": 7}, {}, "a bridge or a bond"),
        ({"ethernet": False, "kind": "tun"}, {}, "no Ethernet"),
        ({"kind": "dummy"}, {}, "no Ethernet"),
        ({"name": 'a"b'}, {}, "Its name"),
        ({"name": "a*"}, {}, "Its name"),
        ({"name": "-a"}, {}, "Its name"),
        ({"name": "wwan0"}, {}, "mobile"),
        ({}, {"mobile": True}, "mobile"),
        ({}, {"wireless": True}, "radio"),
        ({}, {"udev_pending": True}, "still setting it up"),
        ({"mtu": 1279}, {}, "MTU is below 1280"),
        ({"ipv6": False}, {}, "IPv6 is switched off"),
        ({"up": False, "kind": "bridge"}, {}, "It is switched off"),
        ({"up": False}, {"wireless": True, "joined_radio": True}, "It is switched off"),
        ({"up": False}, {"seen_up": True}, "Somebody switched it off"),
        ({"up": False, "addresses": (LAN,)}, {}, "has addresses"),
    ],
)
def test_not_used(interface: dict[str, Any], facts: dict[str, Any], why: str) -> None:
    found = verdict(facts, **interface)
    assert why in found.why_not
    assert not found.used
    assert not found.bring_up


@pytest.mark.parametrize("facts", [{"excluded": True}, {"ignored": True}])
@pytest.mark.parametrize("up", [True, False])
def test_an_excluded_interface_is_not_touched(facts: dict[str, Any], up: bool) -> None:
    found = verdict(facts, up=up)
    assert not found.used
    assert not found.bring_up
    assert found.hands_off
    assert "excludes it" in found.why_not


@pytest.mark.parametrize("addresses", [(), (LINK_LOCAL,)])
def test_hardware_that_is_off_is_switched_on(addresses: tuple[Address, ...]) -> None:
    for kind in ("", "veth", "dsa"):
        found = verdict(up=False, carrier=False, kind=kind, addresses=addresses)
        assert found.bring_up
        assert not found.used


@pytest.mark.parametrize(
    "interface",
    [{"name": "lo", "loopback": True}, {"name": "docker0", "kind": "bridge"}, {"name": "veth3f"}],
)
def test_what_leads_to_this_machine_only_is_not_even_shown(interface: dict[str, Any]) -> None:
    found = verdict(up=False, **interface)
    assert (found.used, found.bring_up, found.shown) == (False, False, False)


def test_what_we_switched_on_is_switched_off_only_if_nobody_else_uses_it() -> None:
    ours = replace(ETH0, addresses=(LINK_LOCAL,))
    assert may_switch_off(ours, frozenset({"fe80::2"}))
    assert not may_switch_off(ours, frozenset({"fe80::1"}))
    assert not may_switch_off(replace(ours, addresses=(LINK_LOCAL, LAN)), frozenset())
    assert not may_switch_off(replace(ours, master=3), frozenset())
    assert not may_switch_off(replace(ours, up=False), frozenset())


def test_the_link_local_address_is_the_one_that_the_kernel_makes() -> None:
    assert str(replace(ETH0, mac=bytes.fromhex("eeA805320564")).eui64) == "fe80::eca8:5ff:fe32:564"
    assert replace(ETH0, mac=b"").eui64 is None
