"""What clients see of the mesh: links, neighbours, the picture and paths, in the API's shapes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from appliance.adapters.links import Interface, LinkSnapshot
from appliance.api.schema import (
    Link,
    Mesh,
    MeshEdge,
    MeshNode,
    MeshPath,
    MeshStatus,
    Neighbour,
    PathHop,
    Router,
)
from appliance.daemon.hops import Hops
from appliance.daemon.runtime import Runtime
from appliance.model.identity import StationId
from appliance.model.net import NetLink
from appliance.node.mesh import UNREACHABLE
from appliance.node.mesh_map import MAX_ASKED, Asked, MapLink, SeenBy, join


@dataclass(frozen=True)
class MeshViews:
    """Makes the API's shapes of what is known about the mesh."""

    runtime: Runtime
    """The station and its surroundings."""

    hops: Hops
    """Distances."""

    def status(self) -> MeshStatus:
        """Describe how far this station is part of a mesh."""
        mesh = self.runtime.station.mesh
        return MeshStatus(
            helper=mesh.joined,
            routing=mesh.routing,
            stations=len(mesh.reached()),
            hops_max=self.hops.counts.most(),
        )

    def reach(self) -> int:
        """Return how many stations can be reached, also unknown ones that have a route."""
        own = self.runtime.station
        found = {one.id.host for one in own.directory.all() if own.peers.has_way(one.id)} | {
            info.peer.host for info in own.peers.sessions()
        }
        return len(found.union(own.mesh.reached()))

    def link_to(self, station: StationId) -> str | None:
        """Return our interface towards a station."""
        own = self.runtime.station
        info = own.peers.session(station)
        if info is not None and not info.over_mesh:
            return link_of(self.runtime.snapshot, info.local_host)
        way = own.mesh.way_to(station)
        if way is not None:
            return way.interface
        return min(own.peers.sighted_on(station), default=None)

    # -- Links

    def links(self) -> tuple[Link, ...]:
        """Describe the network interfaces and who is met there."""
        met = self._met()
        mesh = self.runtime.station.mesh
        at = mesh.neighbour_addresses()
        return tuple(
            self._link(one, mesh.link(one.name), met.get(one.name, []), at)
            for one in self.runtime.snapshot.interfaces
            if not one.loopback or met.get(one.name)
        )

    def _met(self) -> dict[str | None, list[Neighbour]]:
        own = self.runtime.station
        met: dict[str | None, list[Neighbour]] = {}
        for info in own.peers.sessions():
            way = own.mesh.way_to(info.peer)
            if info.over_mesh and (way is None or way.refmetric > 0):
                continue  # a session over others makes nobody a neighbour
            neighbour = Neighbour(info.peer.text, info.remote_host, self._rtt_ms(info.peer))
            met.setdefault(self.link_to(info.peer), []).append(neighbour)
        return met

    def _rtt_ms(self, station: StationId) -> float | None:
        session = self.runtime.session_with(station)
        rtt_s = session.rtt_s if session is not None else None
        return rtt_s * 1000 if rtt_s is not None else None

    def _link(
        self,
        one: Interface,
        net: NetLink | None,
        met: list[Neighbour],
        at: dict[tuple[str, str], str],
    ) -> Link:
        helper = self.runtime.station.mesh.joined
        return Link(
            name=one.name,
            up=one.up and one.carrier,
            addresses=tuple(f"{address.host}/{address.prefix_bits}" for address in one.addresses),
            neighbours=tuple(met),
            kind=net.kind.value if net is not None else "unknown",
            used=(net is not None and net.used) if helper else None,
            why_not=net.why_not if net is not None else "",
            mtu=net.mtu if net is not None else None,
            hello_s=net.hello_ms / 1000 if net is not None and net.hello_ms else None,
            rate_kbit=net.rate_kbit if net is not None else None,
            radio=net.radio if net is not None else "",
            routers=tuple(self._routers(one.name, at)),
        )

    def _routers(self, interface: str, at: dict[tuple[str, str], str]) -> Iterable[Router]:
        mesh = self.runtime.station.mesh
        for one in mesh.neighbours():
            if one.interface == interface:
                station = mesh.station_at(at.get((interface, one.address), ""))
                yield Router(
                    address=one.address,
                    station=station.text if station is not None else None,
                    cost=_cost(one.cost),
                    loss_in_pct=one.loss_in_pct,
                    loss_out_pct=one.loss_out_pct,
                    rtt_ms=one.rtt_ms,
                )

    # -- The picture

    def askable(self) -> list[StationId]:
        """Return the stations that can be asked for their links, the nearest first."""
        own = self.runtime.station
        near: list[tuple[int, bytes, StationId]] = []
        for contact in own.directory.all():
            if own.peers.has_way(contact.id):
                way = own.mesh.way_to(contact.id)
                near.append((way.metric if way is not None else 0, contact.id.key, contact.id))
        return [station for _, _, station in sorted(near)]

    def mesh(self, askable: list[StationId]) -> Mesh:
        """Describe the mesh as far as it is known; `askable`: the stations that can be asked."""
        own = self.runtime.station
        links = self.edges()
        known = {one.id.host: one.id for one in own.directory.all()}
        us = own.id.host
        there = {us, *own.mesh.reached(), *(one.host for one in askable)}
        there |= {end for link in links for end in (link.a, link.b) if end in known}
        strangers: dict[str, int] = {}
        edges = []
        at = own.mesh.neighbour_addresses()
        interfaces = self._interfaces(at)
        for link in links:
            if link.a in there and link.b in there:
                edges.append(self._edge(link, interfaces))
            else:
                strangers[link.a] = strangers.get(link.a, 0) + 1
        nodes = [
            self._node(address, known.get(address), at, strangers.get(address, 0))
            for address in there
        ]
        nodes.sort(key=lambda one: (not one.us, not one.reachable, one.metric or 0, one.address))
        waiting = sum(own.map.asked(one) is Asked.WAITING for one in askable[:MAX_ASKED])
        return Mesh(tuple(nodes), tuple(edges), waiting, max(len(askable) - MAX_ASKED, 0))

    def edges(self) -> list[MapLink]:
        """Return all links that anybody has told of, ours among them."""
        own = self.runtime.station
        answers = own.map.answers(self.runtime.time.now().monotonic)
        said = {station.host: one.neighbours for station, one in answers.items()}
        return join(own.id.host, own.map.ours(), said)

    def _node(
        self,
        address: str,
        station: StationId | None,
        at: dict[tuple[str, str], str],
        strangers: int,
    ) -> MeshNode:
        own = self.runtime.station
        if address == own.id.host:
            return MeshNode(
                address=address,
                station=own.id.text,
                name=own.name,
                tag=own.id.tag,
                trust="",
                us=True,
                reachable=True,
                hops=0,
                metric=0,
                via=None,
                asked="answered",
                strangers=strangers,
            )
        contact = own.directory.get(station) if station is not None else None
        way = own.mesh.way_at(address)
        return MeshNode(
            address=address,
            station=station.text if station is not None else None,
            name=contact.name if contact is not None else "",
            tag=station.tag if station is not None else "",
            trust=contact.trust.value if contact is not None else "",
            us=False,
            reachable=way is not None or (station is not None and own.peers.has_way(station)),
            hops=self.hops.hops(station) if station is not None else None,
            metric=way.metric if way is not None else None,
            via=at.get((way.interface, way.via)) if way is not None else None,
            asked=own.map.asked(station).value if station is not None else "no",
            strangers=strangers,
        )

    def _interfaces(self, at: dict[tuple[str, str], str]) -> dict[str, str]:
        """Return by which of our interfaces each neighbour is heard best, by its address."""
        neighbours = self.runtime.station.mesh.neighbours()
        best_last = sorted(neighbours, key=lambda one: -one.cost)
        found = [(at.get((one.interface, one.address)), one.interface) for one in best_last]
        return {address: interface for address, interface in found if address is not None}

    def _edge(self, link: MapLink, interfaces: dict[str, str]) -> MeshEdge:
        ours = link.seen_by is SeenBy.US
        station = self.runtime.station.mesh.station_at(link.b) if ours else None
        interface = interfaces.get(link.b, "") if ours else ""
        if not interface and station is not None:
            interface = self.link_to(station) or ""
        rtt_ms = link.rtt_ms
        if rtt_ms is None and station is not None:
            rtt_ms = self._rtt_ms(station)
        return MeshEdge(
            a=link.a,
            b=link.b,
            kind=link.kind.value if link.kind is not None else "unknown",
            interface=interface,
            cost=_cost(link.cost),
            loss_ab_pct=link.loss_ab_pct,
            loss_ba_pct=link.loss_ba_pct,
            rtt_ms=rtt_ms,
            seen_by=link.seen_by.value,
        )

    # -- Paths

    def path(
        self, station: StationId, relays: list[tuple[str, float | None]], *, complete: bool
    ) -> MeshPath:
        """Describe the way to a station over those who have answered."""
        own = self.runtime.station
        edges = {frozenset((one.a, one.b)): one for one in self.edges()}
        way = own.mesh.way_to(station)
        before = own.id.host
        hops = []
        for address, rtt_ms in relays:
            edge = edges.get(frozenset((before, address))) if before and address else None
            hops.append(self._hop(before, address, rtt_ms, edge))
            before = address
        return MeshPath(
            station=station.text,
            hops=tuple(hops),
            complete=complete,
            metric=way.metric if way is not None else None,
            link=self.link_to(station),
        )

    def _hop(
        self, before: str, address: str, rtt_ms: float | None, edge: MapLink | None
    ) -> PathHop:
        own = self.runtime.station
        station = own.mesh.station_at(address)
        contact = own.directory.get(station) if station is not None else None
        forward = edge is not None and edge.a == before
        losses = (edge.loss_ab_pct, edge.loss_ba_pct) if edge is not None else (None, None)
        out, back = losses if forward else losses[::-1]
        if rtt_ms is None and station is not None:
            rtt_ms = self._rtt_ms(station)
        return PathHop(
            address=address,
            station=station.text if station is not None else None,
            name=contact.name if contact is not None else "",
            kind=edge.kind.value if edge is not None and edge.kind is not None else "unknown",
            seen_by=edge.seen_by.value if edge is not None else "nobody",
            cost=_cost(edge.cost) if edge is not None else None,
            loss_out_pct=out,
            loss_in_pct=back,
            rtt_ms=rtt_ms,
        )


def _cost(cost: int | None) -> int | None:
    return cost if cost is not None and cost < UNREACHABLE else None


def link_of(snapshot: LinkSnapshot, local_host: str) -> str | None:
    """Return the interface that has an address of ours."""
    host, _, zone = local_host.partition("%")
    if zone:
        return zone
    for one in snapshot.interfaces:
        if any(address.host == host for address in one.addresses):
            return one.name
    return None
