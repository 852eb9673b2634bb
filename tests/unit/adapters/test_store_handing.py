"""What is handed on by file: all that is carried or waits, in parts, and nothing that is over."""

import sqlite3
from collections.abc import Iterator

import pytest
import store_samples as sample

from appliance.adapters.store import carried, handing, messages, schema
from appliance.model.cargo import Load, Tier
from appliance.model.identity import StationId
from appliance.model.record import Record
from appliance.node.ports.carrying import Ship
from appliance.node.ports.handing import GetHanded, GetRaw, Handed


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    made = sqlite3.connect(":memory:", isolation_level=None)
    made.execute("PRAGMA foreign_keys = ON")
    schema.migrate(made)
    yield made
    made.close()


def carry(db: sqlite3.Connection, record: Record, *, lifetime_s: float = 1000.0) -> None:
    load = Load(record, sample.BOB, (), sample.ANN, Tier.NEW, 5.0, lifetime_s, 100.0)
    assert carried.ship(db, Ship(load)).taken


def write(db: sqlite3.Connection, to: StationId, *, expires_awake_s: float | None = None) -> Record:
    made = sample.outgoing(to, expires_awake_s=expires_awake_s)
    messages.save_outgoing(db, made)
    return made.record


def all_of(db: sqlite3.Connection, awake_s: float, *, limit: int, size: int) -> list[Handed]:
    found: list[Handed] = []
    after = 0
    while part := handing.get_handed(db, GetHanded(after, limit, size, awake_s)):
        assert len(part) <= limit
        assert len(part) == 1 or sum(len(one.raw) for one in part) <= size
        found += part
        after = part[-1].number
    return found


@pytest.mark.parametrize(("limit", "size"), [(1, 10**6), (3, 10**6), (64, 10**6), (64, 500)])
def test_all_that_is_carried_or_waits_comes_once(
    db: sqlite3.Connection, limit: int, size: int
) -> None:
    waiting = [write(db, sample.BOB) for _ in range(4)]
    ours = write(db, sample.ANN)
    carry(db, ours)
    brought = [sample.record(sample.CLEO) for _ in range(5)]
    for record in brought:
        carry(db, record)
    found = all_of(db, 110.0, limit=limit, size=size)
    assert [one.raw for one in found] == [one.raw for one in (*waiting, ours, *brought)]
    assert [one.age_s for one in found] == [0.0] * 4 + [15.0] * 6


def test_what_is_over_stays(db: sqlite3.Connection) -> None:
    write(db, sample.BOB, expires_awake_s=105.0)
    carry(db, sample.record(sample.CLEO), lifetime_s=12.0)
    kept = write(db, sample.BOB, expires_awake_s=120.0)
    assert [one.raw for one in all_of(db, 110.0, limit=9, size=10**6)] == [kept.raw]


def test_records_are_found_as_they_were_signed(db: sqlite3.Connection) -> None:
    one, other = write(db, sample.BOB), write(db, sample.BOB)
    ids = (one.id, bytes(32), other.id)
    assert handing.get_raw(db, GetRaw(ids, 10**6)) == (one.raw, None, other.raw)
    assert handing.get_raw(db, GetRaw(ids, 300)) == (one.raw, None)
    assert handing.get_raw(db, GetRaw(ids, 1)) == (one.raw,)
    assert handing.get_raw(db, GetRaw((), 300)) == ()
