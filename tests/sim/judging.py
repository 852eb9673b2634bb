"""Simulations in processes of their own, one on each core.

The order of a set must not differ from run to run, and Python settles that once and for all when it
starts.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import TypeAlias

from sim.__main__ import simulate
from sim.scenario import Scenario
from sim.world import Outcome

Judged: TypeAlias = tuple[Outcome, float]
"""What came of a run, and the seconds that it took."""

Runs: TypeAlias = dict[Scenario, Future[Judged]]


def judged(scenario: Scenario) -> Judged:
    """Run one, in another process."""
    started = time.process_time()
    return simulate(scenario), time.process_time() - started


@contextmanager
def processes() -> Iterator[ProcessPoolExecutor]:
    """Start as many as there are cores; all of them hash alike."""
    before = os.environ.get("PYTHONHASHSEED")
    os.environ["PYTHONHASHSEED"] = "0"
    cores = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn")) as made:
        # All of them have to start with that seed.
        for started in [made.submit(time.sleep, 0.1) for _ in range(cores)]:
            started.result()
        if before is None:
            del os.environ["PYTHONHASHSEED"]
        else:
            os.environ["PYTHONHASHSEED"] = before
        try:
            yield made
        finally:
            made.shutdown(wait=True, cancel_futures=True)
