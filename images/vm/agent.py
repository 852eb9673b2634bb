"""The guest's end of the root shell: runs commands that come over a virtio-serial port.

QEMU's fw_cfg carries this file into an unchanged image, where Python runs it alone, so it imports
nothing but the standard library. The host's end (`shell.py`) takes the frames from here.

A frame is a line of JSON; bytes are base64. The host asks, always with an id:

    {"id": 1, "do": "hello"}                                    answered with the code 0
    {"id": 2, "do": "run", "script": "ls"}                      bash; stdin is empty
    {"id": 2, "do": "kill"}                                     the command and what it started
    {"id": 3, "do": "write", "path": "/x", "data": "…", "append": false, "mode": 420}

and gets any number of `{"id": 2, "out": "…"}` and `{"id": 2, "err": "…"}`, then
`{"id": 2, "code": 0}`, which is negative for a signal; `{"id": 3, "code": 1}` after an `err` says
why a file could not be written. When the host hangs up, its commands are killed. Out of here stay
terminals and users: a command runs as root without a terminal.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import os
import select
import selectors
import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

PORT_NAME = "fencewire.shell"
PORTS = Path("/sys/class/virtio-ports")

CHUNK_BYTES = 32 * 1024
MAX_LINE_BYTES = 256 * 1024
"""Longer lines can only be garbage: no chunk of ours makes one."""
LOOK_AGAIN_S = 0.3
"""How often to look for the port while it is not there, or for a host that hung up."""

ENVIRONMENT = {
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "TERM": "dumb",
}

Frame = dict[str, Any]


def encode(frame: Frame) -> bytes:
    """One frame as it goes over the port; values that are bytes become base64."""
    plain = {
        key: base64.b64encode(value).decode() if isinstance(value, bytes) else value
        for key, value in frame.items()
    }
    return json.dumps(plain, separators=(",", ":")).encode() + b"\n"


class Decoder:
    """Frames from bytes in any pieces. What is not a frame is skipped up to the next line's end."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Frame]:
        """Take bytes; return the frames that they complete."""
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest if len(rest) <= MAX_LINE_BYTES else b"#"
        frames = []
        for line in lines:
            with contextlib.suppress(ValueError, binascii.Error):
                frame = json.loads(line)
                if isinstance(frame, dict) and isinstance(frame.get("id"), int):
                    for key in frame.keys() & {"out", "err", "data"}:
                        frame[key] = base64.b64decode(frame[key], validate=True)
                    frames.append(frame)
        return frames


class Job:
    """A command that runs, with what it writes."""

    def __init__(self, script: str) -> None:
        self.process = subprocess.Popen(
            ["/bin/bash", "-c", script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            cwd="/",
            env=ENVIRONMENT,
        )
        self.exit = os.pidfd_open(self.process.pid)
        self.pipes: dict[int, str] = {}
        for stream, name in ((self.process.stdout, "out"), (self.process.stderr, "err")):
            assert stream is not None
            os.set_blocking(stream.fileno(), False)
            self.pipes[stream.fileno()] = name

    def kill(self) -> None:
        """End the command and everything in its session."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def close(self) -> int:
        """Give back what it held, after its end; return its code."""
        code = self.process.wait()
        os.close(self.exit)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        return code


class Agent:
    """Serves one port until the process is killed."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.decoder = Decoder()
        self.jobs: dict[int, Job] = {}
        self.selector = selectors.DefaultSelector()
        self.hung_up = False
        self.watch(port, self.hear)

    def watch(self, descriptor: int, call: Callable[[], object]) -> None:
        """Have something called whenever the descriptor can be read."""
        self.selector.register(descriptor, selectors.EVENT_READ, call)

    def step(self, timeout_s: float | None = None) -> None:
        """Wait for something to happen and deal with it."""
        for key, _ in self.selector.select(LOOK_AGAIN_S if self.hung_up else timeout_s):
            if key.fd in self.selector.get_map():  # an earlier one may have ended its job
                key.data()
        if self.hung_up:
            self.look_for_host()

    def look_for_host(self) -> None:
        """Go on with the port once somebody is at its other end again."""
        poll = select.poll()
        poll.register(self.port, select.POLLIN)
        if not any(event & select.POLLHUP for _, event in poll.poll(0)):
            self.hung_up = False
            self.decoder = Decoder()
            self.watch(self.port, self.hear)

    def hear(self) -> None:
        """Read from the host."""
        data = os.read(self.port, CHUNK_BYTES)
        if not data:
            self.hung_up = True
            self.selector.unregister(self.port)
            for job in self.jobs.values():
                job.kill()
        for frame in self.decoder.feed(data):
            self.obey(frame["id"], frame)

    def obey(self, number: int, frame: Frame) -> None:
        """Carry out one request."""
        kind = frame.get("do")
        if kind == "hello":
            self.say({"id": number, "code": 0})
        elif kind == "run":
            self.run(number, str(frame.get("script")))
        elif kind == "kill" and number in self.jobs:
            self.jobs[number].kill()
        elif kind == "write":
            self.write(number, frame)

    def run(self, number: int, script: str) -> None:
        """Start a command."""
        job = self.jobs[number] = Job(script)
        self.watch(job.exit, partial(self.end, number))
        for descriptor in job.pipes:
            self.watch(descriptor, partial(self.pass_on, number, descriptor))

    def pass_on(self, number: int, pipe: int) -> bool:
        """Send one piece of what a command wrote; return whether there was one."""
        try:
            data = os.read(pipe, CHUNK_BYTES)
        except BlockingIOError:
            return False
        if data:
            self.say({"id": number, self.jobs[number].pipes[pipe]: data})
        else:
            self.selector.unregister(pipe)
            del self.jobs[number].pipes[pipe]
        return bool(data)

    def end(self, number: int) -> None:
        """Send the rest and the code of a command that has ended.

        What it left in the background may hold its output open for ever, so nobody waits for that.
        """
        job = self.jobs[number]
        for pipe in list(job.pipes):
            while self.pass_on(number, pipe):
                pass
        for descriptor in (job.exit, *job.pipes):
            self.selector.unregister(descriptor)
        del self.jobs[number]
        self.say({"id": number, "code": job.close()})

    def write(self, number: int, frame: Frame) -> None:
        """Write or append to a file."""
        path = Path(frame["path"])
        try:
            with path.open("ab" if frame["append"] else "wb") as file:
                file.write(frame["data"])
            path.chmod(frame["mode"])
        except OSError as error:
            self.say({"id": number, "err": str(error).encode()})
            self.say({"id": number, "code": 1})
        else:
            self.say({"id": number, "code": 0})

    def say(self, frame: Frame) -> None:
        """Send a frame; nobody hears it after a hang-up, and waiting for that would be for ever."""
        data = b"" if self.hung_up else encode(frame)
        while data:
            data = data[os.write(self.port, data) :]


def find_port() -> str:
    """The device of our port; the driver may come later than we do."""
    while True:
        for name in PORTS.glob("*/name"):
            if name.read_text().strip() == PORT_NAME:
                return f"/dev/{name.parent.name}"
        time.sleep(LOOK_AGAIN_S)


def main() -> None:
    """Serve the port of this machine for ever."""
    agent = Agent(os.open(find_port(), os.O_RDWR))
    while True:
        agent.step()


if __name__ == "__main__":
    main()
