"""Simulated stations in a bad network: fixed seeds, and fresh ones that are printed.

`scripts/sim` runs one alone.
"""

from __future__ import annotations

import secrets
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Final

import pytest

from sim.__main__ import report
from sim.judging import Judged, Runs, judged
from sim.scenario import Scenario
from sim.world import Outcome

pytestmark = pytest.mark.timeout(280)

SMALL: Final = 200
"""Seeds at 5 to 12 stations."""

SMALL_MINUTES: Final = 2.0

CROWD: Final = 300
"""Stations of the large ones."""

CROWDS: Final = (2, 3, 24)
"""Seeds with so many stations, 30 % loss and partitions: wrong clocks and slow links whose sessions
break, full disks, and stations that are lost for good."""

CROWD_MINUTES: Final = 0.5

FRESH: Final = 6

OUT_OF_GROUP: Final = "without somebody who is out of the group"

# The longest first, so that no core is left with them in the end.
SCENARIOS: Final = (
    *(Scenario.of(seed, CROWD, CROWD_MINUTES) for seed in CROWDS),
    Scenario.of(1, 60, 1.0),
    *(Scenario.of(seed, 5 + seed % 8, SMALL_MINUTES) for seed in range(1, 1 + SMALL)),
)


def check(run: Future[Judged]) -> Outcome:
    """Say what came of a run; fails the test if that is not as it must be."""
    outcome, took_s = run.result()
    said = report(outcome, took_s)
    print(said)
    if outcome.faults:
        pytest.fail(said, pytrace=False)
    return outcome


@pytest.mark.parametrize(
    "scenario", SCENARIOS, ids=lambda scenario: f"{scenario.stations}-stations-{scenario.seed}"
)
def test_all_arrives_and_all_agree(runs: Runs, scenario: Scenario) -> None:
    check(runs[scenario])


def test_all_that_can_go_wrong_has(runs: Runs) -> None:
    if runs.keys() != {*SCENARIOS}:
        pytest.skip("only some of the simulations were asked for")
    outcomes = [run.result()[0] for run in runs.values()]
    for what in ("messages", "deliveries", "deaths", "restored", OUT_OF_GROUP):
        seen = sum(outcome.figures[what] > 0 for outcome in outcomes)
        print(f"{what}: in {seen} of {len(outcomes)} simulations")
        assert seen >= len(outcomes) / 10, what


def test_fresh_seeds(pool: ProcessPoolExecutor, capsys: pytest.CaptureFixture[str]) -> None:
    seeds = [secrets.randbelow(1 << 32) for _ in range(FRESH)]
    with capsys.disabled():
        print(f"\nfresh seeds: {' '.join(map(str, seeds))}")
    fresh = [Scenario.of(seed, 5 + seed % 8, SMALL_MINUTES) for seed in seeds]
    for run in [pool.submit(judged, scenario) for scenario in fresh]:
        check(run)


def test_one_seed_is_one_run(pool: ProcessPoolExecutor) -> None:
    scenario = Scenario.of(2, 6, 1.0)
    first, second = (check(pool.submit(judged, scenario)) for _ in range(2))
    assert first.fingerprint == second.fingerprint
