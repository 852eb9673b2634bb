"""RTP and RTCP: what is written is read back, and garbage is refused."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from appliance.protocol.opus_packet import MAX_SAMPLES, OpusPacketError, packet_samples
from appliance.protocol.rtcp import ReportBlock, RtcpError, RtcpReport, SenderInfo, is_rtcp
from appliance.protocol.rtp import Reception, ReceptionReport, RtpError, RtpPacket, Unwrapper

U7, U16, U32, U64 = (st.integers(0, (1 << bits) - 1) for bits in (7, 16, 32, 64))
WORDS = st.integers(0, 8).flatmap(lambda n: st.binary(min_size=4 * n, max_size=4 * n))

PACKETS = st.builds(
    RtpPacket,
    payload_type=U7,
    sequence_number=U16,
    timestamp=U32,
    ssrc=U32,
    payload=st.binary(max_size=64),
    marker=st.booleans(),
    csrcs=st.lists(U32, max_size=15).map(tuple),
    extension=st.none() | st.tuples(U16, WORDS),
)
BLOCKS = st.builds(
    ReportBlock,
    ssrc=U32,
    reception=st.builds(
        ReceptionReport,
        fraction_lost=st.integers(0, 255),
        cumulative_lost=st.integers(-0x800000, 0x7FFFFF),
        highest_sequence=U32,
        jitter=U32,
    ),
    last_sr=U32,
    delay_since_last_sr=U32,
)
REPORTS = st.builds(
    RtcpReport,
    ssrc=U32,
    sender=st.none() | st.builds(SenderInfo, ntp=U64, rtp_timestamp=U32, packets=U32, octets=U32),
    blocks=st.lists(BLOCKS, max_size=31).map(tuple),
    cname=st.text("abc-9", max_size=40),
    bye=st.booleans(),
)


@given(PACKETS)
def test_rtp_comes_back(packet: RtpPacket) -> None:
    assert RtpPacket.parse(bytes(packet)) == packet


@given(PACKETS, st.integers(1, 255))
def test_padding_is_taken_off(packet: RtpPacket, count: int) -> None:
    data = bytearray(bytes(packet) + bytes(count - 1) + bytes([count]))
    data[0] |= 0x20
    assert RtpPacket.parse(bytes(data)) == packet


@given(REPORTS)
def test_rtcp_comes_back(report: RtcpReport) -> None:
    data = bytes(report)
    assert is_rtcp(data)
    assert RtcpReport.parse(data) == report


@given(st.binary(max_size=80) | PACKETS.map(bytes) | REPORTS.map(bytes), st.data())
def test_garbage_is_refused_or_read(data: bytes, draw: st.DataObject) -> None:
    damaged = bytearray(data)
    for _ in range(draw.draw(st.integers(0, 3)) if data else 0):
        damaged[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    with contextlib.suppress(RtpError):
        RtpPacket.parse(bytes(damaged))
    with contextlib.suppress(RtcpError):
        RtcpReport.parse(bytes(damaged))
    with contextlib.suppress(OpusPacketError):
        assert 0 < packet_samples(bytes(damaged)) <= MAX_SAMPLES


@given(st.integers(0, 1 << 40), st.lists(st.integers(-30_000, 30_000), max_size=50))
def test_counters_are_unwrapped(start: int, steps: list[int]) -> None:
    unwrapper, value, highest = Unwrapper(16), start, start
    offset = unwrapper.accept(start & 0xFFFF) - start
    for step in steps:
        value = highest + step
        assert unwrapper.accept(value & 0xFFFF) == value + offset
        highest = max(highest, value)


def test_loss_is_reported_as_rfc_3550_says() -> None:
    reception = Reception(48_000)
    for number in range(100):
        if number % 4:
            reception.add(sequence=number, timestamp=number * 960, now=number * 0.02)
    assert reception.report().fraction_lost == 256 * 24 // 99
    assert reception.report() == ReceptionReport(0, 24, 99, 0)
    assert 24.0 < reception.loss_pct(now=2.0, late=0) < 26.0
