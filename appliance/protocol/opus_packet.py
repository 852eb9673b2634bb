"""What an Opus packet's first bytes tell without decoding it (RFC 6716 section 3)."""

from __future__ import annotations

from enum import StrEnum

CLOCK_HZ = 48_000
"""RTP clock of Opus, whatever the sound's bandwidth (RFC 7587 section 4.1)."""

MAX_SAMPLES = 5_760
"""A packet holds at most 120 ms (RFC 6716 section 3.2.5)."""

MAX_BYTES = 1_275 * 48
"""48 frames of the longest kind; a datagram ends long before it."""

DTX_BYTES = 2
"""A payload of at most this many bytes says 'silence' (RFC 6716 section 2.1.9)."""

_SILK = (480, 960, 1_920, 2_880)
_HYBRID = (480, 960)
_CELT = (120, 240, 480, 960)


class Bandwidth(StrEnum):
    """Audio bandwidths of RFC 6716 table 1 that we choose from."""

    NARROWBAND = "narrowband"
    """4 kHz, like a telephone."""

    WIDEBAND = "wideband"
    """8 kHz."""

    FULLBAND = "fullband"
    """20 kHz."""


class OpusPacketError(ValueError):
    """The bytes are no Opus packet."""


def packet_samples(payload: bytes) -> int:
    """Length of a packet in samples of 48 kHz; raises `OpusPacketError`."""
    if not payload:
        raise OpusPacketError("empty")
    toc = payload[0]
    config, code = toc >> 3, toc & 3
    if config < 12:
        samples = _SILK[config & 3]
    elif config < 16:
        samples = _HYBRID[config & 1]
    else:
        samples = _CELT[config & 3]
    if code == 3:
        if len(payload) < 2:
            raise OpusPacketError("frame count is missing")
        frames = payload[1] & 0x3F
    else:
        frames = 1 if code == 0 else 2
    if not 0 < frames * samples <= MAX_SAMPLES:
        raise OpusPacketError("not between 0 and 120 ms")
    return frames * samples


def has_fec(payload: bytes) -> bool:
    """Whether a packet tells about the sound before it (LBRR, RFC 6716 sections 4.2.3, 4.2.4).

    As ``opus_packet_has_lbrr`` of libopus 1.5: the flags stand at the beginning of its first frame,
    behind as many for voice activity as there are 20 ms in a frame.
    """
    toc = payload[0] if payload else 0xFF
    config, code = toc >> 3, toc & 3
    if config >= 16:
        return False  # CELT has none.
    start = _first_frame(payload, code)
    if start is None or start >= len(payload):
        return False
    spoken = max(1, _SILK[config & 3] // 960) if config < 12 else 1
    return bool(payload[start] >> (7 - spoken) & 1)


def _first_frame(payload: bytes, code: int) -> int | None:
    """Where it begins; None: the packet is cut off, or that frame is empty."""
    if code < 2:
        return 1
    position, sizes = 1, 1
    variable = True
    try:
        if code == 3:
            variable, sizes = payload[1] >= 0x80, (payload[1] & 0x3F) - 1
            padded = payload[1] & 0x40
            position = 2
            while padded:
                padded = payload[position] == 255
                position += 1
        empty = variable and sizes > 0 and payload[position] == 0
        for _ in range(sizes if variable else 0):
            position += 1 if payload[position] < 252 else 2
    except IndexError:
        return None
    return None if empty else position
