"""What is on its way to which peer, and how much of it at a time.

What a station still has to get lies in the store.  This sends it in order, keeps little enough on
the way that signalling never waits long behind it, and offers it again when no answer comes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from appliance.model.codec import FormatError
from appliance.model.identity import StationId
from appliance.model.record import Precedence, Record, read_record
from appliance.node.effects import Effect, MessageChanged, Send, Transact
from appliance.node.ports import Moment, NoteProblem, Pending
from appliance.protocol.frames import Channel

BATCH: Final = 32
"""Records that one look into the store fetches."""

MAX_IN_FLIGHT: Final = 64
MAX_IN_FLIGHT_BYTES: Final = 64 * 1024
"""Records sent to a peer and not answered; a record longer than this goes alone."""

MAX_REFUSED: Final = 1024
"""Record ids of one session.  A peer that refuses more is left alone for a while each time, so
that the two of us do not spin."""

UNANSWERED_S: Final = 120.0
"""A session is reliable, so a missing answer is a fault at the other side; offer it again then."""

DAMAGED: Final = "it is damaged on this disk; write it again"

POSTPONED_S: Final = 20.0
"""After somebody could not store something, the peer or we."""


@dataclass
class _Lane:
    """The way to one peer with a session."""

    for_everyone: bool
    """What is for everyone goes this way, too."""

    in_flight: dict[bytes, tuple[int, float]] = field(default_factory=dict)
    """By record id, oldest first: its size, and when to send it again unless it is answered, in
    seconds of being awake."""

    refused: set[bytes] = field(default_factory=set)
    """What the peer will not take, or is damaged; not offered again in this session."""

    looking: bool = False
    """A look into the store is under way."""

    again: bool = False
    """There may be more in the store."""

    paused_until: float | None = None
    """Nothing is sent before, in seconds of being awake."""

    @property
    def full(self) -> bool:
        return (
            self.paused_until is not None
            or len(self.in_flight) >= MAX_IN_FLIGHT
            or sum(size for size, _ in self.in_flight.values()) >= MAX_IN_FLIGHT_BYTES
        )

    @property
    def crammed(self) -> bool:
        """There is no room even for what is urgent."""
        return self.paused_until is not None or len(self.in_flight) >= 2 * MAX_IN_FLIGHT

    def leave_out(self, records: Sequence[bytes], moment: Moment) -> None:
        """Offer these no more in this session; when they are too many, nothing for a while."""
        if len(self.refused) < MAX_REFUSED:
            self.refused.update(records)
        else:
            self.paused_until = moment.awake_s + UNANSWERED_S

    @property
    def wake_at(self) -> float | None:
        """When something has to be done without anybody's asking."""
        if self.paused_until is not None:
            return self.paused_until
        if not self.in_flight:
            return None
        return next(retry_at for _, retry_at in self.in_flight.values())

    def wake(self, awake_s: float) -> bool:
        """Forget what was not answered in time; returns whether to look into the store."""
        if self.paused_until is not None:
            if awake_s < self.paused_until:
                return False
            self.paused_until = None
            self.in_flight.clear()
            return True
        late = [record for record, (_, at) in self.in_flight.items() if at <= awake_s]
        for record in late:
            del self.in_flight[record]
        return bool(late)


class Outbox:
    """The ways to all peers with a session."""

    def __init__(self, absent: Callable[[StationId, Moment], list[Effect]]) -> None:
        """`absent` is called when something is there for a station without a session."""
        self._absent = absent
        self._lanes: dict[StationId, _Lane] = {}

    def peers(self) -> tuple[StationId, ...]:
        """Return who has a session."""
        return tuple(self._lanes)

    def busy(self, peer: StationId) -> bool:
        """Tell whether something is on its way to a peer, or about to be."""
        lane = self._lanes.get(peer)
        return lane is not None and bool(lane.in_flight or lane.looking or lane.again)

    def awaits(self, peer: StationId, record: bytes) -> bool:
        """Tell whether a peer has still to say what became of a record."""
        lane = self._lanes.get(peer)
        return lane is not None and record in lane.in_flight

    def session_up(self, peer: StationId, moment: Moment, *, for_everyone: bool) -> list[Effect]:
        """A session stands: offer all that the peer has not got, on request what is for everyone
        as well."""
        self._lanes[peer] = _Lane(for_everyone)
        return self._look(peer, moment)

    def session_down(self, peer: StationId) -> None:
        """A session ended: what was in flight counts as not sent."""
        self._lanes.pop(peer, None)

    def offer(self, peer: StationId, record: Record, moment: Moment) -> list[Effect]:
        """Send a record that has just been stored, unless others stand in front of it."""
        lane = self._lanes.get(peer)
        if lane is None:
            return self._absent(peer, moment)
        if record.id in lane.in_flight or record.id in lane.refused:
            return []
        urgent = record.precedence is Precedence.EMERGENCY and not lane.crammed
        if (lane.looking or lane.again or lane.full) and not urgent:
            lane.again = True
            return []
        return [self._send(peer, lane, record, moment)]

    def look(self, peer: StationId, moment: Moment) -> list[Effect]:
        """More waits in the store than before."""
        if peer not in self._lanes:
            return self._absent(peer, moment)
        return self._look(peer, moment)

    def landed(self, peer: StationId, records: Sequence[bytes], moment: Moment) -> list[Effect]:
        """Records were answered: others may follow."""
        lane = self._lanes.get(peer)
        if lane is None:
            return []
        for record in records:
            lane.in_flight.pop(record, None)
        return self._look(peer, moment) if lane.again and not lane.full else []

    def refused(self, peer: StationId, records: Sequence[bytes], moment: Moment) -> list[Effect]:
        """A peer will not take some records: they stay in the store and out of its way."""
        lane = self._lanes.get(peer)
        if lane is not None:
            lane.leave_out(records, moment)
        return self.landed(peer, records, moment)

    def postpone(self, peer: StationId, moment: Moment) -> None:
        """A peer can't store anything just now: offer everything again after a while."""
        lane = self._lanes.get(peer)
        if lane is not None:
            lane.paused_until = moment.awake_s + POSTPONED_S

    def next_wakeup(self) -> float | None:
        """Say when to call `wakeup`, in seconds of being awake."""
        first = None
        for lane in self._lanes.values():
            if lane.wake_at is not None and (first is None or lane.wake_at < first):
                first = lane.wake_at
        return first

    def wakeup(self, moment: Moment) -> list[Effect]:
        """Offer again what was not answered."""
        effects: list[Effect] = []
        for peer, lane in self._lanes.items():
            if lane.wake(moment.awake_s):
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
            looked_at = 0
            for record, raw in pending:
                if lane.full:
                    break
                looked_at += 1
                if record not in lane.in_flight:
                    effects.append(self._bring(peer, lane, record, raw, moment))
            more = looked_at < len(pending) or len(pending) == BATCH
            if (lane.again or more) and not lane.full:
                return [*effects, *self._look(peer, moment)]
            lane.again = lane.again or more
            return effects

        def broken(_: str) -> Sequence[Effect]:
            lane.looking = False
            lane.paused_until = moment.awake_s + POSTPONED_S
            return ()

        skip = frozenset((*lane.in_flight, *lane.refused))
        return [
            Transact(Pending(peer, moment.awake_s, skip, BATCH, lane.for_everyone), found, broken)
        ]

    def _bring(
        self, peer: StationId, lane: _Lane, record: bytes, raw: bytes, moment: Moment
    ) -> Effect:
        """Send what was in the store, unless the disk has spoilt it: it would end each session."""
        try:
            kept = read_record(raw)
        except FormatError:
            kept = None
        if kept is not None and kept.id == record:
            return self._send(peer, lane, kept, moment)
        lane.leave_out((record,), moment)
        return waits(peer, (record,), DAMAGED)

    def _send(self, peer: StationId, lane: _Lane, record: Record, moment: Moment) -> Effect:
        lane.in_flight[record.id] = (len(record.raw), moment.awake_s + UNANSWERED_S)
        urgent = record.precedence is Precedence.EMERGENCY
        return Send(peer, Channel.RECORD, record.raw, urgent=urgent)


def waits(peer: StationId, records: tuple[bytes, ...], why: str) -> Effect:
    """Say why records wait for a peer."""

    def noted(changed: tuple[bytes, ...]) -> Sequence[Effect]:
        return [MessageChanged(message) for message in changed]

    return Transact(NoteProblem(peer, records, why), lambda _: (), lazy=True, early=noted)
