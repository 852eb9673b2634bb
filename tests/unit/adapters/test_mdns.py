"""Two stations announce and browse on loopback; cables are in tests/village/test_discovery.py."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from appliance.adapters.links import LinkSnapshot, read_links
from appliance.adapters.mdns import Mdns
from appliance.model.identity import StationId
from appliance.protocol.dnssd import Gone, Sighting

# Loopback is everybody's: other runs announce there at the same time.
ALICE = StationId(os.urandom(32))
BOB = StationId(os.urandom(32))
LIMIT_S = 10.0


class Ear:
    """A station on loopback and what it has heard."""

    def __init__(self, station: StationId, port: int) -> None:
        self.news: list[Sighting | Gone] = []
        self._more = asyncio.Event()
        self.mdns = Mdns(
            station=station,
            boot=os.urandom(8),
            port=port,
            version=1,
            on_seen=self._hear,
            on_gone=self._hear,
            rng=random.Random(port),
            interfaces=("lo",),
        )

    def _hear(self, news: Sighting | Gone) -> None:
        self.news.append(news)
        self._more.set()

    async def until(self, wanted: Callable[[Sighting | Gone], bool]) -> Sighting | Gone:
        async with asyncio.timeout(LIMIT_S):
            while True:
                self._more.clear()
                for news in self.news:
                    if wanted(news):
                        return news
                await self._more.wait()


@asynccontextmanager
async def running(*ears: Ear) -> AsyncIterator[None]:
    for ear in ears:
        await ear.mdns.start()
    try:
        yield
    finally:
        await asyncio.gather(*(ear.mdns.stop() for ear in ears))


def seen(ear: Ear) -> Callable[[Sighting | Gone], bool]:
    return lambda news: isinstance(news, Sighting) and news.instance == ear.mdns.instance


def gone(ear: Ear) -> Callable[[Sighting | Gone], bool]:
    return lambda news: isinstance(news, Gone) and news.instance == ear.mdns.instance


async def test_two_stations_hear_each_other_and_say_goodbye() -> None:
    alice, bob = Ear(ALICE, 4101), Ear(BOB, 4102)
    async with running(alice):
        async with running(bob):
            heard = await alice.until(seen(bob))
            await bob.until(seen(alice))
            assert isinstance(heard, Sighting)
            assert heard.station == BOB
            assert heard.candidates == (("127.0.0.1", 4102),)
            assert heard.links == ("lo",)
        await alice.until(gone(bob))
    assert not any(seen(alice)(news) for news in alice.news)


async def test_a_copied_key_is_reported() -> None:
    one, other = Ear(ALICE, 4103), Ear(ALICE, 4104)
    async with running(one, other):
        heard = await one.until(seen(other))
        assert heard.station == ALICE
        await other.until(seen(one))


async def test_no_interface_at_all_is_waited_out() -> None:
    alice, bob = Ear(ALICE, 4105), Ear(BOB, 4106)
    async with running(alice, bob):
        await alice.mdns.interfaces_changed(LinkSnapshot())
        assert not alice.mdns.links
        alice.news.clear()
        await alice.mdns.interfaces_changed(read_links())
        assert "lo" in alice.mdns.links
        await alice.until(seen(bob))


async def test_a_flapping_link_is_left_alone_after_a_while() -> None:
    alice = Ear(ALICE, 4107)
    there = read_links()
    moved = LinkSnapshot(tuple(replace(one, index=one.index + 1000) for one in there.interfaces))
    async with running(alice):
        for _ in range(10):
            await alice.mdns.interfaces_changed(LinkSnapshot())
            await alice.mdns.interfaces_changed(there)
        assert not alice.mdns.links
        await alice.mdns.interfaces_changed(moved)
        assert not alice.mdns.links
