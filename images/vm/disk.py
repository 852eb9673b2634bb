"""Disks of machines: overlays over an image that stays as it is, and files out of its FAT."""

from __future__ import annotations

import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from images.vm.errors import MachineError

SECTOR_BYTES = 512
MEGABYTE = 1024 * 1024
TOOL_TIMEOUT_S = 120.0
BOOT_PARTITION = "fencewire-boot"


@dataclass(frozen=True)
class Partition:
    """An entry of a disk's GPT."""

    name: str
    """Its label, such as `fencewire-root`."""
    start_bytes: int
    """Where it begins on the disk."""
    size_bytes: int
    """How long it is."""


def run_tool(*command: str | Path) -> str:
    """Run a program of the host's; return what it prints. MachineError: it failed, and how."""
    try:
        done = subprocess.run(
            [str(word) for word in command],
            check=True,
            capture_output=True,
            text=True,
            timeout=TOOL_TIMEOUT_S,
        )
    except FileNotFoundError as problem:
        raise MachineError(f"{command[0]} is not installed") from problem
    except subprocess.CalledProcessError as problem:
        raise MachineError(f"{command[0]}: {problem.stderr.strip()}") from problem
    except subprocess.TimeoutExpired as problem:
        raise MachineError(f"{command[0]} takes more than {TOOL_TIMEOUT_S:g} s") from problem
    return done.stdout


def read_partitions(image: Path) -> list[Partition]:
    """The partitions of a raw image (UEFI specification 2.10, section 5.3)."""
    with image.open("rb") as file:
        file.seek(SECTOR_BYTES)
        header = file.read(92)
        if header[:8] != b"EFI PART":
            raise MachineError(f"{image} has no GPT")
        start, count, size = struct.unpack_from("<QII", header, 72)
        file.seek(start * SECTOR_BYTES)
        table = file.read(min(count, 1024) * size)
    found = []
    for at in range(0, len(table), size):
        first, last = struct.unpack_from("<QQ", table, at + 32)
        name = table[at + 56 : at + 128].decode("utf-16-le", errors="replace").rstrip("\0")
        if first:
            found.append(Partition(name, first * SECTOR_BYTES, (last - first + 1) * SECTOR_BYTES))
    return found


def copy_from_boot(image: Path, names: list[str], directory: Path) -> None:
    """Copy files out of the image's boot partition."""
    for partition in read_partitions(image):
        if partition.name == BOOT_PARTITION:
            sources = [f"::{name}" for name in names]
            run_tool("mcopy", "-n", "-i", f"{image}@@{partition.start_bytes}", *sources, directory)
            return
    raise MachineError(f"{image} has no partition {BOOT_PARTITION}")


def make_overlay(image: Path, overlay: Path, *, size_mb: int, power_of_two: bool) -> None:
    """Make a disk that begins as the image and keeps its own changes.

    It is at least as large as the image; SD cards have a power of two.
    """
    size_bytes = max(image.stat().st_size, size_mb * MEGABYTE)
    if power_of_two:
        size_bytes = 1 << (size_bytes - 1).bit_length()
    size_bytes = -(-size_bytes // SECTOR_BYTES) * SECTOR_BYTES
    run_tool(
        *("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw"),
        *("-b", image.resolve(), overlay, str(size_bytes)),
    )
