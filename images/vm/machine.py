"""A virtual machine that boots an image: start, power cut, consoles, root shell, cables.

What it shares with others is in its own files: consoles, shell, networks, disks. Of the guest it
knows only what every Linux has.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from images.vm import disk, guest, qemu
from images.vm.console import SerialConsole, VirtualConsole, last_lines
from images.vm.errors import MachineError
from images.vm.network import Network
from images.vm.qmp import Qmp
from images.vm.settings import Kernel, Settings
from images.vm.shell import Command, Listener, Result, Shell

BOOT_TIMEOUT_S = 600.0
"""A boot takes a quarter of a minute alone and minutes beside others on a small machine."""
RUN_TIMEOUT_S = 60.0
LAUNCH_TIMEOUT_S = 30.0
LOOK_S = 0.05
QEMU_LOG = "qemu.log"

PI3_DEVICE_TREE = "bcm2837-rpi-3-b.dtb"


class Machine:
    """One machine; a context manager that starts it and leaves nothing behind.

    `kill()` and then `start()` is a power cut to a disk with a volatile write cache that honours
    flushes: what the guest flushed is there. Of what it did not flush, writes to places that were
    never written before are lost, since QEMU keeps the disk's map of them in its memory up to the
    next flush; writes to other places survive, since the host's page cache does. Torn sectors and
    every possible order of writes are not simulated: `write_log` and a replay are for that.

    QEMU is killed when the thread that called `start()` ends, however it ends.
    """

    def __init__(self, settings: Settings) -> None:
        """Make its disk; nothing runs yet."""
        self.settings = settings
        self.is_temporary = settings.directory is None
        # Short: the path of a Unix socket has 107 bytes.
        self.directory = settings.directory or Path(tempfile.mkdtemp(prefix="fencewire-vm-"))
        try:
            self._kernel = settings.kernel or self._copy_kernel()
            disk.make_overlay(
                settings.image,
                self.directory / qemu.DISK,
                size_mb=settings.disk_mb,
                power_of_two=settings.kind == "raspi3b",
            )
            self._firmware_files = guest.firmware_files(settings, self.directory)
            self.cards = [network.add_card() for network in settings.networks]
        except BaseException:
            self.close()
            raise

    _process: subprocess.Popen[bytes] | None = None
    _qmp: Qmp | None = None
    _serial: SerialConsole | None = None
    _shell: Shell | None = None
    _started_s = 0.0

    def __enter__(self) -> Machine:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Switch it on, after it was made or killed or has ended."""
        self.kill()
        command = qemu.command_line(
            self.settings,
            self.directory,
            kernel=self._kernel,
            cards=self.cards,
            firmware_files=self._firmware_files,
        )
        for name in (qemu.QMP_SOCKET, qemu.SERIAL_SOCKET, qemu.SHELL_SOCKET):
            (self.directory / name).unlink(missing_ok=True)
        try:
            with (self.directory / QEMU_LOG).open("ab") as log:
                self._process = subprocess.Popen(
                    ["setpriv", "--pdeathsig", "KILL", *command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
        except FileNotFoundError as problem:
            raise MachineError(
                "setpriv, of Debian's package util-linux, is not installed"
            ) from problem
        self._qmp = self._connect_qmp()
        self._started_s = time.monotonic()
        if self.settings.listen:
            self._serial = SerialConsole(
                self.directory / qemu.SERIAL_SOCKET,
                log=self.directory / qemu.SERIAL_LOG,
                started_s=self._started_s,
                check_alive=self.check_alive,
                error=self.error,
            )
        self._qmp.execute("cont")

    def kill(self) -> None:
        """Cut the power. Does nothing where there is none."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        for connection in (self._shell, self._serial, self._qmp):
            if connection is not None:
                connection.close()
        self._process = self._shell = self._serial = self._qmp = None

    def shut_down(self, *, timeout_s: float = RUN_TIMEOUT_S) -> None:
        """Shut it down in order, through its root shell."""
        self.popen("systemctl poweroff")
        self.wait_off(timeout_s=timeout_s)

    def wait_off(self, *, timeout_s: float) -> None:
        """Wait until it has switched itself off, or wanted to start anew."""
        assert self._process is not None
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise self.error(f"still on after {timeout_s:g} s") from None
        self.kill()

    def close(self) -> None:
        """Kill it and remove its temporary directory."""
        self.kill()
        if self.is_temporary:
            shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def now_s(self) -> float:
        """Seconds since its start, by the host's clock."""
        return time.monotonic() - self._started_s

    @property
    def is_on(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def serial(self) -> SerialConsole:
        """Its serial console."""
        if self._serial is None:
            raise self.error("nobody listens to the serial console")
        return self._serial

    @property
    def monitor(self) -> VirtualConsole:
        """Its first console on the monitor, with a keyboard; needs the root shell."""
        return VirtualConsole(
            run=self.run, qmp=lambda: self.qmp, now_s=lambda: self.now_s, error=self.error
        )

    @property
    def qmp(self) -> Qmp:
        """QEMU's own controls."""
        if self._qmp is None:
            raise self.error("it is off")
        return self._qmp

    @property
    def shell(self) -> Shell:
        """The root shell, connected to and maybe not ready yet."""
        if not self.settings.shell or self.settings.kind == "raspi3b":
            raise self.error("it was made without a root shell")
        self.check_alive()
        if self._shell is None:
            self._shell = Shell(
                self.directory / qemu.SHELL_SOCKET,
                check_alive=self.check_alive,
                error=self.error,
            )
        return self._shell

    def wait_shell(self, *, timeout_s: float = BOOT_TIMEOUT_S) -> float:
        """Wait until commands can be run, early in the boot; return the seconds since the start."""
        self.shell.wait_ready(timeout_s=timeout_s)
        return self.now_s

    def wait_booted(self, *, timeout_s: float = BOOT_TIMEOUT_S) -> str:
        """Wait until systemd has nothing more to start; return its word: running or degraded.

        The root shell itself is there much earlier, before devices and services are. Some devices,
        and the last names of network cards, come even later than systemd's word.
        """
        command = "systemctl is-system-running --wait; udevadm settle"
        return self.run(command, timeout_s=timeout_s).stdout.strip()

    def run(self, script: str | Sequence[str], *, timeout_s: float = RUN_TIMEOUT_S) -> Result:
        """Run a line of bash, or one command in words, as root; wait for the boot and its end."""
        return self.popen(script).wait(timeout_s=timeout_s)

    def output(self, script: str | Sequence[str], *, timeout_s: float = RUN_TIMEOUT_S) -> str:
        """Run commands that must succeed; return what they print, without the last newline."""
        result = self.run(script, timeout_s=timeout_s)
        if result.code:
            raise self.error(f"{script}: exit code {result.code}: {result.stderr or result.stdout}")
        return result.stdout.removesuffix("\n")

    def popen(self, script: str | Sequence[str], *, listener: Listener | None = None) -> Command:
        """Start commands and do not wait for their end; `listener` gets what they write."""
        self.wait_shell()
        line = script if isinstance(script, str) else shlex.join(script)
        return self.shell.popen(line, listener=listener)

    def put(self, data: bytes, path: str, *, mode: int = 0o644) -> None:
        """Write a file in the machine."""
        self.wait_shell()
        self.shell.put(data, path, mode=mode, timeout_s=RUN_TIMEOUT_S)

    def get(self, path: str) -> bytes:
        """Read a file in the machine."""
        result = self.run(f'cat -- "{path}"')
        if result.code or result.cut:
            raise self.error(f"cannot read {path}: {result.stderr or 'it is too long'}")
        return result.stdout_bytes

    def check_checkout(self) -> None:
        """Raise MachineError if the checkout is not in its place."""
        unit = guest.CHECKOUT_UNIT
        # A oneshot unit is active once all of it is done.
        result = self.run(
            f"until systemctl is-active --quiet {unit}; do"
            f" ! systemctl is-failed --quiet {unit} || exit 1; sleep 0.5; done"
        )
        if result.code:
            log = self.run(f"journalctl --no-pager -o cat -u {unit}").stdout
            raise self.error(f"the checkout is not in its place:\n{log}")

    def kernel_started_s(self) -> float:
        """When its kernel started, in seconds since the start, by the kernel's own count."""
        up_s = self.output("read up rest </proc/uptime; echo $up")
        return self.now_s - float(up_s)

    def unplug(self, network: Network) -> None:
        """Pull the cable to a network: the carrier goes. See also `Network.cut`."""
        self._set_link(network, up=False)

    def plug(self, network: Network) -> None:
        """Put the cable back."""
        self._set_link(network, up=True)

    def plug_in_sound(self) -> None:
        """Put a USB sound card in: a loudspeaker without a microphone, all that QEMU has."""
        self.qmp.execute(
            "device_add", driver="usb-audio", id=qemu.SOUND, audiodev=qemu.SOUND, bus=qemu.USB_PORT
        )

    def pull_out_sound(self) -> Path:
        """Pull it out; return a WAV file of what it has played.

        The next one that is put in writes the same file anew.
        """
        self.qmp.execute("device_del", id=qemu.SOUND)
        return self.directory / qemu.SOUND_FILE

    def _set_link(self, network: Network, *, up: bool) -> None:
        for number, card in enumerate(self.cards):
            if card.network is network:
                self.qmp.execute("set_link", name=f"net{number}", up=up)
                return
        raise self.error("it has no card in that network")

    def check_alive(self) -> None:
        """Raise MachineError if it has ended."""
        if not self.is_on:
            raise self.error("it has ended")

    def error(self, what: str) -> MachineError:
        """An error with the last words of QEMU and of the serial console."""
        parts = [f"{self.settings.name}: {what}"]
        log = self.directory / QEMU_LOG
        if log.exists() and (words := log.read_text(errors="replace").strip()):
            parts.append(f"QEMU: {words[-1000:]}")
        if words := last_lines(self.directory / qemu.SERIAL_LOG):
            parts.append(f"The end of the serial console:\n{words}")
        return MachineError("\n".join(parts))

    def _connect_qmp(self) -> Qmp:
        deadline = time.monotonic() + LAUNCH_TIMEOUT_S
        while time.monotonic() < deadline:
            self.check_alive()
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
                return Qmp(self.directory / qemu.QMP_SOCKET)
            time.sleep(LOOK_S)
        raise self.error("QEMU does not start")

    def _copy_kernel(self) -> Kernel | None:
        """What QEMU starts where it has no boot loader; None where the disk has one."""
        if self.settings.kind == "pc":
            return None
        names = ["vmlinuz", "initrd", "cmdline.txt"]
        tree = None
        if self.settings.kind == "raspi3b":
            names.append(PI3_DEVICE_TREE)
            tree = self.directory / PI3_DEVICE_TREE
        disk.copy_from_boot(self.settings.image, names, self.directory)
        told = (self.directory / "cmdline.txt").read_text().strip()
        if self.settings.kind == "pi":  # QEMU's own board has another serial line than a Pi
            told = re.sub(r"console=(serial0|ttyS\d)\b", "console=ttyAMA0", told)
        return Kernel(self.directory / names[0], self.directory / names[1], told, tree)
