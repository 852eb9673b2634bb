"""Files that are cut, sealed and put together again; whatever is changed on the way is noticed."""

from __future__ import annotations

import random

import pytest
from format_samples import anything, ids
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.model.attachment import (
    CHUNK,
    MAX_BLOB,
    MAX_NAME_BYTES,
    MAX_PREVIEW_CHARS,
    TAG,
    Attachment,
    file_name_of,
    is_file_name,
    padded_size,
    preview_of,
    travelling_size,
)
from appliance.model.codec import FormatError, decode, encode
from appliance.model.secret import Secret
from appliance.protocol.chunks import ChunkError, Cutter, Manifest, chunk_size, digest_of, root_of

KEY = Secret(b"k" * 32)
EDGES = [1, 2, CHUNK - TAG - 1, CHUNK - TAG, CHUNK - TAG + 1, CHUNK, CHUNK + 1, 2 * CHUNK]
sizes = st.sampled_from(EDGES) | st.integers(1, 3 * CHUNK)
keys = st.sampled_from([None, KEY])


def cut(data: bytes, key: Secret | None) -> tuple[Cutter, list[bytes], Manifest]:
    cutter = Cutter(len(data), key)
    chunks = []
    for index in range(cutter.count):
        begin, length = cutter.plain_span(index)
        chunks.append(cutter.seal(index, data[begin : begin + length]))
    digests = b"".join(map(digest_of, chunks))
    root = root_of(cutter.travelling, digests)
    return cutter, chunks, Manifest.read(root, cutter.travelling, digests)


@settings(max_examples=40)
@given(sizes, keys, st.integers(0, 1 << 32).map(random.Random))
def test_what_was_cut_is_put_together(size: int, key: Secret | None, rng: random.Random) -> None:
    data = rng.randbytes(size)
    cutter, chunks, manifest = cut(data, key)
    assert sum(map(len, chunks)) == manifest.size == travelling_size(size, sealed=key is not None)
    assert [len(c) for c in chunks] == [
        chunk_size(manifest.size, index) for index in range(manifest.count)
    ]
    assert all(manifest.fits(index, chunk) for index, chunk in enumerate(chunks))
    assert b"".join(cutter.open(i, chunk) for i, chunk in enumerate(chunks)) == data
    if key is not None and size > TAG:
        assert data[: 2 * TAG] not in b"".join(chunks)


@settings(max_examples=40)
@given(sizes, keys, st.integers(0, 1 << 32).map(random.Random))
def test_any_change_is_noticed(size: int, key: Secret | None, rng: random.Random) -> None:
    cutter, chunks, manifest = cut(rng.randbytes(size), key)
    index = rng.randrange(len(chunks))
    chunk = bytearray(chunks[index])
    place = rng.randrange(len(chunk))
    chunk[place] ^= 1 << rng.randrange(8)
    changed = [bytes(chunk), chunks[index][:place], chunks[index] + b"\0", b""]
    for wrong in changed:
        assert not manifest.fits(index, wrong)
        if key is not None:
            with pytest.raises(ChunkError):
                cutter.open(index, wrong)
    for other in range(len(chunks) + 1):
        if other != index:
            assert not manifest.fits(other, chunks[index])
            if key is not None:
                with pytest.raises(ChunkError):
                    cutter.open(other, chunks[index])


def test_the_last_chunk_of_a_file_is_no_chunk_of_a_longer_one() -> None:
    cutter, chunks, _ = cut(bytes(2 * CHUNK), KEY)
    longer = Cutter(4 * CHUNK, KEY)
    last = cutter.count - 1
    assert longer.open(0, chunks[0]) == cutter.open(0, chunks[0])
    with pytest.raises(ChunkError):
        longer.open(last, chunks[last])


@given(st.binary(max_size=200), st.integers(-1, 4 * CHUNK), ids)
def test_no_manifest_but_the_right_one_is_taken(digests: bytes, size: int, root: bytes) -> None:
    with pytest.raises(ChunkError):
        Manifest.read(root, size, digests)


@given(st.integers(1, MAX_BLOB))
def test_padding_hides_sizes_at_little_cost(size: int) -> None:
    padded = padded_size(size)
    assert size <= padded <= size * 1.12 + 1
    assert padded_size(padded) == padded


def test_few_sizes_are_seen() -> None:
    assert len({padded_size(size) for size in range(100_000, 200_000)}) <= 64


attachments = st.builds(
    Attachment,
    root=ids,
    size=st.integers(1, MAX_BLOB // 2),
    name=st.text().map(file_name_of),
    media_type=st.sampled_from(["audio/ogg", "application/vnd.a+b", "text/plain"]),
    key=st.none() | ids,
    preview=st.text().map(preview_of),
    duration_ms=st.integers(0, 10_000),
)


@settings(max_examples=50)
@given(attachments)
def test_an_attachment_is_understood(attachment: Attachment) -> None:
    item = decode(encode(attachment.encode()), limit=4096)
    assert Attachment.decode(item) == attachment
    assert attachment.blob.root == attachment.root
    assert "key" not in repr(attachment)


@settings(max_examples=50)
@given(attachments, st.integers(0, 7), anything)
def test_a_strange_attachment_is_refused(attachment: Attachment, place: int, value: object) -> None:
    item = attachment.encode()
    item[place : place + 1] = [value]
    try:
        read = Attachment.decode(item)
    except FormatError:
        return
    assert read.encode() == item
    assert is_file_name(read.name)


@given(st.text(max_size=400))
def test_any_name_becomes_one_that_can_be_saved(name: str) -> None:
    made = file_name_of(name)
    assert is_file_name(made)
    assert file_name_of(made) == made


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".bashrc", "a/b", "a\\b", "a\nb", "a\0", " a", "a\u202egpj.exe", "ü" * 128],
)
def test_names_that_do_harm_are_refused(name: str) -> None:
    assert not is_file_name(name)


def test_names_keep_what_tells_them() -> None:
    assert file_name_of("Fotos/../Berge/Brücke 3.jpg") == "Brücke 3.jpg"
    long = file_name_of("ü" * 200 + ".jpeg")
    assert long.endswith("ü.jpeg")
    assert len(long.encode()) <= MAX_NAME_BYTES
    assert preview_of("a\tb\r\n\x1b[31mred\u202e\n\n") == "a b\n[31mred"
    assert len(preview_of("x" * 5000)) == MAX_PREVIEW_CHARS


@pytest.mark.parametrize(
    ("place", "value"),
    [(1, 0), (1, MAX_BLOB), (1, True), (4, b"short"), (5, "\x07"), (5, "x" * 401), (6, -1)],
)
def test_values_out_of_range_are_refused(place: int, value: object) -> None:
    item = Attachment(bytes(32), 5, "a.txt", key=bytes(32)).encode()
    item[place] = value
    with pytest.raises(FormatError):
        Attachment.decode(item)
