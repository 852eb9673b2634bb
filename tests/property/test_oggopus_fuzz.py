"""Voice messages come from anybody: whatever the bytes are, they become sound or our error."""

from __future__ import annotations

import contextlib
import io
import os

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.adapters.ogg import MAX_BAD, Page, parse_page, read_pages
from appliance.adapters.oggopus import (
    MAX_SECONDS,
    OggOpusError,
    OpusHead,
    examine,
    read_frames,
)
from appliance.media.pcm import FRAME_BYTES

U32 = st.integers(0, 2**32 - 1)
LACED = st.lists(st.integers(0, 255), max_size=12).flatmap(
    lambda sizes: st.tuples(
        st.just(bytes(sizes)), st.binary(min_size=sum(sizes), max_size=sum(sizes))
    )
)
HEADS = st.one_of(
    st.builds(
        OpusHead,
        channels=st.integers(1, 2),
        pre_skip=st.integers(0, 65_535),
        gain_db=st.floats(-128, 127.9),
    ).map(bytes),
    st.binary(max_size=30),
)


@st.composite
def pages(draw: st.DrawFn) -> bytes:
    """Some of a stream, in an order and with claims that may be wrong, and sound checksums."""
    head = draw(HEADS)
    begin = Page(1, 0, 0, bytes([len(head)]), head, first=draw(st.booleans()))
    made = [begin, Page(1, 1, 0, b"\x08", b"OpusTags")]
    for number in range(draw(st.integers(0, 5))):
        lacing, body = draw(LACED)
        made.append(
            Page(
                serial=draw(st.sampled_from([1, 1, 1, 2])),
                sequence=draw(st.sampled_from([number + 2, number + 2, 7])),
                granule=draw(st.integers(-1, 2**63 - 1)),
                lacing=lacing,
                body=body,
                continued=draw(st.booleans()),
                last=draw(st.booleans()),
            )
        )
    return b"".join(map(bytes, made))


def heard(data: bytes, from_ms: int) -> int:
    """Frames that come of a file; whole ones, and never more than an hour."""
    descriptor = os.memfd_create("note")
    os.write(descriptor, data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    count = 0
    for frame in read_frames(descriptor, from_ms=from_ms):
        assert len(frame) == FRAME_BYTES
        count += 1
    assert count <= MAX_SECONDS * 50
    return count


@settings(max_examples=60)
@given(pages(), st.integers(-1_000, 10**7), st.data())
def test_any_stream_is_sound_or_refused(data: bytes, from_ms: int, more: st.DataObject) -> None:
    for _ in range(more.draw(st.integers(0, 2))):
        at = more.draw(st.integers(0, len(data) - 1))
        data = data[:at] + more.draw(st.binary(max_size=5)) + data[at + 1 :]
    with contextlib.suppress(OggOpusError):
        heard(data, from_ms)
    with contextlib.suppress(OggOpusError):
        found = examine(io.BytesIO(data))
        assert 0 < found.whole_bytes <= len(data)
        assert 0 <= found.duration_ms <= 1_000 * MAX_SECONDS


@settings(max_examples=40)
@given(st.lists(pages(), max_size=2), st.binary(max_size=40))
def test_pages_come_back_from_between_garbage(streams: list[bytes], garbage: bytes) -> None:
    data = garbage + garbage.join(streams)
    found = list(read_pages(io.BytesIO(data), limit_bytes=len(data)))
    for page in found:
        assert parse_page(bytes(page)) == page
        assert bytes(page) in data
    if b"OggS" not in garbage:
        assert b"".join(map(bytes, found)) == b"".join(streams)


def test_a_file_of_beginnings_costs_little() -> None:
    data = b"OggS\0\0" + bytes(20) + b"\xff" + b"\xff" * 255
    hostile = data * 20_000
    assert list(read_pages(io.BytesIO(hostile), limit_bytes=len(hostile))) == []
    assert len(hostile) > 100 * MAX_BAD
