"""RTCP compound packets: SR, RR, SDES CNAME, BYE and XR on RTP's port (RFC 3550 6, 3611, 5761).

Other packet types are stepped over.  When to send, and SRTCP, stay out.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from appliance.protocol.rtcp_xr import EXTENDED_REPORT, LossRle, XrError, parse_loss
from appliance.protocol.rtp import VERSION, ReceptionReport

SENDER_REPORT, RECEIVER_REPORT, SOURCE_DESCRIPTION, BYE = 200, 201, 202, 203
"""Packet types, RFC 3550 section 12.1."""

CNAME = 1
"""SDES item, RFC 3550 section 6.5.1."""

MAX_PACKETS = 16
"""Packets that are read of one compound (ours)."""

_COMMON = struct.Struct("!BBH")
_SENDER = struct.Struct("!IQIII")
_BLOCK = struct.Struct("!IB3sIIII")


class RtcpError(ValueError):
    """The bytes are no RTCP compound packet."""


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """What somebody received of one source (RFC 3550 section 6.4.1)."""

    ssrc: int
    """The source that is reported on."""

    reception: ReceptionReport
    """How well it came."""

    last_sr: int
    """Middle 32 bits of the NTP timestamp of the last SR from that source; 0: none."""

    delay_since_last_sr: int
    """In 1/65536 s."""


@dataclass(frozen=True, slots=True)
class SenderInfo:
    """The sender's part of an SR (RFC 3550 section 6.4.1)."""

    ntp: int
    """64 bits; ours counts the monotonic clock, which the RFC allows."""

    rtp_timestamp: int
    """The same moment in RTP units."""

    packets: int
    """Sent since the start, 32 bits."""

    octets: int
    """Payload octets sent since the start, 32 bits."""


@dataclass(frozen=True, slots=True)
class RtcpReport:
    """One compound packet of one participant."""

    ssrc: int
    """Who sends it."""

    sender: SenderInfo | None = None
    """None: it has sent no sound (RR)."""

    blocks: tuple[ReportBlock, ...] = ()
    """At most 31."""

    cname: str = ""
    """Canonical name, at most 255 bytes; random for each call (RFC 7022)."""

    bye: bool = False
    """It leaves."""

    losses: tuple[LossRle, ...] = ()
    """Which packets arrived, by source (RFC 3611)."""

    @classmethod
    def parse(cls, data: bytes) -> RtcpReport:
        """Read a compound packet; raises `RtcpError` and nothing else."""
        packets = _split(data)
        first_type, count, body = packets[0]
        if first_type not in (SENDER_REPORT, RECEIVER_REPORT):
            raise RtcpError("the first packet is no report")
        ssrc, sender, blocks = _parse_report(first_type, count, body)
        cname, bye = "", False
        losses: tuple[LossRle, ...] = ()
        for kind, count, body in packets[1:]:
            if kind == SOURCE_DESCRIPTION and count:
                cname = _parse_cname(body) or cname
            elif kind == BYE:
                bye = True
            elif kind == EXTENDED_REPORT:
                try:
                    losses += parse_loss(body)
                except XrError as error:
                    raise RtcpError(str(error)) from error
        return cls(ssrc=ssrc, sender=sender, blocks=blocks, cname=cname, bye=bye, losses=losses)

    def __bytes__(self) -> bytes:
        if self.sender is None:
            kind, body = RECEIVER_REPORT, struct.pack("!I", self.ssrc)
        else:
            info = self.sender
            kind = SENDER_REPORT
            body = _SENDER.pack(self.ssrc, info.ntp, info.rtp_timestamp, info.packets, info.octets)
        for block in self.blocks:
            seen = block.reception
            body += _BLOCK.pack(
                block.ssrc,
                seen.fraction_lost,
                (seen.cumulative_lost & 0xFFFFFF).to_bytes(3, "big"),
                seen.highest_sequence,
                seen.jitter,
                block.last_sr,
                block.delay_since_last_sr,
            )
        name = self.cname.encode()
        item = struct.pack("!IBB", self.ssrc, CNAME, len(name)) + name
        item += bytes(4 - len(item) % 4)
        packets = _packet(kind, len(self.blocks), body) + _packet(SOURCE_DESCRIPTION, 1, item)
        if self.losses:
            body = struct.pack("!I", self.ssrc) + b"".join(bytes(block) for block in self.losses)
            packets += _packet(EXTENDED_REPORT, 0, body)
        return packets + (_packet(BYE, 1, struct.pack("!I", self.ssrc)) if self.bye else b"")


def is_rtcp(data: bytes) -> bool:
    """Tell RTCP from RTP on one port; RTP payload types 64 to 95 stay unused (RFC 5761, 4)."""
    return len(data) > 1 and 192 <= data[1] <= 223


def _packet(kind: int, count: int, body: bytes) -> bytes:
    return _COMMON.pack(VERSION << 6 | count, kind, len(body) // 4) + body


def _split(data: bytes) -> list[tuple[int, int, bytes]]:
    packets: list[tuple[int, int, bytes]] = []
    position = 0
    while position < len(data):
        if len(packets) == MAX_PACKETS or len(data) - position < _COMMON.size:
            raise RtcpError("too many packets or a cut-off header")
        first, kind, words = _COMMON.unpack_from(data, position)
        end = position + _COMMON.size + 4 * words
        if first >> 6 != VERSION or end > len(data):
            raise RtcpError("not version 2, or cut off")
        body = data[position + _COMMON.size : end]
        if first & 0x20:
            if end != len(data) or not body or not 0 < body[-1] <= len(body):
                raise RtcpError("padding is wrong")
            body = body[: -body[-1]]
        packets.append((kind, first & 0x1F, body))
        position = end
    if not packets:
        raise RtcpError("empty")
    return packets


def _parse_report(
    kind: int, count: int, body: bytes
) -> tuple[int, SenderInfo | None, tuple[ReportBlock, ...]]:
    start = _SENDER.size if kind == SENDER_REPORT else 4
    if len(body) < start + count * _BLOCK.size:
        raise RtcpError("report is cut off")
    sender = None
    if kind == SENDER_REPORT:
        ssrc, ntp, rtp_timestamp, sent, octets = _SENDER.unpack_from(body)
        sender = SenderInfo(ntp=ntp, rtp_timestamp=rtp_timestamp, packets=sent, octets=octets)
    else:
        (ssrc,) = struct.unpack_from("!I", body)
    blocks = []
    for index in range(count):
        source, fraction, lost, highest, jitter, last, delay = _BLOCK.unpack_from(
            body, start + index * _BLOCK.size
        )
        reception = ReceptionReport(
            fraction_lost=fraction,
            cumulative_lost=int.from_bytes(lost, "big", signed=True),
            highest_sequence=highest,
            jitter=jitter,
        )
        blocks.append(ReportBlock(source, reception, last, delay))
    return ssrc, sender, tuple(blocks)


def _parse_cname(body: bytes) -> str:
    position = 4
    while position + 2 <= len(body) and body[position]:
        kind, size = body[position], body[position + 1]
        value = body[position + 2 : position + 2 + size]
        if len(value) < size:
            raise RtcpError("source description is cut off")
        if kind == CNAME:
            return value.decode(errors="replace")
        position += 2 + size
    return ""
