"""Which packets arrived, one by one: the Loss RLE block of RTCP XR (RFC 3611 section 4.1).

From it follow the loss rate and the length of bursts, and a packet that was only late is told from
a lost one by the next report.  Other blocks, and thinned ones, are stepped over.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

EXTENDED_REPORT: Final = 207
"""Packet type, RFC 3611 section 2."""

LOSS_RLE: Final = 1
"""Block type, RFC 3611 section 4.1."""

MAX_REPORTED: Final = 512
"""Packets that are read of one block, the newest; and told in one."""

MAX_BLOCKS: Final = 8
"""Blocks that are read of one packet."""

_BLOCK: Final = struct.Struct("!BBHIHH")
_VECTOR_BITS: Final = 15
_LONGEST_RUN: Final = (1 << 14) - 1


class XrError(ValueError):
    """The bytes are no extended report."""


@dataclass(frozen=True, slots=True)
class LossRle:
    """Which packets of a source arrived (RFC 3611 section 4.1)."""

    ssrc: int
    """The source that is reported on."""

    end: int
    """Sequence number behind the last one that is reported on, 16 bits."""

    arrived: tuple[bool, ...]
    """Of the packets before `end`, the oldest first; at most `MAX_REPORTED`."""

    def __bytes__(self) -> bytes:
        if len(self.arrived) > MAX_REPORTED:
            raise ValueError("too many packets in one report")
        chunks = b"".join(chunk.to_bytes(2, "big") for chunk in _chunks(self.arrived))
        chunks += bytes(-len(chunks) % 4)  # A null chunk fills up to 32 bits (section 4.1.3).
        begin = (self.end - len(self.arrived)) & 0xFFFF
        words = 2 + len(chunks) // 4
        return _BLOCK.pack(LOSS_RLE, 0, words, self.ssrc, begin, self.end) + chunks


def parse_loss(body: bytes) -> tuple[LossRle, ...]:
    """The loss blocks in an XR packet behind its first word; raises `XrError` and nothing else."""
    if len(body) < 4:
        raise XrError("no source")
    position, blocks, found = 4, 0, []
    while position < len(body):
        blocks += 1
        if blocks > MAX_BLOCKS or len(body) - position < 4:
            raise XrError("too many blocks or a cut-off one")
        kind, thinning, words = struct.unpack_from("!BBH", body, position)
        end = position + 4 + 4 * words
        if end > len(body):
            raise XrError("a block is cut off")
        if kind == LOSS_RLE and not thinning & 0x0F:
            found.append(_parse_block(body[position:end]))
        position = end
    return tuple(found)


def _chunks(arrived: tuple[bool, ...]) -> list[int]:
    """Runs where they are long, bit vectors elsewhere (sections 4.1.1 and 4.1.2)."""
    chunks = []
    position = 0
    while position < len(arrived):
        there = arrived[position]
        end = position
        while end < len(arrived) and arrived[end] == there:
            end += 1
        if end - position >= _VECTOR_BITS:
            chunks.append(int(there) << 14 | end - position)
            position = end
        else:
            part = arrived[position : position + _VECTOR_BITS]
            chunks.append(0x8000 | sum(1 << 14 - i for i, there in enumerate(part) if there))
            position += _VECTOR_BITS
    return chunks


def _parse_block(block: bytes) -> LossRle:
    if len(block) < _BLOCK.size:
        raise XrError("a loss block without its head")
    *_, ssrc, begin, end = _BLOCK.unpack_from(block)
    total = (end - begin) & 0xFFFF
    bits = count = 0
    for (chunk,) in struct.iter_unpack("!H", block[_BLOCK.size :]):
        if not chunk or count >= total:
            break
        if chunk & 0x8000:
            size, part = _VECTOR_BITS, chunk & 0x7FFF
        else:
            size = chunk & _LONGEST_RUN
            part = (1 << size) - 1 if chunk & 0x4000 else 0
        bits, count = bits << size | part, count + size
    if count < total:
        raise XrError("a loss block tells less than it says")
    bits >>= count - total
    newest = min(total, MAX_REPORTED)
    arrived = tuple(bool(bits >> index & 1) for index in reversed(range(newest)))
    return LossRle(ssrc, end, arrived)
