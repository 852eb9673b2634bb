"""The daemon's side of the network helper, against the helper's own socket."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.adapters import net_client
from appliance.adapters.net_client import NetClient
from appliance.api.paths import NET_SERVICE_SOCKET, net_path
from appliance.model.net import (
    NET_VERSION,
    Avoid,
    Join,
    Joined,
    NetCommand,
    NetEvent,
    NetRefused,
    NetState,
)
from appliance.net.control import Control
from appliance.net.known import Known
from appliance.protocol.net_wire import encode

KEY = bytes(range(32))
AVOID = Avoid(KEY, "eth0", "fe80::1")
JOINED = Joined(NET_VERSION, "fd00::1")
TOLD: list[NetEvent] = [JOINED, NetState(False, False, ()), NetState(False, True, ())]
WITHIN_S = 5.0


class Ends:
    """A client that runs, and a helper that comes and goes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events: asyncio.Queue[NetEvent | None] = asyncio.Queue()
        self.commands: asyncio.Queue[NetCommand] = asyncio.Queue()
        self.answer: Joined | NetRefused = JOINED
        self.client = NetClient(path, KEY, self.events.put_nowait)
        self.helper: Control | None = None

    def start_helper(self) -> None:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(str(self.path))
        allowed = frozenset({os.geteuid()})
        self.helper = Control(listener, allowed=allowed, known=Known(), obey=self._obey)
        self.helper.start()

    def end_helper(self) -> None:
        if self.helper is not None:
            self.helper.close()
            self.path.unlink()
        self.helper = None

    def _obey(self, command: NetCommand) -> Joined | NetRefused | None:
        self.commands.put_nowait(command)
        return self.answer if isinstance(command, Join) else None

    async def hear(self, count: int) -> list[NetEvent | None]:
        async with asyncio.timeout(WITHIN_S):
            return [await self.events.get() for _ in range(count)]


@pytest.fixture
async def ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ends]:
    monkeypatch.setattr(net_client, "BACKOFF_S", (0.01,))
    ends = Ends(tmp_path / "net.sock")
    running = asyncio.create_task(ends.client.run())
    yield ends
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    ends.end_helper()


async def test_it_joins_whenever_the_helper_comes(ends: Ends) -> None:
    for _ in range(2):
        assert not ends.client.send(AVOID)
        ends.start_helper()
        assert await ends.hear(3) == TOLD
        assert ends.client.joined
        assert ends.client.send(AVOID)
        ends.end_helper()
        assert await ends.hear(1) == [None]
        assert not ends.client.joined
    assert ends.commands.get_nowait() == Join(NET_VERSION, KEY)


async def test_a_refused_join_is_tried_again(ends: Ends) -> None:
    ends.answer = NetRefused("Not now.")
    ends.start_helper()
    async with asyncio.timeout(WITHIN_S):
        for _ in range(3):
            await ends.commands.get()
    ends.answer = JOINED
    assert await ends.hear(3) == TOLD


async def test_what_the_helper_should_not_say_ends_the_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(net_client, "BACKOFF_S", (0.01,))
    heard: list[NetEvent | None] = []
    client = NetClient(tmp_path / "net.sock", KEY, heard.append)
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.setblocking(False)
        listener.bind(str(tmp_path / "net.sock"))
        listener.listen()
        running = asyncio.create_task(client.run())
        other = encode(Joined(NET_VERSION + 1, "fd00::1"))
        for said in ([b"\0"], [encode(TOLD[1])], [other], [encode(JOINED), encode(JOINED)]):
            async with asyncio.timeout(WITHIN_S):
                peer, _ = await loop.sock_accept(listener)
                with peer:
                    await loop.sock_recv(peer, 1000)
                    for data in said:
                        peer.send(data)
                    assert await loop.sock_recv(peer, 1000) == b""
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert heard == [JOINED, None]


def test_where_the_helper_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FENCEWIRE_NET", raising=False)
    assert net_path() == NET_SERVICE_SOCKET
    monkeypatch.setenv("FENCEWIRE_NET", "/somewhere/net.sock")
    assert net_path() == Path("/somewhere/net.sock")
