"""What a process may do, as the kernel says in `/proc/PID/status`, here or in a machine."""

from __future__ import annotations

from dataclasses import dataclass

NET_ADMIN = 1 << 12
"""linux/capability.h"""


@dataclass(frozen=True)
class Rights:
    """Who a process is and what it holds."""

    user: int
    """It is this user in all respects: real, effective, saved and for files."""

    groups: frozenset[int]
    """All of its groups."""

    held: int
    """Capabilities that it has or could take: effective, permitted, inheritable and ambient."""

    bound: int
    """Capabilities that it, and what it starts, could ever have."""

    no_new_privileges: bool
    """No program that it starts gains anything by being set-user-id or the like."""


def rights_of(status: str) -> Rights:
    """Read `/proc/PID/status`; ValueError where a process is several users at once."""
    lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    users = set(lines["Uid"].split())
    if len(users) != 1:
        raise ValueError(f"several users at once: {lines['Uid']}")
    held = 0
    for kind in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
        held |= int(lines[kind], 16)
    return Rights(
        user=int(users.pop()),
        groups=frozenset(int(group) for group in (lines["Gid"] + lines["Groups"]).split()),
        held=held,
        bound=int(lines["CapBnd"], 16),
        no_new_privileges=lines["NoNewPrivs"].strip() == "1",
    )
