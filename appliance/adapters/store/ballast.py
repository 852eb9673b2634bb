"""A file that only takes room, to be thrown overboard when the disk is full.

What is in the store's log can't be copied into the database when that can't grow, and then nothing
can be removed either, since that is written to the log first.  With the room of this file it can.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

BALLAST_BYTES: Final = 8_000_000
"""As much as the log usually holds, twice."""

FULL_BYTES: Final = 1_000_000
"""Less free is a full disk."""

AMPLE_BYTES: Final = 4 * BALLAST_BYTES
"""So much is free when room is kept."""


class Ballast:
    """The file."""

    def __init__(self, directory: Path) -> None:
        """It is beside the store in `directory`; one that is there from before counts."""
        self._path = directory / "ballast"

    @property
    def taken(self) -> bool:
        """Whether it is there."""
        return self._path.exists()

    def look(self) -> None:
        """Take the room where there is more than enough, and give it back when the disk is full."""
        try:
            disk = os.statvfs(self._path.parent)
            free = disk.f_bavail * disk.f_frsize
            if self.taken and free < FULL_BYTES:
                self._path.unlink()
                log.warning("the disk is full; room that was kept for this is given to the store")
            elif not self.taken and free >= AMPLE_BYTES:
                self._take()
        except OSError as error:
            log.warning("no room can be kept for a full disk: %s", error)

    def _take(self) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, BALLAST_BYTES)
        except OSError:
            self._path.unlink()
            raise
        finally:
            os.close(descriptor)
