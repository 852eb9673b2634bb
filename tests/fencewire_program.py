"""The command line as a program of its own, for tests."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, object]]:
        """What it printed with --json."""
        return [json.loads(line) for line in self.out.splitlines()]


class Running:
    """A command that has not ended yet."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._seen = ""

    async def until(self, text: str) -> None:
        """Wait until it has printed a line with `text`."""
        assert self._process.stdout is not None
        async with asyncio.timeout(TIMEOUT_S):
            while text not in self._seen:
                line = await self._process.stdout.readline()
                assert line, f"it ended before it said {text!r}: {self._seen}"
                self._seen += line.decode()

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    async def done(self) -> Done:
        """Wait for its end."""
        async with asyncio.timeout(TIMEOUT_S):
            out, err = await self._process.communicate()
        assert self._process.returncode is not None
        return Done(self._process.returncode, self._seen + out.decode(), err.decode())

    def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()


class Fencewire:
    """Runs commands in an environment without anything of the user's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT),
            "FENCEWIRE_API": str(folder / "api.sock"),
            "TZ": "UTC",
            "LANG": "C.UTF-8",
        }
        self._started: list[Running] = []

    async def start(self, *arguments: str, stdin: bytes | None = None) -> Running:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "appliance", *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self.environment,
            cwd=self.folder,
        )
        assert process.stdin is not None
        if stdin is not None:
            process.stdin.write(stdin)
        process.stdin.close()
        running = Running(process)
        self._started.append(running)
        return running

    async def __call__(self, *arguments: str, stdin: bytes | None = None) -> Done:
        return await (await self.start(*arguments, stdin=stdin)).done()

    def end(self) -> None:
        for running in self._started:
            running.kill()
