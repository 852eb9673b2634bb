"""Records that go by hand: on a stick or a card from one island to another.

What is brought is checked and taken as if a neighbour had carried it here; what this station has
for others is listed so that it can be taken along, with the cards of stations, without which
nobody could seal an answer.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from appliance.api.backend import ApiError
from appliance.api.records import (
    MAX_RECORDS,
    FoundRecords,
    HandedIn,
    HandedOn,
    HandedOutcome,
    HandedRecord,
    HandRecords,
    RecordKindName,
    RecordOutcome,
)
from appliance.daemon.lookup import store_error
from appliance.daemon.runtime import Runtime
from appliance.model.cargo import Shipped
from appliance.model.codec import FormatError
from appliance.model.identity import StationId, hash_for
from appliance.model.record import ID_SIZE, Record, RecordKind, read_record
from appliance.node.carry import LIFETIME_S
from appliance.node.effects import Effect, Send, Transact
from appliance.node.ports import Incoming, Operation, SaveIncoming, SaveReceipt, StoreError
from appliance.node.ports.carrying import Ship, ShipAll
from appliance.node.ports.handing import GetHanded, GetRaw
from appliance.protocol.acks import Outcome, decode_acks
from appliance.protocol.carrying import Parcel, encode_parcels
from appliance.protocol.frames import Channel

BY_HAND: Final = StationId(hash_for("by-hand", b""))
"""The neighbour that brought it, for the quotas: all sticks together count as one, or each would
have the room of a neighbour of its own.  It is a hash, so nobody has its secret key, and no session
can ever be with it; were it ourselves, what strangers wrote would be passed on as ours."""

ANSWER_S: Final = 60.0
"""After which a record counts as not stored; a full disk says so by itself."""

PART_BYTES: Final = 256 * 1024
"""Of records in one answer, but one record at least."""

_KINDS: Final[dict[RecordKind, RecordKindName]] = {
    RecordKind.CARD: "card",
    RecordKind.MESSAGE: "message",
    RecordKind.RECEIPT: "receipt",
    RecordKind.GROUP: "group",
    RecordKind.RESEAL: "request",
}
_DAMAGED: Final = RecordOutcome("unknown", "damaged")


class Importing:
    """Takes records that came by hand, and lists those that may go so."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime, self._station = runtime, runtime.station

    # -- In

    async def hand_in(self, brought: HandRecords) -> HandedIn:
        """See `RecordBackend`."""
        outcomes: list[RecordOutcome] = []
        waiting: dict[int, tuple[Record, asyncio.Future[HandedOutcome]]] = {}
        for place, one in enumerate(brought.records):
            await asyncio.sleep(0)  # each costs a signature, and calls must not wait for all
            record = _read(one.record)
            if record is None:
                outcomes.append(_DAMAGED)
                continue
            outcome = await self._take(record, one.age_s)
            if isinstance(outcome, asyncio.Future):
                waiting[place] = record, outcome
                outcome = "not-now"  # unless it says something else in time
            outcomes.append(RecordOutcome(_KINDS[record.kind], outcome))
        if waiting:
            await asyncio.wait([future for _, future in waiting.values()], timeout=ANSWER_S)
        for place, (record, future) in waiting.items():
            if future.done():
                outcomes[place] = RecordOutcome(_KINDS[record.kind], future.result())
        return HandedIn(tuple(outcomes))

    async def _take(
        self, record: Record, age_s: int
    ) -> HandedOutcome | asyncio.Future[HandedOutcome]:
        if record.kind is RecordKind.CARD:
            return self._card(record)
        post = self._station.post
        if post.carry.knows(record.id):
            return "known"
        try:
            (here,) = await self._runtime.store.perform(GetRaw((record.id,), 1))
        except StoreError:
            return "not-now"
        if here is not None:
            return "known"
        for_us = post.mailbox.inbox.wants(record)
        # What is for us is never too old to be seen, unless its author gave it up by then.
        given_s = record.lifetime_s or math.inf
        if age_s >= (given_s if for_us else min(given_s, LIFETIME_S)):
            return "too-old"
        watch = _Watch(record, for_us=for_us, unopened=for_us and self._is_lost(record))
        parcel = encode_parcels((Parcel(age_s, record.raw),))
        now = self._runtime.time.now()
        self._runtime.carry_out(
            watch.over(post.received(BY_HAND, Channel.CARRY, parcel, now)),
        )
        return watch.outcome

    def _is_lost(self, record: Record) -> bool:
        """Tell whether what is for us is sealed to a prekey that is gone."""
        prekey = record.prekey if record.to else None
        return prekey is not None and self._station.own.prekeys.get(prekey) is None

    def _card(self, record: Record) -> HandedOutcome:
        station = self._station
        if record.author == station.id:
            before = station.card.raw
        else:
            before = station.directory.get(record.author).card_raw
        if before == record.raw:
            return "known"
        try:
            effects = station.cards.received(BY_HAND, record.raw, self._runtime.time.now())
        except FormatError:
            return "damaged"
        self._runtime.carry_out(effects)
        if record.author == station.id:
            return "known"
        after = station.directory.get(record.author).card_raw
        if after == record.raw:
            return "new"
        return "known" if after is not None else "not-now"

    # -- On

    async def handed_on(self, after: str | None) -> HandedOn:
        """See `RecordBackend`."""
        sort, place = _cursor(after)
        if sort == "c":
            return self._cards(place)
        awake_s = self._runtime.time.moment().awake_s
        part = GetHanded(place, MAX_RECORDS, PART_BYTES, awake_s)
        found = await self._perform(part)
        return HandedOn(
            tuple(HandedRecord(_base64(one.raw), int(one.age_s)) for one in found),
            f"r{found[-1].number}" if found else None,
        )

    def _cards(self, after: int) -> HandedOn:
        own = self._station.id, self._station.card.raw
        known = ((one.id, one.card_raw) for one in self._station.directory.all())
        cards = sorted(
            (int.from_bytes(station.key, "big"), raw)
            for station, raw in (own, *known)
            if raw is not None
        )
        part = [(key, raw) for key, raw in cards if key > after][:MAX_RECORDS]
        return HandedOn(
            tuple(HandedRecord(_base64(raw)) for _, raw in part),
            f"c{part[-1][0]:x}" if part else "r0",
        )

    async def find(self, ids: tuple[str, ...]) -> FoundRecords:
        """See `RecordBackend`."""
        try:
            wanted = tuple(map(bytes.fromhex, ids))
        except ValueError:
            wanted = (b"",)
        if any(len(record) != ID_SIZE for record in wanted):
            raise ApiError(422, "bad-id", "This is no id of a message.", "Give whole ids.")
        found = await self._perform(GetRaw(wanted, PART_BYTES))
        return FoundRecords(tuple(_base64(raw) if raw is not None else None for raw in found))

    async def _perform(self, operation: Operation[Any]) -> Any:
        try:
            return await self._runtime.store.perform(operation)
        except StoreError as error:
            raise store_error(str(error)) from None


class _Watch:
    """Learns what becomes of one record from the effects that follow from it."""

    def __init__(self, record: Record, *, for_us: bool, unopened: bool) -> None:
        self._record, self._for_us, self._unopened = record, for_us, unopened
        self._result: Any = None
        self._failed = False
        self.outcome: asyncio.Future[HandedOutcome] = asyncio.get_running_loop().create_future()

    def over(self, effects: Iterable[Effect]) -> list[Effect]:
        """Return effects that do the same, less the answers to whoever brought it."""
        kept: list[Effect] = []
        for effect in effects:
            match effect:
                case Send(peer, Channel.ACK, data) if peer == BY_HAND:
                    self._answered(data)
                case Send(peer) if peer == BY_HAND:
                    pass
                case Transact():
                    kept.append(self._within(effect))
                case _:
                    kept.append(effect)
        return kept

    def _within(self, effect: Transact[Any]) -> Transact[Any]:
        def then(result: Any) -> Sequence[Effect]:
            self._note(effect.operation, result)
            return self.over(effect.then(result))

        def failed(why: str) -> Sequence[Effect]:
            self._failed = True
            return self.over(effect.failed(why))

        def early(result: Any) -> Sequence[Effect]:
            self._note(effect.operation, result)
            return self.over(effect.early(result))

        return replace(effect, then=then, failed=failed, early=early)

    def _note(self, operation: Operation[Any], result: Any) -> None:
        match operation:
            case SaveIncoming() | SaveReceipt():
                self._result = result
            case Ship(load) if load.record.id == self._record.id and self._result is None:
                self._result = result
            case ShipAll():
                (self._result,) = result

    def _answered(self, data: bytes) -> None:
        for ack in decode_acks(data):
            if ack.record == self._record.id and not self.outcome.done():
                self.outcome.set_result(self._outcome(ack.outcome))

    def _outcome(self, said: Outcome) -> HandedOutcome:
        match self._result:
            case Incoming(new):
                return "new" if new else "known"
            case tuple() as changed:  # how far messages of ours came
                return "new" if changed else "known"
        if self._unopened:  # its author is asked to seal it again, now or later
            return "not-now" if self._failed else "cannot-open"
        if said is Outcome.LATER:
            return "not-now"
        shipped = self._result if isinstance(self._result, Shipped) else None
        if said is Outcome.REFUSED:
            return "no-room" if shipped is not None and shipped.full else "damaged"
        if shipped is not None and not shipped.taken:
            return "known"
        return "new" if self._for_us and not self._record.group else "carried"


def _read(text: str) -> Record | None:
    try:
        return read_record(base64.b64decode(text, validate=True))
    except (FormatError, binascii.Error, ValueError):
        return None


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _cursor(after: str | None) -> tuple[str, int]:
    """Read what an answer gave as `next`: a sort of record, and a place among them."""
    if after is None:
        return "c", -1
    sort, place = after[:1], after[1:]
    try:
        number = int(place, 16 if sort == "c" else 10)
    except ValueError:
        number = -1
    if sort not in ("c", "r") or not 0 <= number < 2 ** (256 if sort == "c" else 63):
        raise ApiError(400, "bad-request", "There is no such part.", "Leave ?after= out.")
    return sort, number
