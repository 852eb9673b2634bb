"""Which sessions are needed, and which may end.

A session is needed while it was chosen for gossip by us or by the peer, while something is to be
said, and a while after the last word.  On each link there is a share of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from appliance.model.identity import StationId
from appliance.node.fanout import MAX_SESSIONS
from appliance.node.targets import MAX_KNOWN
from appliance.protocol.hello import CARRYING_VERSION, VERSIONS

MAX_DEMANDED: Final = 64
"""Sessions that stand only because something was to be said."""

CROSSED_S: Final = 8.0
"""Two sessions farther apart did not cross: no dial takes so long (`adapters.acceptor`)."""

IDLE_S: Final = 30.0
"""How long a session that nobody needs stays after the last word."""

HURRIED_S: Final = 5.0
"""The same while others wait for room, or where there are too many."""

GOSSIPS_S: Final = 150.0
"""For how long a peer that has gossiped counts as wanting the session."""

LOST_ROUTE_S: Final = 10.0
"""A session over the mesh ends when its route has been gone for so long."""

DUPLICATE: Final = "duplicate"
"""Reason for ending the session that both sides agree is one too many."""

IDLE: Final = "idle"
"""Reason for ending a session that nobody needs any more."""

ENOUGH: Final = "enough"
"""Reason for ending one of more than a link's share."""

NO_ROUTE: Final = "no-route"
"""Reason for ending one over the mesh that has no way any more."""


@dataclass(frozen=True)
class SessionInfo:
    """A proved session, as the node sees it."""

    handle: int
    """Names it in effects."""

    peer: StationId
    """Proved."""

    boot: bytes
    """Its start."""

    outgoing: bool
    """We dialled."""

    local_host: str
    """Our end."""

    remote_host: str
    """Their end."""

    opened_at: float
    """Monotonic seconds."""

    version: int = max(VERSIONS)
    """Of the session protocol, that both sides speak."""

    @property
    def carries(self) -> bool:
        """Whether the peer passes on what others have written."""
        return self.version >= CARRYING_VERSION

    @property
    def talks(self) -> bool:
        """Whether the peer takes part in talk groups: it came with passing on."""
        return self.version >= CARRYING_VERSION

    @property
    def over_mesh(self) -> bool:
        """Whether it survives a change of route: it runs between the addresses of the keys."""
        return self.remote_host == self.peer.host

    def replaces(self, current: SessionInfo, own: StationId) -> bool:
        """Tell whether this one takes the place of an earlier one with the same peer.

        Whoever dials has lost the earlier one, by a restart or with its address, though we may not
        have noticed; or moves it to the mesh.  Unless the two crossed: then the one over the mesh
        stays, else the one that the lower id dialled.
        """
        if self.boot != current.boot or self.outgoing == current.outgoing:
            return True
        if self.opened_at - current.opened_at > CROSSED_S:
            return True
        if self.over_mesh != current.over_mesh:
            return self.over_mesh
        return self.outgoing == (own < self.peer)


class Usage:
    """What the sessions are good for."""

    def __init__(
        self, in_use: Callable[[StationId], bool], busy: Callable[[StationId], bool]
    ) -> None:
        """`in_use` tells whether somebody waits for a station, as in a call; `busy`: mail does."""
        self.in_use, self._busy = in_use, busy
        self._demand: dict[StationId, float] = {}
        """Until when a session is wanted because something is to be said, and for as long as one
        stands after that."""
        self._heard_at: dict[StationId, float] = {}
        """When somebody with a session last said something."""
        self._gossiped_at: dict[StationId, float] = {}
        """When it last gossiped, which it does with those that it has chosen."""
        self._route_lost: dict[StationId, float] = {}
        """When the route under a session over the mesh went."""
        self.away_since: dict[StationId, float] = {}
        """When sessions ended, the latest of them."""

    def demanded(self, peer: StationId | None) -> bool:
        """Tell whether something is to be said to a station."""
        return peer in self._demand

    def waited_for(self, peer: StationId) -> bool:
        """Tell whether what is to be said to a station can't wait for long."""
        return self._demand.get(peer, math.inf) < math.inf

    def expires(self) -> bool:
        """Tell whether something is to be said that can't wait for ever."""
        return any(until < math.inf for until in self._demand.values())

    def gossips(self, peer: StationId) -> bool:
        """Tell whether a station with a session has chosen us for gossip."""
        return peer in self._gossiped_at

    def without_route(self, peer: StationId) -> bool:
        """Tell whether a session over the mesh has lost its way."""
        return peer in self._route_lost

    def demand(self, peer: StationId, until: float) -> None:
        """Want a session with a station until then; infinity: until it stands."""
        self._demand[peer] = max(until, self._demand.get(peer, 0.0))

    def heard(self, peer: StationId, now: float, *, gossip: bool) -> None:
        """Somebody with a session said something."""
        (self._gossiped_at if gossip else self._heard_at)[peer] = now

    def route_lost(self, peer: StationId, now: float) -> None:
        """The route under a session went."""
        self._route_lost.setdefault(peer, now)

    def route_found(self, peer: StationId) -> None:
        """It is back."""
        self._route_lost.pop(peer, None)

    def opened(self, info: SessionInfo) -> None:
        """A session stands."""
        self._heard_at[info.peer] = info.opened_at
        self._route_lost.pop(info.peer, None)
        if self._demand.get(info.peer) == math.inf:
            self._demand[info.peer] = info.opened_at + HURRIED_S

    def closed(self, peer: StationId, now: float) -> None:
        """A session ended."""
        self.away_since.pop(peer, None)
        self.away_since[peer] = now
        if len(self.away_since) > MAX_KNOWN:
            del self.away_since[next(iter(self.away_since))]
        if self._demand.get(peer, math.inf) <= now:
            del self._demand[peer]
        for table in (self._heard_at, self._gossiped_at, self._route_lost):
            table.pop(peer, None)

    def crowded(self, sessions: Collection[StationId], wanted: Collection[StationId]) -> bool:
        """Tell whether so many sessions stand for something to be said that others must wait."""
        return sum(peer in self._demand and peer not in wanted for peer in sessions) >= MAX_DEMANDED

    def unneeded(
        self,
        sessions: Mapping[StationId, SessionInfo],
        *,
        wanted: Collection[StationId],
        links_of: Callable[[StationId], frozenset[str]],
        now: float,
    ) -> dict[StationId, str]:
        """Return the sessions to end, and why.

        `wanted` are the stations that we want one with in any case; `links_of` tells on which links
        a station is.
        """
        self._demand = {
            peer: until for peer, until in self._demand.items() if until > now or peer in sessions
        }
        crowded = self.crowded(sessions, wanted)
        ends = {
            peer: NO_ROUTE
            for peer, lost in self._route_lost.items()
            if now - lost >= LOST_ROUTE_S and peer in sessions
        }
        spare = [
            info
            for peer, info in sessions.items()
            if peer not in wanted
            and self._demand.get(peer, now) <= now
            and now - self._heard_at[peer] >= HURRIED_S
            and not self.in_use(peer)
            # Whoever never answers must not keep others from their mail.
            and not (self._busy(peer) and not (crowded and now - self._heard_at[peer] >= IDLE_S))
        ]
        for peer in self._too_many(sessions, spare, links_of, now):
            ends.setdefault(peer, ENOUGH)
        quiet = HURRIED_S if crowded else IDLE_S
        for info in spare:
            gossips = now - self._gossiped_at.get(info.peer, -math.inf) < GOSSIPS_S
            if not gossips and now - self._heard_at[info.peer] >= quiet:
                ends.setdefault(info.peer, IDLE)
        return ends

    def _too_many(
        self,
        sessions: Mapping[StationId, SessionInfo],
        spare: list[SessionInfo],
        links_of: Callable[[StationId], frozenset[str]],
        now: float,
    ) -> list[StationId]:
        """Return those of `spare` that are beyond their links' share, the latest first."""
        counts: dict[str, int] = {}
        for peer in sessions:
            if self._demand.get(peer, now) <= now:
                for link in links_of(peer):
                    counts[link] = counts.get(link, 0) + 1
        found = []
        for info in sorted(spare, key=lambda info: -info.opened_at):
            links = links_of(info.peer)
            if links and all(counts[link] > MAX_SESSIONS for link in links):
                found.append(info.peer)
                for link in links:
                    counts[link] -= 1
        return found
