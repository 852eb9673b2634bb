"""A root shell in a machine: the host's end of `agent.py`.

One thread at a time uses a shell; it reads only while somebody waits for something. Commands that
run in the background send what they write into QEMU's buffers meanwhile, and stop when these are
full until somebody waits again.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from images.vm.agent import CHUNK_BYTES, Decoder, Frame, encode
from images.vm.errors import MachineError

MAX_OUTPUT_BYTES = 64 * 1024 * 1024
"""What is kept of one stream of one command; the rest is dropped, and `Result.cut` says so."""
LOOK_S = 0.5
"""How often to see whether the machine still runs while nothing comes."""
KILL_GRACE_S = 20.0

Listener = Callable[[str, bytes], None]
"""Called with `out` or `err` and bytes, as they come."""


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    """Exit code; negative for the signal that ended it."""
    stdout_bytes: bytes
    """What it wrote."""
    stderr_bytes: bytes
    """What it complained about."""
    cut: bool = False
    """Whether it wrote more than is kept."""

    @property
    def stdout(self) -> str:
        """What it wrote, as text."""
        return self.stdout_bytes.decode(errors="replace")

    @property
    def stderr(self) -> str:
        """What it complained about, as text."""
        return self.stderr_bytes.decode(errors="replace")


class Command:
    """A command that was started in the machine."""

    def __init__(self, shell: Shell, number: int, what: str, listener: Listener | None) -> None:
        self._shell = shell
        self._number = number
        self._what = what
        self._listener = listener
        self._written = {"out": bytearray(), "err": bytearray()}
        self._cut = False
        self._code: int | None = None

    def take(self, frame: Frame) -> None:
        """Take a frame that is about this command."""
        for name in frame.keys() & self._written.keys():
            kept = self._written[name]
            data = frame[name]
            self._cut |= len(kept) + len(data) > MAX_OUTPUT_BYTES
            kept += data[: MAX_OUTPUT_BYTES - len(kept)]
            if self._listener is not None:
                self._listener(name, data)
        self._code = frame.get("code", self._code)

    @property
    def stdout(self) -> str:
        """What it has written so far, as far as it was read."""
        return self._written["out"].decode(errors="replace")

    def poll(self) -> int | None:
        """Read what has come; return the code if it has ended."""
        self._shell.pump(0)
        return self._code

    def wait(self, *, timeout_s: float) -> Result:
        """Wait for the end. A command that takes longer is killed, and that is an error."""
        if not self._ended_within(timeout_s):
            self.kill()
            written = self.stdout + self._written["err"].decode(errors="replace")
            raise self._shell.error(
                f"not done after {timeout_s:g} s: {self._what}\nIt wrote: {written[-2000:]}"
            )
        assert self._code is not None
        return Result(
            self._code, bytes(self._written["out"]), bytes(self._written["err"]), self._cut
        )

    def kill(self) -> None:
        """End it, and what it has started, by SIGKILL."""
        if self._code is None:
            self._shell.send({"id": self._number, "do": "kill"})
            self._ended_within(KILL_GRACE_S)

    def _ended_within(self, timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        while self._code is None and (left_s := deadline - time.monotonic()) > 0:
            self._shell.pump(left_s)
        return self._code is not None


class Shell:
    """Runs commands over the socket that stands for the machine's virtio-serial port."""

    def __init__(
        self,
        path: Path,
        *,
        check_alive: Callable[[], None] = lambda: None,
        error: Callable[[str], MachineError] = MachineError,
    ) -> None:
        """Connect; `check_alive` raises once the machine has ended, `error` words a failure."""
        self.error = error
        self._check_alive = check_alive
        # Frames that were meant for somebody before us must not be taken for ours.
        self._numbers = itertools.count(int.from_bytes(os.urandom(4), "big"))
        self._commands: dict[int, Command] = {}
        self._decoder = Decoder()
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.connect(str(path))
        except OSError as problem:
            self._socket.close()
            raise error(f"no way to the machine's shell: {problem}") from problem
        self._greeting: Command | None = None

    def close(self) -> None:
        """Hang up; commands that still run are killed."""
        self._socket.close()

    def wait_ready(self, *, timeout_s: float) -> None:
        """Wait until the machine has booted so far that it runs commands."""
        if self._greeting is None:
            self._greeting = self._request("hello", None, do="hello")
        deadline = time.monotonic() + timeout_s
        while self._greeting.poll() is None:
            left_s = deadline - time.monotonic()
            if left_s < 0:
                raise self.error(f"no root shell after {timeout_s:g} s")
            self.pump(left_s)

    def popen(self, script: str, *, listener: Listener | None = None) -> Command:
        """Start a command and do not wait for it."""
        return self._request(script, listener, do="run", script=script)

    def put(self, data: bytes, path: str, *, mode: int, timeout_s: float) -> None:
        """Write a file in the machine."""
        deadline = time.monotonic() + timeout_s
        for start in range(0, max(1, len(data)), CHUNK_BYTES):
            piece = self._request(
                f"write {path}",
                None,
                do="write",
                path=path,
                data=data[start : start + CHUNK_BYTES],
                append=start > 0,
                mode=mode,
            )
            result = piece.wait(timeout_s=deadline - time.monotonic())
            if result.code:
                raise self.error(f"cannot write {path}: {result.stderr}")

    def send(self, frame: Frame) -> None:
        """Send a frame; QEMU holds it until the machine listens."""
        self._socket.settimeout(KILL_GRACE_S)
        try:
            self._socket.sendall(encode(frame))
        except OSError as problem:
            self._check_alive()
            raise self.error(f"the machine's shell does not listen: {problem}") from problem

    def pump(self, timeout_s: float) -> None:
        """Wait at most that long for something to come, and hand it to the commands."""
        self._socket.settimeout(max(0.0, min(timeout_s, LOOK_S)))
        try:
            data = self._socket.recv(4 * CHUNK_BYTES)
        except (TimeoutError, BlockingIOError):
            self._check_alive()
            return
        except OSError as problem:
            raise self.error(f"the machine's shell is gone: {problem}") from problem
        if not data:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._check_alive()
            raise self.error("the machine's shell is gone")
        for frame in self._decoder.feed(data):
            command = self._commands.get(frame["id"])
            if command is not None:
                command.take(frame)
                if "code" in frame:
                    del self._commands[frame["id"]]

    def _request(self, what: str, listener: Listener | None, **request: object) -> Command:
        number = next(self._numbers)
        command = self._commands[number] = Command(self, number, what, listener)
        self.send({"id": number, **request})
        return command
