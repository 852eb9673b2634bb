"""The log of what a virtual machine writes to its disk: how QEMU keeps it, and how it is read.

The format is that of Linux' dm-log-writes (`drivers/md/dm-log-writes.c`), written by QEMU's
`blklogwrites`: a superblock, then entries of one sector, each followed by its data, all little
endian.  The superblock's count lags behind until the next flush, so entries are read up to the end
of the file.  What has been written is applied elsewhere; this only says what and where.

A place in a log is a number of bytes from its beginning.  QEMU completes a request towards the
machine only after its entry is in the file, so whatever the machine saw completed before a moment
lies below the size that the file has at that moment (`position_now`).

A log is of one start of a machine.  What QEMU appends to the log of one that was killed begins
after the last flush, so some of what is on the disk is then in no log.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final

DEVICE_OPTIONS: Final = "discard=off,write-zeroes=off,request-merging=off"
"""What the virtio-blk device in front of a logged disk needs.  With QEMU 7.2 two requests at once,
one of them to write zeroes, leave a log that can't be read; and a merged request can have one part
more, with the log's header, than the kernel takes, which the machine sees as an I/O error."""

_MAGIC: Final = 0x6A736677736872
_VERSION: Final = 1
_SUPERBLOCK: Final = struct.Struct("<QQQI")
_HEADER: Final = struct.Struct("<QQQQ")
_MIN_SECTOR: Final = 512
_MAX_SECTOR: Final = 1 << 23

_FLUSH: Final = 1 << 0
_FUA: Final = 1 << 1
_DISCARD: Final = 1 << 2
_MARK: Final = 1 << 3
_METADATA: Final = 1 << 4
_KNOWN: Final = _FLUSH | _FUA | _DISCARD | _MARK | _METADATA


class WriteLogError(Exception):
    """This is no log of writes to such a disk."""


@dataclass(frozen=True)
class Span:
    """A part of a disk."""

    start: int
    """Its first byte."""

    size: int
    """Bytes."""

    @property
    def end(self) -> int:
        """The first byte after it."""
        return self.start + self.size


@dataclass(frozen=True)
class Entry:
    """Something that the machine did to its disk."""

    position: int
    """Where the entry begins in the log."""

    end: int
    """Where the next one begins."""

    flush: bool
    """All that was written before is kept from here on, whatever happens."""

    fua: bool
    """What this entry writes is kept at once."""

    discard: bool
    """Nobody needs what is in `target` any more; there is no data."""

    target: Span
    """What is written; of no size for a flush alone."""

    data_position: int
    """Where the data begins in the log."""


def blockdev_arguments(*, log: Path, file_node: str, node: str) -> tuple[str, ...]:
    """Return QEMU's arguments for `node`, a disk like `file_node` with all its writes logged.

    The device in front of it needs DEVICE_OPTIONS.  Makes the file, or empties it.
    """
    log.write_bytes(b"")
    filename = str(log).replace(",", ",,")
    # Whatever the machine flushes is logged as flushed; the log itself need not survive the host.
    return (
        "-blockdev",
        f"driver=file,filename={filename},node-name={node}-log,cache.no-flush=on",
        "-blockdev",
        f"driver=blklogwrites,file={file_node},log={node}-log,node-name={node}",
    )


def position_now(log: Path) -> int:
    """Return the place in a log that all lies below that the machine has seen completed by now."""
    return log.stat().st_size


def read_entries(log: Path, *, disk_size: int) -> Iterator[Entry]:
    """Yield the entries in order, up to the first that is not whole.

    A machine that was killed leaves its last entries cut off, or missing while later ones are
    there.  Raises WriteLogError for anything else that can't be.
    """
    with log.open("rb") as file:
        log_size = os.fstat(file.fileno()).st_size
        sector_size = _sector_size(file)
        position = sector_size
        while position + sector_size <= log_size:
            file.seek(position)
            header = file.read(_HEADER.size)
            if not any(header):
                return
            entry = _entry(header, position, sector_size)
            if entry.target.end > disk_size:
                raise WriteLogError(f"{log}: the entry at {position} is not within the disk.")
            if entry.end > log_size:
                return
            yield entry
            position = entry.end


def entries_within(entries: Iterable[Entry], part: Span) -> Iterator[Entry]:
    """Yield what concerns a part of the disk, cut to it and counted from its start; all flushes."""
    for entry in entries:
        start = max(entry.target.start, part.start)
        size = max(min(entry.target.end, part.end) - start, 0)
        if size:
            skipped = start - entry.target.start
            yield replace(
                entry,
                target=Span(start - part.start, size),
                data_position=entry.data_position + skipped,
            )
        elif entry.flush:
            yield replace(entry, target=Span(0, 0))


def _sector_size(file: BinaryIO) -> int:
    superblock = file.read(_SUPERBLOCK.size)
    if len(superblock) < _SUPERBLOCK.size or not any(superblock):
        raise WriteLogError(f"{file.name}: the machine has flushed nothing yet.")
    magic, version, _, sector_size = _SUPERBLOCK.unpack(superblock)
    if magic != _MAGIC or version != _VERSION:
        raise WriteLogError(f"{file.name} is no log of writes, or one of another version.")
    if not _MIN_SECTOR <= sector_size <= _MAX_SECTOR or sector_size & (sector_size - 1):
        raise WriteLogError(f"{file.name}: sectors can't have {sector_size} bytes.")
    return int(sector_size)


def _entry(header: bytes, position: int, sector_size: int) -> Entry:
    sector, sectors, flags, _ = _HEADER.unpack(header)
    if flags & ~_KNOWN:
        raise WriteLogError(f"No entry begins at {position}: the flags are {flags:#x}.")
    if flags & _MARK:
        sectors = 0
    data_position = position + sector_size
    discard = bool(flags & _DISCARD)
    return Entry(
        position=position,
        end=data_position + (0 if discard else sectors * sector_size),
        flush=bool(flags & _FLUSH),
        fua=bool(flags & _FUA),
        discard=discard,
        target=Span(sector * sector_size, sectors * sector_size),
        data_position=data_position,
    )
