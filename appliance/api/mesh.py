"""The part of the local API's shapes that is about the mesh: links, who is met on them, and ways.

Users import them from `schema`, where the rest is.  What a field leaves open is not known: nothing
here is guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

LinkKindName: TypeAlias = Literal["ethernet", "cable", "radio", "tunnel", "unknown"]
SeenByName: TypeAlias = Literal["us", "both", "one", "denied", "nobody"]
"""Who says that there is a link, and what it is like: we (one of ours), both ends, one end, one end
while the other has told its links and this is none of them, or nobody that was heard."""

AskedName: TypeAlias = Literal["no", "waiting", "answered", "silent"]


@dataclass(frozen=True)
class MeshStatus:
    """How far this station is part of a mesh."""

    helper: bool = False
    """The network helper runs and has given this machine the station's address."""

    routing: bool = False
    """The routing protocol runs, so stations beyond the next are reached."""

    stations: int = 0
    """Stations to which there is a route."""

    hops_max: int = 0
    """Links to the farthest station whose distance is known."""


@dataclass(frozen=True)
class Neighbour:
    """A station met on a link."""

    station: str
    """Station id."""

    host: str
    """Its address there."""

    rtt_ms: float | None
    """Round trip."""


@dataclass(frozen=True)
class Router:
    """Who speaks the routing protocol at the other end of a link."""

    address: str
    """Its link-local address."""

    station: str | None
    """Station id, as it says; None: unknown."""

    cost: int | None
    """Of the link; None: it can't be used."""

    loss_in_pct: int
    """Of what it sends to us."""

    loss_out_pct: int
    """Of what we send to it, as it says."""

    rtt_ms: float | None
    """Round trip."""


@dataclass(frozen=True)
class Link:
    """A network interface."""

    name: str
    """Such as ``eth0``."""

    up: bool
    """Up and with a carrier."""

    addresses: tuple[str, ...]
    """With prefix length."""

    neighbours: tuple[Neighbour, ...]
    """Stations with a session over it."""

    kind: LinkKindName = "unknown"
    """What it is made of."""

    used: bool | None = None
    """The mesh runs over it; None: there is no network helper."""

    why_not: str = ""
    """Why the mesh does not, in a sentence."""

    mtu: int | None = None
    """Longest packet in bytes."""

    hello_s: float | None = None
    """Interval of the routing protocol's hellos."""

    rate_kbit: int | None = None
    """To what we hold our own sending."""

    radio: str = ""
    """For people, where it is a radio: ``mesh, channel 6``."""

    routers: tuple[Router, ...] = ()
    """Who speaks the routing protocol there."""


@dataclass(frozen=True)
class PathHop:
    """One link of a path and the station at its far end."""

    address: str
    """Of the station; empty: it did not answer."""

    station: str | None
    """Station id; None: nobody that we know."""

    name: str
    """The station's name; empty where it is not known."""

    kind: LinkKindName
    """What the link is made of."""

    seen_by: SeenByName
    """Who says what the link is like."""

    cost: int | None
    """Of the link."""

    loss_out_pct: int | None
    """Of what goes in the direction of the path."""

    loss_in_pct: int | None
    """Of what comes back."""

    rtt_ms: float | None
    """Round trip from us to the station."""


@dataclass(frozen=True)
class MeshPath:
    """Over whom packets to a station go now."""

    station: str
    """Station id."""

    hops: tuple[PathHop, ...]
    """From us on; the last one is the station where `complete`."""

    complete: bool
    """The way is known up to the station."""

    metric: int | None
    """Cost of the whole way; None: no routing protocol is involved."""

    link: str | None
    """Our interface."""


@dataclass(frozen=True)
class MeshNode:
    """A station in the picture of the mesh."""

    address: str
    """Computed from its key."""

    station: str | None
    """Station id; None: nobody that we know."""

    name: str
    """Its name; empty where it is not known."""

    tag: str
    """The id's first four characters; empty where it is not known."""

    trust: str
    """`Station.trust`; empty for ourselves and strangers."""

    us: bool
    """It is this station."""

    reachable: bool
    """There is a way now."""

    hops: int | None
    """Links between us."""

    metric: int | None
    """Cost of the way."""

    via: str | None
    """Address of the neighbour to whom our packets to it go first."""

    asked: AskedName
    """Whether it was asked for its links."""

    strangers: int
    """Stations that it names as neighbours and that nobody else knows."""


@dataclass(frozen=True)
class MeshEdge:
    """A link between two stations."""

    a: str
    """Address of one end; ours where it is our link."""

    b: str
    """Address of the other end."""

    kind: LinkKindName
    """What it is made of."""

    interface: str
    """Where it is ours: its name, such as ``eth0``."""

    cost: int | None
    """Of the link."""

    loss_ab_pct: int | None
    """Of what `a` sends to `b`."""

    loss_ba_pct: int | None
    """Of what `b` sends to `a`."""

    rtt_ms: float | None
    """Round trip."""

    seen_by: SeenByName
    """Who says so."""


@dataclass(frozen=True)
class Mesh:
    """The mesh, as far as stations have told it; it fills up while it is asked for."""

    nodes: tuple[MeshNode, ...]
    """Ourselves first, then the nearest first."""

    edges: tuple[MeshEdge, ...]
    """Each link once."""

    waiting: int
    """Stations that are still being asked."""

    not_asked: int
    """Stations in reach beyond those that are asked for one picture."""
