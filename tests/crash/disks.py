"""Small disks for tests that break them; they are mounted by root, and nowhere else to be seen."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import disk_child
import pytest

ENDS_WITHIN_S = 60.0

needs_mounts = pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/dev/loop-control").exists(),
    reason="disks are mounted by root, with loop devices",
)
needs_recording = pytest.mark.skipif(
    shutil.which("qemu-storage-daemon") is None or not Path("/dev/fuse").exists(),
    reason="qemu-storage-daemon or FUSE is not there",
)


def make_disk(directory: Path, *, size: int = 24 << 20) -> Path:
    """An ext4 file system that is whole from the beginning."""
    disk = directory / "disk"
    with disk.open("wb") as file:
        file.truncate(size)
    options = "lazy_itable_init=0,lazy_journal_init=0,nodiscard"
    words = ["mkfs.ext4", "-q", "-b", "4096", "-m", "0", "-J", "size=4", "-E", options]
    subprocess.run([*words, str(disk)], check=True)
    return disk


def use(what: str, directory: Path, *, seed: int) -> list[list[str]]:
    """Have `disk_child` do something with a disk; the words of all lines that it said."""
    here = Path(disk_child.__file__).parent
    paths = (here.parents[1], here.parent, here.parent / "image")
    # When the tests are killed, so is this, and what it has mounted is gone.
    unshare = ["unshare", "--mount", "--propagation=private", "--fork", "--kill-child=KILL"]
    done = subprocess.run(
        [*unshare, sys.executable, disk_child.__file__, what, str(directory), str(seed)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))},
        stdout=subprocess.PIPE,
        timeout=ENDS_WITHIN_S,
        check=True,
    )
    lines = [line.split() for line in done.stdout.decode().splitlines()]
    assert lines[-1] == ["end"]
    return lines[:-1]
