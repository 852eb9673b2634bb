"""The helper as a whole: it puts everything back, whatever goes wrong."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from ipaddress import IPv6Address
from pathlib import Path
from typing import NoReturn

import pytest

from appliance.net import babeld as babeld_module
from appliance.net import service as service_module
from appliance.net.babeld import Babeld
from appliance.net.service import Service

STATION = IPv6Address("fd12:3456:789a:bcde:1:2:3:4")


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(tmp_path / "s"))
        made = Service(
            listener,
            allowed=frozenset(),
            run_dir=tmp_path,
            config_path=tmp_path / "net.toml",
        )
        yield made
        made._links._census.close()
        made._undo.close()


async def test_what_fails_keeps_nothing_else_from_being_put_back(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    async def note(name: str) -> None:
        done.append(name)

    async def fails() -> NoReturn:
        raise OSError("no room")

    monkeypatch.setattr(service._routing, "stop", fails)
    monkeypatch.setattr(service._queues, "stop", lambda: note("queues"))
    monkeypatch.setattr(service._links, "leave", lambda: note("links"))
    monkeypatch.setattr(service._undo, "undo_all", lambda **_: note("journal"))
    with pytest.raises(OSError, match="no room"):
        await service._put_back()
    assert done == ["queues", "journal", "links", "journal"]


async def test_routing_that_failed_can_be_stopped(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = asyncio.Event()

    async def fails(_: Babeld) -> NoReturn:
        raise RuntimeError("a fault of ours")

    async def nothing(**_: object) -> None:
        pass

    monkeypatch.setattr(Babeld, "run", fails)
    monkeypatch.setattr(service._undo, "undo_all", nothing)
    asyncio.get_running_loop().set_exception_handler(lambda *_: heard.set())
    await service._routing.start(STATION)
    await heard.wait()
    await service._routing.stop()
    for change in service._undo.changes:
        service._undo.forget(change)


async def test_babeld_that_cannot_be_started_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = asyncio.Semaphore(0)

    async def fails(_: Babeld) -> NoReturn:
        tries.release()
        raise OSError("no room")

    monkeypatch.setattr(Babeld, "_run_once", fails)
    monkeypatch.setattr(babeld_module, "FIRST_RETRY_S", 0.0)
    running = asyncio.create_task(Babeld(tmp_path, STATION, lambda: None).run())
    for _ in range(3):
        await tries.acquire()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_fails_again_and_again_is_tried_again_once(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    failed = asyncio.Event()
    retries: list[asyncio.TimerHandle] = []

    def call_later(delay: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        retries.append(loop.call_at(loop.time() + delay, call))
        return retries[-1]

    async def fails() -> NoReturn:
        failed.set()
        raise OSError("no room")

    monkeypatch.setattr(loop, "call_later", call_later)
    monkeypatch.setattr(service, "_turn", fails)
    monkeypatch.setattr(service_module, "TURN_S", 0.0)
    monkeypatch.setattr(service_module, "IDLE_TURNS", 0)
    tending = asyncio.create_task(service._tend())
    for _ in range(3):
        failed.clear()
        service._poke()
        await failed.wait()
        await asyncio.sleep(0)
    tending.cancel()
    await asyncio.gather(tending, return_exceptions=True)
    assert [retry.cancelled() for retry in retries] == [True, True, False]
    retries[-1].cancel()
