"""What the crash tests need of others: the seats of a village, and the means to make one."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent.parent / "village"))


@pytest.fixture(scope="session")
def may_make_namespaces() -> None:
    """Skips where the machine does not let this user make namespaces."""
    tried = subprocess.run(
        ["unshare", "-Urnmp", "--fork", "true"], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        pytest.skip(f"this machine does not let us make namespaces: {tried.stderr.strip()}")
