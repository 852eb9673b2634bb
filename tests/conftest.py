"""What holds for every test: guards against leaks, and a home of its own.

The guards are in `guards.py`; warnings are errors and each test has a time limit by the settings in
`pyproject.toml`.
"""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = ["guards"]

# A slow machine is not a bug, and a failure must be found again from what was printed.
settings.register_profile("fencewire", deadline=None, print_blob=True)
settings.load_profile("fencewire")

HOME = pytest.StashKey[Path]()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Keeps tests, and what they start, away from the operator's own station."""
    home = Path(tempfile.mkdtemp(prefix="fencewire-tests-"))
    session.stash[HOME] = home
    for kind in ("CACHE", "CONFIG", "DATA", "RUNTIME", "STATE"):
        name = "XDG_RUNTIME_DIR" if kind == "RUNTIME" else f"XDG_{kind}_HOME"
        directory = home / kind.lower()
        directory.mkdir(mode=0o700)
        os.environ[name] = str(directory)
    foreign = ("FENCEWIRE_", "STATE_DIRECTORY", "RUNTIME_DIRECTORY")
    for name in [name for name in os.environ if name.startswith(foreign)]:
        del os.environ[name]


def pytest_sessionfinish(session: pytest.Session) -> None:
    shutil.rmtree(session.stash[HOME])
