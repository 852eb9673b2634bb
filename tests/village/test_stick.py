"""Two stations that never meet: a stick goes between them by hand, there and back."""

from __future__ import annotations

import asyncio
import json
import sys
from functools import partial
from pathlib import Path

import pytest
from seats import Seat, eventually

from appliance.village.village import Village

pytestmark = [pytest.mark.village, pytest.mark.usefixtures("may_make_namespaces")]


async def fencewire(seat: Seat, *arguments: str) -> dict[str, object]:
    """Run a command at a station; what it says with --json."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "appliance", "--api", str(seat.info.api), "--json", *arguments),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    said: dict[str, object] = json.loads(out)
    return said


async def carry(stick: Path, *, here: Seat, there: Seat) -> dict[str, dict[str, int]]:
    """Take all that one station has for others to another; what became of it."""
    await fencewire(here, "export", "--carried", "--force", "--output", str(stick))
    outcomes = (await fencewire(there, "import", str(stick)))["outcomes"]
    assert isinstance(outcomes, dict)
    return outcomes


async def test_messages_and_receipts_go_by_hand(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    stick = tmp_path_factory.mktemp("stick") / "carried.jsonl"
    with Village.up("pair", directory=tmp_path_factory.mktemp("v"), daemons=False) as village:
        village.link("a", "b", up=False)
        a, b = Seat(village, "a"), Seat(village, "b")
        for seat in (a, b):
            village.start(seat.name)
            await seat.sit()
        # Who nobody has heard of cannot be written to.
        assert await carry(stick, here=b, there=a) == {"card": {"new": 1}}
        doctor = await a.client.send(b.id, "Send a doctor.", precedence="emergency")
        water = await a.client.send("everyone", "Boil the water.")
        there = await carry(stick, here=a, there=b)
        assert there == {"card": {"known": 1, "new": 1}, "message": {"new": 2}}
        assert sorted(await b.texts()) == ["Boil the water.", "Send a doctor."]
        assert (await fencewire(b, "import", str(stick)))["outcomes"] == {
            "card": {"known": 2},
            "message": {"known": 2},
        }
        answer = await b.client.send(a.id, "On his way.")
        back = await carry(stick, here=b, there=a)
        assert back["message"]["new"] == 1
        assert back["receipt"]["new"] >= 1
        assert (await a.client.message(doctor.id)).state == "delivered"
        assert await a.texts() == ["On his way."]
        await carry(stick, here=a, there=b)
        assert (await b.client.message(answer.id)).state == "delivered"

        async def told() -> bool:
            """Receipts for what is for everyone wait a while for each other."""
            await carry(stick, here=b, there=a)
            return (await a.client.message(water.id)).delivered_to == 1

        await eventually(partial(told))
        for seat, other in ((a, b), (b, a)):
            (known,) = await seat.client.stations()
            assert (known.id, known.has_card, known.reach) == (other.id, True, "away")
