"""Files that come with messages, between real daemons on real links that are cut."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from mesh_seats import all_list_all, mesh
from seats import Seat, delivered, eventually

from appliance.api.schema import Attachment, Message
from appliance.village.village import Village

pytestmark = [pytest.mark.village, pytest.mark.usefixtures("may_make_namespaces")]

LARGE = random.Random(5).randbytes(5_000_000)
VOICE = random.Random(6).randbytes(60_000)


@asynccontextmanager
async def line(directory: Path) -> AsyncIterator[tuple[Village, Seat, Seat, Seat]]:
    """Three stations in a line, without privileges, all of which know the cards of all."""
    with Village.up("line:3", directory=directory) as village:
        seats = [Seat(village, name) for name in village.topology.stations]
        for seat in seats:
            await seat.sit()
        for seat in seats:
            await eventually(partial(knows_all, seat))
        a, b, c = seats
        yield village, a, b, c


async def knows_all(seat: Seat) -> bool:
    """Whether a station has the cards of both others."""
    return sum(station.has_card for station in await seat.client.stations()) == 2


async def send(seat: Seat, to: str, name: str, data: bytes, directory: Path) -> Message:
    """Send a file."""
    file = directory / name
    file.write_bytes(data)
    upload = await seat.client.upload(file)
    return await seat.client.send(to, "", attachments=[upload.id])


async def attached(seat: Seat, message: str) -> Attachment | None:
    """Look at the file that came with a message."""
    for one in (await seat.client.messages()).messages:
        if one.id == message:
            return one.attachments[0]
    return None


async def in_state(seat: Seat, message: str, state: str) -> Attachment | None:
    """Look at the file if it is in a state."""
    found = await attached(seat, message)
    return found if found is not None and found.state == state else None


async def has_part(seat: Seat, message: str, least: int) -> Attachment | None:
    """Look at the file if so much of it is there."""
    found = await attached(seat, message)
    return found if found is not None and found.have_bytes >= least else None


async def saved(seat: Seat, message: str, directory: Path) -> bytes:
    """Return the file as it is saved."""
    path = directory / f"{seat.name}.saved"
    await seat.client.download(message, 0, path)
    return path.read_bytes()


async def keeps_files(seat: Seat, count: int) -> bool:
    """Whether a station has so many files, whatever for, and all of each."""
    classes = {one.name: one for one in (await seat.client.storage()).classes}
    files = list((seat.info.state / "blobs").glob("*.blob"))
    return classes["attachments"].records == count == len(files)


async def test_a_transfer_over_two_hops_goes_on_after_a_cut_and_two_crashes(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    async with mesh(tmp_path_factory.mktemp("v"), "line:3") as seats:
        await all_list_all(seats)
        a, c = seats["a"], seats["c"]
        greeted = await c.client.send(a.id, "Send me the map.")
        await delivered(c, greeted.id)
        a.village.link("a", "b", rate_kbit=20_000)
        sent = await send(a, c.id, "map.png", LARGE, tmp_path)
        a.village.kill("a")  # what it has said to be written is there afterwards
        a.village.start("a")
        await delivered(a, sent.id)
        await eventually(partial(has_part, c, sent.id, 1_000_000))
        a.village.link("b", "c", up=False)
        a.village.kill("c")
        a.village.start("c")
        await eventually(partial(in_state, c, sent.id, "waiting"))
        a.village.link("b", "c", up=True)
        again = await eventually(partial(has_part, c, sent.id, 1))
        assert again is not None
        assert again.have_bytes >= 1_000_000, "it begins anew"
        await eventually(partial(in_state, c, sent.id, "here"))
        assert await saved(c, sent.id, tmp_path) == LARGE


async def test_a_voice_message_arrives_by_courier(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    async with line(tmp_path_factory.mktemp("v")) as (village, a, b, c):
        village.link("b", "c", up=False)
        await eventually(partial(b.misses, c))
        sent = await send(a, c.id, "voice.ogg", VOICE, tmp_path)
        await eventually(partial(keeps_files, b, 1))
        village.link("a", "b", up=False)
        await eventually(partial(b.misses, a))
        village.link("b", "c", up=True)
        await eventually(partial(in_state, c, sent.id, "here"))
        assert await saved(c, sent.id, tmp_path) == VOICE
        assert await b.texts() == []


async def test_a_file_for_everyone_is_fetched_from_whoever_has_it(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    async with line(tmp_path_factory.mktemp("v")) as (village, a, b, c):
        greeted = await b.client.send(a.id, "Is there a map?")
        await delivered(b, greeted.id)
        village.link("b", "c", up=False)
        await eventually(partial(b.misses, c))
        sent = await send(a, "everyone", "map.png", LARGE, tmp_path)
        await eventually(partial(in_state, b, sent.id, "here"))
        village.stop("a")
        village.link("b", "c", up=True)
        # It is large, and c knows nothing of its author, so its operator has to ask for it.
        waits = await eventually(partial(in_state, c, sent.id, "waiting"))
        assert waits is not None
        await c.client.fetch(sent.id, 0)
        await eventually(partial(in_state, c, sent.id, "here"))
        assert await saved(c, sent.id, tmp_path) == LARGE
