"""A filter in the kernel that lets one RTP source through (socket(7): SO_ATTACH_FILTER).

Without it a flood fills a socket's buffer, and most of what is genuine finds no room.  Whoever
floods without hearing the call does not know the source's 32 bits.  Filters of classic BPF need no
privilege; they see a datagram from its UDP header on.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from typing import Final

_SO_ATTACH_FILTER: Final = 26
_SO_DETACH_FILTER: Final = 27
_SO_MEMINFO: Final = 55
"""<asm-generic/socket.h>; `socket` does not name them."""

_MEMINFO_DROPS: Final = 8
"""SK_MEMINFO_DROPS of <linux/sock_diag.h>."""

_LOAD_WORD, _LOAD_BYTE = 0x20, 0x30  # BPF_LD | BPF_ABS with BPF_W, BPF_B
_IF_EQUAL, _IF_AT_LEAST, _RETURN = 0x15, 0x35, 0x06

_UDP_HEADER: Final = 8

_INSTRUCTION: Final = struct.Struct("=HBBI")


class _Program(ctypes.Structure):
    """struct sock_fprog"""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def _program(ssrc: int) -> bytes:
    """RTCP (types 192 to 223, RFC 5761 section 4) has its source at 4, RTP at 8.

    Loading from behind the end drops the datagram.
    """
    code = (
        (_LOAD_BYTE, 0, 0, _UDP_HEADER + 1),
        (_IF_AT_LEAST, 0, 3, 192),
        (_IF_AT_LEAST, 2, 0, 224),
        (_LOAD_WORD, 0, 0, _UDP_HEADER + 4),
        (_IF_EQUAL, 2, 3, ssrc),
        (_LOAD_WORD, 0, 0, _UDP_HEADER + 8),
        (_IF_EQUAL, 0, 1, ssrc),
        (_RETURN, 0, 0, 0xFFFF),
        (_RETURN, 0, 0, 0),
    )
    return b"".join(_INSTRUCTION.pack(*one) for one in code)


def only_from(sock: socket.socket, ssrc: int) -> None:
    """Drop what is not of the RTP source ``ssrc``; raises OSError."""
    code = ctypes.create_string_buffer(_program(ssrc))
    length = (len(code) - 1) // _INSTRUCTION.size
    program = _Program(length, ctypes.cast(code, ctypes.c_void_p))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, bytes(program))


def from_all(sock: socket.socket) -> None:
    """Take the filter off; raises OSError where there is none."""
    sock.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)


def kernel_drops(sock: socket.socket) -> int:
    """What the kernel has dropped of what came to it; 0 where it does not tell (Linux < 4.12)."""
    try:
        told = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 4 * (_MEMINFO_DROPS + 1))
    except OSError:
        return 0
    return int.from_bytes(told[4 * _MEMINFO_DROPS :], "little")
