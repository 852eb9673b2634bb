"""Blobs on disk: attachments of our own, those that were fetched, and those on their way here.

A blob that is whole is one file, ``ROOT.blob``: its chunks and behind them its manifest
(`protocol.chunks`).  One that is not is ``ROOT.part``, just so long but with holes.  Nothing is
written down of which chunks are there: when a part is taken up again, after a break or a crash,
what is on the disk is hashed, so no order of writes and no fault of a card can make it lie.  A file
gets its last name when all of it has been synced.

All methods block; they may be called from any thread.  What a blob is for, and who needs it, is
written down elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import BinaryIO, Final

from appliance.adapters.blob_parts import (
    MIN_FREE,
    BlobError,
    Part,
    disk_error,
    read_exactly,
    sync_directory,
    write_all,
)
from appliance.model.attachment import CHUNK, KEY_SIZE, MAX_BLOB, Attachment, travelling_size
from appliance.model.secret import Secret
from appliance.protocol.chunks import (
    DIGEST_SIZE,
    ChunkError,
    Cutter,
    Manifest,
    chunk_count,
    chunk_size,
    digest_of,
    root_of,
)

MAX_BLOBS: Final = 16 * 1024
"""Files; each takes a block and an entry in our tables, however small it is."""

_WHOLE, _PART, _NEW = ".blob", ".part", ".new"


@dataclass(frozen=True)
class BlobLimits:
    """What the operator grants, in bytes."""

    each: int = 128 << 20
    """Of one file, before it is sealed."""

    total: int = 1 << 30
    """Of all; more are refused, none is dropped."""

    def __post_init__(self) -> None:
        if not 0 < self.each <= MAX_BLOB:
            raise ValueError(f"one attachment may have 1 to {MAX_BLOB} bytes")


@dataclass(frozen=True)
class Added:
    """A file of ours that is a blob now."""

    root: bytes
    """Its name."""

    size: int
    """Bytes of the file."""

    key: bytes | None
    """With which it is sealed."""


class Blobs:
    """The blobs of this station."""

    def __init__(self, directory: Path, limits: BlobLimits | None = None) -> None:
        self.directory = directory
        self.limits = limits or BlobLimits()
        self._lock = RLock()
        self._whole: dict[bytes, int] = {}
        self._parts: dict[bytes, int] = {}
        """Sizes as they travel, by root."""
        self._open: dict[bytes, Part] = {}
        self._adding = 0
        """Bytes that are being added."""
        self._fresh: set[bytes] = set()
        """What was added and is not known to be used yet."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file in directory.iterdir():
            self._find(file)
        for root in self._whole.keys() & self._parts.keys():
            self._forget_part(root)

    def _find(self, file: Path) -> None:
        """Take up what an earlier run left; what is no blob is from a write that was cut off."""
        if file.is_dir() and not file.is_symlink():
            shutil.rmtree(file, ignore_errors=True)  # where an earlier version kept uploads
            return
        try:
            root = bytes.fromhex(file.stem)
        except ValueError:
            root = b""
        length = file.lstat().st_size
        size = length - DIGEST_SIZE * -(-length // (CHUNK + DIGEST_SIZE))
        table = {_WHOLE: self._whole, _PART: self._parts}.get(file.suffix)
        if table is None or file.name != root.hex() + file.suffix or size <= 0:
            file.unlink()
            return
        table[root] = size

    # -- What there is

    @property
    def total(self) -> int:
        """Bytes that all of it takes, or will take when the parts are whole."""
        with self._lock:
            return sum(self._whole.values()) + sum(self._parts.values()) + self._adding

    def has(self, root: bytes) -> bool:
        """Tell whether a blob is here, whole."""
        return root in self._whole

    def size(self, root: bytes) -> int | None:
        """Return the bytes of a blob that is here, whole, as it travels."""
        return self._whole.get(root)

    def is_fresh(self, root: bytes) -> bool:
        """Tell whether a blob was added and is not known to be used yet."""
        return root in self._fresh

    def roots(self) -> set[bytes]:
        """Return what is here, whole or in part."""
        with self._lock:
            return {*self._whole, *self._parts}

    def _path(self, root: bytes, suffix: str) -> Path:
        return self.directory / (root.hex() + suffix)

    # -- Adding our own

    def add(self, source: BinaryIO, size: int, *, sealed: bool) -> Added:
        """Make a blob of a file that can be read from here to its end; on disk when this returns.

        `sealed`: with a new key.  Raises BlobError; then nothing of it is left.
        """
        if size <= 0:
            raise BlobError("empty", "An empty file can't be attached.")
        if size > self.limits.each:
            raise self._too_large()
        key = Secret(os.urandom(KEY_SIZE)) if sealed else None
        cutter = Cutter(size, key)
        self._reserve(cutter.travelling)
        try:
            root = self._write_new(source, cutter)
        finally:
            with self._lock:
                self._adding -= cutter.travelling
        return Added(root, size, key.value if key is not None else None)

    def _too_large(self) -> BlobError:
        limit = self.limits.each >> 20
        return BlobError("too-large", f"An attachment may have at most {limit} MiB here.")

    def _reserve(self, size: int, *, root: bytes | None = None) -> None:
        """Count bytes that are about to be written: of a part, or of something new."""
        with self._lock:
            if size > travelling_size(self.limits.each, sealed=True):
                raise self._too_large()
            if len(self._whole) + len(self._parts) >= MAX_BLOBS:
                raise BlobError("too-many", f"There are {MAX_BLOBS} attachments here already.")
            status = os.statvfs(self.directory)
            promised = sum(part.missing_bytes for part in self._open.values()) + self._adding
            free = status.f_bavail * status.f_frsize - promised
            if self.total + size > self.limits.total or free - size < MIN_FREE:
                raise BlobError("disk-full", "There is no room for more attachments.")
            if root is None:
                self._adding += size
            else:
                self._parts[root] = size

    def _write_new(self, source: BinaryIO, cutter: Cutter) -> bytes:
        try:
            number, name = tempfile.mkstemp(dir=self.directory, suffix=_NEW)
        except OSError as error:
            raise disk_error(error) from None
        try:
            digests = bytearray()
            for index in range(cutter.count):
                plain = read_exactly(source, cutter.plain_span(index)[1])
                chunk = cutter.seal(index, plain)
                write_all(number, chunk, index * CHUNK, sync=True)
                digests += digest_of(chunk)
            write_all(number, bytes(digests), cutter.travelling)
            root = root_of(cutter.travelling, bytes(digests))
            known = self.has(root)
            try:
                os.fsync(number)
                self._keep(Path(name), root, cutter.travelling, fresh=True)
            except OSError as error:
                if not known:
                    self.delete(root)
                raise disk_error(error) from None
        finally:
            os.close(number)
            Path(name).unlink(missing_ok=True)
        return root

    def _keep(self, file: Path, root: bytes, size: int, *, fresh: bool) -> None:
        """Give a file that is whole and synced its last name."""
        with self._lock:
            file.replace(self._path(root, _WHOLE))
            self._whole[root] = size
            if fresh:
                self._fresh.add(root)
            self._forget_part(root)
        sync_directory(self.directory)

    # -- Fetching

    def resume(self, root: bytes, size: int) -> Part | None:
        """Take up a part that was begun; None: there is none.  Hashes all that is there.

        Raises BlobError.
        """
        with self._lock:
            if root in self._open:
                return self._open[root]
            if self._parts.get(root) != size:
                return None
            try:
                part = Part.resume(self._path(root, _PART), root, size)
            except ChunkError:
                self.delete(root)
                return None
            self._open[root] = part
        part.look()
        return part

    def begin(self, manifest: Manifest) -> Part:
        """Begin to fetch a blob whose manifest is known; raises BlobError."""
        root = manifest.root
        with self._lock:
            known = self.resume(root, manifest.size)
            if known is not None:
                return known
            self._reserve(manifest.size, root=root)
            try:
                part = Part.begin(self._path(root, _PART), manifest)
            except BlobError:
                self.delete(root)
                raise
            self._open[root] = part
            return part

    def finish(self, part: Part) -> None:
        """Keep a part that is whole; on disk when this returns.  Raises BlobError."""
        try:
            if part.sync():
                self._keep(part.path, part.root, part.size, fresh=False)
        except OSError as error:
            # What the disk failed to take may look well until it is read again: begin anew.
            self.delete(part.root)
            raise disk_error(error) from None

    def leave(self, part: Part) -> None:
        """Stop fetching for now; what is there stays."""
        with self._lock:
            part.close()
            if self._open.get(part.root) is part:
                del self._open[part.root]

    def _forget_part(self, root: bytes) -> None:
        self._parts.pop(root, None)
        part = self._open.pop(root, None)
        if part is not None:
            part.close()
        self._path(root, _PART).unlink(missing_ok=True)

    # -- Reading

    def read(self, root: bytes, start: int, length: int) -> bytes | None:
        """Return some of a blob as it travels, for whoever checks it; None: it is not here."""
        try:
            number = os.open(self._path(root, _WHOLE), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            return os.pread(number, length, start)
        except OSError:
            return None
        finally:
            os.close(number)

    def manifest(self, root: bytes) -> bytes | None:
        """Return the digests of a blob that is here."""
        size = self._whole.get(root)
        if size is None:
            return None
        return self.read(root, size, DIGEST_SIZE * chunk_count(size))

    def plain(self, attachment: Attachment, start: int = 0) -> Iterator[bytes]:
        """Read an attachment from a byte on, in pieces, each proved; raises BlobError.

        What the disk has damaged becomes a part again, of which the rest can be fetched anew.
        """
        root, size = attachment.root, attachment.blob.size
        if self._whole.get(root) != size:
            raise BlobError("missing", "This attachment is not here yet.")
        secret = Secret(attachment.key) if attachment.key is not None else None
        cutter = Cutter(attachment.size, secret)
        try:
            manifest = Manifest.read(root, size, self.manifest(root) or b"")
        except ChunkError:
            raise self._damaged(root) from None
        for index in range(cutter.index_at(start), cutter.count):
            begin, length = cutter.plain_span(index)
            if not length:
                return
            chunk = self.read(root, index * CHUNK, chunk_size(size, index))
            if chunk is None or not manifest.fits(index, chunk):
                raise self._damaged(root)
            try:
                yield cutter.open(index, chunk)[max(0, start - begin) :]
            except ChunkError:
                raise BlobError("wrong-key", "This attachment can't be opened.") from None

    def _damaged(self, root: bytes) -> BlobError:
        with self._lock, contextlib.suppress(OSError):
            if root in self._whole:
                self._path(root, _WHOLE).replace(self._path(root, _PART))
                self._parts[root] = self._whole.pop(root)
        return BlobError("damaged", "The disk has damaged this attachment; it is fetched anew.")

    # -- Dropping

    def delete(self, root: bytes) -> None:
        """Drop a blob, whole or in part."""
        with self._lock:
            self._forget_part(root)
            self._fresh.discard(root)
            if self._whole.pop(root, None) is not None:
                self._path(root, _WHOLE).unlink(missing_ok=True)

    def collect(self, before: Collection[bytes], used: Collection[bytes]) -> int:
        """Drop what nobody uses, and return how much.

        `before` is what `roots` said before `used` was looked up, so that nothing counts as unused
        which came meanwhile.  What was added since the start, and not used so far, stays: its
        message is being written.  What a crash left between the two goes at the next start.
        """
        dropped = 0
        with self._lock:
            self._fresh -= set(used)
        for root in set(before) - set(used):
            with self._lock:  # for each anew: removing large files takes long on a card
                if root not in self._fresh and root not in self._open:
                    self.delete(root)
                    dropped += 1
        return dropped
