"""Groups on the command line."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fencewire_program import Fencewire
from memory_backend import CLINIC, US, MemoryBackend

from appliance.api.schema import Recipient
from appliance.commands import exits

pytestmark = pytest.mark.usefixtures("server")


async def test_a_group_is_made_and_shown(fencewire: Fencewire, backend: MemoryBackend) -> None:
    done = await fencewire("group")
    assert (done.code, done.out.split(".")[0]) == (exits.OK, "There are no groups")
    done = await fencewire("group", "make", "Rescue", "clinic", "--history", "all")
    lines = done.out.splitlines()
    assert lines[0] == "Rescue ·0001"
    assert lines[2] == "New members get what was written before, too."
    assert [line.split() for line in lines[3:]] == [["you", "admin"], ["clinic?", "·k7qd"]]
    listed = await fencewire("group", "list")
    assert listed.out == "Rescue ·0001  2 members\n"
    backend.groups.put(replace(backend.groups.find("Rescue"), state="invited", unread=3))
    listed = await fencewire("group")
    assert listed.out.split("  ")[2:] == ["3 unread", "you are invited: accept or decline\n"]
    as_json = await fencewire("group", "show", "Rescue", "--json")
    assert [line["state"] for line in as_json.lines] == ["invited"]


async def test_a_group_is_changed(fencewire: Fencewire, backend: MemoryBackend) -> None:
    await fencewire("group", "make", "Rescue")
    await fencewire("group", "invite", "Rescue", "clinic", "school")
    assert len(backend.groups.find("Rescue").members) == 3
    done = await fencewire("group", "invite", "Rescue", "pump house/south", "nobody")
    assert done.code == exits.NO_STATION
    assert len(backend.groups.find("Rescue").members) == 3
    await fencewire("group", "remove", "Rescue", "school")
    await fencewire("group", "admin", "Rescue", "clinic")
    await fencewire("group", "history", "Rescue", "all")
    done = await fencewire("group", "rename", "Rescue", "Search", "team")
    assert "  clinic? ·k7qd  admin" in done.out.splitlines()
    assert backend.groups.find("Search team").history == "all"
    done = await fencewire("group", "leave", "Search team")
    assert done.out == "You have left Search team ·0001.\n"
    assert (await fencewire("group", "accept", "Search team")).code == exits.OK
    done = await fencewire("group", "decline", "Search team")
    assert done.out.startswith("You have declined")


async def test_what_is_not_there_or_meant_twice_is_said(
    fencewire: Fencewire, backend: MemoryBackend
) -> None:
    done = await fencewire("group", "show", "Nobody")
    assert (done.code, done.err) == (exits.NO_STATION, "There is no group 'Nobody'. List them.\n")
    await fencewire("group", "make", "clinic")
    done = await fencewire("inbox", "--with", "clinic")
    assert done.code == exits.NO_STATION
    assert done.err.startswith("Both a station and a group are named clinic.")
    assert (await fencewire("group", "history", "clinic", "some")).code == exits.USAGE
    shown = await fencewire("group", "make", "--help")
    assert "fencewire group make Rescue clinic north-gate" in shown.out


async def test_the_inbox_shows_groups_and_what_happened_in_them(
    fencewire: Fencewire, backend: MemoryBackend
) -> None:
    await fencewire("group", "make", "Rescue", "clinic")
    group = backend.groups.find("Rescue")
    backend.store(group.id, "on our way", author=CLINIC)
    notice = backend.store(group.id, "clinic removed school.\x1b[2J", author=CLINIC)
    backend.kept[-1] = replace(notice, notice=True)
    sent = await fencewire("send", "Rescue", "thanks")
    assert sent.code == exits.OK
    states = (Recipient(CLINIC, "delivered", None), Recipient(US[:-1] + "1", "queued", None))
    backend.kept[-1] = replace(backend.kept[-1], state="queued", recipients=states)
    done = await fencewire("inbox", "--with", "Rescue", "--peek")
    lines = [line.split(" ", 2)[2] for line in done.out.splitlines()[:3]]
    assert lines[0].endswith("clinic? ·k7qd to Rescue ·0001: on our way")
    assert lines[1].endswith("Rescue ·0001: (clinic removed school.\ufffd[2J)")
    assert lines[2].endswith("you to Rescue ·0001: thanks")
    assert done.out.splitlines()[3].strip() == "Waiting, delivered to 1 of 2 members."
    shown = await fencewire("message")
    assert shown.out.splitlines()[0].endswith("you to Rescue ·0001: thanks")
