"""What `scripts/vm` gives later tests: kernel modules, the checkout inside, several machines."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from booted import BOOT_S, WITHIN_S, Booted, eventually

from images.vm import Kind

pytestmark = pytest.mark.timeout(900)

ROOT = Path(__file__).resolve().parent.parent.parent

KERNEL_PARTS = """
set -e
modprobe -a wireguard sch_netem sch_cake mac80211_hwsim
ip link add tunnel type wireguard
ip link add one type veth peer name other
tc qdisc add dev one root netem delay 10ms loss 5%
tc qdisc add dev other root cake bandwidth 1mbit
iw phy | grep --count ^Wiphy
"""


def vm(*arguments: str, timeout_s: float = 2 * BOOT_S) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts/vm", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def test_the_kernel_has_what_later_tests_need(two: tuple[Booted, Booted]) -> None:
    assert int(two[1].machine.output(KERNEL_PARTS)) >= 2


def test_a_test_runs_inside(kind: Kind, image: Path) -> None:
    """With the checkout's code in the image's environment; its exit code comes back."""
    if kind != "pc":
        pytest.skip("tests inside a machine are run on the PC image")
    done = vm(
        *("run", "--image", str(image), "--checkout"),
        *("python3", "-m", "pytest", "-q", "tests/unit/protocol/test_keepalive.py"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def test_machines_are_kept_up_and_asked(kind: Kind, image: Path) -> None:
    if kind != "pc":
        pytest.skip("the same for both images")
    up = subprocess.Popen(
        [ROOT / "scripts/vm", "up", "2", "--image", str(image)], stdout=subprocess.DEVNULL
    )
    try:
        asked = ("exec", "2", "systemctl", "is-active", "fencewire.service")
        eventually(lambda: vm(*asked, timeout_s=BOOT_S).stdout.strip() == "active", within_s=BOOT_S)
        assert len(vm("list").stdout.splitlines()) == 2
    finally:
        assert vm("down").returncode == 0
        up.wait(WITHIN_S)
    assert vm("exec", "1", "true").returncode != 0
