"""The partition for what a station keeps: made, grown, and missed when it cannot be had."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from booted import BOOT_S, WITHIN_S

from images.vm import Kind, Machine, Settings
from images.vm.qemu import DISK

pytestmark = pytest.mark.timeout(900)

WAIT_FOR_DATA = "until mountpoint -q /data; do sleep 0.2; done"
SIZE = "findmnt --noheadings --bytes --output SIZE /data"


@pytest.fixture
def own_kind(kind: str) -> Kind:
    return "pc" if kind == "pc" else "pi"


def test_it_grows_when_the_card_was_copied_to_a_larger_one(image: Path, own_kind: Kind) -> None:
    with Machine(Settings(image=image, kind=own_kind, disk_mb=1024)) as machine:
        machine.output(WAIT_FOR_DATA, timeout_s=WITHIN_S)
        small = int(machine.output(SIZE))
        machine.output("echo kept >/data/mark && sync")
        machine.kill()
        subprocess.run(["qemu-img", "resize", "-q", machine.directory / DISK, "3G"], check=True)
        machine.start()
        machine.output(WAIT_FOR_DATA, timeout_s=WITHIN_S)
        machine.output(
            f"until [ $({SIZE}) -gt {2 * small} ]; do sleep 0.5; done", timeout_s=WITHIN_S
        )
        assert machine.output("cat /data/mark") == "kept"


def test_a_disk_without_room_is_said_on_the_screen(image: Path, own_kind: Kind) -> None:
    """The station does not begin elsewhere as somebody else."""
    with Machine(Settings(image=image, kind=own_kind, disk_mb=0)) as machine:
        machine.serial.wait_for("no place for your station's data", timeout_s=BOOT_S)
        state = machine.output("systemctl show --property ActiveState --value fencewire.service")
        assert state == "inactive"
