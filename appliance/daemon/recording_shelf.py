"""Where recordings lie until they are attached: files in the state directory, bounded.

A file's name holds all that has to be known of it: its id, and how long the station had been
awake, since no clock is trusted.  Whatever a crash leaves is made whole again at the next start.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.adapters.oggopus import OggOpusError, Summary, examine

log = logging.getLogger(__name__)

KEEP_S: Final = 24 * 3600.0
"""Being awake for this long, the station throws a recording away that was not attached."""

MAX_RECORDINGS: Final = 32
"""More are refused; none is dropped for another."""

MAX_TOTAL_BYTES: Final = 16 * 1024 * 1024
"""Of all recordings; likewise."""

MIN_FREE_BYTES: Final = 64 * 1024 * 1024
"""Of the disk, which are left to messages."""

_NAME: Final = re.compile(r"([0-9a-f]{16})-([0-9]{1,12})\.opus")


class ShelfError(Exception):
    """There is no room; `code` is for programs, the text and `fix` for the operator."""

    def __init__(self, code: str, text: str, fix: str) -> None:
        super().__init__(text)
        self.code = code
        self.fix = fix


@dataclass(frozen=True)
class Kept:
    """A recording that is complete."""

    id: str
    """16 hexadecimal digits."""

    path: Path
    """The file: Opus in Ogg, on the disk."""

    made_s: int
    """How long the station had been awake."""

    duration_ms: int
    """More than 0."""

    bytes: int
    """Size of the file."""


class Shelf:
    """The recordings in a folder.  Most methods may wait for the disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.kept: dict[str, Kept] = {}
        """Complete ones by id, oldest first."""

    def load(self, awake_s: float) -> None:
        """Find what is there, whole or not; raises OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = [
            (int(named[2]), named[1], path)
            for path in self._folder.iterdir()
            if (named := _NAME.fullmatch(path.name)) is not None
        ]
        for made_s, recording, path in sorted(found):
            made = made_s
            if made_s > awake_s:  # The time awake was lost with the store; count from now.
                made = int(awake_s)
                path = path.rename(self._path(recording, made))
            self._keep(recording, path, made)
        self.prune(awake_s)

    def new(self, awake_s: float) -> tuple[str, Path]:
        """An id and the file to record to; raises `ShelfError`."""
        used = sum(kept.bytes for kept in tuple(self.kept.values()))
        if len(self.kept) >= MAX_RECORDINGS or used >= MAX_TOTAL_BYTES:
            raise ShelfError(
                "too-many-recordings",
                "There are too many recordings that were not sent.",
                "Send or delete some of them.",
            )
        disk = os.statvfs(self._folder)
        if disk.f_bavail * disk.f_frsize < MIN_FREE_BYTES:
            raise ShelfError(
                "disk-full",
                "The disk is too full for recordings; the rest is left to messages.",
                "Make room on the disk.",
            )
        recording = os.urandom(8).hex()
        return recording, self._path(recording, int(awake_s))

    def complete(self, recording: str, path: Path) -> Kept | None:
        """It has been recorded; None: nothing is in it, so it is not kept."""
        named = _NAME.fullmatch(path.name)
        kept = self._keep(recording, path, int(named[2]) if named is not None else 0)
        with contextlib.suppress(OSError):
            self._sync()
        return kept

    def remove(self, recording: str) -> None:
        """Throw one away."""
        kept = self.kept.pop(recording, None)
        if kept is not None:
            _unlink(kept.path)

    def prune(self, awake_s: float, spare: frozenset[str] = frozenset()) -> list[Kept]:
        """Throw away what is too old, but not those in ``spare``; returns what it was."""
        old = [
            kept
            for kept in tuple(self.kept.values())
            if awake_s - kept.made_s >= KEEP_S and kept.id not in spare
        ]
        for kept in old:
            self.remove(kept.id)
        return old

    def _path(self, recording: str, made_s: int) -> Path:
        return self._folder / f"{recording}-{made_s}.opus"

    def _keep(self, recording: str, path: Path, made_s: int) -> Kept | None:
        try:
            with path.open("r+b") as file:
                found = examine(file)
                if found.duration_ms and found.whole_bytes < path.stat().st_size:
                    file.truncate(found.whole_bytes)
        except OggOpusError:
            found = Summary(0, 0)
        except OSError as error:  # The disk may answer at the next start.
            log.warning("a recording can't be read: %s", error.strerror)
            return None
        if found.duration_ms == 0:
            _unlink(path)
            return None
        kept = Kept(recording, path, made_s, found.duration_ms, found.whole_bytes)
        self.kept[recording] = kept
        return kept

    def _sync(self) -> None:
        """The file's name is to be on the disk as well."""
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("a recording can't be deleted: %s", error.strerror)
