"""The station's secret key in its file.

Made once, from the kernel's randomness.  A key that can't be read is never replaced: whoever has
this station's key is this station, and all who verified it would have to do so again.
"""

from __future__ import annotations

import hashlib
import os
import stat
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
        data = _read(path)
    except FileNotFoundError:
        return _make(path)
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
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as file:
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        if mode & 0o077:
            raise KeyFileError(
                f"The station key {path} can be read by others (mode {mode:04o}). "
                f"Nobody should have seen it: if that is so, run: chmod 600 {path}"
            )
        return file.read(_SIZE + 1)


def _make(path: Path) -> StationKey:
    key = StationKey.generate()
    secret = key.secret_bytes()
    temporary = path.with_suffix(".new")
    try:
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(_MAGIC + secret + _check(secret))
            file.flush()
            os.fsync(descriptor)
        # A link, unlike a rename, fails if another daemon has just made a key here.
        os.link(temporary, path)
        temporary.unlink()
        sync_directory(path.parent)
    except OSError as error:
        raise KeyFileError(
            f"No station key can be written to {path}: {error.strerror}. "
            "Make room on the disk, or choose another place with --state."
        ) from None
    return key


def sync_directory(path: Path) -> None:
    """Make sure that new names in a directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
