"""Consoles of a machine as tests use them: wait for words, read the screen, type.

`SerialConsole` is a terminal on the serial line. `VirtualConsole` is the first one on the monitor,
with QEMU's keyboard; its text is what the kernel has in /dev/vcsu1, read through the root shell.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from pathlib import Path

from images.vm.errors import MachineError
from images.vm.keys import qemu_codes, terminal_bytes
from images.vm.qmp import Qmp
from images.vm.shell import Result
from images.vm.terminal import Terminal, plain_text

LOOK_S = 0.5
"""How often to see whether the machine still runs, and what its monitor shows."""
KEY_GAP_S = 0.05
"""Between keys of the monitor's keyboard: QEMU's queue is short."""
KEY_HOLD_MS = 20
MAX_MARKS = 100_000
"""Times of that many pieces of output are kept, the latest; a busy screen makes 50 a second."""
MAX_RAW_BYTES = 16 * 1024 * 1024
"""Of the raw output, the latest so many are kept for `wait_for_output`."""
TAIL_BYTES = 8192
TAIL_LINES = 25

Words = str | re.Pattern[str]


def has_words(text: str, words: Words) -> bool:
    """Whether words stand in a text, or a pattern fits somewhere in it."""
    return words in text if isinstance(words, str) else words.search(text) is not None


class Console(ABC):
    """What both kinds of console can do."""

    @abstractmethod
    def screen(self) -> list[str]:
        """Return the rows that stand there now."""

    @abstractmethod
    def wait_for(self, words: Words, *, timeout_s: float) -> float:
        """Wait until words stand on the screen; return when, in seconds since the start."""

    @abstractmethod
    def press(self, *keys: str) -> None:
        """Press keys: characters or names, such as `F2`, `Enter` or `Ctrl-C`."""

    @property
    def text(self) -> str:
        """The screen as one text."""
        return "\n".join(self.screen())

    def type(self, text: str) -> None:
        """Type characters."""
        self.press(*text)


def last_lines(log: Path) -> str:
    """The end of what was written to a serial line, readable."""
    raw = log.read_bytes()[-TAIL_BYTES:] if log.exists() else b""
    lines = [line.rstrip() for line in plain_text(raw).splitlines()]
    return "\n".join([line for line in lines if line][-TAIL_LINES:])


class SerialConsole(Console):
    """The serial line; a thread reads it as long as the console is open, and appends to a log."""

    def __init__(
        self,
        path: Path,
        *,
        log: Path,
        started_s: float,
        check_alive: Callable[[], None],
        error: Callable[[str], MachineError],
    ) -> None:
        """Connect; `started_s` is when the machine was started, by the monotonic clock."""
        self._log = log
        self._started_s = started_s
        self._check_alive = check_alive
        self._error = error
        self._changed = threading.Condition()
        self._terminal = Terminal(answer=self._answer)
        self._raw = bytearray()
        self._dropped_bytes = 0
        self._marks: deque[tuple[int, float]] = deque(maxlen=MAX_MARKS)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._reader = threading.Thread(target=self._read, name="serial console", daemon=True)
        self._reader.start()

    def close(self) -> None:
        """Hang up."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.join()
        self._socket.close()

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        try:
            self._socket.sendall(data)
        except OSError as problem:
            raise self._error(f"nobody takes what is typed: {problem}") from problem

    def press(self, *keys: str) -> None:
        """Press keys, as a VT220 would send them."""
        self.write(b"".join(map(terminal_bytes, keys)))

    def screen(self) -> list[str]:
        """Return the rows that stand there now."""
        with self._changed:
            return self._terminal.rows()

    def wait_for(self, words: Words, *, timeout_s: float) -> float:
        """Wait until words stand on the screen; return when that was noticed, in seconds."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not has_words(self._terminal.text, words):
                self._wait_until(deadline, f"never on the serial console: {words}")
            return self._marks[-1][1] if self._marks else 0.0

    def wait_for_output(self, words: bytes, *, timeout_s: float) -> float:
        """Wait until bytes have been written, be it only to be wiped off again; return when."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while (found := self._raw.find(words)) < 0:
                self._wait_until(deadline, f"never written to the serial console: {words!r}")
            return self._when(self._dropped_bytes + found + len(words))

    @property
    def first_byte_s(self) -> float | None:
        """When the machine wrote its first byte, in seconds since its start."""
        with self._changed:
            return self._marks[0][1] if self._marks else None

    def _wait_until(self, deadline: float, what: str) -> None:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise self._error(f"{what}\nThe screen:\n{self._terminal.text.rstrip()}")
        if not self._changed.wait(min(left_s, LOOK_S)):
            self._check_alive()

    def _when(self, end: int) -> float:
        return next(when_s for reached, when_s in self._marks if reached >= end)

    def _read(self) -> None:
        written = 0
        with self._log.open("ab", buffering=0) as log:
            while data := self._receive():
                now_s = time.monotonic() - self._started_s
                written += len(data)
                log.write(data)
                with self._changed:
                    self._terminal.feed(data)
                    self._raw += data
                    surplus = max(0, len(self._raw) - MAX_RAW_BYTES)
                    del self._raw[:surplus]
                    self._dropped_bytes += surplus
                    self._marks.append((written, now_s))
                    self._changed.notify_all()

    def _answer(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # QEMU was killed
            self._socket.sendall(data)

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(65536)
        except OSError:  # QEMU was killed
            return b""


class VirtualConsole(Console):
    """The first console of the monitor."""

    def __init__(
        self,
        *,
        run: Callable[[str], Result],
        qmp: Callable[[], Qmp],
        now_s: Callable[[], float],
        error: Callable[[str], MachineError],
    ) -> None:
        """`run` runs a command in the machine, `now_s` are the seconds since its start."""
        self._run = run
        self._qmp = qmp
        self._now_s = now_s
        self._error = error

    def screen(self) -> list[str]:
        """Return the rows that stand there now. Takes a good part of a second."""
        result = self._run("head -c 2 /dev/vcsa1 && cat /dev/vcsu1")
        if result.code:
            raise self._error(f"the console cannot be read: {result.stderr}")
        columns = result.stdout_bytes[1]
        text = result.stdout_bytes[2:].decode("utf-32-le", errors="replace").replace("\0", " ")
        return [text[at : at + columns].rstrip() for at in range(0, len(text), columns)]

    def wait_for(self, words: Words, *, timeout_s: float) -> float:
        """Wait until words stand on the screen; return when that was noticed, in seconds."""
        deadline = time.monotonic() + timeout_s
        while not has_words(text := self.text, words):
            if time.monotonic() > deadline:
                raise self._error(f"never on the monitor: {words}\nThe screen:\n{text.rstrip()}")
            time.sleep(LOOK_S)
        return self._now_s()

    def press(self, *keys: str) -> None:
        """Press keys of a US keyboard."""
        for key in keys:
            codes = [{"type": "qcode", "data": code} for code in qemu_codes(key)]
            self._qmp().execute("send-key", keys=codes, **{"hold-time": KEY_HOLD_MS})
            time.sleep(KEY_GAP_S)

    def hold(self, key: str) -> None:
        """Keep a key down until `let_go`; it has QEMU's name, such as `ctrl_r`."""
        self._turn(key, down=True)

    def let_go(self, key: str) -> None:
        """Let a key go that is held."""
        self._turn(key, down=False)

    def _turn(self, code: str, *, down: bool) -> None:
        key = {"type": "qcode", "data": code}
        event = {"type": "key", "data": {"down": down, "key": key}}
        self._qmp().execute("input-send-event", events=[event])

    def picture(self, path: Path) -> None:
        """Save what the monitor shows, as a PNG."""
        self._qmp().execute("screendump", filename=str(path), format="png")
