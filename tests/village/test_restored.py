"""A station that has forgotten: heard at once, reads what is sealed to it, and is no copy."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from seats import Seat, delivered, meet

from appliance import cli
from appliance.daemon.main import STORE_NAME
from appliance.node.copies import COPIED_KEY
from appliance.node.doubled import COPIED_OTHERS
from appliance.node.own_card import RESTORED_VALUE

pytestmark = [pytest.mark.village, pytest.mark.usefixtures("may_make_namespaces")]


async def test_a_restored_station_goes_on_where_the_lost_one_was(
    two: tuple[Seat, Seat], tmp_path_factory: pytest.TempPathFactory
) -> None:
    a, b = two
    file = str(tmp_path_factory.mktemp("backup") / "a.backup")
    state = str(a.info.state)
    before = await b.client.send(a.id, "Before the backup.")
    await delivered(b, before.id)
    assert cli.main(["backup", file, "--state", state]) == 0
    await a.client.set_name("After the backup")
    lost = await a.client.send(b.id, "Lost here, but not there.")
    await delivered(a, lost.id)
    a.village.stop("a")
    waiting = await b.client.send(a.id, "On its way while the board was lost.")
    assert cli.main(["backup", "--restore", "--replace", file, "--state", state]) == 0
    a.village.start("a")
    await meet(a, b)
    await delivered(b, waiting.id)
    assert await a.texts() == ["Before the backup.", "On its way while the board was lost."]
    again = await a.client.send(b.id, "From the restored one.")
    await delivered(a, again.id)
    # In this order, though the station had forgotten that it wrote the first.
    assert await b.texts() == ["Lost here, but not there.", "From the restored one."]
    (seen,) = [station for station in await b.client.stations() if station.id == a.id]
    assert seen.name == (await a.client.status()).name != "After the backup"
    assert seen.alarm is None
    for seat in two:
        assert not {COPIED_KEY, COPIED_OTHERS} & await seat.problems()
    a.village.stop("a")
    with closing(sqlite3.connect(a.info.state / STORE_NAME)) as db:
        marks = db.execute("SELECT count(*) FROM vals WHERE name = ?", (RESTORED_VALUE,))
        assert marks.fetchone() == (0,)


async def test_a_station_whose_store_is_gone_goes_on_with_its_keys(two: tuple[Seat, Seat]) -> None:
    a, b = two
    for number in range(3):
        sent = await a.client.send(b.id, f"Before {number}.")
        await delivered(a, sent.id)
    a.village.stop("a")
    waiting = await b.client.send(a.id, "On its way while the store was lost.")
    for path in a.info.state.glob(f"{STORE_NAME}*"):
        path.unlink()
    a.village.start("a")
    await meet(a, b)
    await delivered(b, waiting.id)
    again = await a.client.send(b.id, "After.")
    await delivered(a, again.id)
    assert await b.texts() == ["Before 0.", "Before 1.", "Before 2.", "After."]
    for seat in two:
        assert not {COPIED_KEY, COPIED_OTHERS} & await seat.problems()
