"""What an Opus packet's first bytes tell without decoding it (RFC 6716 section 3)."""

from __future__ import annotations

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
