"""Four real daemons in a conference: all hear all, and go on when whoever mixes is killed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from conference_seats import all_talk, hum, join, leave, over, together, who_is_heard
from seats import Seat, eventually, meet, talk

from appliance.village.village import Village

pytestmark = [pytest.mark.village, pytest.mark.usefixtures("may_make_namespaces")]

NAMES = "abcd"
TAKEN_OVER_S = 5.0
LISTEN_S = 2.0


@pytest.fixture
async def four(tmp_path: Path) -> AsyncIterator[dict[str, Seat]]:
    """Four stations on one network, each met by all others."""
    with Village.up("lan:4", directory=tmp_path / "v") as village:
        names = village.topology.stations
        seats = {name: Seat(village, station) for name, station in zip(NAMES, names, strict=True)}
        await meet(*seats.values())
        yield seats


async def test_all_hear_all_and_go_on_when_the_focus_is_killed(
    four: dict[str, Seat], tmp_path: Path
) -> None:
    a, b, c, d = four.values()
    play = (hum("a", tmp_path), hum("b", tmp_path))
    await talk(a, b, play=play, record=(tmp_path / "a.wav", tmp_path / "b.wav"))
    await join(a, c, tmp_path, "c")
    await join(a, d, tmp_path, "d")
    calls = {}
    for seat in (a, b, c, d):
        found = await eventually(partial(together, seat, a, [a, b, c, d]))
        assert found is not None
        calls[seat.name] = found.id
    assert await eventually(partial(all_talk, d, a, [a, b, c, d]))
    await asyncio.sleep(LISTEN_S)
    a.village.kill(a.name)
    killed_at = time.monotonic()
    for seat in (b, c, d):
        assert await eventually(partial(together, seat, b, [b, c, d]), within_s=TAKEN_OVER_S)
    assert time.monotonic() - killed_at < TAKEN_OVER_S
    assert await eventually(partial(all_talk, d, b, [b, c, d]))
    without_s = time.monotonic() - killed_at
    await asyncio.sleep(LISTEN_S)
    for seat in (c, d):  # It is the same call for their operators.
        assert calls[seat.name] in {one.id for one in await seat.client.calls()}
    await asyncio.gather(*(leave(seat) for seat in (b, c, d)))
    for seat in (b, c, d):
        await eventually(partial(over, seat))
    for name, others in (("b", "cd"), ("c", "bd"), ("d", "bc")):
        assert who_is_heard(tmp_path / f"{name}.wav", begin=0.4 - LISTEN_S) == others
    for name, others in (("b", "acd"), ("c", "abd"), ("d", "abc")):
        before_s = LISTEN_S + without_s + 1.5  # a second, up to half of one before the kill
        assert who_is_heard(tmp_path / f"{name}.wav", begin=-before_s) == others
