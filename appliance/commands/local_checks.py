"""What `doctor` can look at without a daemon: why one might not start.

The daemon's own checks are many more; these are those that explain its absence.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Final

from appliance.api.errors import ClientError
from appliance.api.paths import default_state_dir
from appliance.api.schema import Check

_LOW_DISK_BYTES: Final = 50 * 1024 * 1024
"""Less than this is used up by a few days of messages and logs."""

_BUILT: Final = 1_750_000_000
"""June 2025: a clock before this was never set."""

_INTERFACES: Final = Path("/sys/class/net")


def look(api_path: Path, error: ClientError) -> tuple[Check, ...]:
    """Check what can be checked from here; the missing daemon comes first."""
    return (
        Check("daemon", "bad", error.text, error.fix),
        _state(default_state_dir()),
        _socket(api_path),
        _network(),
        _clock(),
    )


def _existing(path: Path) -> Path:
    """Return the nearest folder on the way to `path` that exists."""
    while not path.exists():
        path = path.parent
    return path


def _state(state: Path) -> Check:
    try:
        folder = _existing(state)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Check(
            "disk", "bad", f"{state} can't be read: {error.strerror}.", "Give --state another path."
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        return Check(
            "disk",
            "bad",
            f"You may not write to {folder}, where messages are kept.",
            "Correct its owner, or choose another place with FENCEWIRE_STATE.",
        )
    shown = f"{free // 1_000_000} MB free for {state}."
    if free < _LOW_DISK_BYTES:
        return Check("disk", "warn", shown, "Delete something before messages are refused.")
    return Check("disk", "ok", shown, "")


def _socket(path: Path) -> Check:
    folder = _existing(path.parent)
    if os.access(folder, os.W_OK | os.X_OK):
        return Check("socket", "ok", f"A daemon could listen at {path}.", "")
    return Check(
        "socket",
        "bad",
        f"You may not make {path}.",
        "Choose another place with --api or FENCEWIRE_API.",
    )


def _network() -> Check:
    try:
        names = [entry.name for entry in _INTERFACES.iterdir() if entry.name != "lo"]
        up = [name for name in names if _has_carrier(_INTERFACES / name)]
    except OSError:
        return Check("network", "warn", "Interfaces can't be listed here.", "Go on and try.")
    if up:
        return Check("network", "ok", f"Connected: {', '.join(sorted(up))}.", "")
    return Check(
        "network",
        "warn",
        "No network interface is connected.",
        "Plug in a cable or join a Wi-Fi; it is noticed by itself.",
    )


def _has_carrier(interface: Path) -> bool:
    try:
        return (interface / "carrier").read_text().strip() == "1"
    except OSError:
        return False  # how the kernel says that it is down


def _clock() -> Check:
    if time.time() < _BUILT:
        return Check(
            "clock",
            "warn",
            "This machine's clock was never set.",
            "Nothing is lost by it; to set it: date -s 'YYYY-MM-DD HH:MM'",
        )
    return Check("clock", "ok", f"It is {time.strftime('%Y-%m-%d %H:%M')} here.", "")
