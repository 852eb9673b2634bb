"""The partition for what a station keeps: made, grown, and missed when it cannot be had."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from booted import BOOT_S, DATA_IS_MOUNTED, WITHIN_S

from images.vm import Kind, Machine, Settings
from images.vm.qemu import DISK

pytestmark = pytest.mark.timeout(900)

SIZE = "findmnt --noheadings --bytes --output SIZE /data"


def test_it_grows_when_the_card_was_copied_to_a_larger_one(image: Path, kind: Kind) -> None:
    with Machine(Settings(image=image, kind=kind, disk_mb=1024)) as machine:
        machine.output(DATA_IS_MOUNTED, timeout_s=WITHIN_S)
        small = int(machine.output(SIZE))
        machine.output("echo kept >/data/mark && sync")
        machine.kill()
        subprocess.run(["qemu-img", "resize", "-q", machine.directory / DISK, "3G"], check=True)
        machine.start()
        machine.output(DATA_IS_MOUNTED, timeout_s=WITHIN_S)
        machine.output(
            f"until [ $({SIZE}) -gt {2 * small} ]; do sleep 0.5; done", timeout_s=WITHIN_S
        )
        assert machine.output("cat /data/mark") == "kept"


def test_a_disk_without_room_is_said_on_the_screen(image: Path, kind: Kind) -> None:
    """The station does not begin elsewhere as somebody else."""
    with Machine(Settings(image=image, kind=kind, disk_mb=0)) as machine:
        machine.serial.wait_for("no place for your station's data", timeout_s=BOOT_S)
        state = machine.output("systemctl show --property ActiveState --value fencewire.service")
        assert state == "inactive"
