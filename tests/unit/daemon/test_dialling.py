"""Which of a station's addresses are tried when."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from appliance.adapters.session import Session
from appliance.daemon import dialling
from appliance.daemon.dialling import Pace, dial_any
from appliance.model.identity import StationId

DEAD = ("fd00::dead", 1)
ALIVE = ("fe80::1", 1)


async def dial(host: str, _port: int, _wanted: StationId | None) -> Session:
    """Nobody answers at the one, and somebody does at once at the other."""
    if host == DEAD[0]:
        await asyncio.Event().wait()
    return cast(Session, host)


async def test_dead_addresses_do_not_slow_the_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each wait for a dead one makes the next wait longer, up to the longest there is."""
    monkeypatch.setattr(dialling, "STAGGER_S", 0.05)
    pace = Pace()
    for _ in range(12):
        assert await dial_any(dial, (DEAD, ALIVE), None, pace) is cast(Session, ALIVE[0])
    assert pace.stagger_s < 2 * dialling.STAGGER_S


async def test_the_pace_follows_dials_that_take_long() -> None:
    pace = Pace()
    for _ in range(12):
        pace.took(0.5)
    assert pace.stagger_s > 1.0
    for _ in range(40):
        pace.took(0.001)
    assert pace.stagger_s == dialling.STAGGER_S
