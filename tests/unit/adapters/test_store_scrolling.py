"""A page of messages costs as much among many as among few: nobody waits who scrolls."""

from __future__ import annotations

import sqlite3
from typing import Final

import pytest
from store_samples import ANN, incoming

from appliance.adapters.store import schema
from appliance.adapters.store.operations import READS, WRITES
from appliance.node.ports import CountUnread, Operation
from appliance.node.ports.keeping import GetPage, Place

FEW: Final = 500
MANY: Final = 10_000
PAGE: Final = 100


def filled(count: int) -> sqlite3.Connection:
    """A store with so many messages of one station, which are copies of one."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    schema.migrate(db)
    WRITES[type(first := incoming(ANN, order=1, text="Number 1"))](db, first)
    db.execute("BEGIN")
    for table, other in (
        ("records", {"number": "n", "id": "randomblob(32)", "position": "n"}),
        ("messages", {"number": "n", "position": "n * 7", "unread": "0"}),
    ):
        columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
        values = ", ".join(other.get(column, column) for column in columns)
        db.execute(
            f"INSERT INTO {table} WITH RECURSIVE numbers (n) AS"
            " (SELECT 1000 UNION ALL SELECT n + 1 FROM numbers LIMIT ?)"
            f" SELECT {values} FROM numbers, {table}"
            " WHERE number = (SELECT min(number) FROM messages)",
            (count - 1,),
        )
    db.execute("COMMIT")
    return db


def steps(db: sqlite3.Connection, operation: Operation[object]) -> int:
    """Return how many hundreds of SQLite's instructions something takes."""
    taken = 0

    def count() -> int:
        nonlocal taken
        taken += 1
        return 0

    db.set_progress_handler(count, 100)
    found = READS[type(operation)](db, operation)
    db.set_progress_handler(None, 0)
    assert found is not None
    return taken


@pytest.mark.parametrize("everything", [False, True])
def test_a_page_anywhere_costs_the_same_in_a_long_conversation(everything: bool) -> None:
    costs: list[list[int]] = []
    for count in (FEW, MANY):
        db = filled(count)
        assert db.execute("SELECT count(*) FROM messages").fetchone() == (count,)
        pages = [GetPage(ANN, everything, None, PAGE)]
        pages += [
            GetPage(ANN, everything, Place(7 * (1_000 + count * part // 4), b""), PAGE)
            for part in (1, 2, 3)
        ]
        assert all(len(READS[GetPage](db, page)) == PAGE for page in pages)
        costs.append([steps(db, one) for one in (*pages, CountUnread())])
        db.close()
    few, many = costs
    assert min(few[:-1]) > 0
    assert all(most <= least + 10 for least, most in zip(few, many, strict=True)), costs
