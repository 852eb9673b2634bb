"""What holds for every test: guards against leaks, and a home of its own.

The guards are in `guards.py`; warnings are errors and each test has a time limit by the settings in
`pyproject.toml`.
"""

import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

from images.builder.work import cache_dir

pytest_plugins = ["guards", "undisturbed"]

# A slow machine is not a bug, and a failure must be found again from what was printed.
settings.register_profile("fencewire", deadline=None, print_blob=True)
settings.load_profile("fencewire")

HOME = pytest.StashKey[Path]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--image",
        choices=("pc", "pi"),
        help="boot this image in virtual machines; it is built first where it is not there",
    )


def pytest_sessionstart(session: pytest.Session) -> None:
    """Keeps tests, and what they start, away from the operator's own station."""
    # A run in the background begins with this signal ignored, and so would programs that it ends.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Images take minutes to build, so their cache is the operator's own.
    wants_image = session.config.getoption("--image")
    images = str(cache_dir("images").parent) if wants_image else None
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
    if images is not None:
        os.environ["FENCEWIRE_CACHE"] = images


def pytest_sessionfinish(session: pytest.Session) -> None:
    shutil.rmtree(session.stash[HOME])
