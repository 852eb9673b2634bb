"""Blobs on disk: added, in part, taken up again, damaged, bounded."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path
from random import Random

import pytest

from appliance.adapters import blob_parts
from appliance.adapters import blobs as blobs_module
from appliance.adapters.blob_parts import BlobError, Part
from appliance.adapters.blobs import Added, BlobLimits, Blobs
from appliance.model.attachment import CHUNK, Attachment
from appliance.protocol.chunks import Manifest, chunk_size

DATA = Random(1).randbytes(2 * CHUNK + 1000)
MIB = 1 << 20


def add(blobs: Blobs, data: bytes = DATA, *, sealed: bool = True) -> Attachment:
    added = blobs.add(io.BytesIO(data), len(data), sealed=sealed)
    return Attachment(added.root, added.size, "a", key=added.key)


def manifest_of(blobs: Blobs, attachment: Attachment) -> Manifest:
    digests = blobs.manifest(attachment.root)
    assert digests is not None
    return Manifest.read(attachment.root, attachment.blob.size, digests)


def chunk(blobs: Blobs, attachment: Attachment, index: int) -> bytes:
    size = attachment.blob.size
    data = blobs.read(attachment.root, index * CHUNK, chunk_size(size, index))
    assert data is not None
    return data


def refused(code: str) -> pytest.RaisesExc[BlobError]:
    return pytest.RaisesExc(BlobError, check=lambda error: error.code == code)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Blobs, Blobs]:
    return Blobs(tmp_path / "there"), Blobs(tmp_path / "here")


@pytest.mark.parametrize("sealed", [True, False])
def test_a_file_is_added_and_read(tmp_path: Path, sealed: bool) -> None:
    blobs = Blobs(tmp_path / "b")
    attachment = add(blobs, sealed=sealed)
    assert blobs.has(attachment.root)
    assert blobs.size(attachment.root) == attachment.blob.size == blobs.total
    for start in (0, 1, CHUNK - 16, CHUNK, 2 * CHUNK + 999):
        assert b"".join(blobs.plain(attachment, start)) == DATA[start:]
    again = Blobs(tmp_path / "b")
    assert b"".join(again.plain(attachment)) == DATA
    assert again.total == blobs.total
    (file,) = (tmp_path / "b").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert (DATA[:64] in file.read_bytes()) is not sealed


def test_two_sealed_copies_have_nothing_in_common(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "b")
    first, second = add(blobs), add(blobs)
    assert first.root != second.root
    assert first.key != second.key
    assert add(blobs, sealed=False).root == add(blobs, sealed=False).root
    assert len(blobs.roots()) == 3


def test_a_part_is_taken_up_where_it_was(pair: tuple[Blobs, Blobs]) -> None:
    there, here = pair
    attachment = add(there)
    manifest = manifest_of(there, attachment)
    part = here.begin(manifest)
    assert part.missing == {0, 1, 2}
    assert part.write(2, chunk(there, attachment, 2))
    assert not part.write(1, chunk(there, attachment, 0))
    here.leave(part)
    with refused("closed"):
        part.write(0, chunk(there, attachment, 0))
    restarted = Blobs(here.directory)
    assert not restarted.has(attachment.root)
    again = restarted.resume(attachment.root, attachment.blob.size)
    assert again is not None
    assert again.missing == {0, 1}
    assert restarted.begin(manifest) is again
    for index in (0, 1):
        assert again.write(index, chunk(there, attachment, index))
    restarted.finish(again)
    restarted.leave(again)
    assert b"".join(restarted.plain(attachment)) == DATA
    assert [file.suffix for file in here.directory.iterdir()] == [".blob"]


def test_what_a_crash_left_half_written_is_found(pair: tuple[Blobs, Blobs]) -> None:
    there, here = pair
    attachment = add(there)
    part = here.begin(manifest_of(there, attachment))
    for index in range(3):
        part.write(index, chunk(there, attachment, index))
    here.leave(part)
    with part.path.open("r+b") as file:
        file.seek(CHUNK + 7)
        file.write(b"torn")
    again = Blobs(here.directory).resume(attachment.root, attachment.blob.size)
    assert again is not None
    assert again.missing == {1}
    again.close()
    with part.path.open("r+b") as file:
        file.seek(-10, os.SEEK_END)
        file.write(b"lost")
    blobs = Blobs(here.directory)
    assert blobs.resume(attachment.root, attachment.blob.size) is None
    assert blobs.total == 0


def test_what_the_disk_has_damaged_is_not_shown_but_fetched(pair: tuple[Blobs, Blobs]) -> None:
    blobs, _ = pair
    attachment = add(blobs)
    good = chunk(blobs, attachment, 1)
    path = blobs.directory / f"{attachment.root.hex()}.blob"
    with path.open("r+b") as file:
        file.seek(CHUNK + 7)
        file.write(b"rotten")
    with refused("damaged"):
        list(blobs.plain(attachment))
    assert not blobs.has(attachment.root)
    part = blobs.resume(attachment.root, attachment.blob.size)
    assert part is not None
    assert part.missing == {1}
    part.write(1, good)
    blobs.finish(part)
    blobs.leave(part)
    assert b"".join(blobs.plain(attachment)) == DATA


def test_a_wrong_key_opens_nothing(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "b")
    attachment = add(blobs)
    wrong = Attachment(attachment.root, attachment.size, "a", key=bytes(32))
    with refused("wrong-key"):
        list(blobs.plain(wrong))
    assert blobs.has(attachment.root)
    with refused("missing"):
        list(blobs.plain(Attachment(attachment.root, attachment.size * 2, "a", key=bytes(32))))


def test_there_is_only_so_much_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = Blobs(tmp_path / "b", BlobLimits(each=MIB, total=2 * MIB))
    other = Blobs(tmp_path / "other")
    with refused("too-large"):
        add(blobs, bytes(MIB + 1), sealed=False)
    with refused("empty"):
        add(blobs, b"")
    first = add(blobs, bytes(MIB), sealed=False)
    part = blobs.begin(manifest_of(other, add(other, DATA)))
    assert blobs.total == MIB + part.size
    with refused("disk-full"):
        add(blobs, bytes(MIB), sealed=False)
    blobs.leave(part)
    restarted = Blobs(tmp_path / "b", blobs.limits)
    assert restarted.total == MIB + part.size
    restarted.delete(part.root)
    with refused("too-large"):
        restarted.begin(manifest_of(other, add(other, bytes(2 * MIB))))
    with refused("disk-full"):
        restarted.begin(manifest_of(other, add(other, bytes(MIB))))
    restarted.delete(first.root)
    assert list((tmp_path / "b").iterdir()) == []
    assert restarted.total == 0
    monkeypatch.setattr(blobs_module, "MAX_BLOBS", 1)
    add(restarted, b"x")
    with refused("too-many"):
        add(restarted, b"x")
    with pytest.raises(ValueError):
        BlobLimits(each=1 << 40)


def test_some_of_the_disk_is_left_to_messages(
    pair: tuple[Blobs, Blobs], monkeypatch: pytest.MonkeyPatch
) -> None:
    there, here = pair
    attachment = add(there)
    part = here.begin(manifest_of(there, attachment))
    for module in (blobs_module, blob_parts):
        monkeypatch.setattr(module, "MIN_FREE", 1 << 62)
    with refused("disk-full"):
        part.write(0, chunk(there, attachment, 0))
    assert part.missing == {0, 1, 2}
    with refused("disk-full"):
        add(here)
    assert len(here.roots()) == 1
    here.leave(part)


class FaultyDisk:
    """Fails at a call of the operating system, as full and dying disks do."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch

    def fails(self, call: str, number: int) -> None:
        def fail(*_: object) -> None:
            raise OSError(number, os.strerror(number))

        self._patch.setattr(os, call, fail)

    def works(self) -> None:
        self._patch.undo()


@pytest.mark.parametrize(
    ("call", "number", "code"),
    [
        ("pwrite", errno.ENOSPC, "disk-full"),
        ("pwrite", errno.EIO, "disk-failed"),
        ("fsync", errno.EIO, "disk-failed"),
    ],
)
def test_a_disk_that_fails_leaves_nothing_that_looks_whole(
    pair: tuple[Blobs, Blobs], monkeypatch: pytest.MonkeyPatch, call: str, number: int, code: str
) -> None:
    there, here = pair
    attachment = add(there)
    part = here.begin(manifest_of(there, attachment))
    chunks = [chunk(there, attachment, index) for index in range(3)]
    disk = FaultyDisk(monkeypatch)
    disk.fails(call, number)
    with refused(code):
        add(here)
    with refused(code):
        for index in range(3):
            part.write(index, chunks[index])
        here.finish(part)
    disk.works()
    here.leave(part)
    restarted = Blobs(here.directory)
    assert not restarted.has(attachment.root)
    assert all(file.suffix == ".part" for file in here.directory.iterdir())
    again = restarted.begin(manifest_of(there, attachment))
    assert again.missing == {0, 1, 2}
    restarted.leave(again)


def test_of_a_file_that_was_refused_at_the_very_end_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names are written last."""

    def fail(_: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    here = Blobs(tmp_path / "blobs")
    used = here.add(io.BytesIO(b"read by all"), 11, sealed=False)
    with monkeypatch.context() as patch:
        patch.setattr(blobs_module, "sync_directory", fail)
        with refused("disk-failed"):
            add(here)
        with refused("disk-failed"):
            here.add(io.BytesIO(b"read by all"), 11, sealed=False)
    assert here.roots() == {used.root}
    assert [file.stem for file in here.directory.iterdir()] == [used.root.hex()]


def test_after_a_failed_write_through_nothing_counts(
    pair: tuple[Blobs, Blobs], monkeypatch: pytest.MonkeyPatch
) -> None:
    there, here = pair
    attachment = add(there)
    part = here.begin(manifest_of(there, attachment))
    monkeypatch.setattr(blob_parts, "SYNC_EVERY", 2)
    assert part.write(0, chunk(there, attachment, 0))
    FaultyDisk(monkeypatch).fails("fdatasync", errno.EIO)
    with refused("disk-failed"):
        part.write(1, chunk(there, attachment, 1))
    assert part.missing == {0, 1, 2}
    here.leave(part)


def test_a_file_that_shrinks_is_not_attached(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "b")
    with refused("source"):
        blobs.add(io.BytesIO(DATA), len(DATA) + 1, sealed=True)
    assert list((tmp_path / "b").iterdir()) == []
    assert blobs.total == 0


def test_leftovers_and_what_nobody_uses_go_at_the_start(tmp_path: Path) -> None:
    directory = tmp_path / "b"
    blobs = Blobs(directory)
    kept, unused = add(blobs), add(blobs)
    for name in ("x.new", "0" * 64, "0" * 63 + ".blob", "0" * 64 + ".blob", "incoming"):
        (directory / name).write_bytes(b"")
    (directory / "uploads").mkdir()
    (directory / "uploads" / "leftover").write_bytes(b"x")
    again = Blobs(directory)
    assert again.roots() == {kept.root, unused.root}
    assert again.collect(again.roots(), {kept.root}) == 1
    fresh = add(again)
    assert again.collect(again.roots(), {kept.root}) == 0
    assert again.collect(again.roots(), {kept.root, fresh.root}) == 0
    assert again.collect(again.roots(), {kept.root}) == 1
    assert [file.stem for file in directory.iterdir()] == [kept.root.hex()]


def test_a_deleted_part_touches_nobody_elses_file(pair: tuple[Blobs, Blobs]) -> None:
    there, here = pair
    attachment = add(there)
    part: Part = here.begin(manifest_of(there, attachment))
    here.delete(attachment.root)
    with refused("closed"):
        part.write(0, chunk(there, attachment, 0))
    here.finish(part)
    assert not here.has(attachment.root)
    assert list(here.directory.iterdir()) == []
    assert isinstance(here.add(io.BytesIO(DATA), len(DATA), sealed=True), Added)
