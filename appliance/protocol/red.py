"""Redundant audio: one packet carries older ones again (RFC 2198), so that a loss costs nothing.

When to send how many copies (`adaptation`), and in which order they are played (`jitter`), stay
out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MAX_OFFSET: Final = (1 << 14) - 1
"""Samples that a copy can be older than its packet (RFC 2198 section 3): 341 ms at 48 kHz."""

MAX_LENGTH: Final = (1 << 10) - 1
"""Bytes of a copy (RFC 2198 section 3)."""

MAX_COPIES: Final = 4
"""Copies in a packet that are packed and read; a packet with more is refused (ours)."""

COPY_HEADER_BYTES: Final = 4
"""Before each copy (RFC 2198 section 3)."""

PRIMARY_HEADER_BYTES: Final = 1
"""Before the packet's own sound (RFC 2198 section 3)."""

_MORE: Final = 0x80


class RedError(ValueError):
    """The bytes are no redundant payload."""


@dataclass(frozen=True, slots=True)
class Block:
    """Sound of one moment (RFC 2198 section 3)."""

    payload_type: int
    """What it is encoded as, 0 to 127."""

    timestamp_offset: int
    """Samples of the RTP clock (48 kHz) by which it is older than the packet; 0: the packet's own.

    14 bits: `MAX_OFFSET`.
    """

    payload: bytes
    """As it would be in a packet of its own; a copy has at most `MAX_LENGTH` bytes."""


def parse_red(payload: bytes) -> tuple[Block, tuple[Block, ...]]:
    """The packet's own sound and the copies of older sound, in the order in which they come.

    Raises `RedError` and nothing else.  Copies without bytes, and copies that would be as young as
    the packet itself, say nothing and are left out.
    """
    heads: list[tuple[int, int, int]] = []
    position = 0
    while True:
        if position >= len(payload):
            raise RedError("no header of the packet's own sound")
        first = payload[position]
        if not first & _MORE:
            break
        if len(heads) == MAX_COPIES:
            raise RedError("too many copies")
        head = payload[position : position + COPY_HEADER_BYTES]
        if len(head) < COPY_HEADER_BYTES:
            raise RedError("header is cut off")
        word = int.from_bytes(head[1:], "big")
        heads.append((first & 0x7F, word >> 10, word & MAX_LENGTH))
        position += COPY_HEADER_BYTES
    position += PRIMARY_HEADER_BYTES
    copies = []
    for kind, offset, length in heads:
        if position + length > len(payload):
            raise RedError("a copy is cut off")
        if length and offset:
            copies.append(Block(kind, offset, payload[position : position + length]))
        position += length
    return Block(first, 0, payload[position:]), tuple(copies)


def pack_red(primary: Block, copies: Sequence[Block]) -> bytes:
    """The payload of a redundant packet; raises `ValueError` on what does not fit the format."""
    if len(copies) > MAX_COPIES:
        raise ValueError("too many copies")
    heads, bodies = [], []
    for block in copies:
        if not 0 < block.timestamp_offset <= MAX_OFFSET or len(block.payload) > MAX_LENGTH:
            raise ValueError("a copy is too old or too long")
        word = block.timestamp_offset << 10 | len(block.payload)
        heads.append(bytes((_MORE | _kind(block),)) + word.to_bytes(3, "big"))
        bodies.append(block.payload)
    return b"".join((*heads, bytes((_kind(primary),)), *bodies, primary.payload))


def copies_of(
    history: Sequence[tuple[int, bytes]],
    distances: Sequence[int],
    *,
    timestamp: int,
    payload_type: int,
    room: int,
) -> list[Block]:
    """The copies that a packet carries, the oldest first (RFC 2198 section 4).

    ``history``: RTP time stamp and sound of the packets before, the newest last; no bytes: silence.
    ``distances``: by how many packets older, near ones first.  ``timestamp``: the packet's own.
    ``room``: bytes for all of them; what does not fit is left out.
    """
    blocks: list[Block] = []
    for distance in distances:
        if distance > len(history):
            continue
        begun, sound = history[-distance]
        offset = (timestamp - begun) & 0xFFFFFFFF
        room -= len(sound)
        fits = len(sound) <= MAX_LENGTH and room >= 0
        if sound and fits and 0 < offset <= MAX_OFFSET:
            blocks.insert(0, Block(payload_type, offset, sound))
    return blocks


def _kind(block: Block) -> int:
    if not 0 <= block.payload_type < _MORE:
        raise ValueError("a payload type has 7 bits")
    return block.payload_type
