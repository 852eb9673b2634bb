"""What has to go when there is too much, on the real tables: in which order, and what of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from store_samples import ANN, BOB, CLEO, NOW, got, incoming, outgoing, receipt, record, station

from appliance.adapters.store import ballast as ballast_module
from appliance.adapters.store import schema
from appliance.adapters.store.ballast import BALLAST_BYTES, Ballast
from appliance.adapters.store.operations import READS, WRITES
from appliance.adapters.store.retention import was_removed
from appliance.model.cargo import Load, Tier
from appliance.model.identity import StationId
from appliance.model.message import DeliveryState
from appliance.model.record import Precedence
from appliance.node.effects import Effect, Transact
from appliance.node.ports import (
    GetMessage,
    GetMessages,
    MarkRead,
    Operation,
    OutboxDone,
    Pending,
    SaveIncoming,
    SaveOutgoing,
    SaveStation,
)
from appliance.node.ports.carrying import Expire, GetCargo, NoteHolder, Ship
from appliance.node.ports.keeping import (
    Evict,
    Forget,
    GetCandidates,
    GetEvictions,
    GetUsage,
    Shed,
    Usage,
)
from appliance.node.retention import (
    LOOK_EVERY_S,
    LOW_DISK_BYTES,
    SPARE_BYTES,
    Bounds,
    Retention,
    bytes_of_messages,
)

DELIVERED, READ = DeliveryState.DELIVERED, DeliveryState.READ
STRANGERS = [StationId(bytes([number, 7] * 16)) for number in range(40)]


class Shelf:
    """The tables, and a `Retention` that works on them."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self.retention = Retention(Bounds(), changed=self._changed)
        self.changes = 0
        self.disk_free_bytes: int | None = None
        self.most = 0
        """Rows that one operation has removed."""

    def _changed(self) -> None:
        self.changes += 1

    def do(self, operation: Operation[Any]) -> Any:
        """Carry out an operation on the store."""
        handlers = READS if type(operation) in READS else WRITES
        result = handlers[type(operation)](self.db, operation)
        if isinstance(result, Usage) and self.disk_free_bytes is not None:
            result = replace(result, disk_free_bytes=self.disk_free_bytes)
        if isinstance(operation, Evict):
            self.most = max(self.most, result)
        return result

    def keep(self, bounds: Bounds, *, awake_s: float = 1_000.0) -> None:
        """Let it look, and do all that follows."""
        self.retention.bounds = bounds
        waiting: list[Effect] = self.retention.wakeup(replace(NOW, awake_s=awake_s))
        while waiting:
            effect = waiting.pop(0)
            assert isinstance(effect, Transact)
            result = self.do(effect.operation)
            waiting += (
                [*effect.early(result), *effect.then(result)]
                if effect.lazy
                else effect.then(result)
            )

    def shown(self) -> set[bytes]:
        """Ids of the messages that are there."""
        return {one.id for one in self.do(GetMessages(None, True, None, 10_000))}


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    db = sqlite3.connect(":memory:", isolation_level=None)
    schema.migrate(db)
    yield Shelf(db)
    assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    db.close()


@pytest.fixture
def known(shelf: Shelf) -> Shelf:
    for one in (ANN, BOB):
        shelf.do(_saved(one))
    return shelf


def _saved(one: StationId) -> Operation[None]:
    return SaveStation(station(one, "known"))


def read(shelf: Shelf, message: SaveIncoming) -> None:
    shelf.do(MarkRead((message.record.id,), ()))


def test_they_go_in_the_order_that_is_stated(known: Shelf) -> None:
    waiting = outgoing(ANN, order=1)
    unseen = incoming(ANN, order=2)
    seen_urgent = incoming(ANN, order=3)
    urgent = replace(seen_urgent.message, precedence=Precedence.PRIORITY)
    seen_urgent = replace(seen_urgent, message=urgent)
    seen = [incoming(BOB, order=4), incoming(ANN, order=5)]
    arrived, read_by_all, ended = (outgoing(ANN, order=order) for order in (6, 7, 8))
    ended = replace(ended, message=replace(ended.message, expires_awake_s=999.0))
    order: list[SaveIncoming | SaveOutgoing] = [waiting, unseen, seen_urgent, *seen]
    order += [arrived, read_by_all, ended]
    for operation in order:
        known.do(operation)
    for one in (seen_urgent, *seen):
        read(known, one)
    known.do(got(ANN, DELIVERED, arrived.record.id, read_by_all.record.id))
    known.do(got(ANN, READ, read_by_all.record.id))

    order = [ended, read_by_all, *seen, arrived, seen_urgent, unseen, waiting]
    gone: list[bytes] = []
    for count in reversed(range(len(order))):
        before = known.shown()
        known.keep(Bounds(messages=count), awake_s=1_000.0 + LOOK_EVERY_S * (9 - count))
        gone += before - known.shown()
    assert gone == [one.record.id for one in order]
    assert all(was_removed(known.db, one) for one in gone)
    assert known.changes == len(order)


def test_nothing_of_a_message_stays_behind(known: Shelf) -> None:
    theirs = [incoming(ANN if number % 2 else CLEO, order=number) for number in range(6)]
    ours = [outgoing(BOB, order=9), outgoing(None, order=10)]
    for operation in (*theirs, *ours):
        known.do(operation)
    ids = tuple(one.record.id for one in theirs)
    by_ann, by_cleo = ids[1::2], ids[::2]
    known.do(MarkRead(ids, ((ANN, receipt(READ, *by_ann)), (CLEO, receipt(READ, *by_cleo)))))
    known.do(got(STRANGERS[0], READ, ours[1].record.id))
    known.do(NoteHolder(CLEO, (ours[0].record.id,)))

    known.keep(Bounds(messages=0))
    assert known.shown() == set()
    for table in ("messages", "recipients", "holders"):
        assert known.db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    # Receipts for whom we know wait on; for strangers they would do so for ever.
    left = known.do(Pending(ANN, 0.0, frozenset(), 99))
    assert len(left) == 4
    assert known.do(Pending(CLEO, 0.0, frozenset(), 99)) == ()
    known.do(OutboxDone(ANN, tuple(record_id for record_id, _ in left)))
    assert known.db.execute("SELECT count(*) FROM records").fetchone() == (0,)
    assert known.db.execute("SELECT count(*) FROM outbox").fetchone() == (0,)


def test_what_is_carried_for_others_is_still_carried(known: Shelf) -> None:
    said = incoming(CLEO, everyone=True)
    load = Load(said.record, None, (), BOB, Tier.NEW, 0.0, 500.0, 100.0)
    known.do(replace(said, load=load))
    known.keep(Bounds(messages=0))
    assert known.shown() == set()
    assert [one[0] for one in known.do(GetCargo()).carried] == [said.record.id]
    known.do(Expire(10_000.0, 99))
    assert known.do(GetCargo()).carried == ()


def test_it_is_counted_by_conversation_and_ours_apart(known: Shelf) -> None:
    for order in range(1, 6):
        known.do(incoming(ANN, order=order))
    known.do(incoming(BOB, everyone=True, order=6))
    lost = outgoing(ANN, order=7)
    known.do(lost)
    known.keep(Bounds(messages=2))
    first = known.do(GetEvictions())
    assert [(one.conversation, one.undelivered, one.records) for one in first] == [(ANN, False, 5)]
    known.keep(Bounds(messages=0), awake_s=2_000.0)
    told = {(one.conversation, one.undelivered): one for one in known.do(GetEvictions())}
    assert {key: one.records for key, one in told.items()} == {
        (ANN, False): 5,
        (None, False): 1,
        (ANN, True): 1,
    }
    assert told[ANN, True].last_ms == lost.message.received_ms
    assert all(one.bytes > 0 for one in told.values())
    assert len(known.do(GetEvictions(None, everything=False))) == 1


def test_a_flood_by_strangers_buries_nobody(known: Shelf) -> None:
    friends = [incoming(ANN if number % 2 else BOB, order=number) for number in range(60)]
    for one in friends[:30]:
        known.do(one)
        read(known, one)
    for number in range(400):
        flood = incoming(STRANGERS[number % 40], everyone=True, order=1_000 + number)
        urgent = replace(flood.message, precedence=Precedence.EMERGENCY)
        known.do(replace(flood, message=urgent))
    for one in friends[30:]:
        known.do(one)
    known.keep(Bounds(messages=100))
    left = known.shown()
    assert {one.record.id for one in friends} <= left
    assert 25 <= len(left) - len(friends) <= 40
    assert known.most <= 32


def test_bytes_are_bounded_too(known: Shelf) -> None:
    texts = [incoming(ANN, order=order, text="x" * 8_000, size=8_000) for order in range(100)]
    for one in texts:
        known.do(one)
        read(known, one)
    full = bytes_of_messages(known.do(GetUsage()))
    bound = full * 2 // 3
    known.keep(Bounds(bytes=bound))
    assert bound * 0.8 < bytes_of_messages(known.do(GetUsage())) <= bound
    left = known.shown()
    assert left == {one.record.id for one in texts[-len(left) :]}


def _carry(shelf: Shelf, tier: Tier, count: int) -> None:
    for _ in range(count):
        one = record(CLEO, size=4_000)
        load = Load(one, BOB, (), ANN, tier, 0.0, 10_000.0, 100.0)
        assert shelf.do(Ship(load)).taken


def test_a_full_disk_takes_from_what_is_carried_first(known: Shelf) -> None:
    old, unseen, waiting = incoming(ANN, order=1), incoming(ANN, order=2), outgoing(ANN, order=3)
    for operation in (old, unseen, waiting):
        known.do(operation)
    read(known, old)
    _carry(known, Tier.KNOWN, 5)
    _carry(known, Tier.NEW, 5)
    known.disk_free_bytes = LOW_DISK_BYTES + 1
    known.keep(Bounds())
    assert len(known.do(GetCargo()).carried) == 10

    known.disk_free_bytes = 0
    known.do(Shed(12_000, 1_000.0, 99))
    assert known.db.execute(
        "SELECT tier, count(*) FROM carried WHERE expires_awake_s <= 1000 GROUP BY tier"
    ).fetchall() == [(Tier.NEW, 3)]
    # What already runs out counts.
    known.do(Shed(12_000, 1_000.0, 99))
    known.do(Expire(1_000.0, 99))
    assert len(known.do(GetCargo()).carried) == 7

    known.keep(Bounds(), awake_s=2_000.0)
    known.do(Expire(2_000.0, 99))
    assert known.do(GetCargo()).carried == ()
    assert known.shown() == {unseen.record.id, waiting.record.id}
    known.keep(Bounds(), awake_s=3_000.0)
    assert known.shown() == {unseen.record.id, waiting.record.id}


def test_room_that_is_free_in_the_file_is_enough(known: Shelf) -> None:
    one = incoming(ANN)
    known.do(one)
    read(known, one)
    known.db.execute("CREATE TABLE padding (data BLOB)")
    known.db.execute("INSERT INTO padding VALUES (zeroblob(?))", (SPARE_BYTES + 10_000,))
    known.db.execute("DROP TABLE padding")
    known.disk_free_bytes = 0
    known.keep(Bounds())
    assert known.shown() == {one.record.id}


@pytest.mark.parametrize("table", ["known", "had", "removed"])
def test_ids_that_stay_known_have_a_bound(shelf: Shelf, table: str) -> None:
    more = ", station" if table == "had" else ""
    key = "message" if table == "had" else "id"
    shelf.db.executemany(
        f"INSERT INTO {table} ({key}, until_awake_s{more})"
        f" VALUES (?, ?{', zeroblob(32)' if more else ''})",
        [(bytes([number]) * 32, float(number)) for number in range(1, 100)],
    )
    bounds = Forget(60, 60, 60, 25)
    assert [shelf.do(bounds) for _ in range(3)] == [25, 14, 0]
    gone = shelf.do(Expire(0.0, 99))
    assert (len(gone.forgotten) == 39) is (table == "known")
    left = shelf.db.execute(f"SELECT min(until_awake_s), count(*) FROM {table}").fetchone()
    assert left == (40.0, 60)


def test_room_is_kept_for_a_full_disk_and_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ballast = Ballast(tmp_path)
    monkeypatch.setattr(ballast_module, "AMPLE_BYTES", 1 << 62)
    ballast.look()
    assert not ballast.taken
    monkeypatch.setattr(ballast_module, "AMPLE_BYTES", 0)
    ballast.look()
    assert (tmp_path / "ballast").stat().st_blocks * 512 >= BALLAST_BYTES
    ballast.look()
    assert Ballast(tmp_path).taken
    monkeypatch.setattr(ballast_module, "FULL_BYTES", 1 << 62)
    ballast.look()
    assert list(tmp_path.iterdir()) == []
    Ballast(tmp_path / "gone").look()


def test_who_says_to_carry_is_counted_up_to_a_bound(known: Shelf) -> None:
    said = outgoing(ANN)
    known.do(said)
    for number in range(100):
        known.do(NoteHolder(StationId(bytes([number]) * 32), (said.record.id,)))
    assert known.do(GetMessage(said.record.id)).held_by == 64


def test_a_look_that_fails_is_done_again(known: Shelf) -> None:
    known.do(incoming(ANN))
    known.retention.bounds = Bounds(messages=0)
    (effect,) = known.retention.wakeup(NOW)
    assert isinstance(effect, Transact)
    assert effect.failed("The disk is full.") == ()
    assert known.retention.wakeup(NOW) == []
    known.keep(Bounds(messages=0), awake_s=NOW.awake_s + LOOK_EVERY_S)
    assert known.shown() == set()


def test_candidates_come_in_parts(known: Shelf) -> None:
    kinds: Iterable[Callable[[], SaveIncoming | SaveOutgoing]] = (
        lambda: incoming(ANN),
        lambda: incoming(CLEO, everyone=True),
        lambda: outgoing(None),
    )
    for kind in kinds:
        known.do(kind())
    first = known.do(GetCandidates(0, 2))
    (last,) = known.do(GetCandidates(first[-1].number, 2))
    assert [one.stranger for one in (*first, last)] == [False, True, False]
    assert (last.outgoing, last.state) == (True, None)


def test_what_had_to_go_is_not_new_when_it_comes_sealed_again(known: Shelf) -> None:
    message = incoming(ANN)
    assert known.do(message).new
    known.keep(Bounds(messages=0))
    again = incoming(ANN, order=2)
    again = replace(again, message=replace(again.message, first=message.record.id))
    assert not known.do(again).new
    assert known.shown() == set()
    # Of what another has written nobody can say that.
    other = incoming(ANN, order=3)
    assert known.do(other).new


def test_what_comes_sealed_again_costs_no_look_at_all_messages(shelf: Shelf) -> None:
    arrived = [incoming(ANN, order=order) for order in range(400)]
    for operation in arrived:
        shelf.do(operation)
    hundreds = 0

    def count() -> int:
        nonlocal hundreds
        hundreds += 1
        return 0

    again = incoming(ANN, order=2)
    again = replace(again, message=replace(again.message, first=arrived[-1].record.id))
    shelf.db.set_progress_handler(count, 100)
    assert not shelf.do(again).new
    shelf.db.set_progress_handler(None, 0)
    assert hundreds < 20
