"""The helper's socket: who may say what, who is told, and what becomes of those who misbehave."""

from __future__ import annotations

import asyncio
import os
import select
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from appliance.model.net import (
    NET_VERSION,
    Avoid,
    Join,
    Joined,
    NetCommand,
    NetEvent,
    NetNews,
    NetRefused,
    NetRoute,
    NetState,
)
from appliance.net import control
from appliance.net.control import COMMANDS, CONNECTIONS, NEWS_S, Control
from appliance.net.known import Known
from appliance.protocol.net_wire import MAX_FRAME_BYTES, decode_event, encode

KEY = bytes(range(32))
JOIN = encode(Join(NET_VERSION, KEY))
AVOID = encode(Avoid(KEY, "eth0", "fe80::1"))
JOINED = Joined(NET_VERSION, "fd00::1")
ROUTE = NetRoute("fd00::2/128", "eth0", "fe80::1", 96, 0, "0000000000000002", True)
BEFORE = NetState(routing=False, synced=False, problems=())
SYNCED = NetState(routing=False, synced=True, problems=())
WITHIN_S = 5.0


class Helper:
    """A control with somebody behind it who joins everybody."""

    def __init__(self, path: Path, *, allowed: frozenset[int]) -> None:
        self.path = path
        self.known = Known()
        self.obeyed: list[NetCommand] = []
        self.answer: NetRefused | None = None
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(str(path))
        self.control = Control(listener, allowed=allowed, known=self.known, obey=self._obey)
        self.control.start()

    def _obey(self, command: NetCommand) -> Joined | NetRefused | None:
        self.obeyed.append(command)
        return JOINED if isinstance(command, Join) and self.answer is None else self.answer

    def learn(self, *routes: NetRoute) -> None:
        self.known.learn(NetNews(routes=routes))
        self.control.changed()


class Daemon:
    """The other end."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.setblocking(False)
        self.socket.connect(str(path))

    def say(self, data: bytes) -> None:
        self.socket.send(data)

    async def hear(self) -> NetEvent | None:
        """The next event; None: the helper has hung up."""
        async with asyncio.timeout(WITHIN_S):
            try:
                data = await asyncio.get_running_loop().sock_recv(self.socket, MAX_FRAME_BYTES)
            except ConnectionResetError:
                return None
        return decode_event(data) if data else None

    async def hear_all(self, *expected: NetEvent | None) -> None:
        assert [await self.hear() for _ in expected] == list(expected)


def hung_up(daemon: Daemon) -> bool:
    """Whether the helper has, whatever it said before."""
    poll = select.poll()
    poll.register(daemon.socket, 0)
    return bool(poll.poll(0))


@pytest.fixture
async def helper(tmp_path: Path) -> AsyncIterator[Helper]:
    helper = Helper(tmp_path / "net.sock", allowed=frozenset({os.geteuid()}))
    yield helper
    helper.control.close()


@pytest.fixture
def daemon(helper: Helper) -> Iterator[Daemon]:
    daemon = Daemon(helper.path)
    yield daemon
    daemon.socket.close()


@pytest.fixture
def other(helper: Helper) -> Iterator[Daemon]:
    other = Daemon(helper.path)
    yield other
    other.socket.close()


async def test_who_joins_is_told_everything_and_what_changes(
    helper: Helper, daemon: Daemon
) -> None:
    helper.learn(ROUTE)
    daemon.say(JOIN)
    await daemon.hear_all(JOINED, BEFORE, NetNews(routes=(ROUTE,)), SYNCED)
    helper.known.learn(NetNews(routes_gone=(("fd00::2/128", "eth0", "fe80::1"),)))
    helper.control.changed()
    await daemon.hear_all(NetNews(routes_gone=(("fd00::2/128", "eth0", "fe80::1"),)))
    daemon.say(AVOID)
    helper.learn(ROUTE)
    await daemon.hear_all(NetNews(routes=(ROUTE,)))
    assert [type(command) for command in helper.obeyed] == [Join, Avoid]


async def test_news_gather(helper: Helper, daemon: Daemon) -> None:
    daemon.say(JOIN)
    await daemon.hear_all(JOINED, BEFORE, SYNCED)
    began = asyncio.get_running_loop().time()
    for metric in range(1, 100):
        helper.learn(NetRoute("fd00::2/128", "eth0", "fe80::1", metric, 0, "02", True))
    last = NetRoute("fd00::2/128", "eth0", "fe80::1", 99, 0, "02", True)
    await daemon.hear_all(NetNews(routes=(last,)))
    helper.learn(ROUTE)
    await daemon.hear_all(NetNews(routes=(ROUTE,)))
    assert asyncio.get_running_loop().time() - began >= NEWS_S


async def test_who_joins_takes_the_place_of_the_one_before(
    helper: Helper, daemon: Daemon, other: Daemon
) -> None:
    daemon.say(JOIN)
    await daemon.hear_all(None)  # `other` has connected too, and only one may be undecided.
    other.say(JOIN)
    await other.hear_all(JOINED, BEFORE, SYNCED)
    late = Daemon(helper.path)
    helper.learn(ROUTE)
    await other.hear_all(NetNews(routes=(ROUTE,)))  # Who only connects takes no place.
    late.say(JOIN)
    await other.hear_all(None)
    await late.hear_all(JOINED, BEFORE, NetNews(routes=(ROUTE,)), SYNCED)
    late.socket.close()


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ([b"\0"], 1),
        ([encode(JOINED)], 1),
        ([b"x" * MAX_FRAME_BYTES], 1),
        ([AVOID], 1),
        ([JOIN, JOIN], 4),
        ([JOIN, encode(SYNCED)], 4),
    ],
)
async def test_what_is_no_command_ends_the_connection(
    helper: Helper, daemon: Daemon, said: list[bytes], heard: int
) -> None:
    for data in said:
        daemon.say(data)
    events = [await daemon.hear() for _ in range(heard)]
    assert isinstance(events[-1], NetRefused)
    assert await daemon.hear() is None
    assert len(helper.obeyed) <= 1


async def test_a_refused_join_ends_the_connection(helper: Helper, daemon: Daemon) -> None:
    helper.answer = NetRefused("Not now.")
    daemon.say(JOIN)
    await daemon.hear_all(NetRefused("Not now."), None)


async def test_other_users_are_not_listened_to(tmp_path: Path) -> None:
    helper = Helper(tmp_path / "net.sock", allowed=frozenset({os.geteuid() + 1}))
    daemon = Daemon(helper.path)
    await daemon.hear_all(None)
    assert helper.obeyed == []
    daemon.socket.close()
    helper.control.close()


async def test_who_says_nothing_or_asks_too_much_is_dropped(
    helper: Helper, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.say(JOIN)
    await daemon.hear_all(JOINED, BEFORE, SYNCED)
    for _ in range(COMMANDS):
        daemon.say(AVOID)
    assert isinstance(await daemon.hear(), NetRefused)
    assert await daemon.hear() is None
    assert len(helper.obeyed) == COMMANDS
    monkeypatch.setattr(control, "JOIN_S", 0.01)
    silent = Daemon(helper.path)
    await silent.hear_all(None)
    silent.socket.close()


async def test_who_does_not_read_is_dropped_and_may_come_again(
    helper: Helper, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "STUCK_S", 0.2)
    monkeypatch.setattr(control, "NEWS_S", 0.0)
    daemon.say(JOIN)
    await daemon.hear_all(JOINED, BEFORE, SYNCED)
    metric = 0
    async with asyncio.timeout(WITHIN_S):
        while not hung_up(daemon):
            metric += 1
            helper.learn(
                *(NetRoute(f"fd00::{i:x}/128", "e", "f", metric, 0, "0", True) for i in range(999))
            )
            await asyncio.sleep(0)
    again = Daemon(helper.path)
    again.say(JOIN)
    await again.hear_all(JOINED)
    again.socket.close()


async def test_connections_have_a_budget(helper: Helper) -> None:
    began = asyncio.get_running_loop().time()
    daemons = [Daemon(helper.path) for _ in range(CONNECTIONS)]
    await daemons[-2].hear_all(None)
    more = [Daemon(helper.path) for _ in range(2)]
    await more[0].hear_all(None)
    assert asyncio.get_running_loop().time() - began > 0.4
    for daemon in daemons + more:
        daemon.socket.close()
