"""The power goes at hundreds of places of what a store wrote to its disk, and it keeps its word.

Every write and flush of an ext4 file system is recorded below a loop device; each place is a disk
that is repaired, mounted and opened as after a start.  `replay` says what is lost at a place.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from disks import make_disk, needs_mounts, needs_recording, use
from promises import LostError, Promises
from replay import Kind, Recording, choose_cuts, describe, entries_of, replay

from images.vm.write_log import Span

pytestmark = [pytest.mark.timeout(240), needs_mounts, needs_recording]

PLACES = 520
MIN_PLACES = 500

DISK_SIZE = 144 << 20
"""Bytes, mostly holes: enough for a second superblock, as on real disks; the first can be torn."""


@dataclass(frozen=True)
class Said:
    """The check for `replay`: what was promised before a place is there."""

    lines: tuple[tuple[int, tuple[str, ...]], ...]
    """Places in the log of writes, and the words of a promise that was made by then."""

    early: int = 0
    """Promises of so many bytes later are wanted too: they can't be kept."""

    def __call__(self, position: int, mounted: Path) -> None:
        """Raise LostError."""
        promises = Promises()
        for place, words in self.lines:
            # What may be otherwise may be so from a moment on that nobody knows.
            if place <= position + self.early or words[0] == "let":
                promises.note(*words)
        promises.check(mounted / "store.db")


def test_every_promise_is_kept_wherever_the_power_goes(tmp_path: Path, seed: int) -> None:
    disk = make_disk(tmp_path, size=DISK_SIZE)
    before = tmp_path / "before"
    shutil.copy(disk, before)
    lines = use("record", tmp_path, seed=seed)
    recording = Recording(
        log=tmp_path / "log",
        disk_size=DISK_SIZE,
        partition=Span(0, DISK_SIZE),
        made_at=0,
        before=before,
    )
    said = tuple((int(place), tuple(words)) for place, *words in lines)
    assert not [words for _, words in said if words[0] == "refused"]
    flushes = sum(entry.flush for entry in entries_of(recording))
    cuts = choose_cuts(recording, count=PLACES, seed=seed)
    assert len(cuts) >= MIN_PLACES
    print(f"{len(said)} promises, {len(entries_of(recording))} entries, {flushes} flushes")
    verdicts = replay(recording, cuts, Said(said))
    print(describe(verdicts))
    assert all(verdict.failure is None for verdict in verdicts), describe(verdicts)
    assert {verdict.cut.kind for verdict in verdicts} == {kind.value for kind in Kind}

    # The check would have seen it: nothing can be there that has not been written yet.
    late = [cut for cut in cuts if cut.position > said[len(said) // 4][0]][:1]
    (verdict,) = replay(recording, late, Said(said, early=1 << 22))
    assert verdict.failure is not None
    assert LostError.__name__ in verdict.failure
