"""Messages that can't be opened any more, and that their authors seal again.

A prekey that is destroyed opens nothing, not even for us: what comes late and was sealed to it is
answered by a signed request to seal it to the present one.  The author has kept the text until it
is delivered, so nothing is lost.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from appliance.model.card import Prekey
from appliance.model.codec import FormatError
from appliance.model.identity import Address, StationId, StationKey
from appliance.model.message import Reseal
from appliance.model.record import Record, RecordKind, make_record
from appliance.node.call_gate import CallGate
from appliance.node.clock import LamportClock
from appliance.node.effects import Effect, Transact
from appliance.node.group_mail import Along
from appliance.node.ports import Moment, Operation
from appliance.node.ports.receipting import GetUnopened, LetWait, SaveResealed, Unopened

MAX_ASKED: Final = 4096
"""Records for which we have asked, and do not ask again in this run."""

ASKED: Final = 64
ASKED_S: Final = 10.0
"""Requests of one station that are followed in a row, or that we send it, and seconds until there
is one more: each makes the other write to its disk."""


@dataclass(frozen=True)
class Again:
    """A message as it travels once more."""

    record: Record
    """It."""

    along: Along | None = None
    """To a group: what has to be stored with it."""


class Resealer:
    """Asks others to seal again, and does it when they ask."""

    def __init__(
        self,
        key: StationKey,
        clock: LamportClock,
        *,
        prekey: Callable[[], Prekey],
        again: Callable[[Unopened, Prekey, Moment, float], Again | None],
    ) -> None:
        """`prekey` returns our present one; `again` writes a record that says the same."""
        self._key, self._clock = key, clock
        self._prekey, self._again = prekey, again
        self._asked: OrderedDict[bytes, None] = OrderedDict()
        self._asks = CallGate(burst=ASKED, refill_s=ASKED_S)
        self._follows = CallGate(burst=ASKED, refill_s=ASKED_S)

    def ask(
        self,
        record: Record,
        moment: Moment,
        uptime_s: float,
        *,
        asked: Callable[[Record], Sequence[Effect]],
        failed: Callable[[], Sequence[Effect]],
    ) -> list[Effect] | None:
        """Ask an author to seal a record again; `asked` is called with the request on disk.

        None: not now, or it was asked already.
        """
        if record.id in self._asked or not self._asks.allows(record.author, moment.awake_s):
            return None
        request = make_record(
            self._key,
            RecordKind.RESEAL,
            Reseal(self._prekey(), (record.id,)).encode(),
            stamp=self._clock.stamp(moment, uptime_s=uptime_s),
            to=(Address(record.author),),
            precedence=record.precedence,
        )
        self._asked[record.id] = None
        while len(self._asked) > MAX_ASKED:
            self._asked.popitem(last=False)

        def not_stored(_: str) -> Sequence[Effect]:
            self._asked.pop(record.id, None)
            return failed()

        waiting = LetWait(((record.author, request),))
        return [Transact(waiting, lambda _: asked(request), not_stored)]

    def asked(
        self,
        request: Record,
        moment: Moment,
        uptime_s: float,
        *,
        sealed: Callable[[StationId, Record, tuple[bytes, ...]], Sequence[Effect]],
        done: Callable[[], Sequence[Effect]],
        failed: Callable[[], Sequence[Effect]],
    ) -> list[Effect]:
        """Do what somebody asks; raises FormatError.

        `sealed` is called with each new record that is on disk, and what is not carried any more;
        `done` when there is nothing left to do.
        """
        if [address.station for address in request.to] != [self._key.id]:
            raise FormatError("reseal: not for this station")
        wanted = Reseal.decode(request.content)
        station = request.author
        if not self._follows.allows(station, moment.awake_s):
            return list(failed())

        def found(unopened: tuple[Unopened, ...]) -> Sequence[Effect]:
            return seal_all(list(unopened))

        def seal_all(rest: list[Unopened]) -> list[Effect]:
            while rest:
                one = rest.pop(0)
                again = self._again(one, wanted.prekey, moment, uptime_s)
                if again is None or again.record.prekey in one.prekeys:
                    continue  # it is on its way already
                return [save(one, again, rest)]
            return list(done())

        def save(one: Unopened, again: Again, rest: list[Unopened]) -> Effect:
            record, along = again.record, again.along

            def stored(dropped: tuple[bytes, ...]) -> Sequence[Effect]:
                first = along.stored() if along is not None else []
                return [*first, *sealed(station, record, dropped), *seal_all(rest)]

            def not_stored(_: str) -> Sequence[Effect]:
                if along is not None:
                    along.undo()
                return failed()

            operation: Operation[tuple[bytes, ...]] = SaveResealed(
                one.message, one.record, record, station, moment.awake_s
            )
            if along is not None:
                operation = along.together_with(operation)
            return Transact(operation, stored, not_stored)

        return [
            Transact(
                GetUnopened(station, wanted.records, moment.awake_s), found, lambda _: failed()
            )
        ]
