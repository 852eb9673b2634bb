"""Scheduling and memory of this process: real time where the machine allows it.

Everything here is best effort and says what it got; nothing raises.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal

PRIORITY = 20
"""SCHED_FIFO priority: above all ordinary work, below the kernel's interrupt threads (50)."""

NICE = -11
"""Where real time is refused; what sound servers take."""

_PR_SET_PDEATHSIG = 1
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4


def be_realtime() -> bool:
    """Put the calling thread before ordinary programs; False: it is not, or only by nice."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except OSError:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, NICE)
        return False
    return True


def be_ordinary() -> None:
    """Give back what a parent in real time has handed down."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, max(0, os.getpriority(os.PRIO_PROCESS, 0)))


def lock_memory() -> bool:
    """Keep what is touched in memory; False: a limit forbids it.

    Pages are locked as they are touched (MCL_ONFAULT), so libraries do not grow the process.
    Under a limit nothing is locked: later allocations would fail once it is reached.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if limit != resource.RLIM_INFINITY and os.geteuid() != 0:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) == 0)


def die_with_parent(parent: int) -> None:
    """Have the kernel end this process when the one that started it (``parent``) is gone."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)
