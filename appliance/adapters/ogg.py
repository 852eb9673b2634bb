"""Ogg pages (RFC 3533): written, and read from files that anybody may have made.

A page that is damaged or cut off is left out, and reading goes on at the next one.  What packets
mean stays out.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

MAGIC = b"OggS"
"""Begins each page (section 6)."""

MAX_PAGE_BYTES = 27 + 255 + 255 * 255
"""The longest page."""

MAX_BAD = 64
"""Places at which a file may not be what it should; then the rest is left out.  Bounds the work."""

_HEADER = struct.Struct("<4sBBqIIIB")
_CHECKSUM_AT = 22
_CONTINUED, _FIRST, _LAST = 1, 2, 4
_READ_BYTES = 65_536
_MIRRORED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


@dataclass(frozen=True, slots=True)
class Page:
    """One page."""

    serial: int
    """Of the logical stream that it belongs to."""

    sequence: int
    """Counts the pages of its stream."""

    granule: int
    """Position at the end of the last packet that ends here, for Opus in samples; -1: none does."""

    lacing: bytes
    """Lengths of the segments; one below 255 ends a packet."""

    body: bytes
    """All segments."""

    continued: bool = False
    """It begins in the middle of a packet."""

    first: bool = False
    """It begins its stream."""

    last: bool = False
    """It ends its stream."""

    def __bytes__(self) -> bytes:
        flags = _CONTINUED * self.continued | _FIRST * self.first | _LAST * self.last
        header = _HEADER.pack(
            MAGIC, 0, flags, self.granule, self.serial, self.sequence, 0, len(self.lacing)
        )
        page = header + self.lacing + self.body
        summed = struct.pack("<I", checksum(page))
        return page[:_CHECKSUM_AT] + summed + page[_CHECKSUM_AT + 4 :]

    @property
    def size(self) -> int:
        """Bytes that it takes in a file."""
        return _HEADER.size + len(self.lacing) + len(self.body)


def checksum(data: bytes) -> int:
    """CRC-32 of section 6: the well-known one with all bits the other way round and no inversion.

    So zlib's can be used, which is a thousand times faster than a loop here.
    """
    mirrored = zlib.crc32(data.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(mirrored.to_bytes(4, "little").translate(_MIRRORED), "big")


def lacing_of(packet: bytes) -> bytes:
    """Lengths of the segments of a whole packet."""
    return b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255])


def parse_page(data: bytes) -> Page | None:
    """The page at the beginning of ``data``; None: there is no whole and sound one."""
    if len(data) < _HEADER.size or data[:4] != MAGIC:
        return None
    _, version, flags, granule, serial, sequence, summed, segments = _HEADER.unpack_from(data)
    lacing = data[_HEADER.size : _HEADER.size + segments]
    size = _HEADER.size + segments + sum(lacing)
    if version != 0 or len(lacing) < segments or len(data) < size:
        return None
    if checksum(data[:_CHECKSUM_AT] + bytes(4) + data[_CHECKSUM_AT + 4 : size]) != summed:
        return None
    return Page(
        serial=serial,
        sequence=sequence,
        granule=granule,
        lacing=lacing,
        body=data[_HEADER.size + segments : size],
        continued=bool(flags & _CONTINUED),
        first=bool(flags & _FIRST),
        last=bool(flags & _LAST),
    )


def read_pages(file: BinaryIO, *, limit_bytes: int) -> Iterator[Page]:
    """All sound pages in the first ``limit_bytes``; raises OSError and nothing else."""
    held, left, bad, ended = bytearray(), limit_bytes, 0, False
    while bad <= MAX_BAD:
        while len(held) < MAX_PAGE_BYTES and not ended:
            data = file.read(min(left, _READ_BYTES))
            left -= len(data)
            ended = not data
            held += data
        page = parse_page(bytes(held[:MAX_PAGE_BYTES]))
        if page is not None:
            del held[: page.size]
            yield page
            continue
        if ended and not held:
            return
        bad += 1
        following = held.find(MAGIC, 1)
        # The magic may be cut by what has been read so far.
        del held[: following if following > 0 else max(1, len(held) - 3)]


def find_last_page(data: bytes, serial: int) -> tuple[int, Page] | None:
    """The last sound page of a stream on which a packet ends, and where in ``data`` it begins."""
    at = len(data)
    for _ in range(MAX_BAD):
        at = data.rfind(MAGIC, 0, at)
        if at < 0:
            return None
        page = parse_page(data[at : at + MAX_PAGE_BYTES])
        if page is not None and page.serial == serial and page.granule >= 0:
            return at, page
    return None
