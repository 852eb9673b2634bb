"""What systemd wants to hear: ready, alive, stopping (sd_notify(3)).  Nothing without systemd."""

from __future__ import annotations

import os
import socket


def notify(state: str) -> None:
    """Tell the service manager, if there is one."""
    _send(state, 0)


def notify_alive() -> None:
    """Tell the watchdog; does not wait for a manager that is busy."""
    _send("WATCHDOG=1", socket.MSG_DONTWAIT)


def _send(state: str, flags: int) -> None:
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            sock.sendto(state.encode(), flags, address)
        except OSError:
            # The manager restarts us if it should miss this; there is nobody else to tell.
            return


def watchdog_interval_s() -> float | None:
    """Return how often to say that we are alive: half of what the manager allows."""
    allowed_us = os.environ.get("WATCHDOG_USEC", "")
    pid = os.environ.get("WATCHDOG_PID", "")
    if not allowed_us.isdigit() or (pid and pid != str(os.getpid())):
        return None
    return int(allowed_us) / 2_000_000
