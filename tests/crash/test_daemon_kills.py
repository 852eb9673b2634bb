"""Whole daemons are killed, over and over, while messages go both ways: each arrives just once."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import pytest
from seats import Seat, delivered, eventually, pair

from appliance.api.errors import ConnectionLost, NotRunning

pytestmark = [
    pytest.mark.village,
    pytest.mark.timeout(280),
    pytest.mark.usefixtures("may_make_namespaces"),
]

ROUNDS = 24
ALL_EVERY = 3
"""In every so many rounds both are killed at once; in the others one, in turn."""

MIN_KILLS = 30
MOST_MESSAGES = 4
"""Between two kills, at most, before the next moment is waited for."""

LONGEST_S = 0.3
"""From then to the kill, at most."""

PACE_S = 0.1
"""Between two messages of one author."""

WITHIN_S = 60.0
"""For what waits to arrive in the end."""


class Author:
    """Somebody who writes without a pause, and reads what the other writes."""

    def __init__(self, seat: Seat, to: Seat) -> None:
        self.seat, self.to = seat, to
        self.tried: list[str] = []
        """All texts; of some nobody knows whether they were stored."""

        self.kept: dict[str, str] = {}
        """Messages that the daemon has said to keep, and their texts."""

        self.checked: set[str] = set()
        """Those that the other side was found to have."""

    async def write(self) -> None:
        """Go on until cancelled, whatever happens to the daemon."""
        while True:
            try:
                text = f"{self.seat.name} {len(self.tried)}"
                self.tried.append(text)
                sent = await self.seat.client.send(self.to.id, text)
                self.kept[sent.id] = text
                page = await self.seat.client.messages(self.to.id, limit=5)
                await self.seat.client.mark_read(self.to.id, up_to=page.messages[-1].order)
                await asyncio.sleep(PACE_S)
            except (NotRunning, ConnectionLost):
                await eventually(self.seat.client.status)

    async def shown_as_delivered(self) -> set[str]:
        """What is shown as delivered or read, of the latest, and was not looked for yet."""
        page = await self.seat.client.messages(self.to.id, limit=200)
        return {
            one.id
            for one in page.messages
            if one.outgoing and one.state in ("delivered", "read") and one.id not in self.checked
        }


@asynccontextmanager
async def writing(*authors: Author) -> AsyncIterator[None]:
    """All of them write; one who can't any more fails the test."""
    tasks = [asyncio.create_task(author.write()) for author in authors]
    try:
        yield
        assert not any(task.done() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
        for done in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(done, Exception):
                raise done


async def kept_more(author: Author, dice: random.Random) -> None:
    """Return at a random moment: some messages later, and a little."""
    wanted = len(author.kept) + dice.randrange(MOST_MESSAGES)

    async def enough() -> bool:
        return len(author.kept) >= wanted

    await eventually(enough)
    await asyncio.sleep(dice.uniform(0, LONGEST_S))


async def killed(victims: list[Author], authors: tuple[Author, Author]) -> None:
    """Kill daemons and start them again; what the others showed as delivered is there."""
    village = authors[0].seat.village
    for victim in victims:
        await asyncio.to_thread(village.kill, victim.seat.name)
    shown = {one.seat.name: await one.shown_as_delivered() for one in authors if one not in victims}
    starts = [asyncio.to_thread(village.start, victim.seat.name) for victim in victims]
    await asyncio.gather(*starts)
    for author in authors:
        name, reader = author.seat.name, author.to.client
        ids = shown[name] if name in shown else await author.shown_as_delivered()
        for message in ids:
            assert not (await reader.message(message)).outgoing
        author.checked |= ids


async def test_no_kill_of_a_daemon_loses_or_doubles_a_message(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    dice = random.Random(seed)
    kills = 0
    async with pair(tmp_path_factory.mktemp("v")) as (a, b):
        authors = Author(a, b), Author(b, a)
        async with writing(*authors):
            for number in range(ROUNDS):
                victims = [authors[number % 2]] if number % ALL_EVERY else list(authors)
                await kept_more(authors[(number + 1) % 2], dice)
                await killed(victims, authors)
                kills += len(victims)
        assert kills >= MIN_KILLS
        for author in authors:
            assert len(author.checked) > ROUNDS, "too little was delivered between the kills"
            for message in author.kept:
                await delivered(author.seat, message, within_s=WITHIN_S)
        for seat in (a, b):
            seat.village.stop(seat.name)
    for author in authors:
        check_inbox(author)


def check_inbox(author: Author) -> None:
    """Whether the other side has each message just once, as its disk says."""
    with closing(sqlite3.connect(author.to.info.state / "station.db")) as db:
        rows = db.execute("SELECT text FROM messages WHERE NOT outgoing").fetchall()
        checks = [*db.execute("PRAGMA integrity_check"), *db.execute("PRAGMA foreign_key_check")]
    times = Counter(text for (text,) in rows)
    print(
        f"{author.seat.name}: {len(author.tried)} tried, {len(author.kept)} kept, {len(rows)} got"
    )
    assert checks == [("ok",)]
    assert times.keys() <= set(author.tried)
    assert set(author.kept.values()) <= times.keys()
    assert set(times.values()) == {1}
