"""What the kernel's list of interfaces does not say: drivers, radios, udev, the operator's session.

Read from ethtool's oldest requests, /sys, udev's database and /proc/net, without privilege.  /sys
may show another network namespace than ours, so what it says counts only if number and hardware
address agree.

What stays out: what follows from it (`link_policy`).
"""

from __future__ import annotations

import array
import fcntl
import ipaddress
import os
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.net.netlink import Interface

SYS: Final = Path("/sys/class/net")
UDEV: Final = Path("/run/udev")
SSH_PORT: Final = 22
MAX_CONNECTIONS: Final = 4096
"""Of which we look at; a host with more is not administered over a mesh."""

_MAX_FILE_BYTES: Final = 16384
_SIOCETHTOOL: Final = 0x8946
_SIOCGIWNAME: Final = 0x8B01
_ETHTOOL_GDRVINFO: Final = 0x03
_ETHTOOL_GLINK: Final = 0x0A
_DRVINFO_BYTES: Final = 196
_TCP_ESTABLISHED: Final = "01"


@dataclass(frozen=True)
class Hardware:
    """What an interface is made of; does not change while it lives under one name."""

    wireless: bool
    """It is a radio."""

    mobile: bool
    """It is a modem of a mobile network."""

    driver: str
    """The kernel's driver, such as ``g_ether``; empty where it does not say."""

    gadget: bool
    """It is our end of a USB cable whose other end takes us for an adapter."""


@dataclass(frozen=True)
class Udev:
    """What udev says about an interface."""

    pending: bool
    """udev runs and is not done with it: it may still be renamed."""

    ignore: bool
    """The property FENCEWIRE_IGNORE is 1."""


class Facts:
    """Reads them; one socket, to be closed."""

    def __init__(self, *, sys: Path = SYS, udev: Path = UDEV) -> None:
        self._sys = sys
        self._udev = udev
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def hardware(self, interface: Interface) -> Hardware:
        """Tell what an interface is made of."""
        directory = self._sys / interface.name
        told = _properties(_read(directory / "uevent"))
        address = _read(directory / "address").strip().replace(":", "")
        if told.get("IFINDEX") != str(interface.index) or address != interface.mac.hex():
            told = {}
        kind = told.get("DEVTYPE", "")
        radio = bool(told) and any((directory / sub).exists() for sub in ("phy80211", "wireless"))
        return Hardware(
            wireless=radio or kind == "wlan" or self._has_wireless_extensions(interface.name),
            mobile=kind == "wwan",
            driver=self._driver(interface.name),
            gadget=kind == "gadget",
        )

    def udev(self, index: int) -> Udev:
        """Tell what udev knows about an interface."""
        if not (self._udev / "control").exists():
            return Udev(pending=False, ignore=False)
        try:
            with (self._udev / "data" / f"n{index}").open("rb") as file:
                text = file.read(_MAX_FILE_BYTES).decode(errors="replace")
        except OSError:
            return Udev(pending=True, ignore=False)
        return Udev(pending=False, ignore="E:FENCEWIRE_IGNORE=1" in text.splitlines())

    def hurry_carrier(self, name: str) -> None:
        """Have the kernel look whether there is a carrier; it may sit on the news for a second."""
        value = array.array("I", (_ETHTOOL_GLINK, 0))
        self._ethtool(name, value)

    def _driver(self, name: str) -> str:
        value = array.array("B", struct.pack("I", _ETHTOOL_GDRVINFO).ljust(_DRVINFO_BYTES, b"\0"))
        if not self._ethtool(name, value):
            return ""
        return value.tobytes()[4:36].partition(b"\0")[0].decode("ascii", "replace")

    def _ethtool(self, name: str, value: array.array[int]) -> bool:
        request = struct.pack("16sP16x", os.fsencode(name), value.buffer_info()[0])
        try:
            fcntl.ioctl(self._socket, _SIOCETHTOOL, request)
        except OSError:  # it has gone, or its driver can't say
            return False
        return True

    def _has_wireless_extensions(self, name: str) -> bool:
        try:
            fcntl.ioctl(self._socket, _SIOCGIWNAME, struct.pack("16s16x", os.fsencode(name)))
        except OSError:
            return False
        return True


def session_addresses(proc: Path = Path("/proc/net")) -> frozenset[str]:
    """Return our addresses to which somebody is logged in by SSH.

    sshd's port is the usual one, and that by which we ourselves were started from a session.
    """
    ports = {SSH_PORT}
    started_over = os.environ.get("SSH_CONNECTION", "").split()
    if len(started_over) == 4 and started_over[3].isdecimal():
        ports.add(int(started_over[3]))
    found = set()
    for name in ("tcp", "tcp6"):
        for line in _read(proc / name, lines=MAX_CONNECTIONS).splitlines()[1:]:
            fields = line.split()
            if len(fields) > 3 and fields[3] == _TCP_ESTABLISHED:
                host, _, port = fields[1].partition(":")
                if int(port, 16) in ports:
                    found.add(_proc_address(host))
    return frozenset(found)


def _proc_address(digits: str) -> str:
    """Read an address as /proc/net shows it: words of 32 bits in the machine's own order."""
    words = struct.unpack(f">{len(digits) // 8}I", bytes.fromhex(digits))
    packed = struct.pack(f"={len(words)}I", *words)
    address = ipaddress.ip_address(packed)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _read(path: Path, *, lines: int | None = None) -> str:
    """Read the beginning of a file of the kernel's; empty where there is none."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE_BYTES if lines is None else 192 * (lines + 1))
    except OSError:
        return ""
    return data.decode(errors="replace")


def _properties(text: str) -> dict[str, str]:
    return {name: value for name, _, value in (line.partition("=") for line in text.splitlines())}
