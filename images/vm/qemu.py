"""The command line of QEMU for a machine.

There is no KVM: kernels of Debian's do not start under the one of nested virtual machines, so all
is emulated, one host thread for each of the guest's processors. The choices were measured: two
processors halve the boot of one; `max` without five-level page tables is as quick as the oldest
model and has what today's Python wheels are built for. Devices that every PC has and nobody uses
here are left out, because their drivers take seconds to load. Without AVX2, which only some PCs
have: emulated it takes ten times as long as the arithmetic that stands in for it, and a codec that
finds it uses it.
"""

from __future__ import annotations

from pathlib import Path

from images.vm.errors import MachineError
from images.vm.network import Card
from images.vm.settings import Kernel, Settings
from images.vm.write_log import DEVICE_OPTIONS, blockdev_arguments

ACCELERATOR = "tcg,thread=multi,tb-size=256"
CPU = "max,la57=off,svm=off,avx2=off"

SERIAL_SOCKET = "serial.sock"
SERIAL_LOG = "serial.log"
SHELL_SOCKET = "shell.sock"
QMP_SOCKET = "qmp.sock"
DISK = "disk.qcow2"
UEFI_VARIABLES = "uefi-variables.fd"
SOUND = "sound"
"""What QEMU calls the sound card and where its sound goes."""
SOUND_FILE = "sound.wav"
USB = "qemu-xhci,id=usb"
USB_PORT = "usb.0"

UEFI_CODE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
UEFI_TEMPLATE = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")

PROGRAMS = {
    "pc": "qemu-system-x86_64",
    "pi": "qemu-system-aarch64",
    "raspi3b": "qemu-system-aarch64",
}


def command_line(
    settings: Settings,
    directory: Path,
    *,
    kernel: Kernel | None,
    cards: list[Card],
    firmware_files: dict[str, Path],
) -> list[str]:
    """The whole command; QEMU starts paused and is let go by QMP."""
    words = [PROGRAMS[settings.kind], "-name", settings.name, "-S", "-no-reboot"]
    words += ["-nodefaults", "-no-user-config", "-display", "none", "-accel", ACCELERATOR]
    words += [*_socket("qmp", directory / QMP_SOCKET), "-mon", "chardev=qmp,mode=control"]
    # QEMU's own log has bytes twice when its socket is full, so it only stands in for a reader.
    log = "" if settings.listen else f",logfile={directory / SERIAL_LOG},logappend=on"
    words += _socket("serial", directory / SERIAL_SOCKET, log)
    if settings.kind == "raspi3b":  # a Pi 3 has Bluetooth on the first, and its pins on the second
        words += ["-serial", "null"]
    words += ["-serial", "chardev:serial"]
    if kernel is not None:
        words += ["-kernel", str(kernel.image), "-initrd", str(kernel.initrd)]
        words += ["-append", kernel.command_line]
        if kernel.device_tree is not None:
            words += ["-dtb", str(kernel.device_tree)]
    if settings.kind == "raspi3b":
        card = f"if=sd,format=qcow2,file={directory / DISK}"
        return [*words, "-M", "raspi3b", "-drive", card]
    words += _board(settings, directory)
    words += ["-m", str(settings.memory_mb), "-smp", str(settings.cpus)]
    words += [*_disk(settings, directory), "-device", "virtio-rng-pci"]
    words += _shared(settings) + _cards(cards)
    words += [*_socket("shell", directory / SHELL_SOCKET), "-device", "virtio-serial-pci"]
    words += ["-device", "virtserialport,chardev=shell,name=fencewire.shell"]
    words += _sound(settings, directory)
    for name, path in firmware_files.items():
        words += ["-fw_cfg", f"name={name},file={path}"]
    return words


def _socket(name: str, path: Path, more: str = "") -> list[str]:
    return ["-chardev", f"socket,id={name},path={path},server=on,wait=off{more}"]


def _board(settings: Settings, directory: Path) -> list[str]:
    if settings.kind == "pi":
        words = ["-M", "virt", "-cpu", "cortex-a53", "-device", "virtio-gpu-pci"]
        return [*words, "-device", USB, "-device", "usb-kbd"]
    words = [
        "-M",
        "q35,sata=off,smbus=off,vmport=off",
        "-cpu",
        CPU,
        "-vga",
        "std",
    ]
    if settings.firmware == "uefi":
        if not UEFI_CODE.exists():
            raise MachineError(f"{UEFI_CODE} is missing; Debian's package ovmf has it")
        variables = directory / UEFI_VARIABLES
        if not variables.exists():
            variables.write_bytes(UEFI_TEMPLATE.read_bytes())
        words += ["-drive", f"if=pflash,format=raw,readonly=on,file={UEFI_CODE}"]
        words += ["-drive", f"if=pflash,format=raw,file={variables}"]
    return words


def _sound(settings: Settings, directory: Path) -> list[str]:
    """Where a sound card can be plugged in, and a file for what it plays."""
    if not settings.sound_card:
        return []
    port = [] if settings.kind == "pi" else ["-device", USB]
    return [*port, "-audiodev", f"wav,id={SOUND},path={directory / SOUND_FILE}"]


def _disk(settings: Settings, directory: Path) -> list[str]:
    """The disk; the guest sees a volatile write cache, flushes it and has its flushes honoured."""
    overlay = f"driver=qcow2,discard=unmap,file.driver=file,file.filename={directory / DISK}"
    words = ["-blockdev", f"node-name=overlay,{overlay}"]
    device = "virtio-blk-pci,bootindex=1"
    if settings.write_log is None:
        return [*words, "-device", f"{device},drive=overlay"]
    words += blockdev_arguments(log=settings.write_log, file_node="overlay", node="logged")
    return [*words, "-device", f"{device},drive=logged,{DEVICE_OPTIONS}"]


def _shared(settings: Settings) -> list[str]:
    words = []
    for tag, path in (("checkout", settings.checkout), ("packages", settings.packages)):
        if path is not None:
            share = f"local,id={tag},path={path},security_model=none,readonly=on"
            words += ["-fsdev", share, "-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]
    return words


def _cards(cards: list[Card]) -> list[str]:
    words = []
    for number, card in enumerate(cards):
        path = f"addr.type=unix,addr.path={card.path}"
        words += ["-netdev", f"stream,id=net{number},server=off,{path}"]
        device = f"virtio-net-pci,netdev=net{number},mac={card.mac}"
        words += ["-device", f"{device},romfile="]  # no network boot
    return words
