"""Two stations that have a session tell each other the time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from session_ends import End, ends

from appliance.model.identity import StationId
from appliance.protocol import keepalive
from appliance.protocol.time_claim import SourceTime, TimeClaim


class Clock:
    """Says one thing, and notes what it hears."""

    def __init__(self, end: End, claim: TimeClaim) -> None:
        self.claim = claim
        self.sayings: list[tuple[StationId, TimeClaim, float]] = []
        self._end = end
        end.sessions._hooks = replace(end.sessions._hooks, clock=self)

    def tell(self) -> TimeClaim:
        return self.claim

    def heard(self, peer: StationId, claim: TimeClaim, round_trip_s: float) -> None:
        self._end._note(self.sayings, (peer, claim, round_trip_s))


async def test_each_hears_the_others_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keepalive, "FIRST_PING_S", 0.0)
    async with ends(tmp_path) as (a, b):
        ours = Clock(a, TimeClaim(1))
        theirs = Clock(b, TimeClaim(2, SourceTime(3, 4, 5, True)))
        await a.dial(b)
        await a.until(lambda: ours.sayings)
        await b.until(lambda: theirs.sayings)
        assert ours.sayings[0][:2] == (b.id, theirs.claim)
        assert theirs.sayings[0][:2] == (a.id, ours.claim)
        assert 0.0 < ours.sayings[0][2] < 5.0


async def test_a_side_that_says_nothing_of_the_time_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As stations of v0.2.0 do, in either direction."""
    monkeypatch.setattr(keepalive, "FIRST_PING_S", 0.0)
    async with ends(tmp_path) as (a, b):
        ours = Clock(a, TimeClaim(1))
        session = await a.dial(b)
        await a.until(lambda: b.opened)
        while session.rtt_s is None or b.opened[0].rtt_s is None:  # noqa: ASYNC110
            await asyncio.sleep(0.002)
        assert ours.sayings == []
