"""The daemon's clocks when the machine sleeps, and what others say about the time."""

from __future__ import annotations

import asyncio
import time

import pytest

from appliance.adapters import time_sources
from appliance.daemon import timekeeper
from appliance.daemon.timekeeper import Timekeeper
from appliance.model.identity import StationKey
from appliance.model.record import Certainty
from appliance.node.clock import LamportClock
from appliance.protocol.time_claim import SourceTime, TimeClaim

PEER = StationKey.from_bytes(b"p" * 32).id


class Machine:
    """A machine whose sleep and clocks a test decides."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.awake = 1000.0
        self.slept = 0.0
        self.wall = 1_800_000_000.0
        monkeypatch.setattr(timekeeper, "machine_clock", lambda: None)
        monkeypatch.setattr(timekeeper, "_even", lambda: self.awake + self.slept)
        monkeypatch.setattr(time, "monotonic", lambda: self.awake)
        monkeypatch.setattr(time, "time", lambda: self.wall)

    def claim(self, off_s: float) -> TimeClaim:
        ms = int((self.wall + off_s) * 1000)
        return TimeClaim(ms, SourceTime(ms, 0, 0, True))


def test_sleep_is_no_time_awake_and_passes_on_the_wall(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    told: list[str] = []
    kept = Timekeeper(awake_before_s=50.0)
    kept.changed = lambda: told.append(kept.source)
    assert (kept.source, kept.moment().sure, kept.off_s(PEER)) == ("clock not set", False, None)
    kept.heard(PEER, machine.claim(3600.0), 0.01)
    assert told == ["clock from GPS, 1 station away"]
    before = kept.moment()
    assert (before.sure, before.agreed) == (True, True)
    stamp = LamportClock(b"one boot").stamp(before, uptime_s=1.0)
    assert (stamp.certainty, stamp.wall_ms) == (Certainty.PEERS, before.wall_ms)
    machine.slept += 5000.0
    machine.awake += 1.0
    after = kept.moment()
    assert after.awake_s - before.awake_s == pytest.approx(1.0)
    assert after.wall_ms - before.wall_ms == pytest.approx(5_001_000, abs=2)
    # What was asked before the sleep was answered before it, whenever the answer is read.
    kept.heard(PEER, machine.claim(0.0), 1.5)
    assert kept.off_s(PEER) is None
    machine.awake += 10.0
    kept.heard(PEER, machine.claim(0.0), 0.5)
    assert kept.off_s(PEER) is not None


def test_a_call_began_when_the_agreed_clock_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    kept = Timekeeper(awake_before_s=0.0)
    machine.awake += 60.0
    machine.wall += 60.0
    assert kept.wall_ms_at(1000.0) == pytest.approx(1_800_000_000_000, abs=2)


async def test_the_machine_is_asked_for_its_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    fix = time_sources.Fix(machine.wall + 100.0, 1.0)
    kept = Timekeeper(awake_before_s=0.0)
    kept._looked(None, fix)
    assert kept.source == "clock from GPS"
    assert kept.moment().wall_ms == pytest.approx(1_800_000_100_000, abs=2)
    assert kept.tell().source is not None
    kept._looked(0.5, None)
    assert kept.source == "clock from NTP; ours was ahead and waits"
    machine.awake += 200.0
    machine.wall += 200.0
    kept._looked(0.5, None)
    assert kept.source == "clock from NTP"


async def test_a_source_that_keeps_an_impossible_time_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A router that has lost its own clock serves the year 1970 by NTP."""
    machine = Machine(monkeypatch)
    right, machine.wall = machine.wall, 5000.0
    monkeypatch.setattr(timekeeper, "machine_clock", lambda: 0.5)
    asked = asyncio.Event()

    async def gpsd() -> time_sources.Fix:
        asked.set()
        return time_sources.Fix(right, 1.0)

    monkeypatch.setattr(timekeeper, "satellite_time", gpsd)
    kept = Timekeeper(awake_before_s=0.0)
    assert (kept.source, kept.moment().sure) == ("clock not set", False)
    assert kept.tell().source is None
    looking = asyncio.create_task(kept.keep_looking())
    await asyncio.wait_for(asked.wait(), 5.0)
    looking.cancel()
    assert kept.source == "clock from GPS"
    assert kept.moment().wall_ms == pytest.approx(right * 1000, abs=2)
