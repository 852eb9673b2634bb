"""Which network interfaces the mesh runs over, as what, and which we switch on.  No IO.

What we do to a link of the mesh only adds to it: a few sysctls, and the routing protocol.  None of
it cuts a connection.  Three things could, and are left undone therefore:

- an interface that somebody else has switched off, or that has addresses, is not switched on;
- one that we switched on takes no router advertisements, so it brings no route that could carry
  the operator's connections elsewhere, and is not switched off while somebody else uses it;
- radios change their mode only by `radios`, which knows what they carry.

What stays out: finding the facts (`facts`, `netlink`), acting on the verdict (`links`), and radios:
those that have joined are handed in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from appliance.adapters.links import CONTAINER_HOST_NAMES
from appliance.model.net import LinkKind
from appliance.net.netlink import Interface

IPV6_MIN_MTU: Final = 1280
"""RFC 8200 section 5; below that the kernel has no IPv6 on an interface."""

CABLE_DRIVERS: Final = frozenset({"g_ether", "cdc_subset", "cdc_eem", "rndis_host"})
"""USB from host to host, seen from either end.  cdc_ether and cdc_ncm are adapters as often."""

HARDWARE_KINDS: Final = frozenset({"", "veth", "dsa"})
"""What is switched on where it is off: hardware, a switch's socket, and what stands for hardware in
a namespace."""

WIRED_KINDS: Final = HARDWARE_KINDS | {"bridge", "bond", "team", "vlan", "macvlan"}
"""What may be a link.  Whatever is not hardware was made by somebody, who switches it on too."""

_SAFE_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]*")
"""Other names are not handed to programs that might read more into them."""


@dataclass(frozen=True)
class LinkFacts:
    """All that is known of an interface when it is judged."""

    interface: Interface
    """As the kernel describes it."""

    wireless: bool = False
    """It is a radio."""

    joined_radio: bool = False
    """It is a radio in a mode that joins stations."""

    mobile: bool = False
    """It leads to a mobile network."""

    driver: str = ""
    """The kernel's driver, where known."""

    gadget: bool = False
    """It is our end of a USB cable."""

    excluded: bool = False
    """By the configuration."""

    ignored: bool = False
    """By udev's property."""

    udev_pending: bool = False
    """udev may still rename or exclude it."""

    seen_up: bool = False
    """It has been up before, so whoever switched it off meant it."""


@dataclass(frozen=True)
class Verdict:
    """What becomes of an interface."""

    used: bool
    """The mesh runs over it."""

    kind: LinkKind = LinkKind.ETHERNET
    """What it is made of."""

    why_not: str = ""
    """Why it is not used, in a sentence."""

    bring_up: bool = False
    """We switch it on, and then use it."""

    hands_off: bool = False
    """Whatever we have done to it is taken back; it is somebody else's."""

    shown: bool = True
    """Of interest to people; false for what is never a link."""


def judge(facts: LinkFacts) -> Verdict:
    """Decide about an interface."""
    return _never_ours(facts) or _not_now(facts) or Verdict(used=True, kind=_kind(facts))


def _never_ours(facts: LinkFacts) -> Verdict | None:
    one = facts.interface
    if one.loopback or any(fnmatchcase(one.name, pattern) for pattern in CONTAINER_HOST_NAMES):
        return Verdict(used=False, why_not="It leads to this machine only.", shown=False)
    if facts.excluded:
        return _no("The configuration excludes it.", hands_off=True)
    if facts.ignored:
        return _no("A udev rule excludes it.", hands_off=True)
    if not _SAFE_NAME.fullmatch(one.name):
        return _no("Its name has characters that not every program takes; rename it.")
    if not one.ethernet or (one.kind not in WIRED_KINDS and not facts.wireless):
        why = "It is no Ethernet."
        return Verdict(used=False, why_not=why, hands_off=True, shown=one.up and one.ethernet)
    if one.master:
        return _no("It is a part of a bridge or a bond.", hands_off=True)
    if facts.mobile or fnmatchcase(one.name, "wwan*"):
        return _no("It leads to a mobile network.", hands_off=True)
    if facts.wireless and not facts.joined_radio:
        return _no("Its radio is not in a mode that joins stations.")
    return None


def _not_now(facts: LinkFacts) -> Verdict | None:
    one = facts.interface
    if facts.udev_pending:
        return _no("The system is still setting it up.")
    if one.mtu < IPV6_MIN_MTU:
        return _no(f"Its MTU is below {IPV6_MIN_MTU}, which IPv6 needs.")
    if not one.ipv6:
        return _no("IPv6 is switched off on it.")
    if one.up:
        return None
    if facts.wireless or one.kind not in HARDWARE_KINDS:
        return _no("It is switched off.")
    if facts.seen_up:
        return _no("Somebody switched it off.")
    if any(not address.is_link_local for address in one.addresses):
        return _no("It is switched off and has addresses, so somebody set it up.")
    why = "It is being switched on."
    return Verdict(used=False, kind=_kind(facts), why_not=why, bring_up=True)


def _no(why: str, *, hands_off: bool = False) -> Verdict:
    return Verdict(used=False, why_not=why, hands_off=hands_off)


def _kind(facts: LinkFacts) -> LinkKind:
    if facts.wireless:
        return LinkKind.RADIO
    if facts.gadget or facts.driver in CABLE_DRIVERS:
        return LinkKind.CABLE
    return LinkKind.ETHERNET


def may_switch_off(interface: Interface, sessions: frozenset[str]) -> bool:
    """Whether an interface that we switched on can be switched off without harm to anybody.

    Not if it became a part of something, has got addresses, or somebody is logged in over it;
    `sessions` are our addresses that logins use.
    """
    addresses = interface.addresses
    return (
        interface.up
        and not interface.master
        and all(one.is_link_local and one.host not in sessions for one in addresses)
    )
