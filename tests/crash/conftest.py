"""What the crash tests share: chance, the seats of a village, and the means to make one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent.parent / "village"))


@pytest.fixture
def seed() -> int:
    """Decides what happens.  With CRASH_SEED it happens again, as far as time does not decide."""
    given = os.environ.get("CRASH_SEED")
    seed = int(given) if given else int.from_bytes(os.urandom(4), "big")
    print(f"CRASH_SEED={seed}")
    return seed


@pytest.fixture(scope="session")
def may_make_namespaces() -> None:
    """Skips where the machine does not let this user make namespaces."""
    tried = subprocess.run(
        ["unshare", "-Urnmp", "--fork", "true"], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        pytest.skip(f"this machine does not let us make namespaces: {tried.stderr.strip()}")
