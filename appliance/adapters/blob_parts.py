"""A blob of which only some chunks are on disk, and how blobs touch the disk at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Final

from appliance.model.attachment import CHUNK
from appliance.protocol.chunks import DIGEST_SIZE, ChunkError, Manifest, chunk_count, chunk_size

MIN_FREE: Final = 64 * 1024 * 1024
"""Bytes of the disk that are left to messages."""

SYNC_EVERY: Final = 16
"""Chunks, 4 MiB, after which they are written through.  A message's commit has to wait for what of
ours lies before it in the disk's queue, and a card writes 10 MB/s."""


class BlobError(Exception):
    """A blob can't be had, or kept: a sentence for the operator, and a code for programs."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def disk_error(error: OSError) -> BlobError:
    """Say that the disk refused."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return BlobError("disk-full", "There is no room for more attachments.")
    return BlobError("disk-failed", f"The disk can't be written: {error.strerror}.")


def write_all(number: int, data: bytes | bytearray, offset: int, *, sync: bool = False) -> None:
    """Write all of it at an offset; raises BlobError.  `sync`: now and then through to the disk."""
    try:
        with memoryview(data) as view:
            done = 0
            while done < len(view):
                done += os.pwrite(number, view[done:], offset + done)
        if sync and (offset // CHUNK) % SYNC_EVERY == SYNC_EVERY - 1:
            os.fdatasync(number)
    except OSError as error:
        raise disk_error(error) from None


def read_exactly(source: BinaryIO, length: int) -> bytes:
    """Read so many bytes of a file of the operator's; raises BlobError."""
    pieces = bytearray()
    try:
        while len(pieces) < length:
            piece = source.read(length - len(pieces))
            if not piece:
                raise BlobError("source", "The file became shorter while it was read.")
            pieces += piece
    except OSError as error:
        raise BlobError("source", f"The file can't be read: {error.strerror}.") from None
    return bytes(pieces)


def sync_directory(directory: Path) -> None:
    """Make names last; raises OSError."""
    number = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)


class Part:
    """Some chunks of a blob.  `Blobs` makes, keeps and drops it."""

    def __init__(self, path: Path, number: int, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest
        self.root, self.size = manifest.root, manifest.size
        self.missing = set(range(manifest.count))
        """Places of the chunks that are not here yet."""

        self._number = number
        self._lock = Lock()
        """So that nobody writes to a number that is somebody else's file by then."""
        self._written = 0

    @classmethod
    def begin(cls, path: Path, manifest: Manifest) -> Part:
        """Make a file of holes with the manifest at its end; raises BlobError."""
        try:
            number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise disk_error(error) from None
        try:
            write_all(number, manifest.digests, manifest.size)
        except BlobError:
            os.close(number)
            raise
        return cls(path, number, manifest)

    @classmethod
    def resume(cls, path: Path, root: bytes, size: int) -> Part:
        """Open what was begun; raises ChunkError when its manifest was lost, or BlobError."""
        try:
            number = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise disk_error(error) from None
        try:
            digests = os.pread(number, DIGEST_SIZE * chunk_count(size), size)
            return cls(path, number, Manifest.read(root, size, digests))
        except OSError as error:
            os.close(number)
            raise disk_error(error) from None
        except ChunkError:
            os.close(number)
            raise

    @property
    def missing_bytes(self) -> int:
        """How many bytes are still to come."""
        return min(self.size, len(self.missing) * CHUNK)

    def look(self) -> None:
        """Find out by its hashes what is here."""
        with self._lock:
            for index in sorted(self.missing):
                if self._number < 0:
                    return
                try:
                    if self._is_hole(index):
                        continue
                    chunk = os.pread(self._number, chunk_size(self.size, index), index * CHUNK)
                except OSError:
                    continue  # A sector that can't be read is fetched again.
                if self.manifest.fits(index, chunk):
                    self.missing.discard(index)

    def _is_hole(self, index: int) -> bool:
        """Tell whether nothing was ever written there: looking through a gigabyte takes long."""
        begin = index * CHUNK
        return os.lseek(self._number, begin, os.SEEK_DATA) >= begin + chunk_size(self.size, index)

    def write(self, index: int, chunk: bytes | bytearray) -> bool:
        """Keep a chunk; False: somebody has lied, it is not the right one.

        Raises BlobError; after ``disk-failed`` nothing of the part counts.
        """
        if not self.manifest.fits(index, chunk):
            return False
        status = os.statvfs(self.path.parent)
        if status.f_bavail * status.f_frsize < MIN_FREE:
            raise BlobError("disk-full", "There is no room for more attachments.")
        with self._lock:
            if self._number < 0:
                raise BlobError("closed", "This blob is not wanted any more.")
            if index in self.missing:
                write_all(self._number, chunk, index * CHUNK)
                self._written += 1
                self.missing.discard(index)
                if self._written % SYNC_EVERY == 0:
                    self._write_through()
        return True

    def _write_through(self) -> None:
        try:
            os.fdatasync(self._number)
        except OSError as error:
            # Which chunks the disk did not take is not known, and the cache may still show them.
            self.missing = set(range(self.manifest.count))
            raise BlobError("disk-failed", f"The disk can't be written: {error}.") from None

    def sync(self) -> bool:
        """Write all of it through; False: it was closed, or is not whole.  Raises OSError."""
        with self._lock:
            if self._number < 0 or self.missing:
                return False
            os.fsync(self._number)
            return True

    def close(self) -> None:
        """Touch the file no more."""
        with self._lock:
            if self._number >= 0:
                os.close(self._number)
                self._number = -1
