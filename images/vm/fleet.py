"""Machines that stay up for a person: `scripts/vm up`, and what reaches them from elsewhere.

One process keeps them in the foreground; their sockets and logs are in one directory, where the
others find them. They end with their keeper, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from images.vm import qemu
from images.vm.errors import MachineError
from images.vm.machine import Machine
from images.vm.network import Network
from images.vm.settings import Settings
from images.vm.shell import Shell

LOCK = "keeper"
END_TIMEOUT_S = 30.0
LOOK_S = 0.1


def directory() -> Path:
    """Where this user's machines are."""
    return Path(tempfile.gettempdir()) / f"fencewire-machines-{os.getuid()}"


def place_of(number: int) -> Path:
    """Where one machine is. MachineError: it is not up."""
    place = directory() / str(number)
    if keeper() is None or not place.is_dir():
        raise MachineError(f"machine {number} is not up; scripts/vm up starts machines")
    return place


def numbers() -> list[int]:
    """The machines that are up."""
    if keeper() is None:
        return []
    return sorted(int(path.name) for path in directory().iterdir() if path.name.isdecimal())


def keeper() -> int | None:
    """The process that keeps the machines, if there is one."""
    try:
        with (directory() / LOCK).open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(lock.read() or 0) or None
    except FileNotFoundError:
        pass
    return None


@contextmanager
def _kept() -> Iterator[Path]:
    """Be the keeper of an empty directory."""
    place = directory()
    place.mkdir(mode=0o700, exist_ok=True)
    if place.stat().st_uid != os.getuid():
        raise MachineError(f"{place} belongs to somebody else")
    with (place / LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise MachineError("machines are up already; scripts/vm down ends them") from None
        for left in place.iterdir():
            if left.is_dir():
                shutil.rmtree(left)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        try:
            yield place
        finally:
            shutil.rmtree(place)


@contextmanager
def up(settings: Settings, count: int) -> Iterator[list[Machine]]:
    """Start machines that differ in nothing, on one network; they end when this does."""
    with _kept() as place, Network() as network, ExitStack() as stack:
        machines = []
        for number in range(1, count + 1):
            own = place / str(number)
            own.mkdir()
            machine = Machine(
                Settings(
                    image=settings.image,
                    kind=settings.kind,
                    name=f"machine {number}",
                    memory_mb=settings.memory_mb,
                    firmware=settings.firmware,
                    checkout=settings.checkout,
                    packages=settings.packages,
                    networks=(network,),
                    listen=False,
                    directory=own,
                )
            )
            machines.append(stack.enter_context(machine))
        yield machines


def down() -> bool:
    """End all machines; return whether there were any."""
    pid = keeper()
    if pid is None:
        return False
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + END_TIMEOUT_S
    while keeper() is not None:
        if time.monotonic() > deadline:
            raise MachineError(f"process {pid}, which keeps the machines, does not end")
        time.sleep(LOOK_S)
    return True


def shell(number: int) -> Shell:
    """The root shell of a machine that is up."""
    return Shell(place_of(number) / qemu.SHELL_SOCKET, check_alive=lambda: _check_up(number))


def _check_up(number: int) -> None:
    place_of(number)
