"""What the process may do: CAP_NET_ADMIN, here and in the programs that it starts, and no more.

From capabilities(7), prctl(2).  The ambient set is how babeld, nft, tc and iw get the capability
too.  The bounding set, no_new_privs and the secure bits see to it that none of them gets another
one, be it by a set-user-id program or by being root.  Needs a process with one thread.
"""

from __future__ import annotations

import ctypes
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

# linux/capability.h
_CAP_SETPCAP: Final = 8
_CAP_NET_ADMIN: Final = 12
_VERSION_3: Final = 0x20080522

# linux/prctl.h
_PR_SET_KEEPCAPS: Final = 8
_PR_CAPBSET_DROP: Final = 24
_PR_SET_SECUREBITS: Final = 28
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_RAISE: Final = 2
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4

# linux/securebits.h; each bit's lock is the next one
_NOROOT: Final = 0b11
_NO_SETUID_FIXUP: Final = 0b11 << 2
_KEEP_CAPS_LOCKED: Final = 1 << 5
_NO_CAP_AMBIENT_RAISE: Final = 0b11 << 6
SECURE_BITS: Final = _NOROOT | _NO_SETUID_FIXUP | _KEEP_CAPS_LOCKED | _NO_CAP_AMBIENT_RAISE
"""Root is nobody special, and the ambient set grows no more."""

_libc = ctypes.CDLL(None, use_errno=True)


class PrivilegeError(Exception):
    """The process can't have what it needs; the message says what to do."""


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def keep_net_admin(user: str | None = None) -> None:
    """Give up everything but CAP_NET_ADMIN, and become `user` if one is named and we are root.

    Raises PrivilegeError where we do not have it, or there is no such user.
    """
    held = _permitted()
    if not held >> _CAP_NET_ADMIN & 1:
        raise PrivilegeError(
            "The network helper needs the capability CAP_NET_ADMIN. Start it by its service, by"
            " scripts/run as root, or as root with --user."
        )
    may_cut = bool(held >> _CAP_SETPCAP & 1)
    with _explained():
        _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
        if may_cut:
            _cut_bounding_set()
        if user is not None and os.geteuid() == 0:
            _become(user)
        needed = 1 << _CAP_NET_ADMIN
        _set_capabilities(needed | may_cut << _CAP_SETPCAP, inheritable=needed)
        _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_NET_ADMIN)
        if may_cut:  # Without it we were started with little already, by somebody who cut the rest.
            _prctl(_PR_SET_SECUREBITS, SECURE_BITS)
        _set_capabilities(needed, inheritable=needed)
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def _become(name: str) -> None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise PrivilegeError(f"There is no user {name}. Make one, or name another.") from None
    os.setgroups([])
    os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
    _prctl(_PR_SET_KEEPCAPS, 1)
    os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
    _prctl(_PR_SET_KEEPCAPS, 0)


def _cut_bounding_set() -> None:
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text(encoding="ascii"))
    for capability in range(last + 1):
        if capability != _CAP_NET_ADMIN:
            _prctl(_PR_CAPBSET_DROP, capability)


def _permitted() -> int:
    header, data = _Header(_VERSION_3, 0), (_Data * 2)()
    _check(_libc.capget(ctypes.byref(header), ctypes.byref(data)), "capget")
    return int(data[0].permitted) | int(data[1].permitted) << 32


def _set_capabilities(capabilities: int, *, inheritable: int) -> None:
    """Set permitted and effective alike; only the first 32 capabilities are ever ours."""
    header, data = _Header(_VERSION_3, 0), (_Data * 2)()
    data[0] = _Data(capabilities, capabilities, inheritable)
    _check(_libc.capset(ctypes.byref(header), ctypes.byref(data)), "capset")


def _prctl(option: int, value: int, third: int = 0) -> None:
    zero = ctypes.c_ulong(0)
    result = _libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(third), zero, zero)
    _check(result, f"prctl {option}")


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PrivilegeError(
            f"The network helper can't give up its privileges ({error}), so it does not run."
        ) from error
