"""What every step of a build does: says what it does, runs commands, keeps what it made.

Everything in the cache is written under a temporary name and renamed when it is whole, so what was
interrupted is never used.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

EPOCH = 1_793_491_200
"""2026-11-01 in Unix seconds: every file's time, so that two builds give the same bytes."""

GENERATIONS = 3
"""How many results of each kind the cache keeps."""

LOG_TAIL_LINES = 15
"""How much of a failed command's output is shown."""


class BuildError(Exception):
    """The image cannot be built; the text says why and what to do."""


def say(text: str) -> None:
    sys.stderr.write(f"fencewire: {text}\n")


@contextmanager
def step(text: str) -> Iterator[None]:
    """A line of progress when it begins, and its seconds when it ends well."""
    say(f"{text} …")
    begun = time.monotonic()
    yield
    say(f"{text}: {time.monotonic() - begun:.1f} s")


def run(
    argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> str:
    """Output of a command that must succeed; its errors are shown when it does not."""
    done = subprocess.run(
        argv,
        env={**os.environ, "LC_ALL": "C.UTF-8", "SOURCE_DATE_EPOCH": str(EPOCH), **(env or {})},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        lines = (done.stdout + done.stderr).splitlines()[-LOG_TAIL_LINES:]
        raise BuildError("\n    ".join([f"{argv[0]} failed ({done.returncode}):", *lines]))
    return done.stdout


def cache_dir(name: str) -> Path:
    """A directory of the cache, made if it is not there."""
    base = os.environ.get("FENCEWIRE_CACHE")
    if not base:
        home_cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        base = str(Path(home_cache) / "fencewire")
    path = Path(base).resolve() / name
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def only_builder(name: str) -> Iterator[None]:
    """Only one process at a time makes what has this name: another one waits."""
    with (cache_dir("locks") / name).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"Waiting for another build of {name}.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def scratch() -> Iterator[Path]:
    """A directory in the cache that is gone afterwards."""
    path = Path(tempfile.mkdtemp(prefix="build-", dir=cache_dir("scratch")))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path)


@contextmanager
def making(final: Path) -> Iterator[Path]:
    """A new directory that gets its name `final` only if everything went well."""
    with scratch() as path:
        fresh = path / "fresh"
        fresh.mkdir()
        yield fresh
        final.parent.mkdir(parents=True, exist_ok=True)
        if final.exists():
            shutil.rmtree(final)
        fresh.rename(final)
    forget_old(final)


def forget_old(newest: Path) -> None:
    """Removes all but the newest results whose names begin alike, up to the last dash."""
    stem = newest.name.rpartition("-")[0]
    kin = [path for path in newest.parent.iterdir() if path.name.rpartition("-")[0] == stem]
    kin.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in kin[GENERATIONS:]:
        shutil.rmtree(path)


def digest(*parts: object) -> str:
    """Sixteen hexadecimal digits that stand for all of the parts."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
