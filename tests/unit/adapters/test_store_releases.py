"""Databases as released versions made them, opened by the code of today."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from store_release import as_json, read_back

from appliance.adapters.store import Store, schema

VECTORS = Path(__file__).parents[2] / "vectors" / "store"


def within(today: object, then: object) -> bool:
    """Tell whether all that was read then is read today; there may be more."""
    if isinstance(then, dict):
        return isinstance(today, dict) and all(
            key in today and within(today[key], value) for key, value in then.items()
        )
    if isinstance(then, list):
        return (
            isinstance(today, list)
            and len(today) == len(then)
            and all(within(one, other) for one, other in zip(today, then, strict=True))
        )
    return today == then


@pytest.mark.parametrize("version", sorted(file.stem for file in VECTORS.glob("*.sql")))
async def test_what_a_released_version_stored_is_all_found(tmp_path: Path, version: str) -> None:
    path = tmp_path / "store.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript((VECTORS / f"{version}.sql").read_text())
    store = Store.open(path)
    found = await read_back(store, for_everyone=True)
    await store.close()
    then = json.loads((VECTORS / f"{version}.json").read_text())
    assert len(then["messages"]) == 8
    assert within(json.loads(as_json(found)), then)
    with closing(sqlite3.connect(path)) as db:
        assert schema.version_of(db) == schema.VERSION
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
