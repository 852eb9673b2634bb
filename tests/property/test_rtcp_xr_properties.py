"""Reports of each lost packet: what is told comes back, and no bytes raise anything else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.protocol.rtcp import ReportBlock, RtcpError, RtcpReport
from appliance.protocol.rtcp_xr import (
    MAX_BLOCKS,
    MAX_REPORTED,
    LossRle,
    XrError,
    parse_loss,
)
from appliance.protocol.rtp import REMEMBERED, Reception, ReceptionReport

SSRCS = st.integers(0, 2**32 - 1)
RUNS = st.lists(st.tuples(st.booleans(), st.integers(1, 60)), max_size=8).map(
    lambda runs: tuple(there for there, length in runs for _ in range(length))
)
LOSSES = st.builds(LossRle, SSRCS, st.integers(0, 0xFFFF), RUNS)


@given(st.lists(LOSSES, max_size=MAX_BLOCKS))
def test_what_is_told_comes_back(told: list[LossRle]) -> None:
    packed = bytes(4) + b"".join(bytes(block) for block in told)
    assert parse_loss(packed) == tuple(told)
    assert len(packed) % 4 == 0


@given(st.binary(max_size=120))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        found = parse_loss(data)
    except XrError:
        return
    assert all(len(block.arrived) <= MAX_REPORTED for block in found)


@given(LOSSES, st.data())
def test_a_cut_block_is_refused(told: LossRle, data: st.DataObject) -> None:
    packed = bytes(4) + bytes(told)
    with pytest.raises(XrError):
        parse_loss(packed[: data.draw(st.integers(5, len(packed) - 1))])


def test_a_long_good_time_costs_two_bytes() -> None:
    assert len(bytes(LossRle(1, 400, (True,) * 400))) == 16


def test_of_a_report_on_very_many_the_newest_are_read() -> None:
    runs = "7fff" * 4
    block = bytes.fromhex(f"01000004 00000001 0003ffff {runs}")
    (found,) = parse_loss(bytes(4) + block)
    assert (found.end, len(found.arrived), all(found.arrived)) == (0xFFFF, MAX_REPORTED, True)


def test_other_and_thinned_blocks_are_stepped_over() -> None:
    told = LossRle(7, 9, (True, False))
    other = bytes((7, 0, 0, 1)) + bytes(4)
    thinned = bytes(LossRle(8, 9, (True,)))
    thinned = thinned[:1] + b"\x02" + thinned[2:]
    assert parse_loss(bytes(4) + other + thinned + bytes(told)) == (told,)


def test_a_compound_packet_carries_them() -> None:
    told = LossRle(7, 9, (True, False, True))
    seen = ReceptionReport(fraction_lost=85, cumulative_lost=1, highest_sequence=8, jitter=0)
    report = RtcpReport(3, blocks=(ReportBlock(7, seen, 0, 0),), cname="x", losses=(told,))
    assert RtcpReport.parse(bytes(report)) == report
    with pytest.raises(RtcpError):
        RtcpReport.parse(bytes(report)[:-1])


@given(st.lists(st.integers(-40, 700), min_size=1, max_size=60))
def test_a_receiver_remembers_who_came(steps: list[int]) -> None:
    reception, came = Reception(48_000), {}
    first = highest = 65_500
    for index, step in enumerate([0, *steps]):
        sequence = highest + step
        reception.add(sequence=sequence, timestamp=0, now=index / 50)
        highest = max(highest, sequence)
        came[sequence] = True
    end, arrived = reception.arrived(REMEMBERED)
    assert end == (highest + 1) & 0xFFFF
    assert len(arrived) == min(REMEMBERED, highest + 1 - first)
    wanted = [came.get(highest - index, False) for index in range(len(arrived))]
    assert list(reversed(arrived)) == wanted
