"""Simulated stations in a bad network: fixed seeds, and fresh ones that are printed.

The runs are in processes of their own, since the order of a set must not differ from run to run,
and Python settles that once and for all when it starts.  `scripts/sim` runs one alone.
"""

from __future__ import annotations

import multiprocessing
import os
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest

from sim.__main__ import report, simulate
from sim.scenario import Scenario
from sim.world import Outcome

SMALL = range(1, 31)
"""Seeds at 5 to 12 stations."""

FRESH = 3
MINUTES = 2.0


def judged(scenario: Scenario) -> tuple[Outcome, float]:
    """Run one, in another process."""
    started = time.process_time()
    return simulate(scenario), time.process_time() - started


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    before = os.environ.get("PYTHONHASHSEED")
    os.environ["PYTHONHASHSEED"] = "0"
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as made:
        made.submit(int).result()
        if before is None:
            del os.environ["PYTHONHASHSEED"]
        else:
            os.environ["PYTHONHASHSEED"] = before
        yield made


def run(pool: ProcessPoolExecutor, scenario: Scenario) -> Outcome:
    """Run one and say what came of it; fails the test if that is not as it must be."""
    outcome, took_s = pool.submit(judged, scenario).result()
    said = report(outcome, took_s)
    print(said)
    if outcome.faults:
        pytest.fail(said, pytrace=False)
    return outcome


@pytest.mark.parametrize("seed", SMALL)
def test_a_few_stations(pool: ProcessPoolExecutor, seed: int) -> None:
    run(pool, Scenario.of(seed, 5 + seed % 8, MINUTES))


def test_sixty_stations(pool: ProcessPoolExecutor) -> None:
    run(pool, Scenario.of(1, 60, 1.0))


@pytest.mark.parametrize("_", range(FRESH))
def test_fresh_seeds(pool: ProcessPoolExecutor, _: int) -> None:
    seed = secrets.randbelow(1 << 32)
    run(pool, Scenario.of(seed, 5 + seed % 8, MINUTES))


def test_one_seed_is_one_run(pool: ProcessPoolExecutor) -> None:
    scenario = Scenario.of(2, 6, 1.0)
    assert run(pool, scenario).fingerprint == run(pool, scenario).fingerprint
