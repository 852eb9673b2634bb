"""Redundant payloads: what is packed comes back, and no bytes raise anything but `RedError`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.protocol.red import (
    COPY_HEADER_BYTES,
    MAX_COPIES,
    MAX_LENGTH,
    MAX_OFFSET,
    Block,
    RedError,
    pack_red,
    parse_red,
)

KINDS = st.integers(0, 127)
PRIMARIES = st.builds(Block, KINDS, st.just(0), st.binary(max_size=1_200))
COPIES = st.builds(
    Block, KINDS, st.integers(1, MAX_OFFSET), st.binary(min_size=1, max_size=MAX_LENGTH)
)


@given(PRIMARIES, st.lists(COPIES, max_size=MAX_COPIES))
def test_what_is_packed_comes_back(primary: Block, copies: list[Block]) -> None:
    assert parse_red(pack_red(primary, copies)) == (primary, tuple(copies))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        primary, copies = parse_red(data)
    except RedError:
        return
    assert len(copies) <= MAX_COPIES
    assert len(primary.payload) + sum(len(copy.payload) for copy in copies) < len(data)


@given(PRIMARIES, st.lists(COPIES, min_size=1, max_size=MAX_COPIES), st.data())
def test_a_cut_in_headers_or_copies_is_refused(
    primary: Block, copies: list[Block], data: st.DataObject
) -> None:
    packed = pack_red(primary, copies)
    needed = len(packed) - len(primary.payload)
    with pytest.raises(RedError):
        parse_red(packed[: data.draw(st.integers(0, needed - 1))])


def test_the_example_of_the_rfc() -> None:
    """RFC 2198 section 3: F, payload type, 14 bits of offset, 10 bits of length."""
    packed = pack_red(Block(96, 0, b"now"), [Block(97, 960, b"then")])
    assert packed == bytes((0x80 | 97, 960 >> 6, (960 & 0x3F) << 2, 4, 96)) + b"then" + b"now"


def test_too_many_copies_are_refused() -> None:
    copies = [Block(96, 960, b"x")] * (MAX_COPIES + 1)
    with pytest.raises(ValueError, match="too many"):
        pack_red(Block(96, 0, b""), copies)
    head = bytes((0x80 | 96, 15, 0, 0))
    with pytest.raises(RedError, match="too many"):
        parse_red(head * (MAX_COPIES + 1) + b"\x60")


@pytest.mark.parametrize(
    ("kind", "offset", "length"), [(96, 0, 1), (96, MAX_OFFSET + 1, 1), (96, 1, 1_024), (128, 1, 1)]
)
def test_what_does_not_fit_is_not_packed(kind: int, offset: int, length: int) -> None:
    with pytest.raises(ValueError, match=r"copy|payload type"):
        pack_red(Block(96, 0, b""), [Block(kind, offset, bytes(length))])


def test_a_copy_that_says_nothing_is_left_out() -> None:
    young = bytes((0x80 | 96, 0, 0, 1))
    empty = bytes((0x80 | 96, 15, 0, 0))
    assert len(young) == COPY_HEADER_BYTES
    assert parse_red(young + empty + b"\x60" + b"ab") == (Block(96, 0, b"b"), ())
