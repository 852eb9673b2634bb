"""Tells when a table of nftables was removed, by the kernel's own events.

What stays out: whose table it was, and making it again (`firewall`).
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Final

# linux/netfilter/nfnetlink.h, nf_tables.h
_NETLINK_NETFILTER: Final = 12
_NFNLGRP_NFTABLES: Final = 7
_SOL_NETLINK: Final = 270
_NETLINK_ADD_MEMBERSHIP: Final = 1
_NFT_MSG_DELTABLE: Final = 10 << 8 | 2
_NLMSGHDR: Final = struct.Struct("=IHHII")
_EVENT_BYTES: Final = 65536


class TableWatch:
    """Tells of any table, removed by anybody, us too; use as a context manager."""

    def __init__(self, on_removed: Callable[[], None]) -> None:
        self._on_removed = on_removed
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, _NETLINK_NETFILTER
        )

    def __enter__(self) -> TableWatch:
        self._socket.bind((0, 0))
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, _NFNLGRP_NFTABLES)
        asyncio.get_running_loop().add_reader(self._socket, self._read)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _read(self) -> None:
        try:
            data = self._socket.recv(_EVENT_BYTES)
        except BlockingIOError:
            return
        except OSError:  # some were lost, so it may have been among them
            self._on_removed()
            return
        while len(data) >= _NLMSGHDR.size:
            length, kind, _, _, _ = _NLMSGHDR.unpack_from(data)
            if kind == _NFT_MSG_DELTABLE:
                self._on_removed()
                return
            data = data[max(length + 3 & ~3, _NLMSGHDR.size) :]
