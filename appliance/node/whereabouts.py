"""Where others are: what announcements, the network helper and dials tell of it, joined."""

from __future__ import annotations

from collections.abc import Callable

from appliance.model.identity import StationId
from appliance.model.net import NetEvent
from appliance.node.beginnings import Now
from appliance.node.directory import Directory
from appliance.node.effects import AvoidRoute, Effect, StationChanged
from appliance.node.mesh import Mesh, ReachChange
from appliance.node.peers import Peers
from appliance.node.suspects import Suspects


class Whereabouts:
    """Hands what one part learns of the ways to others to the parts that need it."""

    def __init__(
        self,
        directory: Directory,
        mesh: Mesh,
        peers: Peers,
        came_into_reach: Callable[[StationId, Now], list[Effect]],
    ) -> None:
        self._directory = directory
        self._mesh = mesh
        self._peers = peers
        self._suspects = Suspects(mesh, directory)
        self._came_into_reach = came_into_reach

    def sighted(
        self,
        instance: str,
        station: StationId,
        candidates: tuple[tuple[str, int], ...],
        links: tuple[str, ...],
        now: Now,
    ) -> list[Effect]:
        """Somebody announced itself on a link."""
        new = not self._peers.has_way(station)
        effects = self._peers.sighted(instance, station, candidates, now.monotonic, links=links)
        if new and station in self._directory:
            effects += [StationChanged(station), *self._came_into_reach(station, now)]
        return effects

    def gone(self, instance: str, station: StationId) -> list[Effect]:
        """An announcement was taken back or has run out."""
        self._peers.gone(instance, station)
        return [StationChanged(station)] if station in self._directory else []

    def net_said(self, event: NetEvent | None, now: Now) -> list[Effect]:
        """The network helper says something; None: it is gone."""
        effects: list[Effect] = []
        for change in self._mesh.feed(event):
            effects += self._reach_changed(change, now)
        return [*effects, *self._go_around(self._suspects.looked(now.monotonic), now)]

    def _reach_changed(self, change: ReachChange, now: Now) -> list[Effect]:
        station = change.station
        effects: list[Effect] = []
        if station is None or self._directory.get(station).card is None:
            if not change.reachable:
                self._peers.met(change.address, now.monotonic)
            elif station is None or self._peers.session(station) is None:
                effects += self._peers.meet(change.address, now.monotonic)
        if station is None:
            return effects
        effects.append(StationChanged(station))
        if change.reachable == change.before:
            return effects
        effects += self._peers.routed(station, reachable=change.reachable, now=now.monotonic)
        if change.reachable:
            return effects + self._came_into_reach(station, now)
        return effects + self._directory.met(
            station, wall_ms=now.moment.wall_ms, sure=now.moment.sure
        )

    def refused(self, host: str, code: str, now: Now) -> list[Effect]:
        """Somebody at an address could not prove to be who we wanted to reach there."""
        return self._go_around(self._suspects.refused(host, code, now.monotonic), now)

    def dial_failed(self, attempt: int, now: Now) -> list[Effect]:
        """A dial was in vain."""
        station = self._peers.attempted(attempt)
        effects = self._peers.dial_failed(attempt, now.monotonic)
        if station is None or not self._peers.is_silent(station):
            return effects
        return [*effects, *self._go_around(self._suspects.unanswered(station, now.monotonic), now)]

    def _go_around(self, effects: list[Effect], now: Now) -> list[Effect]:
        """Dial again those to whom another way is about to be taken."""
        around = [effect.station for effect in effects if isinstance(effect, AvoidRoute)]
        redials = [self._peers.another_way(station, now.monotonic) for station in around]
        return [*effects, *(effect for dials in redials for effect in dials)]

    def proved(self, station: StationId) -> list[Effect]:
        """A session over the mesh has proved who is at a station's address."""
        return self._suspects.proved(station)

    def next_wakeup(self) -> float | None:
        """Say when to call `wakeup`, in monotonic seconds; None: not before another input."""
        return self._suspects.next_wakeup()

    def wakeup(self, now: Now) -> list[Effect]:
        """Do what is due."""
        return self._go_around(self._suspects.looked(now.monotonic), now)
