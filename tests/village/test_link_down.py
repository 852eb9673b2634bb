"""A cable that is pulled: for a moment, or for longer."""

from __future__ import annotations

from pathlib import Path

import pytest
from seats import Seat, eventually, meet, pair

pytestmark = [pytest.mark.village, pytest.mark.usefixtures("may_make_namespaces")]

NOTICED_S = 8.0
"""Two seconds of grace and a busy machine; the keep-alive alone takes sixteen."""


async def carrier(seat: Seat, *, there: bool) -> bool:
    """Whether the daemon knows that there is a carrier, or that there is none."""
    return any(link.name == "eth0" and link.up == there for link in await seat.client.links())


async def test_a_pulled_cable_is_noticed_before_the_keep_alive(tmp_path: Path) -> None:
    async with pair(tmp_path) as (a, b):
        a.village.link("a", "b", up=False)
        for here, there in ((a, b), (b, a)):
            await eventually(lambda h=here, t=there: h.misses(t), within_s=NOTICED_S)  # type: ignore[misc]
            assert "ended: link-down" in here.log()
        a.village.link("a", "b", up=True)
        await meet(a, b)


async def test_a_cable_that_comes_back_at_once_costs_no_session(tmp_path: Path) -> None:
    async with pair(tmp_path) as (a, b):
        a.village.link("a", "b", up=False)
        await eventually(lambda: carrier(a, there=False))
        a.village.link("a", "b", up=True)
        await eventually(lambda: carrier(a, there=True))
        sent = await a.client.send(b.id, "Still here?")
        await eventually(lambda: a.message_in(sent.id, "delivered"))
        for seat in (a, b):
            assert "ended:" not in seat.log()
