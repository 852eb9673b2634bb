"""The program iw where it hangs, as in a driver that does not come back."""

from __future__ import annotations

import asyncio

import pytest

from appliance.net import iw as module
from appliance.net.iw import Iw, IwError


class Hanging:
    """A process that says nothing, and that no signal ends."""

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
    monkeypatch.setattr(module, "_END_S", 0.01)
    return process


async def test_one_that_hangs_is_given_up_and_said_to_hang(
    hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TIMEOUT_S", 0.01)
    with pytest.raises(IwError, match=r"no answer within 0\.01 s"):
        await Iw().interfaces()
    assert hanging.killed.is_set()


async def test_who_waits_for_one_that_hangs_can_be_cancelled(hanging: Hanging) -> None:
    waiting = asyncio.create_task(Iw().interfaces())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert hanging.killed.is_set()
