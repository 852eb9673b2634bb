"""The store against a model of it in dictionaries, in any order of operations and restarts."""

import asyncio
import itertools
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule
from store_samples import (
    ANN,
    BOB,
    CLEO,
    ME,
    NOW,
    got,
    incoming,
    outgoing,
    receipt,
    receipt_of,
    station,
)

from appliance.adapters.store import Store
from appliance.model.group import Conversation
from appliance.model.identity import StationId
from appliance.model.message import DeliveryState
from appliance.model.record import Precedence, Record, RecordKind
from appliance.node.ports import (
    CountUnread,
    ForgetStation,
    GetMessages,
    GetStations,
    GetUnread,
    Incoming,
    MarkRead,
    Operation,
    OutboxDone,
    Pending,
    RecipientState,
    SaveIncoming,
    SaveStation,
    StoredMessage,
)

R = TypeVar("R")
OTHERS = (ANN, BOB, CLEO)
QUEUED, DELIVERED = DeliveryState.QUEUED, DeliveryState.DELIVERED

others = st.sampled_from(OTHERS)
conversations = st.sampled_from((None, *OTHERS))
orders = st.integers(1, 5)
expiries = st.sampled_from((None, 10.0, 20.0))
states = st.sampled_from((DeliveryState.RELAYED, DELIVERED, DeliveryState.READ))


@dataclass
class Model:
    """What the store should hold."""

    messages: dict[bytes, StoredMessage] = field(default_factory=dict)
    """Without recipients."""
    recipients: dict[bytes, dict[StationId, RecipientState]] = field(default_factory=dict)
    receipts: dict[bytes, dict[DeliveryState, Record]] = field(default_factory=dict)
    """Ours, by the message that they are for."""
    sort_keys: dict[bytes, tuple[int, int, int]] = field(default_factory=dict)
    """Of records that can wait: urgency, position, and when they came."""
    outbox: set[tuple[StationId, bytes]] = field(default_factory=set)
    trust: dict[StationId, str] = field(default_factory=dict)
    serial: Iterator[int] = field(default_factory=itertools.count)

    def add(self, record: Record, position: int) -> None:
        urgency = 2 * record.precedence + (record.kind is RecordKind.RECEIPT)
        self.sort_keys.setdefault(record.id, (-urgency, position, next(self.serial)))

    def add_receipt(self, to: StationId, of: Record, state: DeliveryState, *ids: bytes) -> None:
        self.add(of, of.stamp.lamport)
        self.outbox.add((to, of.id))
        for message in ids:
            self.receipts[message][state] = of

    def says(self, who: StationId, state: DeliveryState, message: bytes) -> bool:
        """Note a receipt; tell whether the message got further."""
        if message not in self.recipients:
            return False
        known = self.recipients[message]
        if who in known or self.messages[message].conversation is None:
            if who in known and known[who].state >= state:
                return False
            known[who] = RecipientState(who, state, NOW.wall_ms, NOW.sure)
            if state >= DELIVERED:
                self.outbox.discard((who, message))
            return True
        return False

    def pending(self, to: StationId, awake_s: float) -> list[bytes]:
        waiting = {record for who, record in self.outbox if who == to}
        for message, known in self.recipients.items():
            has_it = to in known and known[to].state >= DELIVERED
            if self.messages[message].conversation is None and not has_it:
                waiting.add(message)
        expiries = {one: self.messages[one].expires_awake_s for one in waiting & {*self.messages}}
        gone = {one for one, at in expiries.items() if at is not None and at <= awake_s}
        return sorted(waiting - gone, key=self.sort_keys.__getitem__)

    def shown(self) -> list[StoredMessage]:
        """All messages as they should be shown."""
        found = []
        for message in self.messages.values():
            known = list(self.recipients.get(message.id, {}).values())
            known.sort(key=lambda one: (-one.state, one.at_ms, one.station))
            delivered = sum(one.state >= DELIVERED for one in known)
            found.append(replace(message, recipients=tuple(known), delivered_to=delivered))
        return sorted(found, key=lambda message: (message.order, message.id))

    def refers_to(self, who: StationId) -> bool:
        return any(who in (one.conversation, one.author) for one in self.messages.values()) or any(
            to == who for to, _ in self.outbox
        )


class StoreMachine(RuleBasedStateMachine):
    """Does the same to both."""

    written = Bundle("written")
    arrived = Bundle("arrived")

    def __init__(self) -> None:
        super().__init__()
        # In memory: nothing is cut off here, and most of the time went into waiting for a disk.
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.directory = tempfile.TemporaryDirectory(dir=memory)
        self.runner = asyncio.Runner()
        self.model = Model()
        self.store = self.open()

    def open(self) -> Store:
        return Store.open(Path(self.directory.name) / "store.db")

    def perform(self, operation: Operation[R]) -> R:
        return self.runner.run(self.store.perform(operation))

    @rule(
        target=written,
        to=conversations,
        order=orders,
        precedence=st.sampled_from(Precedence),
        expires_awake_s=expiries,
    )
    def write(
        self,
        to: StationId | None,
        order: int,
        precedence: Precedence,
        expires_awake_s: float | None,
    ) -> bytes:
        operation = outgoing(
            to, order=order, precedence=precedence, expires_awake_s=expires_awake_s
        )
        self.perform(operation)
        message, model = operation.message, self.model
        model.messages[message.id] = message
        model.recipients[message.id] = {}
        model.add(operation.record, order)
        if to is not None:
            at_ms, sure = message.received_ms, message.received_sure
            model.recipients[message.id][to] = RecipientState(to, QUEUED, at_ms, sure)
            model.outbox.add((to, message.id))
            if model.trust.get(to) == "new":
                model.trust[to] = "known"
        return message.id

    @rule(target=arrived, author=others, everyone=st.booleans(), order=orders)
    def arrive(self, author: StationId, everyone: bool, order: int) -> SaveIncoming:
        operation = incoming(author, everyone=everyone, order=order)
        result = self.perform(operation)
        assert result == Incoming(new=True, receipts=(receipt_of(operation).raw,))
        self.model.messages[operation.record.id] = operation.message
        self.model.receipts[operation.record.id] = {}
        self.model.add(operation.record, order)
        self.model.add_receipt(author, receipt_of(operation), DELIVERED, operation.record.id)
        return operation

    @rule(operation=arrived)
    def arrive_again(self, operation: SaveIncoming) -> None:
        message = operation.record.id
        again = replace(operation, receipt=receipt(DELIVERED, message))
        ours = self.model.receipts[message]
        expected = tuple(ours[state].raw for state in sorted(ours))
        assert self.perform(again) == Incoming(new=False, receipts=expected)
        self.model.outbox |= {(operation.message.author, one.id) for one in ours.values()}

    @rule(who=others, state=states, of=st.lists(written, max_size=3, unique=True), other=arrived)
    def say(
        self, who: StationId, state: DeliveryState, of: list[bytes], other: SaveIncoming
    ) -> None:
        ids = (*of, other.record.id)
        changed = self.perform(got(who, state, *ids))
        assert changed == tuple(one for one in ids if self.model.says(who, state, one))

    @rule(conversation=conversations, up_to=orders)
    def look(self, conversation: StationId | None, up_to: int) -> None:
        unread = [
            message
            for message in self.model.shown()
            if message.unread and message.conversation == conversation and message.order <= up_to
        ]
        found = self.perform(GetUnread(conversation, up_to))
        assert found == tuple((message.id, message.author) for message in unread)
        notes = []
        for message in unread:
            stored = self.model.messages[message.id]
            self.model.messages[message.id] = replace(stored, unread=False)
        for author in {message.author for message in unread}:
            ids = tuple(message.id for message in unread if message.author == author)
            note = receipt(DeliveryState.READ, *ids)
            notes.append((author, note))
            self.model.add_receipt(author, note, DeliveryState.READ, *ids)
        self.perform(MarkRead(tuple(message.id for message in unread), tuple(notes)))

    @rule(who=others, several=st.integers(0, 3))
    def has_the_first(self, who: StationId, several: int) -> None:
        ids = tuple(self.model.pending(who, 0)[:several])
        self.perform(OutboxDone(who, ids))
        self.model.outbox -= {(who, one) for one in ids}

    @rule(who=others, trust=st.sampled_from(("new", "known", "verified")))
    def meet(self, who: StationId, trust: str) -> None:
        self.perform(SaveStation(station(who, trust)))
        self.model.trust[who] = trust

    @rule(who=others)
    def forget(self, who: StationId) -> None:
        self.perform(ForgetStation(who))
        if not self.model.refers_to(who):
            self.model.trust.pop(who, None)

    @rule()
    def restart(self) -> None:
        self.runner.run(self.store.close())
        self.store = self.open()

    @invariant()
    def all_is_as_in_the_model(self) -> None:
        shown = self.model.shown()
        assert self.perform(GetMessages(None, True, None, 1000)) == tuple(shown)
        unread: dict[Conversation, int] = {}
        for message in shown:
            if message.unread:
                unread[message.conversation] = unread.get(message.conversation, 0) + 1
        assert self.perform(CountUnread()) == unread
        for who in OTHERS:
            for awake_s in (0.0, 10.0, 20.0):
                found = self.perform(
                    Pending(who, awake_s, frozenset({ME.key}), 1000, for_everyone=True)
                )
                assert [one for one, _ in found] == self.model.pending(who, awake_s)
        stations = {one.id: one.trust for one in self.perform(GetStations())}
        assert stations == self.model.trust

    def teardown(self) -> None:
        self.runner.run(self.store.close())
        self.runner.close()
        self.directory.cleanup()


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=16, stateful_step_count=30)
