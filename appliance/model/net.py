"""What the daemon and the network helper tell each other.

The helper owns links, routes, radios and the firewall.  The daemon says who the station is and whom
to avoid, and nothing else: no command, path, address or rule of its choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

NET_VERSION = 1
"""Of these messages; both sides come from one release, and a mismatch ends the connection."""

FULL_REACH = 0xFFFF
"""All of the last 16 hellos were heard."""


class LinkKind(StrEnum):
    """What a link is made of, as far as that is known."""

    ETHERNET = "ethernet"
    """A socket for a cable; a switch or a radio bridge may be at its end."""

    CABLE = "cable"
    """Certainly a cable from board to board, such as a USB gadget."""

    RADIO = "radio"
    """Wi-Fi in a mode that joins stations."""

    TUNNEL = "tunnel"
    """To a station elsewhere, over somebody's network."""


@dataclass(frozen=True)
class NetLink:
    """A network interface, as the helper sees it."""

    name: str
    """Its name, such as ``eth0``."""

    index: int
    """The kernel's number for it."""

    kind: LinkKind
    """What it is made of."""

    used: bool
    """The mesh runs over it."""

    why_not: str
    """Why it is not used, in a sentence; empty where it is."""

    carrier: bool
    """A cable is plugged in, or a radio has joined."""

    mtu: int
    """Longest packet in bytes."""

    hello_ms: int
    """Interval of the routing protocol's hellos on it; 0 where it is not used."""

    rate_kbit: int | None
    """To what we hold our own sending, where its rate is known to be low."""

    radio: str
    """For people, where it is a radio: ``mesh, channel 6``; else empty."""


@dataclass(frozen=True)
class NetNeighbour:
    """A router at the other end of a link, most likely a station (RFC 8966 section 3.2.4)."""

    interface: str
    """Our interface towards it."""

    address: str
    """Its link-local IPv6 address, without a zone."""

    reach: int
    """Which of its last 16 hellos came, newest in the highest bit."""

    cost: int
    """Of the link; 65535: it can't be used."""

    loss_in_pct: int
    """Of what it sends to us."""

    loss_out_pct: int
    """Of what we send to it, as it says."""

    rtt_ms: float | None
    """Round trip, where it is measured."""


@dataclass(frozen=True)
class NetRoute:
    """A way to a station that a neighbour offers (RFC 8966 section 3.2.6)."""

    prefix: str
    """What is reached, such as ``fd12:…/128``."""

    interface: str
    """Our interface towards the neighbour."""

    via: str
    """The neighbour's link-local address, without a zone."""

    metric: int
    """Cost of the whole way; 65535: it is retracted."""

    refmetric: int
    """Cost from the neighbour on; 0: the neighbour says that it is there itself."""

    origin: str
    """Router id of whoever announces the prefix, 8 bytes in hex; a claim."""

    installed: bool
    """It is the way that packets take."""


@dataclass(frozen=True)
class NetProblem:
    """Something that the helper could not do, for the operator."""

    code: str
    """For programs, such as ``no-babeld``."""

    text: str
    """What happened, in a sentence."""

    fix: str
    """What to do, in a sentence."""


# -- From the daemon


@dataclass(frozen=True)
class Join:
    """Make this machine part of the mesh as a station; answered by `Joined` and all that is known.

    It stays so when the daemon goes away.  Another station's id replaces the former.
    """

    version: int
    """`NET_VERSION`."""

    station: bytes
    """The station's public key, 32 bytes, from which its address follows."""


@dataclass(frozen=True)
class Avoid:
    """Send what is for a station another way than over this neighbour, where one is offered.

    Somebody at the end of that way could not prove to be the station.  Holds for ten minutes, and
    may be said again.
    """

    station: bytes
    """Its public key, 32 bytes."""

    interface: str
    """Our interface towards the neighbour."""

    via: str
    """The neighbour's link-local address, without a zone."""


NetCommand: TypeAlias = Join | Avoid


# -- From the helper


@dataclass(frozen=True)
class Joined:
    """The helper has taken a station's id; what it knows follows."""

    version: int
    """`NET_VERSION`."""

    address: str
    """The station's address."""


@dataclass(frozen=True)
class NetNews:
    """What changed, at most 64 items at a time."""

    links: tuple[NetLink, ...] = ()
    """New or different."""

    links_gone: tuple[str, ...] = ()
    """Names."""

    neighbours: tuple[NetNeighbour, ...] = ()
    """New or different; the key is interface and address."""

    neighbours_gone: tuple[tuple[str, str], ...] = ()
    """Interface and address."""

    routes: tuple[NetRoute, ...] = ()
    """New or different; the key is prefix, interface and via."""

    routes_gone: tuple[tuple[str, str, str], ...] = ()
    """Prefix, interface and via."""


@dataclass(frozen=True)
class NetState:
    """How the helper is; said at once after `Joined` and whenever it changes."""

    routing: bool
    """babeld runs, so stations beyond the next are reached."""

    synced: bool
    """All that was known at `Joined` has been told."""

    problems: tuple[NetProblem, ...]
    """What is wrong now."""


@dataclass(frozen=True)
class NetRefused:
    """A command was not obeyed."""

    text: str
    """Why, in a sentence."""


NetEvent: TypeAlias = Joined | NetNews | NetState | NetRefused
