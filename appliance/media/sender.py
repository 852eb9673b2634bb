"""Our voice on its way out: from frames to encrypted packets, without sockets or files."""

from __future__ import annotations

import os
from collections import deque

from appliance.adapters.srtp import TAG_BYTES, SrtpSender
from appliance.media.coder import Coder, Coding, coding, common_coding
from appliance.model.secret import Secret
from appliance.protocol.adaptation import Adaptation, Decision, Takes
from appliance.protocol.jitter import FRAME
from appliance.protocol.opus_packet import DTX_BYTES
from appliance.protocol.red import Block, copies_of, pack_red
from appliance.protocol.rtcp import ReportBlock, RtcpReport, SenderInfo
from appliance.protocol.rtcp_xr import LossRle
from appliance.protocol.rtp import HEADER_BYTES, RtpPacket

IP_BYTES = 48
"""IPv6 and UDP headers of a packet."""

MAX_PAYLOAD_BYTES = 1_180
"""Copies that do not fit a packet of the smallest MTU of IPv6 are left out."""

REPORT_SHARE = 0.05
"""Reports take at most so much of what the voice takes (RFC 3550 section 6.2)."""

MIN_REPORT_S, MAX_REPORT_S = 0.5, 2.5
"""Between two reports."""

FIRST_REPORT_S = 0.25
"""Between the first ones (RFC 3550 section 6.2 halves the minimum then): the sooner something is
known of the path, the sooner the voice fits it."""

FIRST_REPORTS = 4

PLAIN = Takes()
"""What everybody takes."""

_HISTORY = 8
"""Packets that copies can be made of."""

LEAD = 2
"""Frames that an encoder is given before it takes over from another."""


def _random_bits(count: int) -> int:
    """From the kernel; the module `secrets` would bring all of OpenSSL into memory."""
    return int.from_bytes(os.urandom(4), "big") >> (32 - count)


class Sender:
    """Our voice on its way out."""

    def __init__(
        self,
        suite: str,
        key: Secret,
        payload_type: int,
        *,
        red_payload_type: int | None = None,
        takes: Takes = PLAIN,
        link_bit_s: float | None = None,
    ) -> None:
        """``red_payload_type``: of RFC 2198, where ``takes`` says that they take it;
        ``link_bit_s``: what the path takes, if known.  Raises `SrtpError`, `OpusError`."""
        headers = IP_BYTES + HEADER_BYTES + TAG_BYTES.get(suite, 0)
        self._adaptation = Adaptation(takes, header_octets=headers, link_bit_s=link_bit_s)
        self._coder = Coder()
        self._elsewhere: deque[bytes] = deque(maxlen=LEAD)
        self.packets = 0
        self._octets = 0
        self._timestamp = _random_bits(32)
        self.cname = os.urandom(12).hex()  # RFC 7022: nothing that lasts longer than the call.
        self._reports = 0
        self.loss_pct: float | None = None
        """Loss of our voice as the other side reports it; None: not yet."""
        self.round_trip_s: float | None = None
        """From its reports; None: not known yet."""
        self._begin(suite, key, payload_type, red_payload_type)

    def rekey(
        self,
        suite: str,
        key: Secret,
        payload_type: int,
        *,
        red_payload_type: int | None = None,
        takes: Takes = PLAIN,
    ) -> None:
        """Go on under another key; a new source, since its rollover counter begins at 0."""
        self._adaptation.negotiated(takes)
        self._begin(suite, key, payload_type, red_payload_type)

    def _begin(
        self, suite: str, key: Secret, payload_type: int, red_payload_type: int | None
    ) -> None:
        self._srtp = SrtpSender(suite, key)
        self._payload_type, self._red_payload_type = payload_type, red_payload_type
        self.ssrc = _random_bits(32)
        # RFC 3711 section 3.3.1: far from the wrap, or a lost first packet desynchronizes.
        self._sequence = _random_bits(15)
        self._marker = True
        self._coder.forget()
        self._history: deque[tuple[int, bytes]] = deque(maxlen=_HISTORY)

    def set_complexity(self, complexity: int) -> None:
        """Encode with so much thought at most."""
        self._coder.allow(complexity)

    @property
    def decision(self) -> Decision:
        """How it is sent."""
        return self._adaptation.decision

    @property
    def wire_bit_s(self) -> float:
        """What it takes on the wire while somebody speaks, with all headers."""
        return self._adaptation.wire_bit_s

    @property
    def burst(self) -> float:
        """Packets of ours that are lost in a row, on average."""
        return self._adaptation.record.burst

    def frame(self, pcm: bytes, now: float) -> bytes | None:
        """Take 20 ms of sound; the packet that is complete with it, if one is to be sent."""
        wanted = coding(self.decision)
        if self._elsewhere:
            self._coder.follow(self._elsewhere, wanted)
            self._elsewhere.clear()
        made = self._coder.frame(pcm, wanted)
        return None if made is None else self._made(*made, now)

    @property
    def common_coding(self) -> Coding | None:
        """How `encoded` can go on; None: what was given to `frame` has to be sent before."""
        return common_coding(self.decision) if self._coder.between else None

    def encoded(self, sound: bytes, pcm: bytes, now: float) -> bytes | None:
        """The packet of 20 ms that were encoded for several; our encoder can take over behind."""
        self._elsewhere.append(pcm)
        return self._made(sound, 1, now)

    def _made(self, sound: bytes, frames: int, now: float) -> bytes | None:
        begun = self._timestamp
        self._timestamp = (begun + frames * FRAME) & 0xFFFFFFFF
        return self._packet(sound, begun, now)

    def _packet(self, sound: bytes, timestamp: int, now: float) -> bytes | None:
        silent = len(sound) <= DTX_BYTES
        copies = self._copies(timestamp, len(sound))
        self._history.append((timestamp, b"" if silent else sound))
        if silent and not copies and self.decision.dtx:
            self._marker = True  # The next packet begins a talk spurt (RFC 3551 section 4.1).
            return None
        kind, payload = self._payload_type, sound
        if copies and self._red_payload_type is not None:
            kind, payload = self._red_payload_type, pack_red(Block(kind, 0, sound), copies)
        packet = RtpPacket(
            payload_type=kind,
            sequence_number=self._sequence,
            timestamp=timestamp,
            ssrc=self.ssrc,
            payload=payload,
            marker=self._marker,
        )
        self._marker = False
        self._adaptation.sent(self._sequence, len(payload), now)
        self._sequence = (self._sequence + 1) & 0xFFFF
        self.packets += 1
        self._octets += len(payload)
        return self._srtp.protect(bytes(packet))

    def _copies(self, timestamp: int, size: int) -> list[Block]:
        if self._red_payload_type is None:
            return []
        return copies_of(
            self._history,
            self.decision.copies,
            timestamp=timestamp,
            payload_type=self._payload_type,
            room=MAX_PAYLOAD_BYTES - size,
        )

    def skip(self, frames: int) -> None:
        """Time has passed in which nothing was sent."""
        self._timestamp = (self._timestamp + frames * FRAME) & 0xFFFFFFFF

    def tick(self, now: float) -> None:
        """Once a second: what follows from hearing nothing."""
        self._adaptation.tick(now)

    def heard(self, report: RtcpReport, now: float) -> None:
        """What the other side reports of us decides how we send."""
        block = next((block for block in report.blocks if block.ssrc == self.ssrc), None)
        if block is None:
            return
        record = self._adaptation.record
        seen = next((seen for seen in report.losses if seen.ssrc == self.ssrc), None)
        if seen is not None:
            record.take(seen.end, seen.arrived)
        else:
            record.take_fraction(block.reception.fraction_lost / 256)
        self.loss_pct = 100 * block.reception.fraction_lost / 256
        round_trip_s = _round_trip_s(block, now)
        if round_trip_s is not None:
            self.round_trip_s = round_trip_s
        written_at = now if report.sender is None else report.sender.ntp / 2**32
        self._adaptation.heard(block.reception.highest_sequence & 0xFFFF, written_at, now)

    def report(
        self, blocks: tuple[ReportBlock, ...], losses: tuple[LossRle, ...], now: float
    ) -> tuple[bytes, float]:
        """An SRTCP compound packet (SR, SDES, XR) and after how many seconds the next is due."""
        info = SenderInfo(
            ntp=int(now * 2**32) & 0xFFFFFFFFFFFFFFFF,
            rtp_timestamp=self._timestamp,
            packets=self.packets & 0xFFFFFFFF,
            octets=self._octets & 0xFFFFFFFF,
        )
        report = RtcpReport(self.ssrc, sender=info, blocks=blocks, cname=self.cname, losses=losses)
        packet = self._srtp.protect_rtcp(bytes(report))
        return packet, self._interval_s(8 * (len(packet) + IP_BYTES))

    def _interval_s(self, bits: int) -> float:
        """Until the next report; at random, so that many do not fall into step (RFC 3550 6.3.1)."""
        self._reports += 1
        wanted = bits / (REPORT_SHARE * self.wire_bit_s)
        interval_s = max(MIN_REPORT_S, min(MAX_REPORT_S, wanted))
        if self._reports < FIRST_REPORTS:
            interval_s = FIRST_REPORT_S
        return interval_s * (0.75 + _random_bits(8) / 512)


def _round_trip_s(block: ReportBlock, now: float) -> float | None:
    """RFC 3550 section 6.4.1; None: they have not heard a report of ours, or it makes no sense."""
    if not block.last_sr:
        return None
    ticks = (int(now * 65_536) - block.last_sr - block.delay_since_last_sr) & 0xFFFFFFFF
    return ticks / 65_536 if ticks < 60 * 65_536 else None
