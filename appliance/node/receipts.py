"""Our receipts: for one author at once, for what went to many a little later and together.

A message to everyone has as many receipts as there are stations, and each of them spreads to all.
So they wait, the longer the more stations there are, and one speaks for all that an author has
written meanwhile.  That a message has none yet is in the store with it, so that a restart forgets
none.  Strangers share one small allowance: keys are free to make, and receipts are not.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

from appliance.model.codec import FormatError
from appliance.model.identity import Address, StationId, StationKey
from appliance.model.message import MAX_RECEIPTED, DeliveryState, Receipt
from appliance.model.record import Record, RecordKind, make_record, read_record
from appliance.node.call_gate import CallGate
from appliance.node.clock import LamportClock
from appliance.node.effects import Effect, Transact
from appliance.node.ports import Moment
from appliance.node.ports.receipting import GetOwed, GetOwing, LetWait

log = logging.getLogger(__name__)

DELAY_S: Final = 0.05
"""Longest wait for each station that is known, so that all together send some twenty a second."""

MAX_DELAY_S: Final = 60.0

MAX_OWING: Final = 1024
"""Authors that are waited with, strangers only where nobody else is; the others are found in the
store."""

LOOK_S: Final = (5.0, 60.0)
"""When the store is first asked for what has no receipt, after the start, and how often."""

AUTHORS: Final = 64
"""Found at a time."""

STRANGERS: Final = 32
STRANGERS_S: Final = 2.0
"""Receipts to authors of whom nothing is known, in a row, and seconds until there is one more."""


class Receipts:
    """The receipts that this station writes."""

    def __init__(
        self,
        key: StationKey,
        clock: LamportClock,
        *,
        stations: Callable[[], int],
        is_stranger: Callable[[StationId], bool],
        random: Callable[[], float],
        send: Callable[[StationId, Record, Moment], list[Effect]],
    ) -> None:
        """`stations` counts those that are known; `send` brings a stored receipt on its way."""
        self._key, self._clock = key, clock
        self._stations, self._is_stranger = stations, is_stranger
        self._random, self._send = random, send
        self._due: dict[StationId, float] = {}
        self._strangers = CallGate(burst=STRANGERS, refill_s=STRANGERS_S)
        self._look_at: float | None = None

    def make(
        self,
        author: StationId,
        state: DeliveryState,
        records: tuple[bytes, ...],
        moment: Moment,
        uptime_s: float,
    ) -> Record:
        """Write a receipt."""
        return make_record(
            self._key,
            RecordKind.RECEIPT,
            Receipt(state, records).encode(),
            stamp=self._clock.stamp(moment, uptime_s=uptime_s),
            to=(Address(author),),
        )

    def owe(self, author: StationId, moment: Moment) -> None:
        """A message to many is here, without a receipt."""
        if author not in self._due and self._has_room(author):
            delay_s = min(self._stations() * DELAY_S, MAX_DELAY_S)
            self._due[author] = moment.awake_s + delay_s * self._random()

    def _has_room(self, author: StationId) -> bool:
        if len(self._due) < MAX_OWING:
            return True
        if self._is_stranger(author):
            return False
        stranger = next((one for one in self._due if self._is_stranger(one)), None)
        if stranger is not None:
            del self._due[stranger]
        return stranger is not None

    # -- Time, in seconds of being awake

    def next_wakeup(self) -> float:
        """Say when to call `wakeup`."""
        return min((self._look_at or 0.0, *self._due.values()))

    def wakeup(self, moment: Moment, *, uptime_s: float) -> list[Effect]:
        """Do what is due."""
        now = moment.awake_s
        effects: list[Effect] = []
        if self._look_at is None:
            self._look_at = now + LOOK_S[0]
        elif self._look_at <= now:
            self._look_at = now + LOOK_S[1]
            effects.append(self._look(moment))
        for author in [author for author, at in self._due.items() if at <= now]:
            if not self._may_tell(author, moment):
                self._due[author] = now + STRANGERS_S * (1 + self._random() * len(self._due))
                continue
            del self._due[author]
            effects.append(self._write(author, moment, uptime_s))
        return effects

    def _may_tell(self, author: StationId, moment: Moment) -> bool:
        if not self._is_stranger(author):
            return True
        return self._strangers.allows(self._key.id, moment.awake_s)

    def _look(self, moment: Moment) -> Effect:
        def found(authors: tuple[StationId, ...]) -> Sequence[Effect]:
            for author in authors:
                self.owe(author, moment)
            return ()

        return Transact(GetOwing(AUTHORS), found)

    def _write(self, author: StationId, moment: Moment, uptime_s: float) -> Effect:
        def found(owed: tuple[tuple[bytes, bool], ...]) -> Sequence[Effect]:
            states = {
                DeliveryState.READ: tuple(record for record, seen in owed if seen),
                DeliveryState.DELIVERED: tuple(record for record, seen in owed if not seen),
            }
            receipts = [
                self.make(author, state, records, moment, uptime_s)
                for state, records in states.items()
                if records
            ]
            if not receipts:
                return ()

            def stored(_: None) -> Sequence[Effect]:
                if len(owed) == MAX_RECEIPTED:
                    self.owe(author, moment)
                sent = [self._send(author, receipt, moment) for receipt in receipts]
                return [effect for effects in sent for effect in effects]

            waiting = LetWait(tuple((author, receipt) for receipt in receipts))
            return [Transact(waiting, stored)]  # else the next look finds them

        return Transact(GetOwed(author, MAX_RECEIPTED), found)

    # -- What our operator has read

    def of_read(
        self,
        read: tuple[tuple[bytes, StationId], ...],
        moment: Moment,
        uptime_s: float,
        *,
        to_many: bool,
    ) -> tuple[tuple[StationId, Record], ...]:
        """Write what tells authors that their messages were read.

        Those of strangers `to_many` have their small allowance here too; beyond it they are not
        told, unless they still have to hear that it has come.
        """
        by_author: dict[StationId, list[bytes]] = {}
        for message, author in read:
            by_author.setdefault(author, []).append(message)
        receipts: list[tuple[StationId, Record]] = []
        for author, ids in by_author.items():
            if to_many and not self._may_tell(author, moment):
                continue
            for start in range(0, len(ids), MAX_RECEIPTED):
                part = tuple(ids[start : start + MAX_RECEIPTED])
                receipt = self.make(author, DeliveryState.READ, part, moment, uptime_s)
                receipts.append((author, receipt))
        return tuple(receipts)


def sound(receipts: tuple[bytes, ...]) -> list[tuple[bytes, tuple[bytes, ...]]]:
    """Return those of our receipts that no disk has spoilt, and for what each speaks."""
    found = []
    for raw in receipts:
        try:
            found.append((raw, Receipt.decode(read_record(raw).content).records))
        except FormatError as error:  # it would end the session
            log.warning("a receipt of ours on this disk is damaged: %s", error)
    return found
