"""The jitter buffer, given what it was given in real calls between real stations in trouble."""

from __future__ import annotations

from statistics import fmean

import pytest
from jitter_world import Run, simulate
from recorded_arrivals import DIRECTORY, STEP_MS, Recorded

from appliance.protocol.playing import FRAME_S

CALM_S = 15.0
"""Behind each recording all is well for so long."""

GROWING = 12
"""20 ms that may be made up, besides what was lost, while the delay that is needed is learned."""

GIVEN_UP = {"busy": 0.01, "fading": 0.06, "lossy": 0.01, "route": 0.0, "transfer": 0.01}
"""Of what came, the share that is not played: too late to be worth the wait.  The fading link
and the busy processor stand still for up to half a second."""


@pytest.fixture(scope="module", params=sorted(GIVEN_UP))
def played(request: pytest.FixtureRequest) -> tuple[Recorded, Run]:
    """A recording, and what was heard of it."""
    recorded = Recorded(request.param)
    return recorded, simulate(recorded.beats + int(CALM_S / FRAME_S), recorded)


def test_every_recording_is_replayed() -> None:
    assert {path.stem for path in DIRECTORY.glob("*.txt")} == set(GIVEN_UP)


def test_what_came_is_played_and_little_else_is_made_up(played: tuple[Recorded, Run]) -> None:
    recorded, run = played
    came = recorded.needs_s
    lengths = {line.begins_ms // STEP_MS: line.length_ms // STEP_MS for line in recorded.lines}
    heard = {
        number + step for number in run.played for step in range(lengths.get(number, 1))
    } & came.keys()
    given_up = len(came) - len(heard)
    assert given_up <= GIVEN_UP[recorded.name] * len(came)
    never_there = max(came) + 1 - len(came)
    assert run.lost <= never_there + given_up + GROWING
    if recorded.name not in {"busy", "fading"}:
        assert run.buffer.figures.dropped == 0, "nothing stood still for long"


def test_the_delay_is_about_the_one_that_98_of_100_need(played: tuple[Recorded, Run]) -> None:
    recorded, run = played
    needs = sorted(recorded.needs_s.values())
    delays = [
        delay_s - FRAME_S
        for number, delay_s in zip(run.played, run.delays_s, strict=True)
        if number in recorded.needs_s
    ]
    assert fmean(delays) < needs[int(0.98 * len(needs))] + 0.030


def test_the_delay_does_not_stay_when_the_trouble_is_over(played: tuple[Recorded, Run]) -> None:
    _, run = played
    assert max(run.delays_s[-50:]) - FRAME_S < 0.045
    assert run.buffer.target_s < 0.025
