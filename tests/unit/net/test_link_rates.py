"""Questions and answers about delay: what is sent to whom, and what is not believed."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from link_samples import TOLD_ETH0 as ETH0

from appliance.model.net import LinkKind, NetLink, NetNeighbour
from appliance.net import link_rates
from appliance.net.config import NetConfig
from appliance.net.link_rates import (
    ANSWERS_PER_S,
    NEIGHBOURS,
    PACKETS,
    PORT,
    UNANSWERED,
    LinkRates,
)
from appliance.protocol.link_rate import LEAST_KBIT

NEAR = "fe80::2"
PACKET = struct.Struct("!B8sQ")


def neighbours(*addresses: str) -> list[NetNeighbour]:
    return [NetNeighbour("eth0", address, 0xFFFF, 96, 0, 0, None) for address in addresses]


class Socket:
    """What came, and what was sent."""

    def __init__(self) -> None:
        self.came: list[tuple[bytes, tuple[str, int, int, int]]] = []
        self.sent: list[tuple[bytes, tuple[str, int, int, int]]] = []

    def recvfrom(self, _: int) -> tuple[bytes, tuple[str, int, int, int]]:
        if not self.came:
            raise BlockingIOError
        return self.came.pop(0)

    def sendto(self, data: bytes, address: tuple[str, int, int, int]) -> None:
        self.sent.append((data, address))


class Held:
    """In place of the queues."""

    def __init__(self) -> None:
        self.rates: list[Mapping[str, int]] = []

    async def hold(self, rates_kbit: Mapping[str, int]) -> None:
        self.rates.append(dict(rates_kbit))


class Station:
    """The part under test, with a counter of bytes that is ours."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, config: NetConfig | None = None) -> None:
        self.held, self.socket, self.sent_bytes = Held(), Socket(), 0
        self.changes = 0
        queues: Any = self.held
        self.rates = LinkRates(queues, config or NetConfig(), self._changed)
        monkeypatch.setattr(link_rates, "_sent_bytes", lambda _: self.sent_bytes)

    def _changed(self) -> None:
        self.changes += 1

    def follow(self, links: Iterable[NetLink], *addresses: str) -> None:
        self.rates.follow(links, neighbours(*addresses))

    async def turn(self, now: float) -> None:
        sock: Any = self.socket
        await self.rates._turn(now, sock)

    def receive(self, data: bytes, host: str = NEAR, port: int = PORT, index: int = 2) -> None:
        self.socket.came.append((data, (host, port, 0, index)))
        sock: Any = self.socket
        self.rates._receive(sock)


async def test_who_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    station = Station(monkeypatch, NetConfig(rate_kbit={"eth1": 500}))
    radio = replace(ETH0, name="wlan0", index=4, kind=LinkKind.RADIO)
    unused = replace(ETH0, name="eth2", index=5, used=False)
    told = replace(ETH0, name="eth1", index=3)
    many = [f"fe80::{number:x}" for number in range(1, 20)]
    station.follow([ETH0, told, radio, unused], *many)
    await station.turn(0.0)
    asked = [address for _, address in station.socket.sent]
    assert len(asked) == NEIGHBOURS
    assert {(port, index) for _, port, _, index in asked} == {(PORT, 2)}


async def test_a_question_is_answered_with_as_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    station = Station(monkeypatch)
    station.follow([ETH0])
    question = PACKET.pack(1, b"question", 0)
    station.receive(question, f"{NEAR}%eth0")
    (answer, address), *rest = station.socket.sent
    assert (len(answer), rest) == (len(question), [])
    assert PACKET.unpack(answer)[:2] == (2, b"question")
    assert address == (NEAR, PORT, 0, 2)


@pytest.mark.parametrize(
    ("data", "host", "port"),
    [
        (PACKET.pack(1, b"question", 0), "fd00::1", PORT),
        (PACKET.pack(1, b"question", 0), NEAR, 53),
        (PACKET.pack(1, b"question", 0) + b"x", NEAR, PORT),
        (PACKET.pack(1, b"question", 0)[:-1], NEAR, PORT),
        (PACKET.pack(2, b"question", 0), NEAR, PORT),
        (PACKET.pack(7, b"question", 0), NEAR, PORT),
        (b"", NEAR, PORT),
    ],
)
async def test_what_gets_no_answer(
    monkeypatch: pytest.MonkeyPatch, data: bytes, host: str, port: int
) -> None:
    station = Station(monkeypatch)
    station.follow([ETH0], NEAR)
    station.receive(data, host, port)
    assert not station.socket.sent


async def test_where_the_mesh_is_not_nobody_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    station = Station(monkeypatch)
    told = NetConfig(rate_kbit={"eth0": 2000})
    question = PACKET.pack(1, b"question", 0)
    station.receive(question)
    station.follow([replace(ETH0, used=False)])
    station.receive(question)
    station.follow([ETH0])
    station.receive(question, index=3)
    assert not station.socket.sent
    station = Station(monkeypatch, told)
    station.follow([ETH0])
    station.receive(question)
    assert station.socket.sent, "that is not measured, but the neighbour may want to"


async def test_a_flood_leaves_time_for_all_else(monkeypatch: pytest.MonkeyPatch) -> None:
    station = Station(monkeypatch)
    station.socket.came = [(b"", (NEAR, PORT, 0, 2))] * (PACKETS + 10)
    station.receive(b"")
    assert len(station.socket.came) == 11


async def test_a_flood_of_questions_is_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    station = Station(monkeypatch)
    station.follow([ETH0])
    monkeypatch.setattr(time, "monotonic_ns", lambda: 5_000_000_000)
    for _ in range(2 * ANSWERS_PER_S):
        station.receive(PACKET.pack(1, b"question", 0))
    assert len(station.socket.sent) == ANSWERS_PER_S


async def test_a_mute_neighbour_costs_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    station = Station(monkeypatch)
    station.follow([ETH0], NEAR)
    for number in range(3 * UNANSWERED):
        station.sent_bytes += 1_000_000
        await station.turn(number * 0.2)
    assert len(station.rates._watched["eth0"].asked[NEAR]) == UNANSWERED


async def test_long_delays_under_load_hold_the_link(monkeypatch: pytest.MonkeyPatch) -> None:
    station = Station(monkeypatch)
    clock_ns = 0
    monkeypatch.setattr(time, "monotonic_ns", lambda: clock_ns)
    station.follow([ETH0], NEAR)
    for number in range(100):
        clock_ns = number * 200_000_000
        station.sent_bytes += 50_000 if number > 20 else 0  # 2 Mbit/s
        station.socket.sent.clear()
        await station.turn(clock_ns / 1e9)
        waits_ns = 150_000_000 if number > 20 else 1_000_000
        for data, _ in list(station.socket.sent):
            _, question, _ = PACKET.unpack(data)
            # Somebody else's answer, one to no question, and the true one.
            station.receive(PACKET.pack(2, question, 0), "fe80::bad")
            station.receive(PACKET.pack(2, b"\0" * 8, 0))
            station.receive(PACKET.pack(2, question, 77 + clock_ns + waits_ns))
    assert station.held.rates
    assert LEAST_KBIT <= station.held.rates[0]["eth0"] < 2_000
    assert station.changes == len(station.held.rates)
    station.follow([replace(ETH0, index=9)], NEAR)  # another interface of that name
    await station.turn(clock_ns / 1e9)
    assert station.held.rates[-1] == {}
