"""The inbox when far more is unread than can be shown at once."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fencewire_program import Fencewire
from memory_backend import CLINIC, PUMP, US, MemoryBackend

from appliance.api.schema import EVERYONE
from appliance.commands import exits


@pytest.mark.usefixtures("server")
async def test_a_flood_is_shown_in_parts_and_keeps_nothing_from_being_read(
    fencewire: Fencewire, backend: MemoryBackend
) -> None:
    sample = backend.store(EVERYONE, "flood", author=PUMP)
    backend.kept = [
        replace(sample, id=f"{number:064x}", order=number, text=f"flood {number}")
        for number in range(1, 1_501)
    ]
    backend.kept[-1] = replace(backend.kept[-1], precedence="emergency", text="Fire")
    done = await fencewire("inbox")
    assert done.code == exits.OK
    assert done.err.startswith("500 more are unread, 1 of them emergencies. Run this again")
    lines = done.out.splitlines()
    assert (len(lines), lines[0][-8:], lines[-1][-10:]) == (1_000, " flood 1", "flood 1000")
    assert [one.order for one in backend.kept if one.unread] == list(range(1_001, 1_501))
    done = await fencewire("inbox", "--with", EVERYONE)
    assert (done.code, done.err) == (exits.OK, "")
    assert done.out.splitlines()[-1].endswith("EMERGENCY: Fire")
    assert backend.status().unread == 0


@pytest.mark.usefixtures("server")
async def test_one_that_was_overlooked_long_ago_is_shown_with_the_latest(
    fencewire: Fencewire, backend: MemoryBackend
) -> None:
    old = backend.store(CLINIC, "overlooked", author=CLINIC)
    sample = backend.store(CLINIC, "", author=US)
    backend.kept = [
        old,
        *(
            replace(sample, id=f"{number:064x}", order=number, text=f"text {number}")
            for number in range(2, 1_302)
        ),
    ]
    done = await fencewire("inbox", "--limit", "2", "--json")
    assert (done.code, done.err) == (exits.OK, "")
    assert [line["text"] for line in done.lines] == ["overlooked", "text 1300", "text 1301"]
    assert backend.status().unread == 0
