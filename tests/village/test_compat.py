"""Stations of this version and of the earlier releases in one village."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from functools import partial
from itertools import combinations
from pathlib import Path

import pytest
from conference_seats import hum, join, leave, over, together, who_is_heard
from mesh_seats import talk_across, write_across
from seats import Seat, eventually, meet, talk

from appliance.village.station import NET
from appliance.village.village import Village

pytestmark = [
    pytest.mark.village,
    pytest.mark.usefixtures("may_make_namespaces"),
    pytest.mark.timeout(120),
]

RELEASES = {"c": ("v0.1.0", "e2ee3a9"), "d": ("v0.2.0", "b093f34")}
"""The earlier releases, by the station that runs each, and the commits that their tags stand for,
where a checkout has the history but not the tags."""

ROOT = Path(__file__).parents[2]


@pytest.fixture
def releases(tmp_path: Path) -> dict[str, Path]:
    """The code of the earlier releases."""
    return {name: unpacked(tmp_path / name, *which) for name, which in RELEASES.items()}


def unpacked(place: Path, tag: str, commit: str) -> Path:
    place.mkdir()
    for name in (tag, commit):
        command = ["git", "-C", str(ROOT), "archive", "--format=tar", name, "appliance"]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode == 0:
            subprocess.run(["tar", "-x", "-C", place], input=done.stdout, check=True)
            return place
    pytest.fail(
        f"The release {tag} is not in this checkout's history. Get it with: "
        f"git fetch --tags --unshallow (or: git fetch --depth=1 origin tag {tag}).\n"
        f"{done.stderr.decode(errors='replace')}"
    )


def command(releases: dict[str, Path]) -> list[str]:
    """Starts our daemon, and at some of the stations that of an earlier release."""
    # Its voice process is looked for where it was started, too.
    cases = "".join(
        f"{name}) export PYTHONPATH={place}; cd {place};; " for name, place in releases.items()
    )
    script = f'case "$0" in {cases}esac; exec "$3" -P -m appliance run --state "$1" --api "$2"'
    return ["sh", "-c", script, "{name}", "{state}", "{api}", sys.executable]


async def test_this_version_and_the_earlier_ones_join_write_and_call(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, releases: dict[str, Path]
) -> None:
    """Two of this version, with their helpers, and one of each earlier one on one network."""
    place = tmp_path_factory.mktemp("v")
    with Village.up(
        "lan:4", directory=place, daemons=False, net=True, command=command(releases)
    ) as village:
        for name in RELEASES:
            village.stop(name, which=NET)
        for name in "abcd":
            village.start(name)
        seats = [Seat(village, name) for name in "abcd"]
        await meet(*seats)
        versions = {s.name: (await s.client.status()).version for s in seats}
        for name, (tag, _) in RELEASES.items():
            assert versions[name] == tag.removeprefix("v")
        for one, other in combinations(seats, 2):
            await write_across(one, other)
        for one, other in ((seats[0], seats[2]), (seats[3], seats[1])):
            await talk_across(one, other, tmp_path)


async def test_an_earlier_release_is_added_to_a_call_of_two(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, releases: dict[str, Path]
) -> None:
    """It is in a call like any other, and hears both; both hear it."""
    place = tmp_path_factory.mktemp("v")
    with Village.up("lan:4", directory=place, daemons=False, command=command(releases)) as village:
        for name in "abd":
            village.start(name)
        a, b, old = (Seat(village, name) for name in "abd")
        await meet(a, b, old)
        assert (await old.client.status()).version == "0.2.0"
        play = (hum("a", tmp_path), hum("b", tmp_path))
        await talk(a, b, play=play, record=(tmp_path / "a.wav", tmp_path / "b.wav"))
        await join(a, old, tmp_path, "d")
        await eventually(partial(together, b, a, [a, b, old]))
        await asyncio.sleep(3)
        running = await old.call_in("talking")
        assert running is not None
        await old.client.hang_up(running.id)
        assert await eventually(partial(together, b, a, [a, b]))
        await leave(b)
        await eventually(partial(over, a))
    for name, others in (("a", "bd"), ("b", "ad"), ("d", "ab")):
        assert who_is_heard(tmp_path / f"{name}.wav", begin=-2.5) == others
