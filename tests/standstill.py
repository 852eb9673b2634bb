"""Whether this machine itself stood still: sound that is measured meanwhile says nothing of us.

A virtual machine is at times not run for tens of milliseconds, however idle it is.  A witness on
each processor, which goes before everything else there, is late only then.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import suppress

EVERY_S = 0.004
"""How often a witness looks at the clock."""

STILL_S = 0.008
"""So late is a witness only if it was not let run."""

PRIORITY = 90
"""Above that of the voice processes."""


class Witness:
    """A program that notes when the machine stood still."""

    def __init__(self) -> None:
        self._program = subprocess.Popen(
            [sys.executable, "-S", "-E", __file__], stdout=subprocess.PIPE, bufsize=0
        )
        assert self._program.stdout is not None
        self._pipe = self._program.stdout
        os.set_blocking(self._pipe.fileno(), False)
        self._left = b""
        self._seen: list[tuple[float, float]] = []

    def longest_s(self, since: float) -> float:
        """For how long at most, from this moment of the monotonic clock on; 0: it did not."""
        while data := self._pipe.read(65_536):
            *lines, self._left = (self._left + data).split(b"\n")
            self._seen += [(float(at), float(for_s)) for at, for_s in map(bytes.split, lines)]
        return max((for_s for at, for_s in self._seen if at >= since), default=0.0)

    def close(self) -> None:
        """It ends."""
        self._program.kill()
        self._program.wait()
        self._pipe.close()


def _watch(processor: int) -> None:
    os.sched_setaffinity(0, {processor})
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except PermissionError:
        return  # Whoever waits for his turn can't tell who made him wait.
    parent, before = os.getppid(), time.monotonic()
    while os.getppid() == parent:
        time.sleep(EVERY_S)
        now = time.monotonic()
        if (late_s := now - before - EVERY_S) >= STILL_S:
            os.write(1, b"%.6f %.6f\n" % (now, late_s))
        before = time.monotonic()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt, BrokenPipeError):
        watches = [threading.Thread(target=_watch, args=(one,)) for one in os.sched_getaffinity(0)]
        for watch in watches:
            watch.start()
        for watch in watches:
            watch.join()
