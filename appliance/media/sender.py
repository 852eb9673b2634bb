"""Our voice on its way out: from frames to encrypted packets, without sockets or files."""

from __future__ import annotations

import os

from appliance.adapters.opus import OpusEncoder
from appliance.adapters.srtp import SrtpSender
from appliance.model.secret import Secret
from appliance.protocol.jitter import FRAME
from appliance.protocol.rtcp import ReportBlock, RtcpReport, SenderInfo
from appliance.protocol.rtp import RtpPacket

BITRATE = 32_000
"""bit/s; PESQ-WB 4.3 with the FEC that 5 % loss asks for, 4.4 without (natural speech)."""

COMPLEXITY = 9
"""Of the encoder; 0.2 ms a frame on a PC."""

ASSUMED_LOSS_PCT = 5
"""Until the other side has told."""

LEAST_LOSS_PCT = 3
"""Never less, so that a first lost packet can be recovered."""


def _random_bits(count: int) -> int:
    """From the kernel; the module `secrets` would bring all of OpenSSL into memory."""
    return int.from_bytes(os.urandom(4), "big") >> (32 - count)


class Sender:
    """Our voice on its way out."""

    def __init__(self, suite: str, key: Secret, payload_type: int) -> None:
        """Raises `SrtpError`, `OpusError`."""
        self._encoder = OpusEncoder(
            bitrate=BITRATE, complexity=COMPLEXITY, expected_loss_pct=ASSUMED_LOSS_PCT
        )
        self._sequence = 0
        self.packets = 0
        self._octets = 0
        self._timestamp = _random_bits(32)
        self._loss = float(ASSUMED_LOSS_PCT)
        self.cname = os.urandom(12).hex()  # RFC 7022: nothing that lasts longer than the call.
        self.rekey(suite, key, payload_type)

    def rekey(self, suite: str, key: Secret, payload_type: int) -> None:
        """Go on under another key; a new source, since its rollover counter begins at 0."""
        self._srtp = SrtpSender(suite, key)
        self._payload_type = payload_type
        self.ssrc = _random_bits(32)
        # RFC 3711 section 3.3.1: far from the wrap, or a lost first packet desynchronizes.
        self._sequence = _random_bits(15)
        self._first = True

    def frame(self, pcm: bytes) -> bytes:
        """The packet for 20 ms of sound."""
        payload = self._encoder.encode(pcm)
        packet = RtpPacket(
            payload_type=self._payload_type,
            sequence_number=self._sequence,
            timestamp=self._timestamp,
            ssrc=self.ssrc,
            payload=payload,
            marker=self._first,
        )
        self._first = False
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._timestamp = (self._timestamp + FRAME) & 0xFFFFFFFF
        self.packets += 1
        self._octets += len(payload)
        return self._srtp.protect(bytes(packet))

    def skip(self, frames: int) -> None:
        """Time has passed in which nothing was sent."""
        self._timestamp = (self._timestamp + frames * FRAME) & 0xFFFFFFFF

    def heard_there(self, loss_pct: float) -> None:
        """What the other side reports: decides how much goes into FEC."""
        self._loss += (loss_pct - self._loss) / (2 if loss_pct > self._loss else 6)
        self._encoder.expect_loss(max(LEAST_LOSS_PCT, min(30, round(1.2 * self._loss))))

    def report(self, blocks: tuple[ReportBlock, ...], now: float) -> bytes:
        """An SRTCP compound packet: SR and SDES."""
        info = SenderInfo(
            ntp=int(now * 2**32) & 0xFFFFFFFFFFFFFFFF,
            rtp_timestamp=self._timestamp,
            packets=self.packets & 0xFFFFFFFF,
            octets=self._octets & 0xFFFFFFFF,
        )
        return self._srtp.protect_rtcp(
            bytes(RtcpReport(self.ssrc, sender=info, blocks=blocks, cname=self.cname))
        )


def loss_and_round_trip(
    report: RtcpReport, *, ssrc: int, now: float
) -> tuple[float, float | None] | None:
    """Loss of our voice in percent and round trip in seconds (RFC 3550 6.4.1); None: not on us."""
    for block in report.blocks:
        if block.ssrc == ssrc:
            round_trip = None
            if block.last_sr:
                ticks = (int(now * 65_536) - block.last_sr - block.delay_since_last_sr) & 0xFFFFFFFF
                round_trip = ticks / 65_536 if ticks < 60 * 65_536 else None
            return 100 * block.reception.fraction_lost / 256, round_trip
    return None
