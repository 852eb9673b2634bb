"""Search, message and storage on the command line."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fencewire_program import Fencewire
from memory_backend import AWAY, CLINIC, NOW, US, MemoryBackend

from appliance.api.schema import EVERYONE, Recipient
from appliance.api.storage import SetStorage
from appliance.commands import exits

pytestmark = pytest.mark.usefixtures("server")


async def test_search_goes_on_until_all_is_seen(
    fencewire: Fencewire, backend: MemoryBackend
) -> None:
    for number in range(8):
        backend.store(CLINIC, f"Truck {number}" if number % 4 == 0 else "other", author=CLINIC)
    done = await fencewire("inbox", "--search", "TRUCK")
    assert [line.rsplit(": ", 1)[1] for line in done.out.splitlines()] == ["Truck 0", "Truck 4"]
    assert backend.status().unread == 8
    done = await fencewire("inbox", "--search", "truck", "--json", "--limit", "1")
    assert [line["text"] for line in done.lines] == ["Truck 4"]
    done = await fencewire("inbox", "--search", "nowhere")
    assert (done.code, done.out) == (exits.OK, "No message has these words.\n")


async def test_a_message_shows_whom_it_came_to(
    fencewire: Fencewire, backend: MemoryBackend
) -> None:
    sent = backend.store(EVERYONE, "fire\x1b[2J", author=US)
    told = (Recipient(CLINIC, "read", NOW), Recipient(AWAY, "queued", None))
    backend.kept[-1] = replace(backend.kept[-1], recipients=told, carried_by=1)
    backend.store(CLINIC, "thanks", author=CLINIC)
    done = await fencewire("message")
    lines = done.out.splitlines()
    assert lines[0].endswith("you to everyone: fire\ufffd[2J")
    assert lines[1] == f"id       {sent.id}"
    assert lines[2] == "waits for 1, on its way to 0, delivered to 0, read by 1"
    assert lines[3].startswith("carried by pump house/south?")
    assert lines[4].split()[:3] == ["clinic?", "\u00b7k7qd", "read"]
    assert lines[5].split() == ["school?", "\u00b7zzzz", "queued"]
    as_json = await fencewire("message", sent.id, "--json")
    assert [line.get("state") for line in as_json.lines] == ["delivered", "read", "queued"]
    theirs = await fencewire("message", backend.kept[-1].id)
    assert theirs.out.splitlines()[0].endswith("clinic? \u00b7k7qd: thanks")
    missing = await fencewire("message", "00")
    assert missing.code == exits.FAILED


async def test_what_had_to_go_is_said(fencewire: Fencewire, backend: MemoryBackend) -> None:
    removed = replace(backend.stored.removed[0], conversation=CLINIC)
    backend.stored = replace(backend.stored, removed=(removed,))
    done = await fencewire("storage")
    assert "messages  3 of 200,000  250.0 MB of 256 MB" in done.out
    assert "clinic? \u00b7k7qd: 37 older messages removed to make room, up to ~" in done.out
    assert "2 of yours had NOT ARRIVED anywhere" in done.out
    assert max(map(len, done.out.splitlines())) < 120
    status = await fencewire("status")
    assert "37 older ones removed (see: fencewire storage)" in status.out
    await fencewire("storage", "--mb", "500", "--messages", "5000", "--json")
    assert backend.asked == [("set_storage", SetStorage(5000, 500_000_000, None))]
    wrong = await fencewire("storage", "--mb", "lots")
    assert wrong.code == exits.USAGE
