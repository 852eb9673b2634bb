"""Power cuts by replay: what the disk holds after one, and what is found to be lost."""

import asyncio
import os
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from replay import (
    Cut,
    Kind,
    Recording,
    ReplayedPartition,
    choose_cuts,
    describe,
    entries_of,
    replay,
)
from station_check import LostError, StationCheck, Told
from store_samples import ANN, incoming, outgoing
from write_log_samples import SECTOR, Log

from appliance.adapters.store import Store
from appliance.daemon.keyfile import load_or_make
from appliance.model.identity import StationKey
from images.vm.write_log import Span

DISK = 16 << 20
"""Bytes; smaller file systems have no second superblock, and the first can be torn."""
PART = Span(4 * SECTOR, 64 * SECTOR)
A, B, C = (letter * SECTOR for letter in (b"a", b"b", b"c"))


def recording(log: Log, **changes: object) -> Recording:
    fields = {"disk_size": 1 << 20, "partition": PART, "made_at": 0, **changes}
    return Recording(log=log.path, **fields)  # type: ignore[arg-type]


def after(of: Recording, cut: Cut, directory: Path) -> bytes:
    """The partition after a cut."""
    entries = entries_of(of)
    with ReplayedPartition(of, directory / "flushed") as partition:
        for entry in entries[: cut.entries]:
            partition.advance(entry)
        upcoming = entries[cut.entries] if cut.entries < len(entries) else None
        partition.save(cut, upcoming, directory / "copy")
    return (directory / "copy").read_bytes()


def test_a_whole_cut_holds_all_that_was_written(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    log.write(4, A)
    log.flush()
    log.write(5, B)
    log.write(4, C)
    log.entry(5, 1, flags=4)
    of = recording(log)
    wanted = [b"", A, A, A + B, C + B, C + bytes(SECTOR)]
    for number, content in enumerate(wanted):
        cut = Cut(number, 0, Kind.WHOLE.value, 0)
        assert after(of, cut, tmp_path) == content.ljust(PART.size, b"\0")


def test_what_was_there_before_is_there(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    log.write(5, B)
    (tmp_path / "disk").write_bytes(b"-" * 4 * SECTOR + A + A)
    of = recording(log, before=tmp_path / "disk")
    assert after(of, Cut(1, 0, Kind.WHOLE.value, 0), tmp_path)[: 3 * SECTOR] == A + B + bytes(512)


def test_a_torn_write_comes_with_its_first_sectors(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    log.write(4, A)
    log.write(5, B * 8)
    found = set()
    for seed in range(100):
        disk = after(recording(log), Cut(1, 0, Kind.TORN.value, seed), tmp_path)
        assert disk.startswith(A)
        assert disk.count(B) * SECTOR == disk.count(b"b")
        found.add(disk.count(B))
    assert found == set(range(1, 8))


def test_only_what_was_not_flushed_can_be_missing(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    log.write(4, A)
    log.flush()
    log.write(5, B)
    log.write(6, C, flags=2)
    log.write(7, B)
    found = set()
    for seed in range(100):
        disk = after(recording(log), Cut(5, 0, Kind.REORDERED.value, seed), tmp_path)
        assert (disk[:SECTOR], disk[2 * SECTOR : 3 * SECTOR]) == (A, C)
        found.add((disk[SECTOR], disk[3 * SECTOR]))
    assert found == {(0, 0), (0, ord("b")), (ord("b"), 0), (ord("b"), ord("b"))}


def test_cuts_are_as_many_as_asked_and_promise_as_much_as_they_can(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    made_at = log.write(4, A * 8)
    for number in range(100):
        log.write(8 + number % 50, A * 2)
        log.write(0, A)  # elsewhere
        log.flush()
    cuts = choose_cuts(recording(log, made_at=made_at), count=240, seed=1)
    assert len(set(cuts)) == 240
    assert cuts == choose_cuts(recording(log, made_at=made_at), count=240, seed=1)
    assert all(cut.position >= made_at for cut in cuts)
    assert {cut.kind for cut in cuts} == {kind.value for kind in Kind}
    assert max(cut.position for cut in cuts) == log.path.stat().st_size


@dataclass(frozen=True)
class FileCheck:
    """Which file was promised from where on."""

    promised: tuple[tuple[int, str], ...]

    def __call__(self, position: int, mounted: Path) -> None:
        for since, name in self.promised:
            if since <= position and not (mounted / name).exists():
                raise LostError(name)


def end_at_once(position: int, mounted: Path) -> None:
    os._exit(3)


@pytest.fixture
def two_files(tmp_path: Path) -> tuple[Log, int, int]:
    """A file system that gets two files, and the places from which each may be promised."""
    if os.geteuid() != 0 or not Path("/dev/loop-control").exists():
        pytest.skip("needs root and loop devices")
    image = tmp_path / "image"
    log = Log(tmp_path / "log")
    places = []
    with image.open("wb") as file:
        file.truncate(DISK)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", image], check=True)
    old = bytes(DISK)
    for name in ("first", "second"):
        (tmp_path / name).write_text(name)
        command = ["debugfs", "-w", "-R", f"write {tmp_path / name} {name}", str(image)]
        subprocess.run(command, check=True, capture_output=True)
        new = image.read_bytes()
        for start in range(0, len(new), 1024):
            if new[start : start + 1024] != old[start : start + 1024]:
                log.write(start // SECTOR, new[start : start + 1024])
        places.append(log.flush())
        old = new
    return log, places[0], places[1]


def ext4(log: Log, made_at: int) -> Recording:
    return Recording(log.path, DISK, Span(0, DISK), made_at)


def test_a_promise_that_was_kept_is_found_kept(two_files: tuple[Log, int, int]) -> None:
    log, first, second = two_files
    of = ext4(log, first)
    cuts = choose_cuts(of, count=12, seed=1)
    verdicts = replay(of, cuts, FileCheck(((first, "first"), (second, "second"))))
    assert len(verdicts) == len(cuts) >= 10
    assert [verdict.failure for verdict in verdicts] == [None] * len(cuts), describe(verdicts)


def test_a_promise_before_the_flush_is_found_broken(two_files: tuple[Log, int, int]) -> None:
    log, first, _ = two_files
    of = ext4(log, first)
    verdicts = replay(of, choose_cuts(of, count=12, seed=1), FileCheck(((first, "second"),)))
    assert "LostError: second" in {verdict.failure for verdict in verdicts}
    assert "failed" in describe(verdicts)


def test_nothing_stays_mounted_when_a_check_dies(two_files: tuple[Log, int, int]) -> None:
    log, first, _ = two_files
    of = ext4(log, first)
    with pytest.raises(Exception, match="terminated abruptly"):
        replay(of, choose_cuts(of, count=4, seed=1), end_at_once)
    assert "/mounted" not in Path("/proc/self/mounts").read_text()
    loops = subprocess.run(["losetup", "-a"], check=True, capture_output=True, text=True)
    assert "/copy" not in loops.stdout


# -- What a station must still have


async def filled(database: Path) -> tuple[bytes, bytes]:
    store = Store.open(database)
    mine, theirs = outgoing(ANN), incoming(ANN)
    await store.perform(mine)
    await store.perform(theirs)
    await store.close()
    return mine.record.id, theirs.record.id


@pytest.fixture
def check(tmp_path: Path) -> StationCheck:
    """A station with a message each way, and what must be found of it."""
    directory = tmp_path / "fencewire"
    directory.mkdir(mode=0o700)
    identity = load_or_make(directory).id
    mine, theirs = asyncio.run(filled(directory / "station.db"))
    return StationCheck(identity, 10, written=(Told(20, mine),), received=(Told(30, theirs),))


def test_a_station_that_has_everything_passes(tmp_path: Path, check: StationCheck) -> None:
    check(30, tmp_path)


def test_a_station_that_was_not_begun_passes(tmp_path: Path, check: StationCheck) -> None:
    check(9, tmp_path / "nothing")


def test_another_identity_is_found(tmp_path: Path, check: StationCheck) -> None:
    other = replace(check, identity=StationKey.generate().id)
    other(9, tmp_path)
    with pytest.raises(LostError, match="has become"):
        other(10, tmp_path)


@pytest.mark.parametrize("which", ["written", "received"])
def test_a_lost_message_is_found(tmp_path: Path, check: StationCheck, which: str) -> None:
    told = (Told(40, bytes(32)),)
    missing = replace(check, written=told) if which == "written" else replace(check, received=told)
    missing(39, tmp_path)
    with pytest.raises(LostError, match=r"00000 .*gone"):
        missing(40, tmp_path)


def test_a_message_that_waits_for_nobody_is_found(tmp_path: Path, check: StationCheck) -> None:
    with closing(sqlite3.connect(tmp_path / "fencewire" / "station.db")) as db:
        db.execute("DELETE FROM outbox")
        db.commit()
    with pytest.raises(LostError, match="waits for nobody"):
        check(20, tmp_path)


def test_a_damaged_database_is_found(tmp_path: Path, check: StationCheck) -> None:
    with (tmp_path / "fencewire" / "station.db").open("r+b") as file:
        file.seek(4096)
        file.write(b"?" * 8192)
    with pytest.raises(LostError, match="was damaged"):
        check(9, tmp_path)
