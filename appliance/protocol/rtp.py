"""RTP packets, and what a receiver counts about them (RFC 3550 sections 5.1, 6.4.1, A.1, A.3, A.8).

Encryption (`appliance.adapters.srtp`), reports (`rtcp`) and the order of playing (`jitter`) stay
out.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass

VERSION = 2
"""RFC 3550 section 5.1."""

HEADER_BYTES = 12
"""Fixed header, RFC 3550 section 5.1."""

MAX_DROPOUT = 3_000
"""Sequence numbers that may be skipped before it counts as a restart, RFC 3550 A.1."""

REMEMBERED = 512
"""Packets of which it is known one by one whether they came (ours)."""

LOSS_WINDOW_S = 5.0
"""Loss as shown to the operator looks this far back (ours)."""

_HEADER = struct.Struct("!BBHII")
_EXTENSION = struct.Struct("!HH")


class RtpError(ValueError):
    """The bytes are no RTP packet."""


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """One RTP packet (RFC 3550 section 5.1)."""

    payload_type: int
    """0 to 127."""

    sequence_number: int
    """16 bits."""

    timestamp: int
    """32 bits, in units of the payload's clock."""

    ssrc: int
    """Synchronization source, 32 bits."""

    payload: bytes
    """What is carried, without padding."""

    marker: bool = False
    """For audio: the first packet after a silence (RFC 3551 section 4.1)."""

    csrcs: tuple[int, ...] = ()
    """Contributing sources, at most 15."""

    extension: tuple[int, bytes] | None = None
    """Profile-defined word and the extension's body, a multiple of 4 bytes."""

    @classmethod
    def parse(cls, data: bytes) -> RtpPacket:
        """Read a packet; raises `RtpError` and nothing else."""
        if len(data) < HEADER_BYTES:
            raise RtpError("shorter than the fixed header")
        first, second, sequence_number, timestamp, ssrc = _HEADER.unpack_from(data)
        if first >> 6 != VERSION:
            raise RtpError("not version 2")
        position, end = HEADER_BYTES, len(data)
        csrcs: tuple[int, ...] = ()
        extension = None
        if count := first & 0x0F:
            if end < position + 4 * count:
                raise RtpError("contributing sources are cut off")
            csrcs = struct.unpack_from(f"!{count}I", data, position)
            position += 4 * count
        if first & 0x10:
            if end < position + 4:
                raise RtpError("header extension is cut off")
            profile, words = _EXTENSION.unpack_from(data, position)
            position += 4
            if end < position + 4 * words:
                raise RtpError("header extension is cut off")
            extension = (profile, data[position : position + 4 * words])
            position += 4 * words
        if first & 0x20:
            padding = data[-1] if end > position else 0
            if not 1 <= padding <= end - position:
                raise RtpError("padding is longer than the payload")
            end -= padding
        return cls(
            payload_type=second & 0x7F,
            sequence_number=sequence_number,
            timestamp=timestamp,
            ssrc=ssrc,
            payload=data[position:end],
            marker=second >= 0x80,
            csrcs=csrcs,
            extension=extension,
        )

    def __bytes__(self) -> bytes:
        first = VERSION << 6 | len(self.csrcs) | (0x10 if self.extension is not None else 0)
        parts = [
            _HEADER.pack(
                first,
                self.payload_type | (0x80 if self.marker else 0),
                self.sequence_number,
                self.timestamp,
                self.ssrc,
            ),
            struct.pack(f"!{len(self.csrcs)}I", *self.csrcs),
        ]
        if self.extension is not None:
            profile, body = self.extension
            parts += [_EXTENSION.pack(profile, len(body) // 4), body]
        parts.append(self.payload)
        return b"".join(parts)


class Unwrapper:
    """Makes a counter that wraps into one that does not: each value is taken as near the last."""

    def __init__(self, bits: int) -> None:
        self._modulus = 1 << bits
        self._last: int | None = None

    def near(self, value: int) -> int:
        """The extended counter for ``value``, without remembering it; may be below zero."""
        if self._last is None:
            return value
        half = self._modulus // 2
        return self._last + (value - self._last + half) % self._modulus - half

    def accept(self, value: int) -> int:
        """The extended counter for ``value``, which the next one is taken near to."""
        extended = self.near(value)
        if self._last is None or extended > self._last:
            self._last = extended
        return extended


@dataclass(frozen=True, slots=True)
class ReceptionReport:
    """What a report block says about a source (RFC 3550 section 6.4.1)."""

    fraction_lost: int
    """Since the last report, in 1/256."""

    cumulative_lost: int
    """Since the start; 24 bits, below zero when there were duplicates."""

    highest_sequence: int
    """Extended highest sequence number, 32 bits."""

    jitter: int
    """Interarrival jitter in timestamp units, 32 bits."""


class Reception:
    """Counts the packets of one source; feed it authenticated packets only."""

    def __init__(self, clock_hz: int) -> None:
        self._clock_hz = clock_hz
        self._base = 0
        self._highest = -1
        self._received = 0
        self._jitter = 0.0
        self._transit: float | None = None
        self._reported = (0, 0)
        self._arrived = 0
        self._history: deque[tuple[float, int, int]] = deque(maxlen=64)

    @property
    def received(self) -> int:
        """Packets since the start of this source."""
        return self._received

    @property
    def expected(self) -> int:
        """Packets that there should be since the start of this source."""
        return self._highest - self._base + 1 if self._received else 0

    @property
    def jitter_s(self) -> float:
        """Interarrival jitter, RFC 3550 section 6.4.1."""
        return self._jitter / self._clock_hz

    def add(self, *, sequence: int, timestamp: int, now: float) -> None:
        """Count one packet, by extended sequence number and timestamp."""
        if not self._received:
            self._base = self._highest = sequence
        self._received += 1
        self._remember(sequence)
        transit = now * self._clock_hz - timestamp
        if sequence >= self._highest:
            self._highest = sequence
            if self._transit is not None:
                self._jitter += (abs(transit - self._transit) - self._jitter) / 16
            self._transit = transit

    def _remember(self, sequence: int) -> None:
        """Bit 0 stands for the highest number, bit 1 for the one before it."""
        if (ahead := sequence - self._highest) >= 0:
            kept = 0 if ahead >= REMEMBERED else self._arrived << ahead
            self._arrived = (kept | 1) & (1 << REMEMBERED) - 1
        elif -ahead < REMEMBERED:
            self._arrived |= 1 << -ahead

    def arrived(self, packets: int) -> tuple[int, tuple[bool, ...]]:
        """Which of the newest ``packets`` came, at most `REMEMBERED`, the oldest first; and the
        sequence number (16 bits) behind them."""
        count = min(packets, REMEMBERED, self.expected)
        came = tuple(bool(self._arrived >> index & 1) for index in reversed(range(count)))
        return (self._highest + 1) & 0xFFFF, came

    def report(self) -> ReceptionReport:
        """A report block's figures; the fraction is since the last call (RFC 3550 A.3)."""
        expected, received = self.expected, self._received
        new = expected - self._reported[0]
        lost = new - (received - self._reported[1])
        self._reported = (expected, received)
        fraction = min(255, (lost << 8) // new) if new > 0 and lost > 0 else 0
        cumulative = max(-0x800000, min(0x7FFFFF, expected - received))
        return ReceptionReport(
            fraction_lost=fraction,
            cumulative_lost=cumulative,
            highest_sequence=self._highest & 0xFFFFFFFF,
            jitter=min(0xFFFFFFFF, int(self._jitter)),
        )

    def loss_pct(self, *, now: float, late: int) -> float:
        """Loss over the last `LOSS_WINDOW_S`; ``late`` came since the start, but for nothing."""
        while self._history and self._history[0][0] < now - LOSS_WINDOW_S:
            self._history.popleft()
        useful = self._received - late
        before = self._history[0] if self._history else (now, 0, 0)
        self._history.append((now, self.expected, useful))
        expected = self.expected - before[1]
        missing = expected - (useful - before[2])
        return 100.0 * max(0, missing) / expected if expected > 0 else 0.0
