"""How a file becomes a blob: cut into chunks, each sealed where it is private, each checkable.

A chunk is 256 KiB as it travels, the last one less.  The manifest is the SHA-256 of each, one after
the other, and the blob's name, its root, is the hash of its size and its manifest.  So whoever
knows the root can check a chunk from anybody, one by one and in any order; 1 GiB has a manifest
of 128 KiB.  A blob of one chunk needs none: it is the hash of the chunk.

What is private is filled up with zeros to one of a few sizes (`padded_size`), cut, and each chunk
sealed with ChaCha20-Poly1305, since small boards have no AES instructions.  Each attachment has a
random key of its own; the nonce is the chunk's place and whether it is the last (STREAM, Hoang et
al. 2015), so that also somebody who could forge hashes could not reorder or cut off.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from appliance.model.attachment import CHUNK, MAX_BLOB, TAG, padded_size
from appliance.model.secret import Secret

DIGEST_SIZE: Final = 32
_ROOT_TAG: Final = b"fencewire/blob/1\0"


class ChunkError(Exception):
    """Bytes are not those that the root or the key stands for."""


def chunk_count(size: int) -> int:
    """Return how many chunks a blob of `size` bytes has, as it travels."""
    return -(-size // CHUNK)


def chunk_size(size: int, index: int) -> int:
    """Return the bytes of one chunk of a blob of `size` bytes."""
    return min(CHUNK, size - index * CHUNK)


def digest_of(chunk: bytes | bytearray | memoryview) -> bytes:
    """Return what stands in the manifest for a chunk."""
    return hashlib.sha256(chunk).digest()


def root_of(size: int, digests: bytes) -> bytes:
    """Return the name of a blob: 32 bytes."""
    return hashlib.sha256(_ROOT_TAG + size.to_bytes(8, "big") + digests).digest()


@dataclass(frozen=True)
class Manifest:
    """What lets a chunk be checked on its own."""

    size: int
    """Bytes of the blob as it travels."""

    digests: bytes
    """SHA-256 of each chunk, one after the other."""

    @classmethod
    def read(cls, root: bytes, size: int, digests: bytes) -> Manifest:
        """Check what somebody says to be the manifest of a blob; raises ChunkError."""
        if not 0 < size <= MAX_BLOB or len(digests) != DIGEST_SIZE * chunk_count(size):
            raise ChunkError("the manifest has a wrong size")
        if root_of(size, digests) != root:
            raise ChunkError("the manifest belongs to another blob")
        return cls(size, digests)

    @property
    def root(self) -> bytes:
        """The blob's name."""
        return root_of(self.size, self.digests)

    @property
    def count(self) -> int:
        """How many chunks there are."""
        return chunk_count(self.size)

    def fits(self, index: int, chunk: bytes | bytearray | memoryview) -> bool:
        """Tell whether these bytes are the chunk at a place."""
        expected = self.digests[index * DIGEST_SIZE : (index + 1) * DIGEST_SIZE]
        return len(chunk) == chunk_size(self.size, index) and digest_of(chunk) == expected


class Cutter:
    """How a file of `size` bytes is cut, and each piece made into a chunk and back."""

    def __init__(self, size: int, key: Secret | None) -> None:
        """`key`: 32 bytes that nothing else was ever sealed with; None: it is not sealed."""
        self._size = size
        self._cipher = ChaCha20Poly1305(key.value) if key is not None else None
        self._padded = padded_size(size) if key is not None else size
        self._piece = CHUNK - TAG if key is not None else CHUNK
        self.count = -(-self._padded // self._piece)
        """How many chunks there are."""

    @property
    def travelling(self) -> int:
        """Bytes of the blob."""
        return self._padded + (self.count * TAG if self._cipher is not None else 0)

    def plain_span(self, index: int) -> tuple[int, int]:
        """Return where in the file a chunk's bytes begin, and how many there are: maybe none."""
        begin = index * self._piece
        return begin, max(0, min(self._piece, self._size - begin))

    def index_at(self, offset: int) -> int:
        """Return which chunk holds a byte of the file."""
        return offset // self._piece

    def seal(self, index: int, plain: bytes) -> bytes:
        """Make a chunk of the file's bytes at a place."""
        if len(plain) != self.plain_span(index)[1]:
            raise ValueError("these are not the bytes of one chunk")
        if self._cipher is None:
            return plain
        filled = min(self._piece, self._padded - index * self._piece)
        return self._cipher.encrypt(self._nonce(index), plain.ljust(filled, b"\0"), None)

    def open(self, index: int, chunk: bytes) -> bytes:
        """Return the file's bytes in a chunk; raises ChunkError.

        What is not sealed is taken as it is: its place in the manifest is what proves it.
        """
        _, length = self.plain_span(index)
        if self._cipher is None:
            return chunk
        try:
            filled = self._cipher.decrypt(self._nonce(index), chunk, None)
        except (InvalidTag, ValueError):
            raise ChunkError("it was not sealed with this key, or not at this place") from None
        if len(filled) != min(self._piece, self._padded - index * self._piece):
            raise ChunkError("it is of another size than the author says")
        return filled[:length]

    def _nonce(self, index: int) -> bytes:
        last = index == self.count - 1
        return index.to_bytes(11, "big") + bytes([last])
