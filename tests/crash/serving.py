"""The program `storer`, as the tests talk to it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import storer
from storer import Order

ENDS_WITHIN_S = 20.0
"""Anything that a process of it still has to do."""


class Server:
    """It runs, and obeys one order at a time."""

    def __init__(self, *, preload: Path | None = None) -> None:
        """`preload` is a library that its disk fails with."""
        environment = dict(os.environ)
        # The program's own directory is the first place where it looks for modules.
        here = Path(storer.__file__).parent
        environment["PYTHONPATH"] = os.pathsep.join(map(str, (here.parents[1], here.parent)))
        if preload is not None:
            environment["LD_PRELOAD"] = str(preload)
        self._process = subprocess.Popen(
            [sys.executable, storer.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._orders, self._answers = self._process.stdin, self._process.stdout
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._orders.close()
        if error is not None:
            self._process.kill()
        self._process.wait(ENDS_WITHIN_S)
        self._answers.close()

    def obey(
        self,
        order: Order,
        *,
        kill_after_s: float | None = None,
        kill_after_lines: int | None = None,
    ) -> Iterator[list[str]]:
        """Yield the words of each line of a process, which is killed at some moment, if at all.

        The last line is ``dead STATUS``.  Time counts from when it begins, lines before that.
        """
        self._orders.write(order.encode().encode() + b"\n")
        self._orders.flush()
        pid: int | None = None
        lines, until = 0, time.monotonic() + ENDS_WITHIN_S
        while True:
            now = time.monotonic()
            if pid is not None and (
                (kill_after_s is not None and now >= until)
                or (kill_after_lines is not None and lines >= kill_after_lines)
            ):
                os.kill(pid, signal.SIGKILL)
                pid, kill_after_s, kill_after_lines = None, None, None
                until = now + ENDS_WITHIN_S
            if not select.select([self._answers], [], [], max(until - now, 0))[0]:
                assert kill_after_s is not None, "it does not end"
                continue
            data = os.read(self._answers.fileno(), 1 << 16)
            assert data, "the program has ended"
            *found, self._rest = (self._rest + data).split(b"\n")
            for line in found:
                words = line.decode().split()
                lines += 1
                if words[0] == "pid":
                    pid = int(words[1])
                    if kill_after_s is not None:
                        until = time.monotonic() + kill_after_s
                    continue
                yield words
                if words[0] == "dead":
                    return
