"""What tests in villages need: a machine that lets its users make namespaces, and stations."""

import subprocess
from collections.abc import AsyncIterator

import pytest
from seats import Seat, pair


@pytest.fixture(scope="session")
def may_make_namespaces() -> None:
    """Skips where the machine does not let this user make namespaces."""
    tried = subprocess.run(
        ["unshare", "-Urnmp", "--fork", "true"], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        pytest.skip(f"this machine does not let us make namespaces: {tried.stderr.strip()}")


@pytest.fixture
async def two(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Seat, Seat]]:
    """Two fresh stations on a cable, each met by the other."""
    async with pair(tmp_path_factory.mktemp("v")) as seats:
        yield seats
