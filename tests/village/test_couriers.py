"""Messages between stations that never reach each other, without privileges: others carry them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from seats import Seat, delivered, eventually

from appliance.village.village import Village

pytestmark = [pytest.mark.village, pytest.mark.usefixtures("may_make_namespaces")]


@asynccontextmanager
async def line(directory: Path, topology: str) -> AsyncIterator[dict[str, Seat]]:
    """Stations in a line, all of which know the cards of all."""
    with Village.up(topology, directory=directory) as village:
        seats = {name: Seat(village, name) for name in village.topology.stations}
        for seat in seats.values():
            await seat.sit()
        for seat in seats.values():
            await eventually(partial(knows_all, seat, len(seats) - 1))
        yield seats


async def knows_all(seat: Seat, count: int) -> bool:
    """Whether a station has so many cards."""
    return sum(station.has_card for station in await seat.client.stations()) == count


async def has(seat: Seat, text: str) -> bool:
    """Whether a text has arrived."""
    return text in await seat.texts()


async def test_a_courier_carries_a_message_there_and_its_receipt_back(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    async with line(tmp_path_factory.mktemp("v"), "line:3") as seats:
        a, b, c = seats.values()
        village = a.village
        village.link("b", "c", up=False)
        await eventually(partial(b.misses, c))
        sent = await a.client.send(c.id, "Send a doctor.")
        carried = await eventually(partial(a.message_in, sent.id, "relayed"))
        assert carried is not None
        assert carried.carried_by == 1
        village.link("a", "b", up=False)
        await eventually(partial(b.misses, a))
        village.stop("b")
        village.start("b")
        village.link("b", "c", up=True)
        await eventually(partial(has, c, "Send a doctor."))
        assert await b.texts() == []
        village.link("b", "c", up=False)
        await eventually(partial(c.misses, b))
        village.link("a", "b", up=True)
        await delivered(a, sent.id)


async def test_what_is_for_everyone_goes_down_a_line(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    async with line(tmp_path_factory.mktemp("v"), "line:5") as seats:
        first, *others = seats.values()
        sent = await first.client.send("everyone", "Boil the water.")
        for other in others:
            await eventually(partial(has, other, "Boil the water."))

        async def by_all() -> bool:
            return (await first.client.message(sent.id)).delivered_to == len(others)

        await eventually(by_all)
