"""A flood of invented stations does not bury what honest ones write, and fills no disk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from appliance.adapters.store import carried
from sim import flood
from sim.flood import PARTS, PER_S, Arrivals

pytestmark = pytest.mark.timeout(240)

SEED = 1

LATER_S = 120.0
"""By so much the flood may delay an honest message."""

STRANGERS_S = 180.0
"""The same for those of whom as little is known as of the flood."""

MAX_DATABASE = 8 * 1024 * 1024


@pytest.fixture(scope="module")
def both() -> tuple[Arrivals, Arrivals]:
    calm, flooded = flood.run(SEED, per_s=0.0), flood.run(SEED, per_s=PER_S)
    print(flood.table(calm, flooded))
    return calm, flooded


def faults(calm: Arrivals, flooded: Arrivals) -> Iterator[str]:
    """Say what the flood did that it must not."""
    yield from (f"lost: {one}" for one in (*calm.missing, *flooded.missing))
    for part in PARTS:
        later_s = STRANGERS_S if part == "new" else LATER_S
        if flooded.worst(part) > calm.worst(part) + later_s:
            yield f"late: {part} after {flooded.worst(part):.0f} s, else {calm.worst(part):.0f} s"
    if flooded.carried > flood.CARRIED:
        yield f"{flooded.carried} bytes are carried for others"
    if flooded.database > MAX_DATABASE:
        yield f"{flooded.database} bytes on disk"


def test_what_honest_stations_write_arrives_in_a_flood(both: tuple[Arrivals, Arrivals]) -> None:
    calm, flooded = both
    assert flooded.invented > 1_000
    assert all(len(calm.seconds[part]) > 3 for part in PARTS)
    assert list(faults(calm, flooded)) == []


def test_room_for_all_is_noticed(
    both: tuple[Arrivals, Arrivals], monkeypatch: pytest.MonkeyPatch
) -> None:
    def all_the_room(*_: Any) -> list[bytes]:
        return []

    monkeypatch.setattr(carried, "_make_room", all_the_room)
    for name, little in (("FLOODED_S", 40.0), ("PATIENCE_S", 0.0), ("CARRIED", 64 * 1024)):
        monkeypatch.setattr(flood, name, little)
    said = list(faults(both[0], flood.run(SEED, per_s=PER_S)))
    assert any("bytes are carried for others" in fault for fault in said)
