"""Messages that can't be opened any more, and that their authors seal again.

A prekey that is destroyed opens nothing, not even for us: what comes late and was sealed to it is
answered by a signed request to seal it to the present one.  The author has kept the text until it
is delivered, so nothing is lost.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from appliance.model.card import Prekey
from appliance.model.codec import FormatError
from appliance.model.identity import Address, StationId, StationKey
from appliance.model.message import MAX_RECEIPTED, Reseal
from appliance.model.record import Precedence, Record, RecordKind, make_record
from appliance.node.call_gate import CallGate, StrangersGate
from appliance.node.clock import LamportClock
from appliance.node.effects import Effect, Transact
from appliance.node.group_mail import Along
from appliance.node.ports import Moment, Operation
from appliance.node.ports.receipting import GetUnopened, LetWait, SaveResealed, Unopened

MAX_ASKED: Final = 4096
"""Records for which we have asked lately, and do not ask again ..."""

ASK_AGAIN_S: Final = 3600.0
"""... for so long.  Who brings one still has forgotten our request, or could not follow it."""

ASKED: Final = 64
ASKED_S: Final = 10.0
"""Requests of one station that are followed in a row, or that we send it, and seconds until there
is one more: each makes the other write to its disk.  Strangers share one such allowance, since keys
are free to make."""

MAX_WAITING: Final = 4096
"""Records beyond that allowance that are asked for later and together, strangers' up to half of it;
others are brought again by their author, or after a restart."""


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
        is_stranger: Callable[[StationId], bool],
        again: Callable[[Unopened, Prekey, Moment, float], Again | None],
    ) -> None:
        """`prekey` returns our present one; `again` writes a record that says the same.

        `is_stranger` tells of whom nothing is known.
        """
        self._key, self._clock = key, clock
        self._prekey, self._is_stranger, self._again = prekey, is_stranger, again
        self._asked: OrderedDict[bytes, float] = OrderedDict()
        """What we have asked for, and when to do it again, in seconds of being awake."""
        self._waiting: dict[StationId, dict[bytes, Precedence]] = {}
        """By author: what is still to be asked for, and how urgent it is."""
        self._ask_at = math.inf
        """When to do that, in seconds of being awake."""
        self._asks = StrangersGate(key.id, is_stranger, burst=ASKED, refill_s=ASKED_S)
        self._follows = CallGate(burst=ASKED, refill_s=ASKED_S)

    # -- What we ask for

    def has_asked(self, record: bytes, moment: Moment) -> bool:
        """Tell whether a record was asked for lately."""
        return moment.awake_s < self._asked.get(record, -math.inf)

    def may_ask(self, record: Record, moment: Moment) -> bool:
        """Tell whether to ask for a record now; if not, that is done later, for many together."""
        if self._asks.allows(record.author, moment.awake_s):
            return True
        bound = MAX_WAITING // 2 if self._is_stranger(record.author) else MAX_WAITING
        if sum(map(len, self._waiting.values())) < bound:
            self._waiting.setdefault(record.author, {})[record.id] = record.precedence
            self._ask_at = min(self._ask_at, moment.awake_s + ASKED_S)
        return False

    def ask(
        self,
        author: StationId,
        records: tuple[bytes, ...],
        precedence: Precedence,
        moment: Moment,
        uptime_s: float,
        *,
        asked: Callable[[Record], Sequence[Effect]],
        failed: Callable[[], Sequence[Effect]],
    ) -> Effect:
        """Ask an author to seal records again; `asked` is called with the request on disk."""
        request = make_record(
            self._key,
            RecordKind.RESEAL,
            Reseal(self._prekey(), records).encode(),
            stamp=self._clock.stamp(moment, uptime_s=uptime_s),
            to=(Address(author),),
            precedence=precedence,
        )
        for record in records:
            self._asked.pop(record, None)
            self._asked[record] = moment.awake_s + ASK_AGAIN_S
        while len(self._asked) > MAX_ASKED:
            self._asked.popitem(last=False)

        def not_stored(_: str) -> Sequence[Effect]:
            for record in records:
                self._asked.pop(record, None)
            return failed()

        return Transact(LetWait(((author, request),)), lambda _: asked(request), not_stored)

    def next_wakeup(self) -> float:
        """Say when to call `wakeup`, in seconds of being awake."""
        return self._ask_at

    def wakeup(
        self,
        moment: Moment,
        uptime_s: float,
        *,
        asked: Callable[[StationId, Record], Sequence[Effect]],
    ) -> list[Effect]:
        """Ask for what had to wait; `asked` is called with each request that is on disk."""
        if moment.awake_s < self._ask_at:
            return []
        effects = [
            self._ask_for_many(author, moment, uptime_s, asked)
            for author in list(self._waiting)
            if self._asks.allows(author, moment.awake_s)
        ]
        self._ask_at = moment.awake_s + ASKED_S if self._waiting else math.inf
        return effects

    def _ask_for_many(
        self,
        author: StationId,
        moment: Moment,
        uptime_s: float,
        asked: Callable[[StationId, Record], Sequence[Effect]],
    ) -> Effect:
        all_of_it = list(self._waiting.pop(author).items())
        now, later = all_of_it[:MAX_RECEIPTED], dict(all_of_it[MAX_RECEIPTED:])
        if later:
            self._waiting[author] = later

        def not_stored() -> Sequence[Effect]:
            self._waiting[author] = self._waiting.get(author, {}) | dict(now)
            self._ask_at = min(self._ask_at, moment.awake_s + ASKED_S)
            return ()

        return self.ask(
            author,
            tuple(record for record, _ in now),
            max(precedence for _, precedence in now),
            moment,
            uptime_s,
            asked=lambda request: asked(author, request),
            failed=not_stored,
        )

    # -- What others ask for

    def asked(
        self,
        request: Record,
        moment: Moment,
        uptime_s: float,
        *,
        sealed: Callable[[StationId, Record, tuple[bytes, ...]], Sequence[Effect]],
        done: Callable[[], Sequence[Effect]],
        failed: Callable[[], Sequence[Effect]],
        too_often: Callable[[], list[Effect]],
    ) -> list[Effect]:
        """Do what somebody asks; raises FormatError.

        `sealed` is called with each new record that is on disk, and what is not carried any more;
        `done` when there is nothing left to do; `too_often` when nothing is done.
        """
        if [address.station for address in request.to] != [self._key.id]:
            raise FormatError("reseal: not for this station")
        wanted = Reseal.decode(request.content)
        station = request.author
        if not self._follows.allows(station, moment.awake_s):
            return too_often()

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
