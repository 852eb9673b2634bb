"""Bulk data by content hash, in files.

A blob's name is the SHA-256 of its bytes, so it can be fetched from anyone and checked by all.
What a blob is for is written down elsewhere.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path
from typing import IO, Final

MAX_BLOB: Final = 128 * 1024 * 1024
"""Bytes of one blob."""

MAX_TOTAL: Final = 256 * 1024 * 1024
"""Bytes of all blobs; more are refused, none is dropped."""

MIN_FREE: Final = 64 * 1024 * 1024
"""Bytes of the disk that are left to messages."""


class BlobError(Exception):
    """A blob was refused; `code` is for programs."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class Upload:
    """A blob on its way in.  Nothing of it counts before `finish`."""

    def __init__(self, store: Blobs, digest: str) -> None:
        self._store = store
        self._digest = digest
        self._hash = hashlib.sha256()
        self._size = 0
        try:
            descriptor, self._name = tempfile.mkstemp(dir=store.incoming)
        except OSError as error:
            raise BlobError("disk-full", f"the blob can't be written: {error.strerror}") from None
        self._file: IO[bytes] = os.fdopen(descriptor, "wb")

    def write(self, data: bytes) -> None:
        """Add bytes; raises BlobError when there are too many."""
        if self._size + len(data) > MAX_BLOB:
            raise BlobError("too-large", f"a blob has at most {MAX_BLOB} bytes")
        self._store.reserve(len(data))
        self._size += len(data)
        self._hash.update(data)
        try:
            self._file.write(data)
        except OSError as error:
            raise BlobError("disk-full", f"the blob can't be written: {error.strerror}") from None

    def finish(self) -> None:
        """Check the hash and keep the blob; on disk when this returns."""
        if self._hash.hexdigest() != self._digest:
            raise BlobError("wrong-hash", "the bytes do not have the hash that they came under")
        if self._store.has(self._digest):
            # Somebody else was faster; `close` gives back the room that this one took.
            return
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            Path(self._name).replace(self._store.path(self._digest))
            self._size = 0
            directory = os.open(self._store.root, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise BlobError("disk-full", f"the blob can't be written: {error.strerror}") from None

    def close(self) -> None:
        """Drop what was not finished."""
        with contextlib.suppress(OSError):  # what a full disk did not take is dropped anyway
            self._file.close()
        Path(self._name).unlink(missing_ok=True)
        self._store.release(self._size)


class Blobs:
    """The blobs of this station."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.incoming = root / "incoming"
        self.incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
        for leftover in self.incoming.iterdir():
            leftover.unlink()
        self._total = sum(file.stat().st_size for file in root.iterdir() if file.is_file())

    def path(self, digest: str) -> Path:
        """Return where the blob is, or would be; `digest` is 64 hex digits."""
        if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
            raise BlobError("bad-name", "a blob is named by 64 hex digits")
        return self.root / digest

    def has(self, digest: str) -> bool:
        """Tell whether the blob is here, whole."""
        return self.path(digest).is_file()

    def begin(self, digest: str) -> Upload:
        """Begin to take a blob."""
        self.path(digest)
        return Upload(self, digest)

    def reserve(self, size: int) -> None:
        """Count `size` more bytes; raises BlobError when there is no room for them."""
        status = os.statvfs(self.root)
        if self._total + size > MAX_TOTAL or status.f_bavail * status.f_frsize < MIN_FREE:
            raise BlobError("disk-full", "there is no room for more bulk data")
        self._total += size

    def release(self, size: int) -> None:
        """Give back what was reserved for a blob that did not come to be."""
        self._total -= size
