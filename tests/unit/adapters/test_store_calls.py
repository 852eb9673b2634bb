"""The record of calls on disk: kept, paged, bounded, ended after a power cut, saved from damage."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from store_samples import ANN, BOB

from appliance.adapters.store import Store, calls, salvage, schema
from appliance.adapters.store.calls import (
    MAX_NEW,
    count_missed,
    cut_calls,
    get_calls,
    save_call,
    see_calls,
)
from appliance.node.ports.calling import (
    CountMissed,
    CutCalls,
    GetCalls,
    RecordedCall,
    SaveCall,
    SeeCalls,
)

CALL = RecordedCall(
    id="c1",
    station=ANN,
    line="console",
    outgoing=False,
    known=True,
    begun_ms=1_700_000_000_000,
    begun_sure=False,
    answered=False,
)


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    made = sqlite3.connect(":memory:", isolation_level=None)
    schema.migrate(made)
    yield made
    made.close()


def ended(call: RecordedCall, **changes: object) -> RecordedCall:
    return replace(call, **{"reason": "they-hung-up", "answered": True, **changes})  # type: ignore[arg-type]


def missed(call: RecordedCall) -> RecordedCall:
    return ended(call, reason="no-answer", answered=False, missed=True, seen=False)


def everything(db: sqlite3.Connection) -> tuple[RecordedCall, ...]:
    return get_calls(db, GetCalls(None, False, None, 10_000))


def test_a_call_is_noted_when_it_begins_and_again_when_it_is_over(db: sqlite3.Connection) -> None:
    save_call(db, SaveCall(CALL))
    assert everything(db) == ()
    over = ended(CALL, talked_s=12.5, quality="fair", detail="x" * 1_000, begun_ms=5)
    save_call(db, SaveCall(over))
    (found,) = everything(db)
    assert found == replace(over, begun_ms=CALL.begun_ms, detail="x" * 500, number=1)


def test_pages_one_station_and_missed_ones(db: sqlite3.Connection) -> None:
    for place in range(10):
        call = replace(CALL, id=f"c{place}", station=BOB if place % 2 else ANN)
        save_call(db, SaveCall(missed(call) if place % 3 == 0 else ended(call)))
    first = get_calls(db, GetCalls(None, False, None, 4))
    assert [one.id for one in first] == ["c9", "c8", "c7", "c6"]
    second = get_calls(db, GetCalls(None, False, first[-1].number, 4))
    assert [one.id for one in second] == ["c5", "c4", "c3", "c2"]
    of_bob = get_calls(db, GetCalls(BOB, False, None, 10))
    assert [one.id for one in of_bob] == ["c9", "c7", "c5", "c3", "c1"]
    assert [one.id for one in get_calls(db, GetCalls(BOB, True, None, 10))] == ["c9", "c3"]


def test_missed_calls_are_new_until_they_were_looked_at(db: sqlite3.Connection) -> None:
    for place, station in enumerate((ANN, BOB, ANN)):
        save_call(db, SaveCall(missed(replace(CALL, id=f"c{place}", station=station))))
    assert count_missed(db, CountMissed()) == 3
    assert see_calls(db, SeeCalls(ANN, 2)) == 1
    assert see_calls(db, SeeCalls(None, 3)) == 2
    assert see_calls(db, SeeCalls(None, 3)) == 0
    assert count_missed(db, CountMissed()) == 0
    assert all(one.missed and one.seen for one in everything(db))


def test_what_went_on_when_the_station_died_is_over_and_what_rang_was_missed(
    db: sqlite3.Connection,
) -> None:
    save_call(db, SaveCall(replace(CALL, id="rang")))
    save_call(db, SaveCall(replace(CALL, id="answered", answered=True)))
    save_call(db, SaveCall(replace(CALL, id="dialled", outgoing=True)))
    save_call(db, SaveCall(replace(CALL, id="taken-up", answered=True)))
    save_call(db, SaveCall(ended(replace(CALL, id="over"))))
    cut_calls(db, CutCalls("cut-off", ("taken-up",)))
    found = {one.id: (one.reason, one.missed, one.seen) for one in everything(db)}
    assert found == {
        "rang": ("cut-off", True, False),
        "answered": ("cut-off", False, True),
        "dialled": ("cut-off", False, True),
        "over": ("they-hung-up", False, True),
    }


def test_it_is_bounded_and_strangers_crowd_out_only_strangers(
    db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "MAX_KNOWN", 20)
    for place in range(25):
        save_call(db, SaveCall(ended(replace(CALL, id=f"known {place}"))))
    for place in range(MAX_NEW + 30):
        save_call(db, SaveCall(missed(replace(CALL, id=f"new {place}", known=False))))
    found = everything(db)
    assert len(found) == 20 + MAX_NEW
    assert found[-1].id == "known 5"
    assert count_missed(db, CountMissed()) == MAX_NEW


async def test_it_is_saved_from_a_damaged_store(tmp_path: Path) -> None:
    path = tmp_path / "station.db"
    store = Store.open(path)
    for place in range(50):
        await store.perform(SaveCall(missed(replace(CALL, id=f"c{place}"))))
    await store.close()
    with path.open("r+b") as file:
        file.write(bytes(2048))
    salvage.mend(path)
    store = Store.open(path)
    assert len(await store.perform(GetCalls(None, False, None, 100))) == 50
    assert await store.perform(CountMissed()) == 50
    await store.close()
