"""Somebody who has a store do all that a station has it do, at random, and says what it promised.

Each line that is said is a promise of the store, or leave for something to be otherwise than usual;
`promises` knows what each of them means.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from store_samples import (
    ANN,
    BOB,
    CLEO,
    ME,
    NOW,
    got,
    incoming,
    outgoing,
    receipt_of,
    record,
    station,
)

from appliance.adapters.store import Store
from appliance.model.cargo import Load, Tier
from appliance.model.identity import StationId
from appliance.model.message import DeliveryState, Receipt
from appliance.model.record import Precedence, Record, RecordKind
from appliance.node.ports import (
    GetMessages,
    GetValue,
    MarkRead,
    Operation,
    OutboxDone,
    SaveIncoming,
    SaveStation,
    SetValue,
    StoreError,
)
from appliance.node.ports.carrying import NoteHolder, Ship
from appliance.node.ports.receipting import LetWait

OTHERS: Final = (ANN, BOB, CLEO)
HANDS: Final = 6
"""Things that go on at the same time."""

COUNTERS: Final = ("awake", "draft")
"""Values that only grow."""

MAX_REMEMBERED: Final = 40
"""Messages with which more may happen."""

DAY_S: Final = 86_400.0


class Storm:
    """What one process does with its store."""

    def __init__(
        self, store: Store, *, seed: int, say: Callable[..., None], deeds: int | None = None
    ) -> None:
        """`say` gets the words of a line; after so many `deeds` it is over, if ever."""
        self._store, self._say = store, say
        self._seed, self._dice = seed, random.Random(seed)
        self._count = 0
        self._left = deeds
        self._counters = dict.fromkeys(COUNTERS, 0)
        self._written: list[tuple[bytes, StationId | None]] = []
        self._arrived: list[SaveIncoming] = []
        self._unread: list[tuple[bytes, StationId]] = []
        self._carried: list[tuple[bytes, StationId]] = []
        self._owed: list[tuple[bytes, StationId]] = []
        self._deeds = (
            (self._write, 5),
            (self._arrive, 5),
            (self._arrive_for_all, 2),
            (self._settle, 1),
            (self._hear, 3),
            (self._see, 2),
            (self._carry, 2),
            (self._overtake, 1),
            (self._hold, 1),
            (self._hand_over, 1),
            (self._count_up, 2),
            (self._meet, 1),
            (self._pause, 1),
        )

    async def run(self) -> None:
        """Go on with what earlier processes left."""
        page = await self._try(GetMessages(None, True, None, MAX_REMEMBERED))
        for one in page or ():
            if one.outgoing:
                self._written.append((one.id, one.conversation))
            elif one.unread:
                self._unread.append((one.id, one.author))
        for name in COUNTERS:
            self._counters[name] = int(await self._try(GetValue(name)) or 0)
        await asyncio.gather(*(self._work() for _ in range(HANDS)))

    async def _work(self) -> None:
        deeds, weights = zip(*self._deeds, strict=True)
        while self._left is None or self._left > 0:
            if self._left is not None:
                self._left -= 1
            (deed,) = self._dice.choices(deeds, weights)
            await deed()

    # -- How something is done

    async def _try(self, operation: Operation[Any]) -> Any:
        try:
            return await self._store.perform(operation)
        except StoreError as error:
            self._say("refused", error.code)
            return None

    def _lazily(self, operation: Operation[Any], *promise: object) -> None:
        def applied(_: object) -> None:
            if promise and promise[0] == "state":
                # From now on a screen shows it.
                self._say("shown", *promise[1:])

        def durable(_: object) -> None:
            if promise:
                self._say(*promise)

        def failed(error: StoreError) -> None:
            self._say("refused", error.code)

        self._store.submit(
            operation, lazy=True, on_applied=applied, on_durable=durable, on_failed=failed
        )

    def _new(self) -> bytes:
        """A seed that no other process has."""
        self._count += 1
        return f"{self._seed} {self._count}".encode()

    def _receipt(self, state: DeliveryState, message: bytes, *, author: StationId = ME) -> Record:
        content = Receipt(state, (message,)).encode()
        return record(author, kind=RecordKind.RECEIPT, content=content, seed=self._new())

    def _size(self) -> int:
        return self._dice.choice((100, 300, 300, 2_000, 9_000, 40_000))

    def _load(
        self,
        of: Record,
        to: StationId | None,
        *,
        tier: Tier,
        came_from: StationId = CLEO,
        covers: tuple[bytes, ...] = (),
    ) -> Load:
        return Load(
            record=of,
            recipient=to,
            covers=covers,
            came_from=came_from,
            tier=tier,
            age_s=0.0,
            lifetime_s=DAY_S,
            awake_s=NOW.awake_s,
        )

    def _any(self, of: list[Any]) -> Any:
        del of[:-MAX_REMEMBERED]
        return self._dice.choice(of) if of else None

    # -- Deeds

    async def _write(self) -> None:
        to = self._dice.choice((*OTHERS, None))
        urgency = self._dice.choice(tuple(Precedence))
        deed = outgoing(to, precedence=urgency, size=self._size(), seed=self._new())
        if to is None or self._dice.random() < 0.5:
            deed = replace(deed, load=self._load(deed.record, to, tier=Tier.OWN, came_from=ME))
        try:
            shipped = await self._store.perform(deed)
        except StoreError as error:
            self._say("refused", error.code)
            return
        self._say("wrote", deed.record.id.hex(), "-" if to is None else to.key.hex())
        if shipped is not None and shipped.taken:
            self._say("carried", deed.record.id.hex())
        self._written.append((deed.record.id, to))

    async def _arrive(self) -> None:
        author = self._dice.choice(OTHERS)
        again = self._any(self._arrived) if self._dice.random() < 0.1 else None
        deed = again or incoming(author, size=self._size(), seed=self._new(), text="so it is")
        if again is None:
            ours = self._receipt(DeliveryState.DELIVERED, deed.record.id)
            deed = replace(deed, receipt=ours)
        if await self._try(deed) is None:
            return
        words = (deed.record.id, receipt_of(deed).id, deed.message.author.key)
        self._say("arrived", *(word.hex() for word in words))
        if again is None:
            self._arrived.append(deed)
            self._unread.append((deed.record.id, deed.message.author))

    async def _arrive_for_all(self) -> None:
        """What is for everyone is receipted later."""
        author = self._dice.choice(OTHERS)
        deed = incoming(author, everyone=True, size=self._size(), seed=self._new())
        if await self._try(replace(deed, receipt=None)) is not None:
            self._say("came", deed.record.id.hex())
            self._owed.append((deed.record.id, author))

    async def _settle(self) -> None:
        if not self._owed:
            return
        message, author = self._owed.pop()
        ours = self._receipt(DeliveryState.DELIVERED, message)
        try:
            await self._store.perform(LetWait(((author, ours),)))
        except StoreError as error:
            self._say("refused", error.code)
            self._owed.append((message, author))
        else:
            self._say("arrived", message.hex(), ours.id.hex(), author.key.hex())

    async def _hear(self) -> None:
        """A receipt, late ones among them."""
        if (found := self._any(self._written)) is None:
            return
        message, to = found
        who = to or self._dice.choice(OTHERS)
        state = self._dice.choice((DeliveryState.DELIVERED, DeliveryState.READ))
        promise = ("state", message.hex(), who.key.hex(), int(state))
        self._lazily(got(who, state, message), *promise)

    async def _see(self) -> None:
        """The operator reads."""
        if not self._unread:
            return
        message, author = self._unread.pop(self._dice.randrange(len(self._unread)))
        seen = self._receipt(DeliveryState.READ, message)
        try:
            await self._store.perform(MarkRead((message,), ((author, seen),)))
        except StoreError as error:
            self._say("refused", error.code)
            self._unread.append((message, author))
        else:
            self._say("seen", message.hex(), seen.id.hex(), author.key.hex())

    async def _carry(self) -> None:
        of = record(ANN, size=self._size(), seed=self._new())
        tier = self._dice.choice((Tier.NEW, Tier.KNOWN))
        shipped = await self._try(Ship(self._load(of, BOB, tier=tier)))
        if shipped is not None and shipped.taken:
            self._say("carried", of.id.hex())
            self._carried.append((of.id, BOB))

    async def _overtake(self) -> None:
        """A receipt for something that is carried: it is dropped, and known for good."""
        if (found := self._any(self._carried)) is None:
            return
        message, to = found
        of = self._receipt(DeliveryState.DELIVERED, message, author=to)
        load = self._load(of, None, tier=Tier.KNOWN, covers=(message,))
        shipped = await self._try(Ship(load))
        if shipped is not None:
            for dropped in shipped.dropped:
                self._say("known", dropped.hex())

    async def _hold(self) -> None:
        if (found := self._any(self._written)) is not None:
            who = self._dice.choice(OTHERS)
            self._lazily(NoteHolder(who, (found[0],)), "held", found[0].hex(), who.key.hex())

    async def _hand_over(self) -> None:
        """An author has our receipt."""
        if (found := self._any(self._arrived)) is not None:
            author, ours = found.message.author, receipt_of(found).id
            self._say("let", ours.hex(), author.key.hex())
            self._lazily(OutboxDone(author, (ours,)))

    async def _count_up(self) -> None:
        name = self._dice.choice(COUNTERS)
        self._counters[name] += 1
        number = self._counters[name]
        operation, promise = SetValue(name, str(number).encode()), ("value", name, number)
        if self._dice.random() < 0.5:
            self._lazily(operation, *promise)
            return
        try:
            await self._store.perform(operation)
        except StoreError as error:
            self._say("refused", error.code)
        else:
            self._say(*promise)

    async def _meet(self) -> None:
        who = self._dice.choice(OTHERS)
        known = station(who, "verified", card=self._new() * 8)
        self._lazily(SaveStation(known), "met", who.key.hex())

    async def _pause(self) -> None:
        """Nothing waits for a moment, so that the log may be copied."""
        await asyncio.sleep(self._dice.random() * 0.02)
