"""The address that follows from a station's key.

Apart from the rest of a station's identity, so that the network helper, which needs no more, does
not load all of it.
"""

from __future__ import annotations

import hashlib
from ipaddress import IPv6Address


def address_of(key: bytes) -> IPv6Address:
    """Return the address of a station by its public key: fd, then 120 bits of its hash (RFC 4193).

    The first 64 bits are the network of what is attached to the station.
    """
    return IPv6Address(b"\xfd" + hash_for("address", key)[:15])


def hash_for(purpose: str, data: bytes) -> bytes:
    """Hash something of a station's for one purpose, so that no two purposes have the same."""
    return hashlib.sha256(f"fencewire/{purpose}\0".encode() + data).digest()
