"""What all tests in villages need: a machine that lets its users make namespaces."""

import subprocess

import pytest


@pytest.fixture(scope="session")
def may_make_namespaces() -> None:
    """Skips where the machine does not let this user make namespaces."""
    tried = subprocess.run(
        ["unshare", "-Urnmp", "--fork", "true"], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        pytest.skip(f"this machine does not let us make namespaces: {tried.stderr.strip()}")
