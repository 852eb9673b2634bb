"""What people see of the mesh: distances, paths and the picture, as the real network answers."""

from __future__ import annotations

import pytest
from mesh_seats import Seats, all_list_all, hops_become, mesh
from seats import Seat, eventually

from appliance.api.errors import RequestError
from appliance.api.schema import MeshEdge, MeshPath
from appliance.tui.mesh_picture import draw

pytestmark = [pytest.mark.village, pytest.mark.usefixtures("may_make_namespaces")]


SETTLED_WITHIN_S = 40.0
"""babeld keeps to the first way for a while, though a shorter one has come up."""


async def edges(seat: Seat, wanted: int) -> list[MeshEdge]:
    """The picture's links, once there are as many as wanted and nobody is being asked.

    The two ends were asked at different times, so for a while one may deny the other's link.
    """

    async def told() -> list[MeshEdge]:
        found = await seat.client.mesh()
        agreed = all(one.seen_by != "denied" for one in found.edges)
        settled = agreed and not found.waiting and len(found.edges) == wanted
        return list(found.edges) if settled else []

    return await eventually(told)


async def path_over(seats: Seats, other: Seat, wanted: str) -> MeshPath:
    """The path from a, once routing has settled on these stations."""
    latest: MeshPath | None = None

    async def found() -> bool:
        nonlocal latest
        latest = await seats["a"].client.path_to(other.id)
        return latest.complete and names(seats, latest) == wanted

    await eventually(found, within_s=SETTLED_WITHIN_S)
    assert latest is not None
    return latest


def names(seats: Seats, path: MeshPath) -> str:
    by_id = {seat.id: name for name, seat in seats.items()}
    return "".join(by_id[hop.station] for hop in path.hops if hop.station is not None)


async def test_a_ring_as_its_stations_tell_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    async with mesh(tmp_path_factory.mktemp("v"), "ring:5") as seats:
        await all_list_all(seats)
        a, b, c, d = (seats[name] for name in "abcd")
        for other, way in ((c, "bc"), (d, "ed"), (b, "b")):
            path = await path_over(seats, other, way)
            await hops_become(a, other, len(way))
            assert path.metric is not None
        links = await edges(a, 5)
        assert sorted(one.seen_by for one in links) == ["both"] * 3 + ["us"] * 2
        assert {one.kind for one in links} == {"ethernet"}
        assert all((one.interface in {"eth0", "eth1"}) == (one.seen_by == "us") for one in links)
        path = await path_over(seats, c, "bc")
        assert path.link == "eth0"
        assert [one.seen_by for one in path.hops] == ["us", "both"]
        assert all(one.rtt_ms is not None and one.loss_out_pct is not None for one in path.hops)

        a.village.link("a", "b", up=False)
        await hops_become(a, b, 4)
        await path_over(seats, c, "edc")
        await edges(a, 4)
        status = await a.client.status()
        assert (status.reach, status.mesh.routing, status.mesh.hops_max) == (4, True, 4)
        listed = {one.name: one for one in await a.client.links()}
        assert [one.up for one in (listed["eth0"], listed["eth1"])] == [False, True]
        assert [one.station for one in listed["eth1"].routers] == [seats["e"].id]

        # A relay whose daemon is stopped goes on forwarding; it only tells nothing more.
        a.village.kill("e")
        await path_over(seats, c, "edc")
        a.village.link("a", "e", up=False)

        async def away() -> bool:
            return (await a.client.station(c.id)).reach == "away"

        await eventually(away)
        with pytest.raises(RequestError, match="There is no way to"):
            await a.client.path_to(c.id)

        async def alone() -> bool:
            rows = draw(await a.client.mesh(), 80)
            return "".join(text for text, _ in rows[0]) == " [you]"

        # What others have told of one another counts for a while.
        await eventually(alone, within_s=SETTLED_WITHIN_S)
