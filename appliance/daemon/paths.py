"""Finds over whom packets to a station go, and what those say about the links between them."""

from __future__ import annotations

import asyncio
from typing import Final

from appliance.api.backend import ApiError
from appliance.api.schema import MeshPath
from appliance.daemon.mesh_views import MeshViews
from appliance.model.identity import StationId
from appliance.node.mesh_map import Asked

ANSWERS_WITHIN_S: Final = 2.0
"""For what the relays say; who needs longer is shown without."""

LOOK_EVERY_S: Final = 0.05


async def find_path(views: MeshViews, station: StationId) -> MeshPath:
    """Find it; raises ApiError where there is none."""
    runtime, own = views.runtime, views.runtime.station
    if not own.peers.has_way(station):
        name = own.directory.get(station).name
        raise ApiError(
            409,
            "away",
            f"There is no way to {name} now.",
            "Messages wait until there is one. To see who is there: fencewire mesh",
        )
    way = own.mesh.way_to(station)
    if way is None or way.refmetric == 0:
        return views.path(station, [(station.host, None)], complete=True)
    relays, complete = await views.hops.relays(station)
    # What is known already of the last one too: it tells of the last link from its end.
    asked = [one for address, _ in relays if (one := own.mesh.station_at(address)) is not None]
    runtime.carry_out(own.map.ask(asked, runtime.time.now().monotonic))
    for _ in range(int(ANSWERS_WITHIN_S / LOOK_EVERY_S)):
        if all(own.map.asked(one) is not Asked.WAITING for one in asked):
            break
        await asyncio.sleep(LOOK_EVERY_S)
    return views.path(station, relays, complete=complete)
