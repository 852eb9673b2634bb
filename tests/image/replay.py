"""Power cuts, by replay of what a machine wrote: would its data partition come up again?

A log of writes (`images.vm.write_log`) says what the disk would hold if the power had gone at any
point of it.  At many of them a copy of the partition is made, repaired and mounted as a start of
the machine would, and shown to a check.

The disk is one with a volatile cache: what was written before the last flush is there, as is what
was written with FUA; of what came after, any part may be missing, and the last write may have come
half-way, with whole sectors.  Not in the model: sectors that are damaged or were never written to,
disks that lie about flushes, and writes older than a flush that the machine began while they were
on their way (they count as flushed if QEMU finished them first).
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import random
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeAlias, TypeVar

from images.vm.write_log import Entry, Span, entries_within, read_entries

SECTOR: Final = 512
"""Bytes that a disk writes whole or not at all."""

CHUNK: Final = 1 << 18
"""Bytes that are copied at once."""

WORKERS: Final = 2
"""Processes; much of the time goes into starting e2fsck, mount and umount."""

MOUNT_OPTIONS: Final = "loop,noatime"

_NEW_MOUNTS: Final = 0x00020000
"""CLONE_NEWNS."""

_DIE_WITH_PARENT: Final = 1
"""PR_SET_PDEATHSIG."""

_REPAIRED: Final = 1 | 2
"""Bits of e2fsck's exit code that mean there were errors and now there are none."""

T = TypeVar("T")


@dataclass(frozen=True)
class Recording:
    """What a machine wrote from a start to its end, and where to."""

    log: Path
    """Its log; of one start alone."""

    disk_size: int
    """Bytes of the whole disk."""

    partition: Span
    """The data partition."""

    made_at: int
    """Place in the log from which the partition is in the partition table, its file system whole
    and flushed.  No cut is made before: there the next start makes both anew, and there must be
    nothing that somebody was told is kept."""

    before: Path | None = None
    """The raw disk as it was when the log began, or shorter; None: nothing but zeroes."""


class Kind(Enum):
    """What becomes of the writes that were not flushed when the power goes."""

    WHOLE = "whole"
    """All are there."""

    TORN = "torn"
    """All are there, and some sectors of the one that came next."""

    REORDERED = "reordered"
    """Some are there."""


@dataclass(frozen=True, order=True)
class Cut:
    """A power cut."""

    entries: int
    """Entries that concern the partition and came before; of a torn one, the next is the torn."""

    position: int
    """Place in the log: whoever was told below it that something is kept must find it."""

    kind: str
    """A value of Kind."""

    seed: int
    """Decides what is missing."""


@dataclass(frozen=True)
class Verdict:
    """What became of a cut."""

    cut: Cut
    """Which."""

    repaired: bool
    """e2fsck found more to do than to play the journal back."""

    failure: str | None
    """What was wrong afterwards."""


Check: TypeAlias = Callable[[int, Path], None]
"""Gets the cut's place in the log and where the partition is mounted, writable and for it alone;
raises what it likes.  It must be possible to pickle it: a function of a module, or an object."""


def entries_of(recording: Recording) -> tuple[Entry, ...]:
    """Return all entries that concern the partition, counted from its start."""
    entries = read_entries(recording.log, disk_size=recording.disk_size)
    return tuple(entries_within(entries, recording.partition))


# -- Where to cut


def choose_cuts(recording: Recording, *, count: int, seed: int) -> tuple[Cut, ...]:
    """Choose `count` different cuts, less if there is not enough to cut, in order.

    A quarter each: right after a flush; right before one, with a part of what it would have
    flushed; anywhere; in the middle of a write.
    """
    entries = entries_of(recording)
    dice = random.Random(seed)
    ends = [entry.position for entry in entries[1:]] + [recording.log.stat().st_size]

    def cut(kind: Kind, number: int) -> Cut:
        included = number if kind is Kind.TORN else number + 1
        # Up to the next entry of the partition nothing changes in it, so as much as possible has
        # been promised there.
        position = entries[number].position if kind is Kind.TORN else ends[number]
        chance = 0 if kind is Kind.WHOLE else dice.getrandbits(32)
        return Cut(included, position, kind.value, chance)

    after_flush, before_flush, anywhere, torn = [], [], [], []
    written = False
    for number, entry in enumerate(entries):
        is_last = number + 1 == len(entries)
        if entry.flush and not entry.target.size:
            if written and ends[number] >= recording.made_at:
                after_flush.append(number)
            written = False
            continue
        written = True
        if ends[number] >= recording.made_at:
            if is_last or entries[number + 1].flush:
                before_flush.append(number)
            else:
                # Else the same is there as right after that flush, and more was promised.
                anywhere.append(number)
        if entry.position >= recording.made_at and entry.target.size > SECTOR:
            torn.append(number)
    share = count // 4
    chosen = {cut(Kind.WHOLE, number) for number in _spread(after_flush, share)}
    chosen |= {cut(Kind.REORDERED, number) for number in _spread(before_flush, share)}
    chosen |= {cut(Kind.TORN, number) for number in _spread(torn, share)}
    chosen |= {cut(Kind.WHOLE, number) for number in _spread(anywhere, count - len(chosen))}
    while before_flush and len(chosen) < count:
        more = _spread(before_flush, count - len(chosen))
        chosen |= {cut(Kind.REORDERED, number) for number in more}
    return tuple(sorted(chosen))


def _spread(candidates: Sequence[T], count: int) -> list[T]:
    """Return `count` of them, or all, as evenly as it goes, and the last in any case."""
    if len(candidates) <= count:
        return list(candidates)
    return [candidates[(number + 1) * len(candidates) // count - 1] for number in range(count)]


# -- What the disk would hold


class ReplayedPartition:
    """The partition up to some entry: what was flushed in a file, and the entries since then."""

    def __init__(self, recording: Recording, file: Path) -> None:
        """Begin with what was there before the first entry; `file` is made."""
        self._size = recording.partition.size
        self._log = os.open(recording.log, os.O_RDONLY | os.O_CLOEXEC)
        self._flushed = os.open(file, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC)
        self._unflushed: list[Entry] = []
        os.ftruncate(self._flushed, self._size)
        if recording.before is not None:
            with recording.before.open("rb") as before:
                _copy_used(before.fileno(), recording.partition, self._flushed)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._log)
        os.close(self._flushed)

    def advance(self, entry: Entry) -> None:
        """Go past an entry."""
        if entry.flush:
            for earlier in self._unflushed:
                self._apply(earlier, self._flushed)
            self._unflushed.clear()
        if entry.target.size:
            self._unflushed.append(entry)

    def save(self, cut: Cut, upcoming: Entry | None, file: Path) -> None:
        """Write to `file` what the disk holds after a cut here; `upcoming` is the torn entry."""
        dice = random.Random(cut.seed)
        copy = os.open(file, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC)
        try:
            os.ftruncate(copy, self._size)
            _copy_used(self._flushed, Span(0, self._size), copy)
            loss = dice.random() if cut.kind == Kind.REORDERED.value else 0.0
            for entry in self._unflushed:
                if entry.fua or dice.random() >= loss:
                    self._apply(entry, copy)
            if cut.kind == Kind.TORN.value and upcoming is not None:
                sectors = dice.randrange(1, upcoming.target.size // SECTOR)
                self._apply(upcoming, copy, sectors=sectors)
        finally:
            os.close(copy)

    def _apply(self, entry: Entry, file: int, *, sectors: int | None = None) -> None:
        size = entry.target.size if sectors is None else sectors * SECTOR
        for done in range(0, size, CHUNK):
            length = min(CHUNK, size - done)
            position = entry.target.start + done
            zeroes = bytes(length)
            data = (
                zeroes if entry.discard else os.pread(self._log, length, entry.data_position + done)
            )
            # What is full of zeroes stays a hole, which costs nothing to copy.
            if data != zeroes or os.pread(file, length, position) != zeroes:
                os.pwrite(file, data, position)


def _copy_used(source: int, part: Span, target: int) -> None:
    """Copy a part of a sparse file to the beginning of an empty one, without the holes."""
    position = part.start
    while position < part.end:
        try:
            position = os.lseek(source, position, os.SEEK_DATA)
        except OSError:
            return  # only a hole is left
        end = min(os.lseek(source, position, os.SEEK_HOLE), part.end)
        while position < end:
            os.lseek(target, position - part.start, os.SEEK_SET)
            position += os.sendfile(target, source, position, end - position)


# -- Starting from it


def replay(recording: Recording, cuts: Sequence[Cut], check: Check) -> tuple[Verdict, ...]:
    """Show what is left after each cut to `check`; needs root and loop devices.

    Runs in processes of its own, each with its own mounts: whatever happens to them, nothing stays
    mounted.
    """
    shares = [tuple(sorted(cuts))[number::WORKERS] for number in range(WORKERS)]
    with (
        tempfile.TemporaryDirectory() as scratch,
        ProcessPoolExecutor(
            WORKERS,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_enter_own_mounts,
            initargs=(Path(scratch), os.getpid()),
        ) as pool,
    ):
        verdicts = pool.map(partial(_replay_share, recording, check, Path(scratch)), shares)
        return tuple(sorted((one for share in verdicts for one in share), key=lambda v: v.cut))


def describe(verdicts: Sequence[Verdict]) -> str:
    """Say what came of all cuts, and what failed first, for a test's output."""
    kinds = Counter(verdict.cut.kind for verdict in verdicts)
    failures = [verdict for verdict in verdicts if verdict.failure is not None]
    lines = [
        f"{len(verdicts)} power cuts ("
        + ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
        + f"), {sum(verdict.repaired for verdict in verdicts)} repaired, {len(failures)} failed",
        *(f"{verdict.cut}: {verdict.failure}" for verdict in failures[:10]),
    ]
    return "\n".join(lines)


def _enter_own_mounts(scratch: Path, parent: int) -> None:
    """Prepare a worker: mounts that end with it, and memory for a disk."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_DIE_WITH_PARENT, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)  # it has died before it could tell
    if libc.unshare(_NEW_MOUNTS) != 0:
        raise OSError(ctypes.get_errno(), "No mounts of its own: power cuts are replayed by root")
    _run("mount", "--make-rprivate", "/")
    _run("mount", "-t", "tmpfs", "tmpfs", str(scratch))
    (scratch / "mounted").mkdir()


def _replay_share(
    recording: Recording, check: Check, scratch: Path, cuts: Sequence[Cut]
) -> list[Verdict]:
    entries = entries_of(recording)
    verdicts = []
    done = 0
    with ReplayedPartition(recording, scratch / "flushed") as partition:
        for cut in cuts:
            for entry in entries[done : cut.entries]:
                partition.advance(entry)
            done = cut.entries
            upcoming = entries[done] if done < len(entries) else None
            partition.save(cut, upcoming, scratch / "copy")
            verdicts.append(_start_from(scratch / "copy", scratch / "mounted", cut, check))
    return verdicts


def _start_from(copy: Path, mounted: Path, cut: Cut, check: Check) -> Verdict:
    # As `fsck.repair=yes` has it.
    repair = _run("e2fsck", "-y", str(copy), may_fail=True)
    repaired = bool(repair.returncode & _REPAIRED)
    if repair.returncode & ~_REPAIRED:
        return Verdict(cut, repaired, f"e2fsck could not repair it:\n{repair.stdout}")
    mount = _run("mount", "-t", "ext4", "-o", MOUNT_OPTIONS, str(copy), str(mounted), may_fail=True)
    if mount.returncode:
        return Verdict(cut, repaired, f"it could not be mounted: {mount.stdout}")
    failure = None
    try:
        check(cut.position, mounted)
    except Exception as error:  # noqa: BLE001 - whatever a check finds is its verdict
        failure = f"{type(error).__name__}: {error}"
    finally:
        _run("umount", str(mounted))
    return Verdict(cut, repaired, failure)


def _run(*command: str, may_fail: bool = False) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        check=not may_fail,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
