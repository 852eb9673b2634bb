"""Neighbours behind which somebody who is not a station answers at its address, or nobody does.

Whoever announces another's address can keep packets from it, and can neither read nor forge: the
session's proof fails.  Then that way is avoided where there is another, and the operator is told.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from appliance.model.identity import StationId
from appliance.node.directory import Directory
from appliance.node.effects import AlarmOver, AlarmRaised, AvoidRoute, Effect
from appliance.node.mesh import Mesh

IMPOSTOR: Final = "impostor"
"""Code of a proof that failed because another key is there (`protocol.hello`)."""

ADDRESS_CLAIMED: Final = "address-claimed"
AGAIN_S: Final = 30.0
"""How often a way is given up at most."""

MAX_SUSPECTED: Final = 256


class Suspects:
    """What speaks against the routes."""

    def __init__(self, mesh: Mesh, directory: Directory) -> None:
        self._mesh, self._directory = mesh, directory
        self._avoided: dict[StationId, float] = {}
        """When a way to a station was last given up."""
        self._accused: set[StationId] = set()
        """Stations whose address somebody else answers at."""
        self._claimed = False

    def refused(self, host: str, code: str, now: float) -> list[Effect]:
        """A session's proof failed at an address."""
        station = self._mesh.station_at(host)
        if station is None or code != IMPOSTOR or len(self._accused) >= MAX_SUSPECTED:
            return []
        self._accused.add(station)
        contact = self._directory.get(station)
        way = self._mesh.way_to(station)
        behind = self._mesh.next_hop(station) if way is not None else None
        where = f" ({way.interface})" if way is not None else ""
        if behind is not None and behind != station:
            where = f", over {self._directory.get(behind).name} ·{behind.tag}{where}"
        alarm = AlarmRaised(
            code=_code(station),
            text=f"Somebody else answers at the address of {contact.name} ·{station.tag}{where}.",
            fix="Nothing was sent to it. Another way is taken where there is one; "
            "until then messages wait.",
        )
        return [alarm, *self._avoid(station, now)]

    def unanswered(self, stations: Iterable[StationId], now: float) -> list[Effect]:
        """Stations that have a route do not answer: another way may lead there."""
        return [effect for station in stations for effect in self._avoid(station, now)]

    def _avoid(self, station: StationId, now: float) -> list[Effect]:
        way = self._mesh.way_to(station)
        if way is None or len(self._mesh.offers(station)) < 2:
            return []
        if now - self._avoided.get(station, -AGAIN_S) < AGAIN_S:
            return []
        self._avoided[station] = now
        while len(self._avoided) > MAX_SUSPECTED:
            del self._avoided[next(iter(self._avoided))]
        return [AvoidRoute(station, way.interface, way.via)]

    def proved(self, station: StationId) -> list[Effect]:
        """A station has proved itself at its address."""
        if station not in self._accused:
            return []
        self._accused.remove(station)
        return [AlarmOver(_code(station))]

    def looked(self) -> list[Effect]:
        """Tell of somebody who announces our own address; to be called when routes change."""
        claim = self._mesh.claim
        if (claim is not None) == self._claimed:
            return []
        self._claimed = claim is not None
        if claim is None:
            return [AlarmOver(ADDRESS_CLAIMED)]
        return [
            AlarmRaised(
                code=ADDRESS_CLAIMED,
                text=f"Somebody else announces this station's address (over {claim.interface}).",
                fix="Others may not reach this station over the mesh. If a board was copied, "
                "stop one of the two and delete its state directory.",
            )
        ]


def _code(station: StationId) -> str:
    return f"impostor-{station.text[:12]}"
