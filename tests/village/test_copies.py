"""A copied board at the other end of a line: everybody hears of it."""

from __future__ import annotations

import asyncio
import shutil
from functools import partial

import pytest
from seats import Seat, eventually

from appliance.node.copies import COPIED_KEY
from appliance.node.doubled import COPIED_OTHERS
from appliance.village.village import Village

pytestmark = [pytest.mark.village, pytest.mark.usefixtures("may_make_namespaces")]


async def says(seat: Seat, code: str) -> str:
    """What a station says under a code, if it does."""
    problems = (await seat.client.status()).problems
    return next((problem.text for problem in problems if problem.code == code), "")


async def test_two_boards_with_one_key_at_the_ends_of_a_line_are_an_alarm_on_all_four(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    directory = tmp_path_factory.mktemp("v")
    with Village.up("line:4", directory=directory, daemons=False) as village:
        seats = [Seat(village, name) for name in village.topology.stations]
        first, *between, last = seats
        village.start(first.name)
        await first.sit()
        tag = (await first.client.status()).tag
        village.stop(first.name)
        shutil.copytree(first.info.state, last.info.state, dirs_exist_ok=True)
        await asyncio.gather(*(asyncio.to_thread(village.start, seat.name) for seat in seats))
        for board in (first, last):
            await board.sit()
            assert await eventually(partial(says, board, COPIED_KEY))
        assert first.id == last.id
        for seat in between:
            text = await eventually(partial(says, seat, COPIED_OTHERS))
            assert f"·{tag}" in text
            (station,) = [s for s in await seat.client.stations() if s.id == first.id]
            assert station.alarm is not None
            assert "two boards" in station.alarm
            assert not await says(seat, COPIED_KEY)
