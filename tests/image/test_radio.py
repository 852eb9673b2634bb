"""Simulated radios in one machine: they join by themselves, in a mode that all can do, and are put
back.

Each station is a network namespace with a radio of mac80211_hwsim; real radios were never tried.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from images.vm import Kind, Machine, Settings, guest, packages

pytestmark = pytest.mark.timeout(900)

MESH = "mesh, channel 6"
IBSS = "ad hoc, channel 6"
WITHIN_S = 300.0
"""To join.  A radio looks around every 45 to 75 s, and everything is emulated."""
ALL_S = 600.0


@pytest.fixture(scope="module")
def machine(image: Path, kind: Kind) -> Iterator[Machine]:
    if kind != "pc":
        pytest.skip("tests inside a machine are run on the PC image")
    settings = Settings(
        image=image, kind=kind, checkout=packages.ROOT, packages=packages.prepare(kind)
    )
    with Machine(settings) as booted:
        booted.wait_booted()
        booted.check_checkout()
        yield booted


def play(machine: Machine, *stations: dict[str, Any], kill: bool = False) -> dict[str, Any]:
    """Let a fleet meet, and check what holds for every fleet that joins."""
    script = {"within_s": WITHIN_S, "stations": stations, "kill": kill}
    program = "python3 tests/image/radio_stations.py play"
    line = f"{guest.IN_CHECKOUT} {program} '{json.dumps(script)}'"
    found: dict[str, Any] = json.loads(machine.output(line, timeout_s=ALL_S))
    assert "joined_s" in found, found
    for before, during in zip(found["before"], found["during"], strict=True):
        assert during["addr"] == before["addr"], "a hardware address was changed"
    assert found["after"] == found["before"], "not all was put back"
    return found


def station(*able: str, expect: str, **more: Any) -> dict[str, Any]:
    return {"able": able, "expect": expect, **more}


def all_reach_all(found: dict[str, Any]) -> bool:
    return all(all(row) for row in found["reach"])


def test_radios_that_can_do_both_are_a_mesh(machine: Machine) -> None:
    found = play(
        machine, *(station("low", "mesh", "ibss", expect=MESH) for _ in range(3)), kill=True
    )
    assert all_reach_all(found)
    assert [one["fwding"] for one in found["during"]] == ["0"] * 3, "babel routes, not the mesh"
    assert found["reached_again"], "a helper that was killed did not come back"


def test_radios_that_can_do_ad_hoc_only(machine: Machine) -> None:
    found = play(machine, *(station("low", "ibss", expect=IBSS) for _ in range(2)))
    assert all_reach_all(found)


def test_a_mesh_follows_one_that_can_do_ad_hoc_only(machine: Machine) -> None:
    both = [station("low", "mesh", "ibss", expect=IBSS) for _ in range(2)]
    found = play(machine, *both, station("low", "ibss", expect=IBSS, after_s=30))
    assert all_reach_all(found)


def test_what_is_used_is_left_alone(machine: Machine) -> None:
    used = {
        "It is used as something else: AP.": "iw dev RADIO set type __ap",
        "It has addresses, so it is used for something else.": (
            "ip addr add 192.0.2.1/24 dev RADIO"
        ),
    }
    stations = [
        station("low", "mesh", expect=why, before=[command]) for why, command in used.items()
    ]
    play(machine, station("low", "mesh", expect=MESH), *stations)


@pytest.mark.parametrize(("country", "channel"), [("DE", 149), ("US", 36)])
def test_a_country_opens_the_5_ghz_band(machine: Machine, country: str, channel: int) -> None:
    """In Germany channel 36 is for indoors only.  Without a country the band is closed."""
    expect = f"mesh, channel {channel}"
    opened = [station("mesh", "ibss", expect=expect, country=country) for _ in range(2)]
    found = play(machine, *opened)
    assert all_reach_all(found)
    assert "country 00:" in machine.output("iw reg get")
