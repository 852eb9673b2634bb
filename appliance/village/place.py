"""Where villages keep their things on disk, and whether one is up there.

A village's directory holds `lock` (locked for as long as the keeper lives), `control` (its socket),
`keeper.log` and `stations/NAME/`. Nothing is deleted from a directory that is not a village's.
"""

import fcntl
import os
import re
import shutil
import stat
import time
from pathlib import Path

from appliance.village.errors import VillageError
from appliance.village.protocol import CONTROL, LOCK, request
from appliance.village.station import paths_of
from appliance.village.topology import Topology

DEFAULT_NAME = "default"
"""The village that is meant when none is named."""

MAX_SOCKET_PATH_BYTES = 107
"""sun_path of unix(7), less its zero."""

DYING_TIMEOUT_S = 5.0
"""How long the kernel may take to end all processes of a village whose keeper was killed."""

_POLL_S = 0.01


def base_directory() -> Path:
    """The directory of all villages of this user."""
    if given := os.environ.get("FENCEWIRE_VILLAGE"):
        return Path(given).absolute()
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(runtime, "fencewire-village")
    return Path(f"/tmp/fencewire-village-{os.getuid()}")  # noqa: S108 - mode and owner are checked


def village_directory(name: str) -> Path:
    """The directory of the village called `name`."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,30}", name):
        raise VillageError(
            f"{name!r} cannot be a village's name. Use letters, digits, '-' and '_', at most 31."
        )
    return base_directory() / name


def claim(directory: Path, topology: Topology) -> int:
    """Make a directory ready for a new village; a descriptor of its locked lock file.

    What a dead village left there is removed. `VillageError` where one is up.
    """
    longest = paths_of(directory, topology.stations[-1]).api
    if len(os.fsencode(longest)) > MAX_SOCKET_PATH_BYTES:
        raise VillageError(
            f"The path {directory} is too long for sockets inside it. Set FENCEWIRE_VILLAGE to a "
            "shorter one."
        )
    _make_private(directory.parent if directory.parent == base_directory() else directory)
    _make_private(directory)
    if not (directory / LOCK).exists() and any(directory.iterdir()):
        raise VillageError(f"{directory} has files that are not a village's. Name another place.")
    lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not _lock(directory, lock):
        os.close(lock)
        which = "" if directory.name == DEFAULT_NAME else f" --name {directory.name}"
        raise VillageError(
            f"A village is up in {directory} already. "
            f"Look at it with: fencewire village status{which}. "
            f"End it with: fencewire village down{which}"
        )
    _empty(directory)
    return lock


def _lock(directory: Path, lock: int) -> bool:
    """Lock the file of a village that is gone, or is just going; false where one lives."""
    deadline = time.monotonic() + DYING_TIMEOUT_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline or _lives(directory):
                return False
            time.sleep(_POLL_S)
        else:
            return True


def _lives(directory: Path) -> bool:
    """Whether a keeper answers; connecting says little, since a dying one may still listen."""
    try:
        request(directory, {"do": "status"}, timeout_s=DYING_TIMEOUT_S)
    except VillageError:
        return False
    return True


def remove(directory: Path) -> None:
    """Delete the directory of a village that is down."""
    _empty(directory)
    (directory / LOCK).unlink(missing_ok=True)
    directory.rmdir()


def wait_until_gone(directory: Path) -> None:
    """Return when the keeper, and with it every process of the village, has ended."""
    try:
        lock = os.open(directory / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
    finally:
        os.close(lock)


def _empty(directory: Path) -> None:
    shutil.rmtree(directory / "stations", ignore_errors=True)
    for name in (CONTROL, "keeper.log"):
        (directory / name).unlink(missing_ok=True)


def _make_private(directory: Path) -> None:
    """Make a directory that only we can use, or make sure that it is one."""
    try:
        directory.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        found = directory.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise VillageError(f"{directory} is not a directory of yours.") from None
        if found.st_mode & 0o077:
            raise VillageError(
                f"{directory} is open to other users. Close it with: chmod 700 {directory}"
            ) from None
