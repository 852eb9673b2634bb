"""The command line against real daemons: what scripts rely on."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest
from seats import WITHIN_S, Seat

pytestmark = [pytest.mark.village, pytest.mark.usefixtures("may_make_namespaces")]

FENCEWIRE = [sys.executable, "-P", "-m", "appliance"]
ROOT = Path(__file__).resolve().parents[2]


class Command:
    """One `fencewire` in a station."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, seat: Seat, *words: str) -> Command:
        """Start it, with its output to be read."""
        process = await asyncio.create_subprocess_exec(
            *FENCEWIRE,
            *words,
            cwd=ROOT,
            env={"FENCEWIRE_API": str(seat.info.api), "PATH": "/usr/bin:/bin"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        return cls(process)

    async def line(self) -> str:
        """The next line that it prints."""
        assert self._process.stdout is not None
        return (await asyncio.wait_for(self._process.stdout.readline(), WITHIN_S)).decode()

    async def end(self) -> tuple[int, str]:
        """Its exit code and what it still printed."""
        out, _ = await asyncio.wait_for(self._process.communicate(), WITHIN_S)
        assert self._process.returncode is not None
        return self._process.returncode, out.decode()

    async def stop(self) -> tuple[int, str]:
        """End it as Ctrl-C does."""
        self._process.send_signal(2)
        return await self.end()


async def fencewire(seat: Seat, *words: str) -> tuple[int, str]:
    return await (await Command.start(seat, *words)).end()


async def test_exit_codes_and_output(two: tuple[Seat, Seat]) -> None:
    a, b = two
    code, said = await fencewire(a, "status", "--json")
    assert (code, json.loads(said)["id"]) == (0, a.id)
    assert (await fencewire(a, "send", "nobody", "Hello?"))[0] == 4
    assert await fencewire(a, "send", "--wait", b.id[:6], "Hello") == (0, "Delivered.\n")
    assert (await fencewire(b, "hangup"))[0] == 1

    following = await Command.start(b, "inbox", "--follow", "--json")
    assert json.loads(await following.line())["text"] == "Hello"
    await fencewire(a, "send", b.id[:6], "Hello", "again")
    assert json.loads(await following.line())["text"] == "Hello again"
    assert (await following.stop())[0] == 130
    name = (await b.client.status()).name
    assert f"you to {name}? ·{b.id[:4]}: Hello again" in (await fencewire(a, "inbox"))[1]

    answering = await Command.start(b, "answer", "--wait", "20", "--json")
    calling = await Command.start(a, "call", b.id[:6], "--json", "--for", "1")
    assert (await calling.end())[0] == 0
    assert (await answering.end())[0] == 0

    b.village.stop("b")
    code, said = await fencewire(b, "send", a.id[:6], "Hello?")
    assert code == 3
    assert "Traceback" not in said
    assert (await fencewire(a, "send", "--wait", "--timeout", "0.5", b.id[:6], "Later"))[0] == 5


async def test_doctor_looks_at_everything_and_says_what_to_do(two: tuple[Seat, Seat]) -> None:
    checks = {check.name: check for check in await two[0].client.doctor()}
    assert checks.keys() >= {"sound", "network", "ports", "privileges", "clock", "disk", "tcp"}
    for check in checks.values():
        assert check.text.endswith(".")
        assert check.result == "ok" or check.fix, check
    assert checks["network"].result == "ok"
    assert (await fencewire(two[0], "doctor", "--json"))[0] in {0, 1}
