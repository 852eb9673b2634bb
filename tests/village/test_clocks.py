"""Boards whose clocks are right, a day wrong and ten years wrong, in one village."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from seats import Seat, delivered, eventually, meet

from appliance.village.village import Village

pytestmark = [
    pytest.mark.village,
    pytest.mark.usefixtures("may_make_namespaces"),
    pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed"),
]

DAY_S = 86_400
WRONG_S = {"d": -DAY_S, "e": 3650 * DAY_S}


def command(directory: Path) -> list[str]:
    """Starts daemons with clocks wrong as above, kept right by nothing but the mark's presence."""
    library = directory / "wrong_clock.so"
    source = Path(__file__).with_name("wrong_clock.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O", "-o", library, source], check=True)
    wrong = " ".join(f"{name}) off={off_s};;" for name, off_s in WRONG_S.items())
    script = (
        f'off=0; case "$0" in {wrong} esac; '
        f'export LD_PRELOAD={library} CLOCK_OFFSET_S=$off CLOCK_SYNCED={directory}/synced-"$0"; '
        'exec "$3" -P -m appliance run --state "$1" --api "$2"'
    )
    return ["sh", "-c", script, "{name}", "{state}", "{api}", sys.executable]


async def goes_by(seat: Seat, words: str) -> bool:
    status = await seat.client.status()
    return status.clock_source == words and status.clock.sure


async def now_ms(seat: Seat) -> int:
    return (await seat.client.status()).clock.ms


async def test_wrong_clocks_join_write_and_are_put_right(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    place = tmp_path_factory.mktemp("v")
    with Village.up("lan:5", directory=place, command=command(tmp_path)) as village:
        seats = [Seat(village, name) for name in village.topology.stations]
        await meet(*seats)
        # At once: nobody waits for the time.
        for author, reader in zip(seats, [*seats[1:], seats[0]], strict=True):
            sent = await author.client.send(reader.id, f"{author.name} is here.")
            await delivered(author, sent.id, within_s=2)
        for seat in seats:
            agreeing = 3 if seat.name in WRONG_S else 2
            await eventually(partial(goes_by, seat, f"clock agreed with {agreeing} stations"))
        times = [await now_ms(seat) for seat in seats]
        assert max(times) - min(times) < 10_000
        checks = {check.name: check for check in (await seats[3].client.doctor())}
        assert checks["clock"].text == "Clock agreed with 3 stations."
        off_s = {one.id: one.clock_off_s for one in await seats[0].client.stations()}
        for seat in seats[3:]:
            found = off_s[seat.id]
            assert found is not None
            assert abs(found - WRONG_S[seat.name]) < 10

        (tmp_path / "synced-a").touch()
        village.restart("a")
        await meet(*seats)
        assert await goes_by(seats[0], "clock from NTP")
        for seat in seats[1:]:
            await eventually(partial(goes_by, seat, "clock from NTP, 1 station away"))
        wrong = seats[4]
        sent = await wrong.client.send(seats[3].id, "Now the clock is right.")
        await delivered(wrong, sent.id)
        seen = (await seats[3].client.messages(wrong.id)).messages[-1]
        assert seen.written_at.sure
        assert abs(seen.written_at.ms - await now_ms(seats[0])) < 60_000
