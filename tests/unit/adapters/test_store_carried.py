"""What is carried for others has its room, and who makes room for whom is as said."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from appliance.adapters.store import carried as module
from appliance.adapters.store import schema
from appliance.adapters.store.carried import expire, get_cargo, get_carried, overdue, ship
from appliance.adapters.store.outbox import outbox_done
from appliance.model.cargo import Load, Shipped, Tier
from appliance.model.identity import Address, StationId, StationKey
from appliance.model.message import DeliveryState, Receipt
from appliance.model.record import (
    Certainty,
    Precedence,
    Record,
    RecordKind,
    Stamp,
    make_record,
)
from appliance.node.ports import OutboxDone
from appliance.node.ports.carrying import Expire, Expired, GetCargo, GetCarried, Overdue, Ship

ANN, BOB, EVE = (StationKey.from_bytes(bytes([n]) * 32) for n in (1, 2, 3))
NEIGHBOUR, OTHER_NEIGHBOUR = ANN.id, BOB.id
DAY_S = 86_400.0


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    made = sqlite3.connect(":memory:", isolation_level=None)
    made.execute("PRAGMA foreign_keys = ON")
    schema.migrate(made)
    yield made
    sums = made.execute(
        "SELECT tier, came_from, precedence, sum(bytes) FROM carried"
        " GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    )
    holds = made.execute("SELECT * FROM holds ORDER BY 1, 2, 3")
    assert holds.fetchall() == sums.fetchall()
    made.close()


class Writer:
    """Makes records that differ."""

    def __init__(self) -> None:
        self.count = 0

    def record(
        self,
        *,
        key: StationKey = EVE,
        to: StationId | None = None,
        precedence: Precedence = Precedence.ROUTINE,
        receipt_for: tuple[bytes, ...] = (),
        size: int = 1000,
    ) -> Record:
        self.count += 1
        content = bytes(size)
        if receipt_for:
            content = Receipt(DeliveryState.DELIVERED, receipt_for).encode()
        return make_record(
            key,
            RecordKind.RECEIPT if receipt_for else RecordKind.MESSAGE,
            content,
            stamp=Stamp(self.count, bytes(8), 0, 0, Certainty.UNSET),
            to=(Address(to),) if to is not None else (),
            precedence=precedence,
        )


@pytest.fixture
def writer() -> Writer:
    return Writer()


def put(
    db: sqlite3.Connection,
    record: Record,
    *,
    tier: Tier = Tier.NEW,
    came_from: StationId = NEIGHBOUR,
    covers: tuple[bytes, ...] = (),
    at: float = 0.0,
    age_s: float = 0.0,
) -> Shipped:
    return ship(
        db,
        Ship(
            Load(
                record=record,
                recipient=record.to[0].station if record.to else None,
                covers=covers,
                came_from=came_from,
                tier=tier,
                age_s=age_s,
                lifetime_s=DAY_S,
                awake_s=at,
            )
        ),
    )


def here(db: sqlite3.Connection) -> set[bytes]:
    return {record for record, _, _ in get_cargo(db, GetCargo()).carried}


def bytes_of(db: sqlite3.Connection, where: str = "1") -> int:
    (total,) = db.execute(f"SELECT coalesce(sum(bytes), 0) FROM carried WHERE {where}").fetchone()
    return int(total)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> int:
    """Room for some eighty of these records."""
    monkeypatch.setattr(module, "MAX_BYTES", 100_000)
    return 100_000


def test_it_is_carried_once_until_it_is_too_old(db: sqlite3.Connection, writer: Writer) -> None:
    record = writer.record()
    assert put(db, record, at=10.0, age_s=5.0).taken
    assert not put(db, record, at=20.0).taken
    assert get_carried(db, GetCarried((record.id,), 25.0)) == ((record.id, 20.0, record.raw),)
    assert expire(db, Expire(DAY_S, 10)) == Expired((), ())
    assert expire(db, Expire(DAY_S + 6.0, 10)) == Expired((record.id,), ())
    assert here(db) == set()
    assert not put(db, record, at=DAY_S + 7.0).taken, "somebody a little behind brings it again"
    assert expire(db, Expire(2 * DAY_S + 10.0, 10)) == Expired((), (record.id,))


def test_only_whom_it_is_for_can_say_that_it_has_arrived(
    db: sqlite3.Connection, writer: Writer
) -> None:
    message = writer.record(key=ANN, to=BOB.id)
    put(db, message)
    forged = writer.record(key=EVE, to=ANN.id, receipt_for=(message.id,))
    assert put(db, forged, covers=(message.id,)).dropped == ()
    assert message.id in here(db)
    receipt = writer.record(key=BOB, to=ANN.id, receipt_for=(message.id,))
    assert put(db, receipt, covers=(message.id,)).dropped == (message.id,)
    assert here(db) == {forged.id, receipt.id}
    assert not put(db, message).taken


def test_a_receipt_may_come_before_what_it_is_for(db: sqlite3.Connection, writer: Writer) -> None:
    message, other = writer.record(key=ANN, to=BOB.id), writer.record(key=ANN, to=BOB.id)
    put(db, writer.record(key=BOB, to=ANN.id, receipt_for=(message.id,)), covers=(message.id,))
    put(db, writer.record(key=EVE, to=ANN.id, receipt_for=(other.id,)), covers=(other.id,))
    assert not put(db, message).taken
    assert put(db, other).taken


def test_strangers_share_a_part_and_leave_the_rest(
    db: sqlite3.Connection, writer: Writer, small: int
) -> None:
    kept = [writer.record() for _ in range(20)]
    for record in kept:
        assert put(db, record, tier=Tier.KNOWN).taken
    for number in range(200):
        put(db, writer.record(), came_from=(NEIGHBOUR, OTHER_NEIGHBOUR)[number % 2])
    assert bytes_of(db, "tier = 0") <= 0.25 * small
    assert {record.id for record in kept} <= here(db)


def test_one_neighbour_does_not_take_all_of_the_strangers_part(
    db: sqlite3.Connection, writer: Writer, small: int
) -> None:
    for _ in range(200):
        put(db, writer.record())
    assert bytes_of(db) <= 0.125 * small
    assert put(db, writer.record(), came_from=OTHER_NEIGHBOUR).dropped == ()


def test_a_flood_of_invented_emergencies_buries_none_that_is_known(
    db: sqlite3.Connection, writer: Writer, small: int
) -> None:
    urgent = writer.record(precedence=Precedence.EMERGENCY)
    put(db, urgent, tier=Tier.KNOWN)
    for number in range(300):
        neighbour = StationKey.from_bytes(number.to_bytes(2, "big") * 16).id
        put(db, writer.record(precedence=Precedence.EMERGENCY), came_from=neighbour)
    assert bytes_of(db, "tier = 0 AND precedence = 3") <= 0.02 * small
    while bytes_of(db) < 0.9 * small:
        assert put(db, writer.record(), tier=Tier.VERIFIED).taken
    for _ in range(50):
        assert put(db, writer.record(precedence=Precedence.EMERGENCY), tier=Tier.KNOWN).taken
    assert urgent.id in here(db)


def test_the_least_urgent_the_least_trusted_and_the_oldest_go_first(
    db: sqlite3.Connection, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = len(writer.record().raw)
    monkeypatch.setattr(module, "MAX_BYTES", 5 * size + 100)
    oldest, old, verified = writer.record(), writer.record(), writer.record()
    welfare = writer.record(precedence=Precedence.WELFARE)
    put(db, old, tier=Tier.KNOWN, at=2.0)
    put(db, oldest, tier=Tier.KNOWN, at=1.0)
    put(db, verified, tier=Tier.VERIFIED, at=0.0)
    put(db, welfare, tier=Tier.KNOWN, at=0.0)
    put(db, writer.record(), tier=Tier.OWN, at=0.0)
    gone = [
        put(db, writer.record(precedence=Precedence.PRIORITY), tier=Tier.KNOWN, at=3.0).dropped
        for _ in range(5)
    ]
    assert gone == [(), (oldest.id,), (old.id,), (verified.id,), (welfare.id,)]
    refused = put(db, writer.record(), tier=Tier.VERIFIED, at=4.0)
    assert (refused.taken, refused.full) == (False, True)


def test_what_waits_and_is_not_carried_is_found(db: sqlite3.Connection, writer: Writer) -> None:
    record = writer.record(key=ANN, to=BOB.id)
    db.execute(
        "INSERT INTO records (id, kind, author, urgency, position, kept, raw)"
        " VALUES (?, 2, ?, 0, 1, 1, ?)",
        (record.id, ANN.id.key, record.raw),
    )
    db.execute("INSERT INTO outbox VALUES (?, 0, 1, 1)", (BOB.id.key,))
    assert overdue(db, Overdue(0.0, 10)) == (record.raw,)
    put(db, record, tier=Tier.OWN)
    assert overdue(db, Overdue(0.0, 10)) == ()


def test_nothing_goes_for_what_can_not_be_taken(
    db: sqlite3.Connection, writer: Writer, small: int
) -> None:
    urgent = [writer.record(precedence=Precedence.PRIORITY, size=small // 40) for _ in range(4)]
    routine = writer.record(size=100)
    for record in (*urgent, routine):
        assert put(db, record).taken
    refused = put(db, writer.record(size=small // 20))
    assert (refused.taken, refused.full, refused.dropped) == (False, True, ())
    assert here(db) == {record.id for record in (*urgent, routine)}
    assert put(db, writer.record(size=100), came_from=OTHER_NEIGHBOUR).taken


def test_who_says_to_have_what_did_not_wait_for_it_costs_no_look_at_all_that_waits(
    db: sqlite3.Connection, writer: Writer
) -> None:
    carried = [writer.record() for _ in range(10)]
    for record in carried:
        assert put(db, record).taken
    rows = [(ANN.id.key, 0, number, 1) for number in range(500)]
    db.executemany("INSERT INTO outbox VALUES (?, ?, ?, ?)", rows)
    hundreds = 0

    def count() -> int:
        nonlocal hundreds
        hundreds += 1
        return 0

    db.set_progress_handler(count, 100)
    outbox_done(db, OutboxDone(EVE.id, tuple(record.id for record in carried)))
    db.set_progress_handler(None, 0)
    assert hundreds < 20
    assert here(db) == {record.id for record in carried}
