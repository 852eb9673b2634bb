"""The Python packages that tests need inside a machine, for its Python and its processor.

They come from the lock by their hashes, as the image's own do, and are kept in the cache. What has
no wheel is left out, so tests that need it are skipped inside.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from images.builder.app import PLATFORMS, PYTHON
from images.builder.bases import KINDS
from images.builder.work import cache_dir
from images.vm.errors import MachineError

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements-dev.lock"

WITHOUT_WHEELS = ("pesq",)
TIMEOUT_S = 900.0


def requirements(lock: str) -> str:
    """A lock without what has no wheels."""
    blocks = re.split(r"(?m)^(?=[A-Za-z0-9])", lock)
    return "".join(block for block in blocks if block.partition("==")[0] not in WITHOUT_WHEELS)


def prepare(kind: str) -> Path:
    """Return the directory with the packages for a kind of image, filled where it is not yet."""
    architecture = KINDS[kind].machine
    wanted = requirements(LOCK.read_text())
    key = hashlib.sha256(wanted.encode()).hexdigest()[:16]
    place = cache_dir("test-packages") / f"{architecture}-{PYTHON}-{key}"
    if place.is_dir():
        return place
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".unfinished-") as unfinished:
        lock = Path(unfinished) / "lock"
        lock.write_text(wanted)
        tree = Path(unfinished) / "tree"
        _install(lock, tree, architecture)
        tree.chmod(0o755)
        try:
            tree.rename(place)
        except OSError:  # somebody else was quicker
            shutil.rmtree(tree)
    return place


def _install(lock: Path, tree: Path, architecture: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet"]
    command += ["install", "--require-hashes", "--only-binary", ":all:", "--no-deps"]
    command += ["--target", str(tree), "--requirement", str(lock)]
    command += ["--python-version", PYTHON, "--implementation", "cp"]
    for platform in PLATFORMS:
        command += ["--platform", f"{platform}_{architecture}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired as problem:
        raise MachineError(f"the tests' packages did not come in {TIMEOUT_S:g} s") from problem
    if done.returncode:
        raise MachineError(f"the tests' packages cannot be had:\n{done.stderr.strip()}")
