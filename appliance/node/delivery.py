"""Bringing records of ours to those whom they are for: straight if that can be, else over all.

Whoever is in reach gets a record over a session; when somebody is not, or has not confirmed it
after some seconds, copies go from neighbour to neighbour (`carry`) as well.  A route that was heard
of may not be one yet: copies wait less long for somebody with whom no session stands.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from appliance.model.identity import StationId
from appliance.model.record import Record
from appliance.node.carry import Carry
from appliance.node.effects import Effect
from appliance.node.outbox import Outbox
from appliance.node.ports import Moment

CONFIRMED_S: Final = 5.0
"""After which copies of what should have arrived go over everybody."""

DIALLED_S: Final = 1.5
"""The same while there is no session: enough to open one, also when the first packet is lost."""

MAX_UNCONFIRMED: Final = 1024
"""Records that are waited for; those beyond are found in the store (`carrying.Overdue`)."""


@dataclass
class _Unconfirmed:
    """A record that is on its way to those in reach."""

    record: Record
    """What."""

    until: float
    """When that has taken too long, in seconds of being awake."""

    waiting: set[StationId]
    """Who has not confirmed it."""


class Delivery:
    """The ways out of this station."""

    def __init__(
        self,
        carry: Carry,
        *,
        around: Callable[[StationId], bool],
        cannot_carry: Callable[[], list[StationId]],
        absent: Callable[[StationId, Moment], list[Effect]],
    ) -> None:
        """`around` tells whether a session with a station can probably be had.

        `cannot_carry` tells who has one and takes records from their authors alone; `absent` is
        called when something is there for a station without a session.
        """
        self.carry = carry
        """What goes over all."""
        self.outbox = Outbox(absent)
        """What is on its way to whom."""
        self.cannot_carry = cannot_carry
        self._around = around
        self._unconfirmed: dict[float, dict[bytes, _Unconfirmed]] = {CONFIRMED_S: {}, DIALLED_S: {}}
        """By how long they wait, so that each is in the order of `until`."""

    def dispatch(self, to: Sequence[StationId], record: Record, moment: Moment) -> list[Effect]:
        """Send a record that is on disk to those whom it is for."""
        effects = [effect for one in to for effect in self.outbox.offer(one, record, moment)]
        if not all(map(self._around, to)):
            return [*effects, *self.carry.spread(record, moment)]
        self.expect(to, record, moment)
        return effects

    def dispatch_receipt(self, author: StationId, receipt: Record, moment: Moment) -> list[Effect]:
        """Send a receipt for what went to many: a session for each reader would be too much."""
        if author in self.outbox.peers() or not self.carry.has_neighbours:
            return self.dispatch((author,), receipt, moment)
        return self.carry.spread(receipt, moment)

    def to_all(self, record: Record, moment: Moment) -> list[Effect]:
        """Send what is for everyone to those who take it from its author alone."""
        return [
            effect
            for peer in self.cannot_carry()
            for effect in self.outbox.offer(peer, record, moment)
        ]

    def expect(self, to: Sequence[StationId], record: Record, moment: Moment) -> None:
        """Wait for a word that a record has arrived; some seconds, then others carry it too."""
        if not to:
            return
        wait_s = CONFIRMED_S if set(to).issubset(self.outbox.peers()) else DIALLED_S
        waiting = self._unconfirmed[wait_s]
        if len(waiting) < MAX_UNCONFIRMED:
            waiting[record.id] = _Unconfirmed(record, moment.awake_s + wait_s, set(to))

    def landed(self, peer: StationId, records: Sequence[bytes], moment: Moment) -> list[Effect]:
        """Somebody has records on its disk."""
        for waiting in self._unconfirmed.values():
            for record in records:
                one = waiting.get(record)
                if one is not None:
                    one.waiting.discard(peer)
                    if not one.waiting:
                        del waiting[record]
        return self.outbox.landed(peer, records, moment)

    # -- Time, in seconds of being awake

    def next_wakeup(self) -> float:
        """Say when to call `wakeup`."""
        later = self.outbox.next_wakeup()
        first = math.inf if later is None else later
        for waiting in self._unconfirmed.values():
            for one in waiting.values():
                first = min(first, one.until)
                break  # They are in order.
        return first

    def wakeup(self, moment: Moment) -> list[Effect]:
        """Do what is due."""
        effects = self.outbox.wakeup(moment)
        for waiting in self._unconfirmed.values():
            for one in list(waiting.values()):
                if one.until > moment.awake_s:
                    break
                del waiting[one.record.id]
                effects += self.carry.spread(one.record, moment)
        return effects
