"""Places where files are: the home directory, what is plugged in, and what stands in a directory.

Everything here may wait for a slow card, so it is called beside the screen.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MAX_ENTRIES: Final = 2_000
"""Of one directory; whoever has more types the path."""

MAX_NAME_BYTES: Final = 200
"""Of a file that is saved, so that a number still fits behind it."""

_NOT_IN_NAMES: Final = frozenset('/\\:*?"<>|')
"""What a card for cameras or Windows can't have in a name."""

_MOUNTED: Final = ("/media", "/run/media", "/mnt")


@dataclass(frozen=True)
class Spot:
    """A directory or a file."""

    path: Path
    """Where it is."""

    is_dir: bool
    """It holds others."""

    bytes: int
    """Size of a file; 0 where that is not known."""


def places(home: Path, mounts: str) -> list[Spot]:
    """Return where to begin: the home directory and what is mounted; `mounts`: /proc/mounts."""
    found = [home]
    for line in mounts.splitlines():
        fields = line.split(" ")
        point = fields[1].replace("\\040", " ") if len(fields) > 1 else ""
        if point.startswith(tuple(f"{one}/" for one in _MOUNTED)) or point == "/mnt":
            found.append(Path(point))
    return [Spot(path, is_dir=True, bytes=0) for path in dict.fromkeys(found)]


def start() -> list[Spot]:
    """Return where to begin on this machine."""
    try:
        mounts = Path("/proc/self/mounts").read_text(errors="replace")
    except OSError:
        mounts = ""
    return places(Path.home(), mounts)


def listing(directory: Path, *, hidden: bool = False) -> list[Spot]:
    """Return what stands in a directory, directories first.  Raises OSError."""
    found: list[Spot] = []
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.startswith(".") and not hidden:
                continue
            spot = _spot(entry)
            if spot is not None:
                found.append(spot)
            if len(found) >= MAX_ENTRIES:
                break
    return sorted(found, key=lambda one: (not one.is_dir, one.path.name.casefold()))


def _spot(entry: os.DirEntry[str]) -> Spot | None:
    """Return a directory or a file; None for what has no end, such as a pipe or a device."""
    try:
        is_dir = entry.is_dir()
        if not is_dir and not entry.is_file():
            return None
        size = 0 if is_dir else entry.stat().st_size
    except OSError:
        is_dir, size = False, 0
    return Spot(Path(entry.path), is_dir, size)


def safe_name(name: str) -> str:
    """Return the name under which a file of others is saved: it stays where it is put."""
    kept = "".join(
        char if char.isprintable() and char not in _NOT_IN_NAMES else "_" for char in name
    )
    kept = kept.strip(". ") or "file"
    stem, dot, ending = kept.rpartition(".")
    if not stem or len(ending) > 10:
        stem, dot, ending = kept, "", ""
    while len(f"{stem}{dot}{ending}".encode()) > MAX_NAME_BYTES:
        stem = stem[:-1]
    return f"{stem}{dot}{ending}"


def numbered(name: str, count: int) -> str:
    """Return another name for the same file: ``map (2).png``."""
    if count < 2:
        return name
    stem, dot, ending = name.rpartition(".")
    return f"{stem} ({count}).{ending}" if stem and dot else f"{name} ({count})"
