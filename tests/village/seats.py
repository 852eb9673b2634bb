"""Stations of a village as tests use them: through the API of their real daemons.

A seat is one station; a diary is all that its daemon says from one moment on. What a test waits for
has a bound and is looked for again and again or taken from the diary; nothing sleeps and hopes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from appliance.api.client import Client, Connected, Disconnected, EventData, event_data
from appliance.api.errors import ConnectionLost, NotRunning
from appliance.api.schema import CallInfo, Event, Message, Station, Status, Verification
from appliance.village.village import Village

T = TypeVar("T")
D = TypeVar("D", Status, Station, Message, CallInfo, Verification)

WITHIN_S = 20.0
"""For anything that has no bound of its own; a busy machine included."""

_LOOK_EVERY_S = 0.02


async def eventually(look: Callable[[], Awaitable[T]], *, within_s: float = WITHIN_S) -> T:
    """The first answer that counts as true; while the daemon is away there is none."""
    latest: object = None
    try:
        async with asyncio.timeout(within_s):
            while True:
                try:
                    latest = found = await look()
                    if found:
                        return found
                except (NotRunning, ConnectionLost) as error:
                    latest = error
                await asyncio.sleep(_LOOK_EVERY_S)
    except TimeoutError:
        raise AssertionError(f"it did not come about in {within_s:g} s: {latest!r}") from None


class Diary:
    """What a daemon says, over its restarts too."""

    def __init__(self) -> None:
        self.data: list[EventData] = []
        self._more = asyncio.Condition()

    async def keep(self, client: Client, begun: asyncio.Event) -> None:
        """Write it down until cancelled."""
        async with aclosing(client.follow()) as items:
            async for item in items:
                if isinstance(item, Connected | Disconnected):
                    continue
                begun.set()
                await self._note(item)

    async def _note(self, event: Event) -> None:
        async with self._more:
            self.data.append(event_data(event))
            self._more.notify_all()

    def all(self, kind: type[D]) -> list[D]:
        """Everything of one kind so far."""
        return [one for one in self.data if isinstance(one, kind)]

    async def first(
        self,
        kind: type[D],
        wanted: Callable[[D], bool],
        *,
        after: D | None = None,
        within_s: float = WITHIN_S,
    ) -> D:
        """The first of a kind that is wanted, from the diary's beginning or after another one."""
        place = next((n + 1 for n, one in enumerate(self.data) if one is after), 0)
        try:
            async with asyncio.timeout(within_s), self._more:
                while True:
                    for one in self.data[place:]:
                        if isinstance(one, kind) and wanted(one):
                            return one
                    place = len(self.data)
                    await self._more.wait()
        except TimeoutError:
            said = "\n".join(map(str, self.all(kind)))
            raise AssertionError(f"not within {within_s:g} s; there was:\n{said}") from None


class Seat:
    """One station."""

    def __init__(self, village: Village, name: str) -> None:
        self.village = village
        self.name = name
        self.info = village.station(name)
        self.client = Client(self.info.api)
        self.id = ""
        """Station id; known from `sit` on."""

    async def sit(self) -> None:
        """Learn who this is."""
        self.id = (await eventually(self.client.status)).id

    @asynccontextmanager
    async def diary(self) -> AsyncIterator[Diary]:
        """All that is said from now on."""
        diary, begun = Diary(), asyncio.Event()
        keeping = asyncio.create_task(diary.keep(self.client, begun))
        try:
            async with asyncio.timeout(WITHIN_S):
                await begun.wait()
            yield diary
        finally:
            keeping.cancel()
            await asyncio.wait({keeping})

    async def sees(self, other: Seat) -> Station | None:
        """The other station, if a session with it stands and its card is here."""
        for station in await self.client.stations():
            if station.id == other.id and station.reach == "here" and station.has_card:
                return station
        return None

    async def misses(self, other: Seat) -> bool:
        """Whether no session with the other station stands."""
        return all(s.reach != "here" for s in await self.client.stations() if s.id == other.id)

    async def ringing(self) -> CallInfo | None:
        """The call that rings here."""
        return next((c for c in await self.client.calls() if c.state == "ringing-here"), None)

    async def call_in(self, state: str) -> CallInfo | None:
        """The latest call, if it is in this state."""
        calls = await self.client.calls()
        return calls[0] if calls and calls[0].state == state else None

    async def message_in(self, message: str, *states: str) -> Message | None:
        """One of our messages, if it is in one of these states."""
        found = await self.client.message(message)
        return found if found.state in states else None

    async def texts(self) -> list[str]:
        """All that others wrote, in the order in which it is shown."""
        page = await self.client.messages()
        return [message.text for message in page.messages if not message.outgoing]

    async def problems(self) -> set[str]:
        """Codes of what is wrong."""
        return {problem.code for problem in (await self.client.status()).problems}

    def log(self) -> str:
        """What the daemon wrote to its log."""
        return self.info.log.read_text(encoding="utf-8", errors="replace")


async def meet(*seats: Seat, within_s: float = WITHIN_S) -> None:
    """Return when everybody has a session with everybody else."""
    for seat in seats:
        await seat.sit()
    for seat in seats:
        for other in seats:
            if other is not seat:
                await eventually(partial(seat.sees, other), within_s=within_s)


@asynccontextmanager
async def pair(
    directory: Path, *, daemons: bool = True, command: list[str] | None = None
) -> AsyncIterator[tuple[Seat, Seat]]:
    """A village of two stations; with daemons, ones that have met."""
    with Village.up("pair", directory=directory, daemons=daemons, command=command) as village:
        a, b = Seat(village, "a"), Seat(village, "b")
        if daemons:
            await meet(a, b)
        yield a, b


async def talk(
    a: Seat,
    b: Seat,
    *,
    play: tuple[Path, Path],
    record: tuple[Path, Path],
) -> tuple[CallInfo, CallInfo]:
    """A call from a to b that is answered, with files for both; how each side sees it."""
    call = await a.client.call(b.id, play=str(play[0]), record=str(record[0]))
    ringing = await eventually(b.ringing)
    assert ringing is not None
    await b.client.answer(ringing.id, play=str(play[1]), record=str(record[1]))
    ours, theirs = [await eventually(partial(s.call_in, "talking")) for s in (a, b)]
    assert ours is not None
    assert theirs is not None
    assert ours.id == call.id
    return ours, theirs


AGAIN_WITHIN_S = 30.0
"""A dead session is noticed after 16 s and dialled anew."""


async def delivered(author: Seat, message: str, *, within_s: float = AGAIN_WITHIN_S) -> None:
    await eventually(partial(author.message_in, message, "delivered", "read"), within_s=within_s)


async def write_to_each_other(a: Seat, b: Seat) -> None:
    for author, reader in ((a, b), (b, a)):
        sent = await author.client.send(reader.id, f"{author.name} is here.")
        await delivered(author, sent.id)
        assert (await reader.texts())[-1] == sent.text


def pid_of(seat: Seat) -> int:
    """The daemon's process id inside the village."""
    return next(int(s["pid"]) for s in seat.village.status()["stations"] if s["name"] == seat.name)
