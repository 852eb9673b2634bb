"""Who is at the other end of a Unix socket: the kernel's word, not the peer's."""

from __future__ import annotations

import os
import socket
import struct
from typing import Final

_SO_PEERGROUPS: Final = 59
"""Linux 4.13, <asm-generic/socket.h>; Python has no name for it."""

_MAX_GROUPS: Final = 256
"""Python reads at most 1,024 bytes of an option; of a peer with more groups only the main one
counts."""


def may_use(connection: socket.socket, owner_gid: int) -> bool:
    """Tell whether the peer is root, our own user or a member of the group `owner_gid`."""
    size = struct.calcsize("iII")
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    _pid, uid, gid = struct.unpack("iII", credentials)
    return uid in (0, os.geteuid()) or owner_gid in (gid, *_groups(connection))


def _groups(connection: socket.socket) -> tuple[int, ...]:
    """Return the supplementary groups that the peer had when it connected."""
    try:
        found = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 4 * _MAX_GROUPS)
    except OSError:
        return ()
    return struct.unpack(f"{len(found) // 4}I", found)
