"""Machines that were started from an image, for all tests of one run; what was measured is printed.

Everything here boots under emulation on most machines that build, so times mean little by
themselves. They are printed to compare one run with another, never tested.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from booted import Booted, line_of_three
from figures import Figures

from images.vm import Kind

ROOT = Path(__file__).resolve().parent.parent.parent

FIGURES = pytest.StashKey[list[tuple[str, str]]]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--image") is None:
        unasked = pytest.mark.skip(reason="images are booted with --image pc or --image pi")
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(unasked)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    rows = config.stash.get(FIGURES, [])
    if rows:
        terminalreporter.section("measured")
    for what, value in rows:
        terminalreporter.write_line(f"{what:<58} {value}")


@pytest.fixture(scope="session")
def figures(pytestconfig: pytest.Config) -> Figures:
    return Figures(pytestconfig.stash.setdefault(FIGURES, []))


@pytest.fixture(scope="session")
def kind(pytestconfig: pytest.Config) -> Kind:
    """Which image."""
    return "pc" if pytestconfig.getoption("--image") == "pc" else "pi"


@pytest.fixture(scope="session")
def image(kind: Kind) -> Path:
    """The image, built where it is not there yet."""
    built = subprocess.run(
        [sys.executable, "-m", "images.builder", kind],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return Path(built.stdout.splitlines()[-1])


@pytest.fixture(scope="session")
def three(image: Path, kind: Kind) -> Iterator[tuple[Booted, Booted, Booted]]:
    """Three machines in a line that nobody touched: they boot and are one mesh."""
    with line_of_three(image, kind) as machines:
        yield machines


@pytest.fixture(scope="session")
def two(three: tuple[Booted, Booted, Booted]) -> tuple[Booted, Booted]:
    """Those on the first cable."""
    return three[0], three[1]


@pytest.fixture
def undisturbed(three: tuple[Booted, Booted, Booted]) -> Iterator[tuple[Booted, Booted]]:
    """Two of them while the third stands still: three are too many for real time here."""
    a, b, c = three
    c.machine.qmp.execute("stop")
    yield a, b
    c.machine.qmp.execute("cont")
