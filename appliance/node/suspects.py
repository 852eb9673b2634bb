"""Neighbours behind which somebody who is not a station answers at its address, or nobody does.

Whoever announces another's address can keep packets from it, and can neither read nor forge: the
session's proof fails.  Then that way is avoided where there is another, and the operator is told.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

from appliance.model.identity import StationId
from appliance.model.net import NetRoute
from appliance.node.directory import Directory
from appliance.node.effects import AlarmOver, AlarmRaised, AvoidRoute, Effect
from appliance.node.mesh import Mesh

IMPOSTOR: Final = "impostor"
"""Code of a proof that failed because another key is there (`protocol.hello`)."""

ADDRESS_CLAIMED: Final = "address-claimed"
AGAIN_S: Final = 30.0
"""How often a way is given up at most, and the operator told of the same again."""

CALM_S: Final = 60.0
"""An alarm whose reason is gone stays for so long: whoever comes and goes would raise it again."""

KEPT_S: Final = 600.0
"""Who answers in another's place is only seen when that one is called; after so long it may be
over."""

MAX_SUSPECTED: Final = 256


@dataclass(frozen=True)
class _Accusation:
    """Somebody else answers at a station's address."""

    way: tuple[str, str] | None
    """Interface and neighbour over which that was."""

    told_at: float
    """When the operator was told."""

    over_at: float
    """When it is forgotten, unless it happens again."""


class Suspects:
    """What speaks against the routes."""

    def __init__(self, mesh: Mesh, directory: Directory) -> None:
        self._mesh, self._directory = mesh, directory
        self._avoided: dict[tuple[StationId, str, str], float] = {}
        """When a way to a station was last given up."""
        self._accused: dict[StationId, _Accusation] = {}
        """Stations whose address somebody else answers at."""
        self._claim_over_at: float | None = None
        """Somebody announces our own address, or did: when that is forgotten."""

    def refused(self, host: str, code: str, now: float) -> list[Effect]:
        """A session's proof failed at an address."""
        station = self._mesh.station_at(host)
        if station is None or code != IMPOSTOR:
            return []
        way = self._mesh.way_to(station)
        key = (way.interface, way.via) if way is not None else None
        before = self._accused.get(station)
        if before is None and len(self._accused) >= MAX_SUSPECTED:
            return []
        told = before is not None and now - before.told_at < AGAIN_S
        told_at = before.told_at if before is not None and told else now
        self._accused[station] = _Accusation(key, told_at, now + KEPT_S)
        return [*(() if told else (self._alarm(station, way),)), *self._avoid(station, now)]

    def _alarm(self, station: StationId, way: NetRoute | None) -> Effect:
        contact = self._directory.get(station)
        behind = self._mesh.next_hop(station) if way is not None else None
        where = f" ({way.interface})" if way is not None else ""
        if behind is not None and behind != station:
            where = f", over {self._directory.get(behind).name} ·{behind.tag}{where}"
        return AlarmRaised(
            code=_code(station),
            text=f"Somebody else answers at the address of {contact.name} ·{station.tag}{where}.",
            fix="Nothing was sent to it. Another way is taken where there is one; "
            "until then messages wait.",
        )

    def unanswered(self, station: StationId, now: float) -> list[Effect]:
        """A station that has a route does not answer: another way may lead there."""
        return self._avoid(station, now)

    def _avoid(self, station: StationId, now: float) -> list[Effect]:
        way = self._mesh.way_to(station)
        if way is None or len(self._mesh.offers(station)) < 2:
            return []
        key = (station, way.interface, way.via)
        if now - self._avoided.get(key, -AGAIN_S) < AGAIN_S:
            return []
        self._avoided[key] = now
        while len(self._avoided) > MAX_SUSPECTED:
            del self._avoided[next(iter(self._avoided))]
        return [AvoidRoute(station, way.interface, way.via)]

    def _avoid_accused(self, station: StationId, one: _Accusation, now: float) -> list[Effect]:
        """Give a way up that leads to somebody else, now that there may be another."""
        way = self._mesh.way_to(station)
        if way is None or (way.interface, way.via) != one.way:
            return []
        return self._avoid(station, now)

    def proved(self, station: StationId) -> list[Effect]:
        """A station has proved itself at its address."""
        return [AlarmOver(_code(station))] if self._accused.pop(station, None) else []

    def looked(self, now: float) -> list[Effect]:
        """Tell who began or ceased to be in another's place; when routes change and in time."""
        effects: list[Effect] = []
        for station, one in list(self._accused.items()):
            if one.way not in {
                (offer.interface, offer.via) for offer in self._mesh.offers(station)
            }:
                one = replace(one, over_at=min(one.over_at, now + CALM_S))
                self._accused[station] = one
            else:
                effects += self._avoid_accused(station, one, now)
            if one.over_at <= now:
                effects += self.proved(station)
        claim, over_at = self._mesh.claim, self._claim_over_at
        if claim is not None:
            self._claim_over_at = math.inf
            return effects if over_at is not None else [*effects, _claim_alarm(claim)]
        if over_at is not None:
            self._claim_over_at = min(over_at, now + CALM_S)
            if self._claim_over_at <= now:
                self._claim_over_at = None
                effects.append(AlarmOver(ADDRESS_CLAIMED))
        return effects

    def next_wakeup(self) -> float | None:
        """Say when to call `looked`; infinity: when routes change."""
        times = [one.over_at for one in self._accused.values()]
        return min([*times, *([self._claim_over_at] if self._claim_over_at else [])], default=None)


def _claim_alarm(claim: NetRoute) -> Effect:
    return AlarmRaised(
        code=ADDRESS_CLAIMED,
        text=f"Somebody else announces this station's address (over {claim.interface}).",
        fix="Others may not reach this station over the mesh. If a board was copied, "
        "stop one of the two and delete its state directory.",
    )


def _code(station: StationId) -> str:
    return f"impostor-{station.text[:12]}"
