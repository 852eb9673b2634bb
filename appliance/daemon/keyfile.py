"""The station's secret key in its file.

Made once, from the kernel's randomness.  A key that can't be read is never replaced: whoever has
this station's key is this station, and all who verified it would have to do so again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
from pathlib import Path
from typing import Final

from appliance.model.identity import StationKey

FILE_NAME: Final = "station.key"
_MAGIC: Final = b"fencewire station key 1\n"
_CHECK_SIZE: Final = 8
_SIZE: Final = len(_MAGIC) + 32 + _CHECK_SIZE


class KeyFileError(Exception):
    """The key can't be read or made; the message says why and what to do."""


def load_or_make(state_dir: Path) -> StationKey:
    """Return the station's key; makes it at the first start.  Raises KeyFileError."""
    path = state_dir / FILE_NAME
    try:
        try:
            data = _read(path)
        except FileNotFoundError:
            _make(path)
            # What lies there counts: another daemon may have made one in the same moment.
            data = _read(path)
    except OSError as error:
        raise KeyFileError(
            f"The station key {path} can't be read: {error.strerror}. "
            "Start Fencewire as the user who owns it, or give that user the right to read it."
        ) from None
    secret, check = data[len(_MAGIC) : -_CHECK_SIZE], data[-_CHECK_SIZE:]
    if len(data) != _SIZE or not data.startswith(_MAGIC) or _check(secret) != check:
        raise KeyFileError(
            f"The station key {path} is damaged. Put a backup of it back. Without one this board "
            f"can only become a new station: move {path} away and start again."
        )
    return StationKey.from_bytes(secret)


def _check(secret: bytes) -> bytes:
    return hashlib.sha256(b"fencewire/key-file\0" + secret).digest()[:_CHECK_SIZE]


def _read(path: Path) -> bytes:
    # Not to wait for a writer, if somebody has put a pipe here.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        mode = stat.S_IMODE(status.st_mode)
        if not stat.S_ISREG(status.st_mode):
            raise KeyFileError(f"{path} should be the station key, but is no file. Move it away.")
        if mode & 0o077:
            raise KeyFileError(
                f"The station key {path} can be read by others (mode {mode:04o}). "
                f"Nobody should have seen it: if that is so, run: chmod 600 {path}"
            )
        return os.read(descriptor, _SIZE + 1)
    finally:
        os.close(descriptor)


def _make(path: Path) -> None:
    """Put a new key where there is none; leaves what somebody else has put there meanwhile."""
    secret = StationKey.generate().secret_bytes()
    try:
        # A name of its own: two daemons that start at once must not write to one file.
        descriptor, name = tempfile.mkstemp(prefix=f"{path.stem}.", suffix=".new", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_MAGIC + secret + _check(secret))
                file.flush()
                os.fsync(descriptor)
            # A link, unlike a rename, fails if another daemon has just made a key here.
            with contextlib.suppress(FileExistsError):
                os.link(temporary, path)
        finally:
            temporary.unlink()
        sync_directory(path.parent)
    except OSError as error:
        raise KeyFileError(
            f"No station key can be written to {path}: {error.strerror}. "
            "Make room on the disk, or choose another place with --state."
        ) from None


def sync_directory(path: Path) -> None:
    """Make sure that new names in a directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
