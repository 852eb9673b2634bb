"""The disk: boot partition and root file system with a partition table, by genimage.

Nothing is mounted. `images/KIND/disk.cfg` says what goes where; this puts the named files in place.
"""

import shutil
import struct
from pathlib import Path

from images.builder.bases import Kind
from images.builder.lean import Lean
from images.builder.toolbox import Toolbox
from images.builder.work import scratch, step

SECTOR_BYTES = 512
GRUB_CORE_SECTOR = 2048
"""Where disk.cfg puts GRUB's core image."""

GRUB_MODULES = ("biosdisk", "part_gpt", "fat", "normal", "linux", "serial", "terminal", "echo",
                "test", "reboot")  # fmt: skip

BOOT_KERNEL_SECTOR = 0x5C
"""Where boot.img has the first sector of the core image (GRUB_BOOT_MACHINE_KERNEL_SECTOR)."""

BOOT_DRIVE_CHECK = 0x66
"""Where boot.img has a jump that is for floppy disks; GRUB's installer overwrites it on others."""

MBR_CODE_BYTES = 440
"""How much of boot.img goes into the first sector; the partition table is behind."""

CORE_BLOCK_LIST = 0x1F4
"""Where the core image's first sector says where the rest of it begins."""


def patch_boot_sector(content: bytes) -> bytes:
    """GRUB's boot.img for a hard disk with the core image at its place."""
    patched = bytearray(content[:MBR_CODE_BYTES])
    struct.pack_into("<Q", patched, BOOT_KERNEL_SECTOR, GRUB_CORE_SECTOR)
    patched[BOOT_DRIVE_CHECK : BOOT_DRIVE_CHECK + 2] = b"\x90\x90"
    return bytes(patched)


def patch_core(content: bytes) -> bytes:
    """GRUB's core image, which finds its second sector behind its first."""
    patched = bytearray(content)
    struct.pack_into("<Q", patched, CORE_BLOCK_LIST, GRUB_CORE_SECTOR + 1)
    return bytes(patched)


def add_pc_boot(boot_files: Path, inputs: Path, toolbox: Toolbox) -> None:
    usr_lib = toolbox.root / "usr/lib"
    for source, name in (
        ("shim/shimx64.efi.signed", "shimx64.efi"),
        ("shim/mmx64.efi.signed", "mmx64.efi"),
        ("grub/x86_64-efi-signed/grubx64.efi.signed", "grubx64.efi"),
    ):
        shutil.copyfile(usr_lib / source, inputs / name)
    shutil.copytree(boot_files, inputs, dirs_exist_ok=True)
    boot = usr_lib / "grub/i386-pc/boot.img"
    (inputs / "boot.img").write_bytes(patch_boot_sector(boot.read_bytes()))
    core = inputs / "core.img"
    # The prefix without a disk: the one that the BIOS has started.
    toolbox.run(
        [
            "grub-mkimage",
            "--format=i386-pc",
            "--prefix=(,gpt2)/EFI/debian",
            f"--output={core}",
            *GRUB_MODULES,
        ]
    )
    core.write_bytes(patch_core(core.read_bytes()))


def add_pi_boot(boot_files: Path, files: Path, lean: Lean) -> None:
    """What a Raspberry Pi's boot partition has besides kernel and initrd."""
    for source in (lean.boot / "firmware", lean.boot / "device-trees", boot_files):
        shutil.copytree(source, files, dirs_exist_ok=True)


def make_disk(
    sources: Path,
    kind: Kind,
    lean: Lean,
    *,
    initrd: Path,
    system: Path,
    toolbox: Toolbox,
    target: Path,
) -> None:
    """Writes `fencewire-KIND.img` into the directory `target`."""
    boot_files = sources / "images" / kind.name / "boot"
    with step(f"Disk of {kind.name}"), scratch() as work:
        inputs, files = work / "inputs", work / "files"
        for directory in (inputs, files):
            directory.mkdir()
            shutil.copyfile(lean.boot / "vmlinuz", directory / "vmlinuz")
            shutil.copyfile(initrd, directory / "initrd")
        (inputs / "root.squashfs").symlink_to(system)
        if kind.name == "pc":
            add_pc_boot(boot_files, inputs, toolbox)
        else:
            add_pi_boot(boot_files, files, lean)
        toolbox.run(
            [
                "genimage",
                f"--config={boot_files.parent / 'disk.cfg'}",
                f"--inputpath={inputs}",
                f"--outputpath={work / 'out'}",
                f"--tmppath={work / 'tmp'}",
                f"--rootpath={files}",
            ]
        )
        name = f"fencewire-{kind.name}.img"
        (work / "out" / name).rename(target / name)
