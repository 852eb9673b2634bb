"""What a machine is to be like."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from images.vm.network import Network

Kind = Literal["pc", "pi", "raspi3b"]
Firmware = Literal["bios", "uefi"]


@dataclass(frozen=True)
class Kernel:
    """A kernel that QEMU starts itself, without a boot loader."""

    image: Path
    """The kernel."""
    initrd: Path
    """Its first file system."""
    command_line: str
    """What it is told."""
    device_tree: Path | None = None
    """What describes the board, for boards that QEMU does not describe itself."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A machine before it is made. Only the image must be given."""

    image: Path
    """The disk that it begins with; it is never written to."""
    kind: Kind = "pc"
    """`pc`: x86-64, boots from its disk. `pi`: the arm64 image on QEMU's own board, everything
    works. `raspi3b`: the same image as the SD card of a Pi 3: serial console only, no shell."""
    name: str = "machine"
    """What to call it in messages."""
    firmware: Firmware = "bios"
    """Of a `pc`."""
    memory_mb: int = 512
    """A `raspi3b` always has 1024."""
    cpus: int = 2
    """A `raspi3b` always has 4."""
    disk_mb: int = 2048
    """The size of its disk, as that of a card; at least the image's. Without room for a partition
    after those of the image, a boot waits for it for minutes."""
    networks: tuple[Network, ...] = ()
    """One network card for each, in this order."""
    shell: bool = True
    """Whether it gets a root shell. Without, not a byte of it differs from what users boot."""
    checkout: Path | None = None
    """A checkout whose `appliance` takes the place of the image's, mounted before any service
    starts; all of it is at /run/checkout, where changes are kept in memory."""
    packages: Path | None = None
    """Python packages for tests inside, as `packages.prepare` makes them; needs `checkout`."""
    write_log: Path | None = None
    """A file for a log of every write and flush of the disk; see `write_log.py`. Each start empties
    it. Not for a `raspi3b`."""
    sound_card: bool = False
    """Whether there is a USB port for `Machine.plug_in_sound`. Not for a `raspi3b`."""
    kernel: Kernel | None = None
    """Instead of the image's own."""
    listen: bool = True
    """Whether this process takes the serial line. If not, another may connect to it; what is
    written is in the log either way."""
    directory: Path | None = None
    """Where to keep disk, sockets and logs, and to leave them; None: a temporary one."""
