"""Two halves of a net that were apart, and stations that are away for longer than others run."""

from __future__ import annotations

import shutil
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from cargo import carried, load, records
from seats import Seat, delivered, eventually, meet

from appliance.daemon.main import STORE_NAME
from appliance.village.village import Village

pytestmark = [pytest.mark.village, pytest.mark.usefixtures("may_make_namespaces")]

HALF = 10
MISSING = 5_000
"""Records that each half has and the other lacks."""


def two_rings() -> str:
    """Twenty stations in two rings, with one cable between them, which is the last."""
    rings = [range(1, HALF + 1), range(HALF + 1, 2 * HALF + 1)]
    joins = [join for ring in rings for join in (*pairwise(ring), (ring[0], ring[-1]))]
    return "cables:" + ",".join(f"{a}-{b}" for a, b in (*joins, (HALF // 2, HALF + HALF // 2)))


async def has_all(path: Path) -> bool:
    return carried(path) == 2 * MISSING


@pytest.mark.timeout(180)
async def test_ten_thousand_records_that_differ_between_two_halves_of_twenty_stations(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    cargo = records(2 * MISSING, seed=1)
    parts = [tmp_path / "first.db", tmp_path / "second.db"]
    await load(parts[0], cargo[:MISSING])
    await load(parts[1], cargo[MISSING:])
    directory = tmp_path_factory.mktemp("v")
    with Village.up(two_rings(), directory=directory, daemons=False) as village:
        stations = village.topology.stations
        stores = [village.station(name).state / STORE_NAME for name in stations]
        for number, store in enumerate(stores):
            store.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(parts[number // HALF], store)
        between = village.topology.cables[-1]
        village.link(*between.ends, up=False)
        for name in stations:
            village.start(name)
        village.wait_ready()
        assert {carried(store) for store in stores} == {MISSING}
        village.link(*between.ends, up=True)
        for store in stores:
            await eventually(partial(has_all, store), within_s=120.0)


async def test_a_recipient_that_is_away_for_longer_than_its_author_runs(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with Village.up("line:3", directory=tmp_path_factory.mktemp("v")) as village:
        a, b, c = (Seat(village, name) for name in "abc")
        await meet(a, b)
        await meet(b, c)
        village.stop("c")
        await eventually(partial(b.misses, c))
        sent = await b.client.send(c.id, "The bridge is gone.")
        carried_on = await eventually(partial(b.message_in, sent.id, "relayed"))
        assert carried_on is not None
        # Its author starts again twice, and then is gone while the recipient comes back.
        village.restart("b")
        village.kill("b")
        village.start("b")
        village.wait_ready(["b"])
        again = await b.client.send(c.id, "Take the ford.")
        village.stop("b")
        village.start("c")
        await eventually(c.client.status)
        assert await c.texts() == []
        village.start("b")
        for message in (sent, again):
            await delivered(b, message.id)
        assert await c.texts() == ["The bridge is gone.", "Take the ford."]
