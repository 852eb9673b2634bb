"""Stations of this version and of the previous release in one village."""

from __future__ import annotations

import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest
from mesh_seats import talk_across, write_across
from seats import Seat, meet

from appliance.village.station import NET
from appliance.village.village import Village

pytestmark = [
    pytest.mark.village,
    pytest.mark.usefixtures("may_make_namespaces"),
    pytest.mark.timeout(120),
]

PREVIOUS = "v0.1.0"
COMMIT = "e2ee3a9"
"""What the tag stands for, where a checkout has the history but not the tags."""

ROOT = Path(__file__).parents[2]


@pytest.fixture
def previous(tmp_path: Path) -> Path:
    """The code of the previous release."""
    for name in (PREVIOUS, COMMIT):
        command = ["git", "-C", str(ROOT), "archive", "--format=tar", name, "appliance"]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode == 0:
            subprocess.run(["tar", "-x", "-C", tmp_path], input=done.stdout, check=True)
            return tmp_path
    pytest.fail(
        f"The release {PREVIOUS} is not in this checkout's history. Get it with: "
        f"git fetch --tags --unshallow (or: git fetch --depth=1 origin tag {PREVIOUS}).\n"
        f"{done.stderr.decode(errors='replace')}"
    )


def command(previous: Path, names: str) -> list[str]:
    """Starts our daemon, and at some of the stations the previous release's."""
    script = (
        # Its voice process is looked for where it was started, too.
        f'case "$0" in [{names}]) export PYTHONPATH={previous}; cd {previous};; esac; '
        'exec "$3" -P -m appliance run --state "$1" --api "$2"'
    )
    return ["sh", "-c", script, "{name}", "{state}", "{api}", sys.executable]


async def test_this_version_and_the_previous_one_join_write_and_call(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, previous: Path
) -> None:
    """Two of this version, with their helpers, and two of the previous one on one network."""
    place = tmp_path_factory.mktemp("v")
    with Village.up(
        "lan:4", directory=place, daemons=False, net=True, command=command(previous, "cd")
    ) as village:
        for name in "cd":
            village.stop(name, which=NET)
        for name in "abcd":
            village.start(name)
        seats = [Seat(village, name) for name in "abcd"]
        await meet(*seats)
        versions = {s.name: (await s.client.status()).version for s in seats}
        assert versions["c"] == versions["d"] == PREVIOUS.removeprefix("v")
        for one, other in combinations(seats, 2):
            await write_across(one, other)
        for one, other in ((seats[0], seats[2]), (seats[3], seats[1])):
            await talk_across(one, other, tmp_path)
