"""The disk runs full and gets room again while things are stored, and is pulled out altogether."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import pytest
from disk_child import FILLINGS
from disks import make_disk, needs_mounts, needs_recording, use

pytestmark = [pytest.mark.timeout(180), needs_mounts]

SMALL = 14 << 20
"""Bytes of a disk that is full soon; its journal takes 4 MiB."""


def test_a_full_disk_refuses_keeps_its_promises_and_works_again_with_room(
    tmp_path: Path, seed: int
) -> None:
    disk = make_disk(tmp_path, size=SMALL)
    words = use("fill", tmp_path, seed=seed)
    refused = refusals(words, "room")
    (kept,) = [int(one[1]) for one in words if one[0] == "kept"]
    print(f"{FILLINGS} fillings, refused {refused}, {kept} promises kept")
    assert disk.stat().st_size == SMALL
    assert refused["full"].keys() == {"disk-full"}
    assert refused["closing"].keys() <= {"disk-full", "store-failed"}
    assert not refused["room"]
    assert kept > 100


@needs_recording
def test_a_disk_that_is_pulled_out_refuses_and_has_kept_its_promises(
    tmp_path: Path, seed: int
) -> None:
    make_disk(tmp_path)
    refused = refusals(use("pull", tmp_path, seed=seed), "open")
    print(f"refused {refused}")
    assert refused["open"].keys() == {"disk-error"}
    assert refused["open"]["disk-error"] > 50
    assert refused["closing"].keys() <= {"disk-error", "store-failed"}


def refusals(lines: list[list[str]], begin: str) -> dict[str, Counter[str]]:
    """What was refused, by what was going on; lines of one word say that."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    now = begin
    for words in lines:
        if words[0] == "refused":
            found[now][words[1]] += 1
        elif len(words) == 1:
            now = words[0]
    return found
