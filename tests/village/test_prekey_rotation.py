"""A real daemon that has been awake for a week tells another prekey, and keeps the former."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from seats import Seat, delivered, eventually, meet

from appliance.adapters.prekey_files import PrekeyFiles
from appliance.daemon.main import STORE_NAME
from appliance.daemon.timekeeper import AWAKE_VALUE
from appliance.node.prekeys import ROTATE_AFTER_S

pytestmark = [pytest.mark.village, pytest.mark.usefixtures("may_make_namespaces")]


async def test_a_week_later_there_is_another_prekey(two: tuple[Seat, Seat]) -> None:
    a, b = two
    (first,) = PrekeyFiles(a.info.state).load()
    a.village.stop("a")
    awake_ms = int((first.created_s + ROTATE_AFTER_S) * 1000)
    with closing(sqlite3.connect(a.info.state / STORE_NAME)) as db, db:
        db.execute(
            "UPDATE vals SET value = ? WHERE name = ?", (str(awake_ms).encode(), AWAKE_VALUE)
        )
    waits = await b.client.send(a.id, "Sealed to the former one.")
    a.village.start("a")
    folder = a.info.state / "prekeys"

    async def there() -> bool:
        return {path.suffix for path in folder.iterdir()} == {".prekey", ".retired"}

    await eventually(there)
    await meet(a, b)
    await delivered(b, waits.id)
    sent = await b.client.send(a.id, "Sealed to the new one.")
    await delivered(b, sent.id)
    assert await a.texts() == ["Sealed to the former one.", "Sealed to the new one."]
    a.village.stop("a")
    kept = PrekeyFiles(a.info.state).load()
    assert {one.retired_s is None for one in kept if one.id == first.id} == {False}
    assert len(kept) == 2
