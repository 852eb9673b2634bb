"""Links, ways and the mesh of a daemon that is only memory."""

from __future__ import annotations

from dataclasses import replace

from api_samples import OUR_NODE
from memory_stations import CLINIC, PUMP, US

from appliance.api.backend import ApiError
from appliance.api.schema import (
    Link,
    Mesh,
    MeshEdge,
    MeshPath,
    Neighbour,
    PathHop,
    Router,
    Station,
)


class WithMesh:
    """A backend in a mesh of three."""

    name: str

    def station(self, station: str) -> Station:
        """Find one, as `Backend` does."""
        raise NotImplementedError

    def links(self) -> tuple[Link, ...]:
        neighbour = Neighbour(CLINIC, "fe80::1", 0.4)
        router = Router("fe80::1", CLINIC, 96, 0, 2, 0.4)
        return (
            Link(
                "eth0",
                True,
                ("10.0.0.1/24",),
                (neighbour,),
                kind="ethernet",
                used=True,
                mtu=1500,
                hello_s=1.0,
                routers=(router,),
            ),
            Link("wlan0", True, (), (), used=False, why_not="It serves guests."),
        )

    async def path(self, station: str) -> MeshPath:
        found = self.station(station)
        if found.reach == "away":
            raise ApiError(409, "away", f"There is no way to {found.name} now.", "Wait.")
        hops = [PathHop("fd00::c", CLINIC, "clinic", "ethernet", "us", 96, 0, 2, 0.4)]
        if found.id == PUMP:
            hops.append(PathHop("fd00::d", PUMP, "pump", "radio", "one", 256, 4, None, 3.1))
        return MeshPath(found.id, tuple(hops), complete=True, metric=352, link="eth0")

    def mesh(self) -> Mesh:
        us = replace(OUR_NODE, address="fd00::1", station=US, name=self.name, tag="0000")
        clinic = replace(
            us,
            address="fd00::c",
            station=CLINIC,
            name="clinic",
            tag="k7qd",
            trust="verified",
            us=False,
            hops=1,
            metric=96,
            via="fd00::c",
        )
        pump = replace(clinic, address="fd00::d", station=PUMP, name="pump", hops=2, metric=352)
        edges = (
            MeshEdge("fd00::1", "fd00::c", "ethernet", "eth0", 96, 0, 2, 0.4, "us"),
            MeshEdge("fd00::c", "fd00::d", "radio", "", 256, 4, None, None, "one"),
        )
        return Mesh((us, clinic, replace(pump, asked="silent")), edges, waiting=0, not_asked=0)
