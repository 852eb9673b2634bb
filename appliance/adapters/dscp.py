"""Marks what leaves a socket, so that queues on the way know what goes first (RFC 2474, RFC 4594).

Our own queues go by it (`protocol/queue_plan.py`), radios too (RFC 8325), and most routers.
"""

from __future__ import annotations

import contextlib
import socket
from enum import Enum


class Dscp(Enum):
    """What a socket is for: its DSCP, and its priority in queues that know no DSCP (tc-prio(8))."""

    VOICE = (46, 6)
    """EF (RFC 3246)."""

    SESSION = (24, 4)
    """CS3: signalling, messages and what else is small and waited for."""

    BULK = (8, 2)
    """CS1: what can wait. Not lower effort (RFC 8622), which radios take for ordinary traffic."""

    @property
    def octet(self) -> int:
        """As IPv4's TOS and IPv6's traffic class, with no ECN."""
        return self.value[0] << 2

    @property
    def priority(self) -> int:
        """For SO_PRIORITY."""
        return self.value[1]


def mark(sock: socket.socket, dscp: Dscp) -> None:
    """Mark all that a socket sends from now on; what this kernel does not have is left alone."""
    with contextlib.suppress(OSError):
        # An IPv6 socket may talk IPv4 (RFC 4038 section 4.2), which this is for.
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp.octet)
    if sock.family == socket.AF_INET6:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, dscp.octet)
    # Last, since the kernel derives another one from the TOS.
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, dscp.priority)
