"""What a build needs of the machine it runs on: root, a few packages, and for a Raspberry Pi image
the kernel's help to run ARM programs under qemu-user."""

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from images.builder.work import BuildError, run, say

PACKAGES = {
    "mmdebstrap": "mmdebstrap",
    "debian-archive-keyring": "/usr/share/keyrings/debian-archive-keyring.gpg",
}
"""Packages, and the command or file that shows that they are there."""

EMULATOR_PACKAGES = {"qemu-user-static": "/usr/lib/binfmt.d/qemu-aarch64.conf"}

ARCH = "amd64"
"""Debian's name of the processor that images are built on."""

EMULATOR = "qemu-aarch64"
BINFMT = Path("/proc/sys/fs/binfmt_misc")
RULES = Path("/usr/lib/binfmt.d")


def is_there(proof: str) -> bool:
    return Path(proof).exists() if proof.startswith("/") else shutil.which(proof) is not None


def install(packages: dict[str, str]) -> None:
    missing = [name for name, proof in packages.items() if not is_there(proof)]
    if not missing:
        return
    say(f"Installing Debian packages: {' '.join(missing)}")
    apt = ["apt-get", "-qq", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120"]
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        run([*apt, "install", *missing], env=quiet)
    except BuildError:
        run([*apt, "update"], env=quiet)
        run([*apt, "install", *missing], env=quiet)


def prepare() -> None:
    """Raises BuildError where no image can be built."""
    if os.geteuid() != 0:
        raise BuildError("Building an image needs root. Start it again with sudo.")
    if platform.machine() != "x86_64" or not shutil.which("apt-get"):
        raise BuildError("Images are built on Debian or Ubuntu on a 64-bit PC (x86_64).")
    install(PACKAGES)


@contextmanager
def able_to_run(arch: str) -> Iterator[None]:
    """Programs for this processor run; what was changed for it is changed back."""
    if arch == ARCH:
        yield
        return
    install(EMULATOR_PACKAGES)
    mounted = (BINFMT / "register").exists()
    if not mounted:
        run(["mount", "-t", "binfmt_misc", "binfmt_misc", BINFMT])
    entry = BINFMT / EMULATOR
    registered = entry.exists()
    try:
        if not registered:
            (BINFMT / "register").write_text(registration())
        yield
    finally:
        if not registered and entry.exists():
            entry.write_text("-1")
        if not mounted:
            subprocess.run(["umount", BINFMT], check=False)


def registration() -> str:
    """The line that makes the kernel start the emulator, as its package brings it."""
    path = RULES / f"{EMULATOR}.conf"
    if not path.exists():
        raise BuildError(f"{path} is missing: apt-get install --reinstall qemu-user-static")
    lines = path.read_text().splitlines()
    return next(line for line in lines if line and not line.startswith("#"))
