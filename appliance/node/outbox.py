"""What is on its way to which peer, and how much of it at a time.

What a station still has to get lies in the store.  This sends it in order, keeps little enough on
the way that signalling never waits long behind it, and offers it again when no answer comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from appliance.model.identity import StationId
from appliance.model.record import Record
from appliance.node.effects import Effect, Send, Transact
from appliance.node.ports import Moment, Pending
from appliance.protocol.frames import Channel

BATCH: Final = 32
"""Records that one look into the store fetches."""

MAX_IN_FLIGHT: Final = 64
MAX_IN_FLIGHT_BYTES: Final = 64 * 1024
"""Records sent to a peer and not answered; a record longer than this goes alone."""

MAX_REFUSED: Final = 1024
"""Record ids; a peer that refuses more gets them offered again and again, which harms it alone."""

UNANSWERED_S: Final = 120.0
"""A session is reliable, so a missing answer is a fault at the other side; offer it again then."""

POSTPONED_S: Final = 20.0
"""After a peer could not store something."""


@dataclass
class _Lane:
    """The way to one peer with a session."""

    in_flight: dict[bytes, int] = field(default_factory=dict)
    """Record ids and sizes."""

    refused: set[bytes] = field(default_factory=set)
    """What the peer will not take; not offered again in this session."""

    looking: bool = False
    """A look into the store is under way."""

    again: bool = False
    """There may be more in the store."""

    retry_at: float | None = None
    """When to forget what is in flight and look again, in seconds of being awake."""

    @property
    def full(self) -> bool:
        return (
            len(self.in_flight) >= MAX_IN_FLIGHT
            or sum(self.in_flight.values()) >= MAX_IN_FLIGHT_BYTES
        )


class Outbox:
    """The ways to all peers with a session."""

    def __init__(self) -> None:
        self._lanes: dict[StationId, _Lane] = {}

    def peers(self) -> tuple[StationId, ...]:
        """Return who has a session."""
        return tuple(self._lanes)

    def session_up(self, peer: StationId, moment: Moment) -> list[Effect]:
        """A session stands: offer all that the peer has not got."""
        self._lanes[peer] = _Lane()
        return self._look(peer, moment)

    def session_down(self, peer: StationId) -> None:
        """A session ended: what was in flight counts as not sent."""
        self._lanes.pop(peer, None)

    def offer(self, peer: StationId, record: Record, moment: Moment) -> list[Effect]:
        """Send a record that has just been stored, unless others stand in front of it."""
        lane = self._lanes.get(peer)
        if lane is None or record.id in lane.in_flight or record.id in lane.refused:
            return []
        if lane.looking or lane.again or lane.full:
            lane.again = True
            return []
        return [self._send(peer, lane, record.id, record.raw, moment)]

    def landed(self, peer: StationId, records: Sequence[bytes], moment: Moment) -> list[Effect]:
        """Records were answered: others may follow."""
        lane = self._lanes.get(peer)
        if lane is None:
            return []
        for record in records:
            lane.in_flight.pop(record, None)
        lane.retry_at = moment.awake_s + UNANSWERED_S if lane.in_flight else None
        return self._look(peer, moment) if lane.again and not lane.full else []

    def refused(self, peer: StationId, records: Sequence[bytes], moment: Moment) -> list[Effect]:
        """A peer will not take some records: they stay in the store and out of its way."""
        lane = self._lanes.get(peer)
        if lane is not None and len(lane.refused) < MAX_REFUSED:
            lane.refused.update(records)
        return self.landed(peer, records, moment)

    def postpone(self, peer: StationId, moment: Moment) -> None:
        """A peer can't store anything just now: offer again after a while."""
        lane = self._lanes.get(peer)
        if lane is not None:
            lane.retry_at = moment.awake_s + POSTPONED_S

    def next_wakeup(self) -> float | None:
        """Say when to call `wakeup`, in seconds of being awake."""
        times = [lane.retry_at for lane in self._lanes.values() if lane.retry_at is not None]
        return min(times, default=None)

    def wakeup(self, moment: Moment) -> list[Effect]:
        """Offer again what was not answered."""
        effects: list[Effect] = []
        for peer, lane in self._lanes.items():
            if lane.retry_at is not None and lane.retry_at <= moment.awake_s:
                lane.retry_at = None
                lane.in_flight.clear()
                effects += self._look(peer, moment)
        return effects

    def _look(self, peer: StationId, moment: Moment) -> list[Effect]:
        lane = self._lanes[peer]
        if lane.looking:
            lane.again = True
            return []
        lane.looking, lane.again = True, False

        def found(pending: tuple[tuple[bytes, bytes], ...]) -> Sequence[Effect]:
            lane.looking = False
            if self._lanes.get(peer) is not lane:
                return ()
            effects: list[Effect] = []
            for record, raw in pending:
                if lane.full:
                    break
                if record not in lane.in_flight:
                    effects.append(self._send(peer, lane, record, raw, moment))
            more = len(effects) < len(pending) or len(pending) == BATCH
            if (lane.again or more) and not lane.full:
                return [*effects, *self._look(peer, moment)]
            lane.again = lane.again or more
            return effects

        def broken(_: str) -> Sequence[Effect]:
            lane.looking = False
            lane.retry_at = moment.awake_s + POSTPONED_S
            return ()

        skip = frozenset((*lane.in_flight, *lane.refused))
        return [Transact(Pending(peer, moment.awake_s, skip, BATCH), found, broken)]

    def _send(
        self, peer: StationId, lane: _Lane, record: bytes, raw: bytes, moment: Moment
    ) -> Effect:
        lane.in_flight[record] = len(raw)
        if lane.retry_at is None:
            lane.retry_at = moment.awake_s + UNANSWERED_S
        return Send(peer, Channel.RECORD, raw)
