"""Logs of writes: what is read of them, where it stops, what is refused."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from write_log_samples import SECTOR, Log, superblock

from images.vm.write_log import (
    Entry,
    Span,
    WriteLogError,
    blockdev_arguments,
    entries_within,
    position_now,
    read_entries,
)

DISK = 1 << 20


def read(log: Path) -> list[Entry]:
    return list(read_entries(log, disk_size=DISK))


def test_entries_say_what_where_and_from_which_place(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    first = log.write(8, b"a" * SECTOR * 2)
    flushed = log.flush()
    log.entry(40, 8, flags=4)
    last = log.write(16, b"b" * SECTOR, flags=2)
    write, flush, discard, fua = read(log.path)
    assert (write.target, write.position, write.end) == (Span(4096, 1024), SECTOR, first)
    assert write.data_position == 2 * SECTOR
    assert (flush.flush, flush.target.size, flush.end) == (True, 0, flushed)
    assert (discard.discard, discard.target, discard.end) == (
        True,
        Span(40 * SECTOR, 8 * SECTOR),
        flushed + SECTOR,
    )
    assert (fua.fua, fua.flush, fua.end) == (True, False, last)
    assert position_now(log.path) == last


def test_each_start_has_an_empty_log(tmp_path: Path) -> None:
    path = tmp_path / "a,b"
    path.write_bytes(b"old")
    arguments = blockdev_arguments(log=path, file_node="disk", node="logged")
    assert path.read_bytes() == b""
    assert f"filename={tmp_path}/a,,b," in arguments[1]
    assert arguments[3] == "driver=blklogwrites,file=disk,log=logged-log,node-name=logged"


def test_larger_sectors_count_in_all_places(tmp_path: Path) -> None:
    path = tmp_path / "log"
    header = struct.pack("<QQQQ", 2, 1, 0, 0).ljust(4096, b"\0")
    path.write_bytes(superblock(sector_size=4096).ljust(4096, b"\0") + header + b"x" * 4096)
    (entry,) = read(path)
    assert (entry.target, entry.data_position, entry.end) == (Span(8192, 4096), 8192, 12288)


def test_a_log_that_was_cut_off_is_read_up_to_there(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    ends = [log.write(number, b"x" * SECTOR * 3) for number in range(3)]
    whole = log.path.read_bytes()
    for size in range(SECTOR, len(whole) + 1, 100):
        log.path.write_bytes(whole[:size])
        assert [entry.end for entry in read(log.path)] == [end for end in ends if end <= size]


def test_an_entry_that_never_came_ends_what_is_read(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    end = log.write(1, b"x" * SECTOR)
    with log.path.open("ab") as file:
        file.write(bytes(3 * SECTOR))
    log.write(2, b"y" * SECTOR)
    assert [entry.end for entry in read(log.path)] == [end]


def test_what_the_superblock_counts_does_not_matter(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    for number in range(3):
        log.write(number, b"x" * SECTOR)
    assert len(read(log.path)) == 3


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "flushed nothing"),
        (bytes(4096), "flushed nothing"),
        (b"garbage" * 200, "no log"),
        (superblock(version=2), "another version"),
        (superblock(sector_size=0), "0 bytes"),
        (superblock(sector_size=513), "513 bytes"),
        (superblock(sector_size=1 << 31), "bytes"),
    ],
)
def test_what_is_no_log_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "log"
    path.write_bytes(content)
    with pytest.raises(WriteLogError, match=why):
        read(path)


@pytest.mark.parametrize(
    ("sector", "sectors", "flags"), [(2047, 2, 0), (1 << 63, 1, 4), (0, 1 << 63, 0), (0, 1, 32)]
)
def test_an_entry_that_cannot_be_is_refused(
    tmp_path: Path, sector: int, sectors: int, flags: int
) -> None:
    log = Log(tmp_path / "log")
    log.entry(sector, sectors, flags=flags)
    with pytest.raises(WriteLogError):
        read(log.path)


@given(st.binary(max_size=4000))
def test_garbage_ends_or_is_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("garbage") / "log"
    path.write_bytes(superblock() + data)
    try:
        for entry in read_entries(path, disk_size=DISK):
            assert entry.target.end <= DISK
            assert entry.end <= path.stat().st_size
    except WriteLogError:
        pass


def test_only_what_hits_a_part_of_the_disk_counts(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    log.write(0, b"x" * SECTOR)
    log.write(9, b"abcd"[:1] * SECTOR + b"b" * SECTOR + b"c" * SECTOR)
    log.flush()
    log.write(12, b"x" * SECTOR)
    across, flush = entries_within(read(log.path), Span(10 * SECTOR, SECTOR))
    assert across.target == Span(0, SECTOR)
    assert log.path.read_bytes()[across.data_position :][:SECTOR] == b"b" * SECTOR
    assert (flush.flush, flush.target.size) == (True, 0)
