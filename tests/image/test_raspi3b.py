"""The image as the SD card of a Raspberry Pi 3, as far as QEMU is one.

QEMU's board has no network and no way for a root shell, so it is the boot alone: the screen on
the serial line.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from booted import SCREEN
from figures import Figures

from images.vm import Kind, Machine, Settings

pytestmark = pytest.mark.timeout(900)

BOOT_S = 600.0


def test_the_screen_comes_up(image: Path, kind: Kind, figures: Figures) -> None:
    if kind != "pi":
        pytest.skip("this is the PC image")
    with Machine(Settings(image=image, kind="raspi3b", name="Pi 3")) as machine:
        seconds = machine.serial.wait_for(SCREEN, timeout_s=BOOT_S)
    figures.add("power to screen, Raspberry Pi 3 in QEMU", f"{seconds:.0f} s")
