"""Who else may be at a radio: a switch, and programs that manage Wi-Fi.

Read from /sys, /run and /proc without privilege; what can't be read is taken as not there.  What
follows from it stays out (`radios`).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

MAX_PROCESSES: Final = 4096
"""Of which we look at."""

_MAX_FILE_BYTES: Final = 16384
_SUPPLICANT: Final = "wpa_supplicant"
_ALL_RADIOS: Final = {"iwd": "iwd", "connmand": "ConnMan"}
"""Processes that take every radio, and what people call them."""
_NETWORK_MANAGER: Final = "NetworkManager"


@dataclass(frozen=True)
class Unfit:
    """Why a radio is left alone, for the operator."""

    why: str
    """What it is, in a sentence."""

    fix: str = ""
    """What to do, in a sentence; empty where that is as it should be."""

    code: str = ""
    """For programs, where the operator should be told without looking."""


class RadioUsers:
    """Reads them."""

    def __init__(self, root: Path = Path("/")) -> None:
        """`root` is where /sys, /run and /proc are."""
        self._root = root

    def blocked(self, name: str, index: int) -> Unfit | None:
        """Tell whether a radio is switched off (rfkill)."""
        place = self._root / "sys/class/net" / name
        if _read(place / "ifindex").strip() != str(index):  # /sys may show another namespace
            return None
        switches = sorted((place / "phy80211").glob("rfkill*"))[:8]
        if any(_read(one / "hard").strip() == "1" for one in switches):
            fix = f"Switch it on: {name} has a switch or a key for it."
            return Unfit("The radio is switched off by its own switch.", fix, "radio-off")
        if any(_read(one / "soft").strip() == "1" for one in switches):
            fix = "Switch it on: rfkill unblock wifi."
            return Unfit("The radio is switched off by software (rfkill).", fix, "radio-off")
        return None

    def manager(self, name: str, index: int) -> Unfit | None:
        """Tell which program manages a radio that is in no network now."""
        running = self._running()
        for process, called in _ALL_RADIOS.items():
            if process in running:
                return _managed(called, f"exclude {name} there, or stop it")
        if _NETWORK_MANAGER in running:
            state = _read(self._root / "run/NetworkManager/devices" / str(index))
            if "managed=false" not in state.splitlines():
                return _managed(_NETWORK_MANAGER, f"nmcli device set {name} managed no")
        for words in running.get(_SUPPLICANT, ()):
            if f"-i{name}" in words or _follows(words, "-i", name):
                return _managed(_SUPPLICANT, f"systemctl disable --now wpa_supplicant@{name}")
        link = _read(self._root / "run/systemd/netif/links" / str(index)).splitlines()
        if any(line.startswith("NETWORK_FILE=") for line in link):
            return _managed("systemd-networkd", f"leave {name} out of its .network files")
        return None

    def _running(self) -> dict[str, list[list[str]]]:
        """The processes that matter, with their arguments."""
        wanted = {*_ALL_RADIOS, _NETWORK_MANAGER, _SUPPLICANT}
        found: dict[str, list[list[str]]] = {}
        try:
            places = [one for one in (self._root / "proc").iterdir() if one.name.isdecimal()]
        except OSError:
            return found
        for place in places[:MAX_PROCESSES]:
            name = _read(place / "comm").strip()
            if name in wanted:
                found.setdefault(name, []).append(_read(place / "cmdline").split("\0"))
        return found


def _managed(by: str, how: str) -> Unfit:
    why = f"{by} manages it, so it is left alone."
    fix = f"To give it to the mesh: {how}; then plug it in again or restart the helper."
    return Unfit(why, fix, "radio-managed")


def _follows(words: list[str], option: str, value: str) -> bool:
    return (option, value) in pairwise(words)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_FILE_BYTES).decode(errors="replace")
    except OSError:
        return ""
