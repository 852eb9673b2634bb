"""Programs that answer, that do not, and that no signal ends."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from appliance.net import program as module
from appliance.net.program import run

WITHIN_S = 20.0


class Hanging:
    """A process in a driver that does not come back: it says nothing, and no signal ends it."""

    returncode: int | None = None

    def __init__(self) -> None:
        self.stdin = None
        self.stdout = asyncio.StreamReader()
        self.stderr = asyncio.StreamReader()
        self.killed = asyncio.Event()

    def kill(self) -> None:
        self.killed.set()

    async def wait(self) -> int:
        await asyncio.Event().wait()
        return 0


@pytest.fixture
async def hanging(monkeypatch: pytest.MonkeyPatch) -> Hanging:
    process = Hanging()

    async def start(*_: str, **__: object) -> Hanging:
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", start)
    monkeypatch.setattr(module, "END_S", 0.01)
    return process


async def sh(script: str, given: bytes = b"") -> tuple[int, bytes, bytes]:
    return await run(("sh", "-c", script), given=given, within_s=WITHIN_S)


async def test_what_it_says_and_how_it_ends() -> None:
    assert await sh("cat; echo no >&2; exit 3", b"this") == (3, b"this", b"no\n")
    assert await sh("cat") == (0, b"", b""), "there is nothing to read, and no terminal"
    assert await sh("echo $LC_ALL") == (0, b"C\n", b"")


async def test_one_that_does_not_read_what_it_is_given() -> None:
    assert await sh("exec <&-; echo done", bytes(1_000_000)) == (0, b"done\n", b"")


async def test_of_what_is_said_without_end_the_beginning_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 100_000)
    code, said, _ = await sh("head -c 300000 /dev/zero")
    assert (code, said) == (0, bytes(100_000))


async def test_one_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEARCH", str(tmp_path))
    with pytest.raises(FileNotFoundError):
        await sh("true")


def test_programs_for_administrators_are_found_where_an_ordinary_path_lacks_them() -> None:
    assert module.SEARCH.split(":")[-2:] == ["/usr/sbin", "/sbin"]


async def test_one_that_takes_too_long_is_ended() -> None:
    with pytest.raises(TimeoutError):
        await run(("sleep", "1000"), within_s=0.05)


async def test_one_that_hangs_is_given_up(hanging: Hanging) -> None:
    async with asyncio.timeout(WITHIN_S):
        with pytest.raises(TimeoutError):
            await run(("sh",), within_s=0.01)
    assert hanging.killed.is_set()


async def test_who_waits_for_one_that_hangs_can_be_cancelled(hanging: Hanging) -> None:
    waiting = asyncio.create_task(run(("sh",), within_s=WITHIN_S))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert hanging.killed.is_set()
