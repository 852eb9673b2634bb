"""Stations of a mesh as tests use them: with their network helpers and real babeld."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from _stations import child_named
from _tone import tone_file
from seats import Seat, delivered, eventually, talk

from appliance.api.errors import ConnectionLost, NotRunning
from appliance.village.station import NET
from appliance.village.village import Village

Seats = dict[str, Seat]

LISTED_WITHIN_S = 30.0
"""For all to list all; the bench says how long it really takes."""


@asynccontextmanager
async def mesh(
    directory: Path, topology: str, *, pulled: Sequence[tuple[str, str]] = (), without: str = ""
) -> AsyncIterator[Seats]:
    """A village of stations with helpers; `pulled` cables wait to be plugged.

    Stations named in `without` have neither helper nor daemon yet.
    """
    with Village.up(topology, directory=directory, daemons=False, net=True) as village:
        for a, b in pulled:
            village.link(a, b, up=False)
        for name in without:
            village.stop(name, which=NET)
        seats = {name: Seat(village, name) for name in village.topology.stations}
        starting = [name for name in seats if name not in without]
        await asyncio.gather(*(asyncio.to_thread(village.start, name) for name in starting))
        for name in starting:
            await seats[name].sit()
        yield seats


async def lists(seat: Seat, others: set[str]) -> bool:
    """Whether a station has the cards of all these, and a way to each of them."""
    stations = await seat.client.stations()
    there = {s.id for s in stations if s.has_card and s.reach in {"here", "reachable"}}
    return others <= there


async def all_list_all(seats: Seats, *, within_s: float = LISTED_WITHIN_S) -> None:
    """Return when everybody lists everybody else."""
    ids = {seat.id for seat in seats.values()}
    try:
        async with asyncio.timeout(within_s):
            for seat in seats.values():
                await eventually(partial(lists, seat, ids - {seat.id}), within_s=2 * within_s)
    except TimeoutError:
        said = [await seen_by(seat, seats) for seat in seats.values()]
        raise AssertionError(f"not within {within_s:g} s:\n" + "\n".join(said)) from None


async def seen_by(seat: Seat, seats: Seats) -> str:
    """What a station says of each other one, in a line."""
    try:
        found = {station.id: station for station in await seat.client.stations()}
    except (NotRunning, ConnectionLost) as error:
        return f"{seat.name}: {error!r}"
    words = []
    for name, other in seats.items():
        if (one := found.get(other.id)) is not None:
            words.append(f"{name} {one.reach}{'' if one.has_card else ' without card'}")
        elif other is not seat:
            words.append(f"{name} unknown")
    return f"{seat.name}: {', '.join(words)}"


async def write_across(a: Seat, b: Seat, text: str = "Is the road open?") -> None:
    """A message each way; both arrive."""
    for author, reader in ((a, b), (b, a)):
        sent = await author.client.send(reader.id, f"{author.name}: {text}")
        await delivered(author, sent.id)
        assert sent.text in await reader.texts()


async def talk_across(a: Seat, b: Seat, directory: Path) -> None:
    """A call in which each side hears the other."""
    call = await begin_call(a, b, directory)
    await a.client.hang_up(call)
    await eventually(partial(b.call_in, "ended"))


async def begin_call(a: Seat, b: Seat, directory: Path) -> str:
    """A call in which both sides have heard the other's tone; its id at the caller."""
    tone = Path(tone_file(directory / "tone.wav", 60.0))
    record = (directory / f"{a.name}.wav", directory / f"{b.name}.wav")
    ours, _ = await talk(a, b, play=(tone, tone), record=record)
    return ours.id


async def hops(seat: Seat, other: Seat) -> int | None:
    """How many links lie between two stations, as one of them knows it."""
    return (await seat.client.station(other.id)).hops


async def hops_become(seat: Seat, other: Seat, wanted: int) -> None:
    """Return when the way has that length."""

    async def there() -> bool:
        return await hops(seat, other) == wanted

    await eventually(there)


def babeld_of(seat: Seat) -> int | None:
    """Process id of a station's babeld, as this machine counts them."""
    helper = next(s["net"] for s in seat.village.status()["stations"] if s["name"] == seat.name)
    return child_named(helper["host_pid"], "babeld") if helper["host_pid"] else None


async def kill_babeld(seat: Seat) -> None:
    """Kill it and return when there is another one."""
    before = babeld_of(seat)
    assert before is not None
    os.kill(before, signal.SIGKILL)

    async def another() -> bool:
        return babeld_of(seat) not in {None, before}

    await eventually(another)
