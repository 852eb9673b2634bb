"""What the network helper says: links, neighbours, and which stations the mesh reaches.

A route is a neighbour's claim.  Whoever announces a station's address can keep packets from it, but
only the station itself proves its key, so nothing here is more than a hint where to dial.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address
from typing import Final

from appliance.model.identity import StationId
from appliance.model.net import (
    Joined,
    NetEvent,
    NetLink,
    NetNeighbour,
    NetNews,
    NetProblem,
    NetRoute,
    NetState,
)

MAX_ROUTES: Final = 8192
"""Offers that are remembered, of all neighbours together; more are ignored."""

MAX_NEIGHBOURS: Final = 1024
MAX_LINKS: Final = 256
UNREACHABLE: Final = 0xFFFF
"""A metric that says so (RFC 8966 section 2.1)."""


@dataclass(frozen=True)
class ReachChange:
    """An address became reachable, stopped being so, or is reached another way."""

    address: str
    """Of a station, as `IPv6Address` writes it."""

    station: StationId | None
    """Whose it is; None: nobody's that we know."""

    reachable: bool
    """Now."""

    before: bool
    """Until now."""


class Mesh:
    """The routing table and the links under it."""

    def __init__(self, own: StationId) -> None:
        self._own = own.host
        self.joined = False
        """A helper carries our address, so that sessions may come over the mesh."""

        self.routing = False
        """babeld runs."""

        self.problems: tuple[NetProblem, ...] = ()
        """What the helper can't do."""

        self._claims: dict[tuple[str, str], NetRoute] = {}
        """Routes to our own address, by interface and neighbour."""
        self._links: dict[str, NetLink] = {}
        self._neighbours: dict[tuple[str, str], NetNeighbour] = {}
        self._routes: dict[str, dict[tuple[str, str], NetRoute]] = {}
        """By address, interface and neighbour."""
        self._count = 0
        self._stations: dict[str, StationId] = {}

    # -- Who is who

    def learn(self, stations: Iterable[StationId]) -> None:
        """Note that stations exist; their addresses follow from their keys."""
        for station in stations:
            self._stations[station.host] = station

    def forget(self, station: StationId) -> None:
        """Note that a station is of no interest any more."""
        self._stations.pop(station.host, None)

    def station_at(self, address: str) -> StationId | None:
        """Return the known station that has an address."""
        return self._stations.get(address)

    # -- What there is

    def links(self) -> tuple[NetLink, ...]:
        """Return the network interfaces."""
        return tuple(self._links.values())

    def link(self, name: str) -> NetLink | None:
        """Return an interface by its name."""
        return self._links.get(name)

    @property
    def claim(self) -> NetRoute | None:
        """A route to our own address that somebody announces."""
        return next(iter(self._claims.values()), None)

    def neighbours(self) -> tuple[NetNeighbour, ...]:
        """Return the routers that we share a link with."""
        return tuple(self._neighbours.values())

    def reachable(self, station: StationId) -> bool:
        """Tell whether there is a route to a station."""
        return self.way_to(station) is not None

    def way_to(self, station: StationId) -> NetRoute | None:
        """Return the way that packets to a station take."""
        return self.way_at(station.host)

    def way_at(self, address: str) -> NetRoute | None:
        """Return the way that packets to an address take."""
        for route in self._routes.get(address, {}).values():
            if route.installed and route.metric < UNREACHABLE:
                return route
        return None

    def rate_kbit(self, station: StationId) -> int | None:
        """Return what our link on the way to a station takes; None: that is not known."""
        way = self.way_to(station)
        link = self.link(way.interface) if way is not None else None
        return link.rate_kbit if link is not None else None

    def offers(self, station: StationId) -> tuple[NetRoute, ...]:
        """Return all ways to a station that neighbours offer, the best first."""
        offers = self._routes.get(station.host, {}).values()
        return tuple(
            sorted(
                (route for route in offers if route.metric < UNREACHABLE),
                key=lambda route: (not route.installed, route.metric),
            )
        )

    def reached(self) -> tuple[str, ...]:
        """Return the addresses of all stations that are reachable, also unknown ones."""
        return tuple(address for address in self._routes if self.way_at(address) is not None)

    def neighbour(self, interface: str, via: str) -> StationId | None:
        """Return the station that a neighbour seems to be: the one that it says is there itself.

        A claim.  A neighbour that says so of several is none of them for sure.
        """
        return self.station_at(self.neighbour_addresses().get((interface, via), ""))

    def neighbour_addresses(self) -> dict[tuple[str, str], str]:
        """Return what `neighbour` says of each, as an address of the mesh; by interface and via."""
        there: dict[tuple[str, str], list[str]] = {}
        for address, offers in self._routes.items():
            for key, offer in offers.items():
                there_itself = offer.refmetric == 0 and offer.metric < UNREACHABLE
                if there_itself and offer.origin == origin_of(address):
                    there.setdefault(key, []).append(address)
        return {key: found[0] for key, found in there.items() if len(found) == 1}

    def next_hop(self, station: StationId) -> StationId | None:
        """Return the neighbour that packets to a station go to first, where it is known."""
        way = self.way_to(station)
        if way is None:
            return None
        return station if way.refmetric == 0 else self.neighbour(way.interface, way.via)

    # -- Inputs

    def feed(self, event: NetEvent | None) -> list[ReachChange]:
        """Take in what the helper says; None: it is gone, and with it what it said."""
        match event:
            case None:
                return self._clear()
            case Joined():
                gone = self._clear()
                self.joined = True
                return gone
            case NetState(routing, _, problems):
                self.routing, self.problems = routing, problems
                return []
            case NetNews():
                return self._news(event)
            case _:
                return []

    def _clear(self) -> list[ReachChange]:
        changes = [
            ReachChange(address, self._stations.get(address), reachable=False, before=True)
            for address in self.reached()
        ]
        self.joined = self.routing = False
        self.problems = ()
        self._claims.clear()
        self._links.clear()
        self._neighbours.clear()
        self._routes.clear()
        self._count = 0
        return changes

    def _news(self, news: NetNews) -> list[ReachChange]:
        for link in news.links:
            if link.name in self._links or len(self._links) < MAX_LINKS:
                self._links[link.name] = link
        for name in news.links_gone:
            self._links.pop(name, None)
        for neighbour in news.neighbours:
            key = (neighbour.interface, neighbour.address)
            if key in self._neighbours or len(self._neighbours) < MAX_NEIGHBOURS:
                self._neighbours[key] = neighbour
        for key in news.neighbours_gone:
            self._neighbours.pop(key, None)
        before: dict[str, NetRoute | None] = {}
        for route in news.routes:
            address = station_address(route.prefix)
            if address == self._own:
                self._claimed((route.interface, route.via), route)
            elif address is not None:
                before.setdefault(address, self.way_at(address))
                self._put(address, route)
        for prefix, interface, via in news.routes_gone:
            address = station_address(prefix)
            if address == self._own:
                self._claims.pop((interface, via), None)
            elif address is not None and address in self._routes:
                before.setdefault(address, self.way_at(address))
                self._drop(address, (interface, via))
        return [change for address, way in before.items() for change in self._change(address, way)]

    def _change(self, address: str, before: NetRoute | None) -> list[ReachChange]:
        now = self.way_at(address)
        if now == before:
            return []
        station = self._stations.get(address)
        return [ReachChange(address, station, now is not None, before is not None)]

    def _claimed(self, key: tuple[str, str], route: NetRoute) -> None:
        if route.metric >= UNREACHABLE:
            self._claims.pop(key, None)
        elif key in self._claims or len(self._claims) < MAX_NEIGHBOURS:
            self._claims[key] = route

    def _put(self, address: str, route: NetRoute) -> None:
        offers = self._routes.get(address, {})
        key = (route.interface, route.via)
        if key not in offers:
            if self._count >= MAX_ROUTES:
                return
            self._count += 1
        offers[key] = route
        self._routes[address] = offers

    def _drop(self, address: str, key: tuple[str, str]) -> None:
        offers = self._routes[address]
        if offers.pop(key, None) is not None:
            self._count -= 1
        if not offers:
            del self._routes[address]


@lru_cache(maxsize=MAX_ROUTES)
def station_address(prefix: str) -> str | None:
    """Return the address in a station's prefix; None for other prefixes, such as guests' /64."""
    host, _, bits = prefix.partition("/")
    if bits != "128":
        return None
    try:
        return str(IPv6Address(host))
    except AddressValueError:
        return None


@lru_cache(maxsize=MAX_ROUTES)
def origin_of(address: str) -> str:
    """Return the router id that belongs to a station's address: its last 8 bytes, in hex."""
    return IPv6Address(address).packed[8:].hex()
