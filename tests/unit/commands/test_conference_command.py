"""Having somebody join a call, from the command line and through the API."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fencewire_program import Fencewire
from memory_backend import CLINIC, PUMP, MemoryBackend

from appliance.api.conferences import ConferenceInfo, ConferenceMember
from appliance.commands import exits
from appliance.commands.conferences import who_is_in


@pytest.mark.usefixtures("server")
async def test_somebody_joins_a_call(fencewire: Fencewire, backend: MemoryBackend) -> None:
    done = await fencewire("add", "clinic")
    assert done.code != exits.OK
    assert "no call that somebody could join" in done.err
    call = backend.new_call(CLINIC, outgoing=True)
    assert "no call that" in (await fencewire("add", "clinic")).err, "it is not answered"
    backend.push_call(call.id, "talking")
    done = await fencewire("add", "--json", "pump house/south")
    assert done.code == exits.OK
    (call_now,) = backend.calls()
    assert call_now.conference is not None
    members = call_now.conference.members
    assert [(one.station, one.state) for one in members] == [
        (CLINIC, "in"),
        (PUMP, "calling"),
    ]
    assert "already" in (await fencewire("add", "pump house/south")).err
    assert "no such call" in (await fencewire("add", "--call", "x", "clinic")).err


def test_who_is_in_is_said_in_a_line() -> None:
    members = (
        ConferenceMember("a", "clinic", "in", True),
        ConferenceMember("b", "gate\x1b[2J", "calling", False),
        ConferenceMember("c", "mill", "lost", False),
    )
    room = ConferenceInfo("ab" * 16, "a", members, searching=True)
    assert who_is_in(replace(room, searching=False)).startswith("Together through clinic: clinic, ")
    said = who_is_in(room)
    assert "\x1b" not in said
    assert said.endswith("mill (lost). Who joined you is gone: another takes over.")


@pytest.mark.usefixtures("server")
async def test_one_hangup_leaves_a_conference(fencewire: Fencewire, backend: MemoryBackend) -> None:
    room = ConferenceInfo("ab" * 16, CLINIC, (), searching=False)
    for whom in (CLINIC, PUMP):
        call = backend.new_call(whom, outgoing=True)
        backend.push_call(call.id, "talking", conference=room)
    done = await fencewire("hangup", "--json")
    assert len(done.lines) == 1
