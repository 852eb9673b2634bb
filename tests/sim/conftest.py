"""The simulations of all seeds run from the first test on, while others are at work here."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest

from sim.judging import Runs, judged, processes


@pytest.fixture(scope="session")
def pool() -> Iterator[ProcessPoolExecutor]:
    with processes() as made:
        yield made


@pytest.fixture(scope="session")
def runs(pool: ProcessPoolExecutor, request: pytest.FixtureRequest) -> Runs:
    """All runs that are asked for, so that no core has to wait."""
    asked = (getattr(item, "callspec", None) for item in request.session.items)
    scenarios = [spec.params["scenario"] for spec in asked if spec and "scenario" in spec.params]
    return {scenario: pool.submit(judged, scenario) for scenario in scenarios}


@pytest.fixture(scope="session", autouse=True)
def begun(request: pytest.FixtureRequest) -> None:
    """Begin them, if there are any: tests that are before them take one core only."""
    if any("runs" in getattr(item, "fixturenames", ()) for item in request.session.items):
        request.getfixturevalue("runs")
