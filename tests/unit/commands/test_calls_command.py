"""`fencewire calls`, and the record of calls in the API."""

from __future__ import annotations

from dataclasses import replace

import pytest
from api_samples import CALL
from fencewire_program import Fencewire
from memory_backend import CLINIC, PUMP, MemoryBackend

from appliance.api.calls import CallInfo
from appliance.api.client import Client, RequestError
from appliance.commands import exits


def past(number: int, **changes: object) -> CallInfo:
    shown: dict[str, object] = {
        "id": f"c{number}",
        "station": CLINIC,
        "name": "clinic",
        "state": "ended",
        "end_reason": "they-hung-up",
        "talking_s": 75.0,
        "quality": "fair",
        "number": number,
    }
    return replace(CALL, **{**shown, **changes})  # type: ignore[arg-type]


@pytest.fixture
def calls(backend: MemoryBackend) -> list[CallInfo]:
    missed = {"missed": True, "seen": False, "talking_s": None, "quality": "none"}
    backend.history.past = [
        past(1, outgoing=True),
        past(2, station=PUMP, name="pump \x1b[31m"),
        past(3, end_reason="no-answer", **missed),
    ]
    return backend.history.past


@pytest.mark.usefixtures("server", "calls")
async def test_calls_are_listed_with_the_latest_at_the_bottom(
    fencewire: Fencewire, backend: MemoryBackend
) -> None:
    done = await fencewire("calls")
    first, second, third = done.out.splitlines()
    assert "you called" in first
    assert "1:15  sound fair  They hung up" in first
    assert "pump \ufffd[31m" in second
    assert third.startswith("NEW  ")
    assert "missed" in third
    assert "fencewire calls --seen" in done.err
    assert backend.history.missed == 1
    assert "and 1 missed call (fencewire calls)" in (await fencewire("status")).out
    done = await fencewire("calls", "--missed", "--seen", "--json")
    assert (done.code, [one["id"] for one in done.lines]) == (exits.OK, ["c3"])
    assert backend.history.missed == 0
    assert "NEW" not in (await fencewire("calls")).out
    done = await fencewire("calls", "--with", "pump house/south", "--limit", "5", "--json")
    assert [one["id"] for one in done.lines] == ["c2"]
    assert (await fencewire("calls", "--with", "nobody")).code == exits.NO_STATION
    backend.history.past.clear()
    assert (await fencewire("calls")).out == "No calls.\n"


@pytest.mark.usefixtures("server")
async def test_more_than_a_page_is_listed(fencewire: Fencewire, backend: MemoryBackend) -> None:
    backend.history.past = [past(number) for number in range(1, 451)]
    done = await fencewire("calls", "--limit", "430", "--json")
    assert [one["number"] for one in done.lines] == list(range(21, 451))


@pytest.mark.usefixtures("server", "calls")
async def test_bad_questions_about_the_record_are_refused(
    fencewire: Fencewire,
) -> None:
    async with Client(fencewire.folder / "api.sock") as client:
        for wrong in ("before=x", "before=-1", "limit=0", "limit=201", "missed=yes"):
            with pytest.raises(RequestError) as refused:
                await client._call("GET", f"/v1/calls/history?{wrong}")
            assert refused.value.status == 400
        with pytest.raises(RequestError) as refused:
            await client.see_calls(-1)
        assert refused.value.status == 400
        page = await client.past_calls(limit=2)
        assert [one.number for one in page.calls] == [3, 2]
        assert page.more
        assert (await client.past_calls(before=2)).calls[0].number == 1
        assert await client.see_calls(3, "clinic") == 1
        assert await client.see_calls(3) == 0
