"""The few Linux calls about namespaces that Python 3.11 does not have.

Thin: one function per call, `OSError` when the kernel refuses. All of it needs a process with one
thread, which the keeper and `enter` are.
"""

import ctypes
import os
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_BIND = 4096
MS_REC = 16384

CAP_NET_ADMIN = 12

_PR_SET_PDEATHSIG = 1
_PR_CAPBSET_DROP = 24

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def unshare(flags: int) -> None:
    """Give this process new namespaces of the kinds in `flags`."""
    _check(_libc.unshare(flags), "unshare")


def setns(descriptor: int) -> None:
    """Put this process (for a process namespace: its children) in an existing namespace."""
    _check(_libc.setns(descriptor, 0), "setns")


def mount(source: str, target: Path, *, kind: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2)."""
    result = _libc.mount(
        source.encode(),
        os.fsencode(target),
        kind.encode() or None,
        ctypes.c_ulong(flags),
        data.encode() or None,
    )
    _check(result, f"mount {target}")


def die_with_parent(signal_number: int) -> None:
    """Have the kernel send this process a signal when its parent is gone."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0), "prctl")


def renounce_capabilities(*, keep: int | None = None) -> None:
    """Leave this process's next program without any capability, although it is root in here.

    That is what an ordinary user's daemon has; files stay accessible, since the user is the same.
    `keep`: the one capability that it has nevertheless.
    """
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text(encoding="ascii"))
    for capability in range(last + 1):
        if capability == keep:
            continue
        _check(_libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0), "prctl")


def open_namespace(kind: str) -> int:
    """A descriptor of this process's own namespace of a kind (`net`, `mnt`, ...)."""
    return os.open(f"/proc/self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
