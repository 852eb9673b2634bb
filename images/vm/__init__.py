"""Virtual machines that boot Fencewire's images: for tests, and for `scripts/vm`.

    with Network() as network:
        settings = Settings(image=image, networks=(network,))
        with Machine(settings) as one, Machine(settings) as other:
            one.serial.wait_for("F1", timeout_s=300)
            one.serial.press("F2")
            address = other.output("fencewire ...")

A machine is QEMU; there is no library in between. Building images is not done here.
"""

from images.vm.console import Console, SerialConsole, VirtualConsole
from images.vm.errors import MachineError
from images.vm.machine import Machine
from images.vm.network import Card, Network
from images.vm.settings import Kernel, Kind, Settings
from images.vm.shell import Command, Result
from images.vm.terminal import Terminal

__all__ = [
    "Card",
    "Command",
    "Console",
    "Kernel",
    "Kind",
    "Machine",
    "MachineError",
    "Network",
    "Result",
    "SerialConsole",
    "Settings",
    "Terminal",
    "VirtualConsole",
]
