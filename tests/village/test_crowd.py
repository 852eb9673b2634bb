"""Many stations on one network, unprivileged: few sessions each, and all still hear all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest
from seats import Seat, eventually

from appliance.api.schema import Message
from appliance.node.fanout import MAX_SESSIONS
from appliance.village.village import Village

pytestmark = [pytest.mark.village, pytest.mark.usefixtures("may_make_namespaces")]

STATIONS = 16
ALL_WITHIN_S = 60.0
"""Sixteen daemons start on this machine meanwhile."""


@pytest.fixture(scope="module")
async def crowd(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[list[Seat]]:
    """Stations on one network that know one another."""
    with Village.up(f"lan:{STATIONS}", directory=tmp_path_factory.mktemp("v") / "v") as village:
        seats = [Seat(village, name) for name in village.topology.stations]
        for seat in seats:
            await seat.sit()
        for seat in seats:
            await eventually(partial(knows_all, seat), within_s=ALL_WITHIN_S)
        yield seats


async def knows_all(seat: Seat) -> bool:
    return sum(s.has_card for s in await seat.client.stations()) == STATIONS - 1


async def sessions(seat: Seat) -> int:
    return sum(s.reach == "here" for s in await seat.client.stations())


async def settled(seats: list[Seat]) -> bool:
    counts = [await sessions(seat) for seat in seats]
    return max(counts) <= MAX_SESSIONS and min(counts) >= 4


async def test_everybody_is_known_over_few_sessions(crowd: list[Seat]) -> None:
    await eventually(partial(settled, crowd), within_s=ALL_WITHIN_S)


async def heard_by_all(author: Seat, message: str) -> Message | None:
    found = await author.client.message(message)
    return found if found.delivered_to == STATIONS - 1 else None


async def test_what_is_for_everyone_reaches_everyone(crowd: list[Seat]) -> None:
    author, *others = crowd
    sent = await author.client.send("everyone", "The bridge is closed.")
    await eventually(partial(heard_by_all, author, sent.id))
    for other in others:
        assert "The bridge is closed." in await other.texts()
    # What was opened for it does not stay.
    await eventually(partial(settled, crowd), within_s=ALL_WITHIN_S)


async def far(seat: Seat, seats: list[Seat]) -> Seat:
    """Somebody with whom there is no session."""
    near = {s.id for s in await seat.client.stations() if s.reach == "here"}
    return next(other for other in seats if other is not seat and other.id not in near)


async def test_those_without_a_session_write_and_call_at_once(crowd: list[Seat]) -> None:
    a = crowd[0]
    b = await far(a, crowd)
    sent = await a.client.send(b.id, "Are you there?")
    await eventually(partial(a.message_in, sent.id, "delivered", "read"), within_s=5.0)
    await eventually(partial(settled, crowd), within_s=ALL_WITHIN_S)
    c = await far(a, crowd)
    call = await a.client.call(c.id)
    ringing = await eventually(c.ringing, within_s=5.0)
    assert ringing is not None
    await c.client.answer(ringing.id)
    await eventually(partial(a.call_in, "talking"), within_s=5.0)
    await a.client.hang_up(call.id)


async def test_whoever_dies_divides_nobody(crowd: list[Seat]) -> None:
    """With some gone at once, a new name still reaches all that are left."""
    village = crowd[0].village
    dead, left = crowd[-3:], crowd[:-3]
    for seat in dead:
        village.stop(seat.name)
    await left[0].client.set_name("Mill")

    async def heard(seat: Seat) -> bool:
        return any(s.id == left[0].id and s.name == "Mill" for s in await seat.client.stations())

    await asyncio.gather(*(eventually(partial(heard, seat)) for seat in left[1:]))
