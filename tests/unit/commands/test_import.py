"""Import: what is in the file is handed in as it is, and what is wrong with it is said by line."""

from __future__ import annotations

import base64
import json
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
from fencewire_program import Done, Fencewire
from memory_backend import CLINIC, NOW, US, MemoryBackend

from appliance.api.records import MAX_RECORDS, HandedRecord, RecordOutcome
from appliance.api.schema import MessageState, WallTime
from appliance.commands import exits
from appliance.commands.importing import MAX_LINE_BYTES, LineError, _lines, parse

UNSURE = WallTime(NOW.ms, sure=False)


def record(number: int, size: int = 30) -> str:
    return base64.b64encode(number.to_bytes(4, "big") * (size // 4)).decode()


def line(number: int, **more: object) -> bytes:
    return json.dumps({"record": record(number), **more}).encode()


async def brought(fencewire: Fencewire, *lines: bytes, json: bool = False) -> Done:
    arguments = ("import", "-", "--json") if json else ("import", "-")
    return await fencewire(*arguments, stdin=b"\n".join(lines))


@pytest.mark.usefixtures("server")
async def test_what_became_of_all_is_said(fencewire: Fencewire, backend: MemoryBackend) -> None:
    became = {
        0: RecordOutcome("message", "new"),
        1: RecordOutcome("message", "cannot-open"),
        2: RecordOutcome("receipt", "new"),
        3: RecordOutcome("receipt", "carried"),
        4: RecordOutcome("card", "new"),
        5: RecordOutcome("message", "too-old"),
    }
    backend.records.outcomes = {record(number): one for number, one in became.items()}
    lines = [line(number) for number in (*range(9), 8)]
    done = await brought(fencewire, *lines, b"", b'{"id": "00", "text": "by an old version"}')
    assert (done.code, done.err) == (exits.OK, "")
    assert done.out.splitlines() == [
        "8 messages: 1 new for you, 3 carried on, 1 known already, 0 damaged.",
        "2 receipts: 1 for messages of yours, 1 carried on, 0 known already.",
        "1 station: 1 not known before, 0 known already.",
        "1 for you can't be opened: the key is gone. The author is asked to send it again.",
        "1 too old: their time is over.",
        "1 without a signed record, so nobody can tell who wrote it.",
    ]
    done = await brought(fencewire, *lines[:3], json=True)
    assert done.lines == [
        {
            "file": "-",
            "outcomes": {"message": {"known": 2}, "receipt": {"known": 1}},
            "unsigned": 0,
            "damaged_lines": [],
        }
    ]


@pytest.mark.usefixtures("server")
async def test_damaged_lines_are_named_and_the_others_taken(
    fencewire: Fencewire, backend: MemoryBackend
) -> None:
    backend.records.outcomes[record(2)] = RecordOutcome("unknown", "damaged")
    hostile = (
        b"[" * 100_000,
        b'{"record": "####"}',
        b"\xff\x00",
        b"1" * 10_000,
        b"null",
        b'{"record": 1}',
        b'{"record": "QQ==", "age_s": -1}',
        b'{"record": "QQ==", "age_s": 1e400}',
        json.dumps({"record": "A" * 200_000}).encode(),
        b'{"x": "' + b"x" * MAX_LINE_BYTES + b'"}',
    )
    done = await brought(fencewire, line(1), line(2), *hostile, line(3))
    assert done.code == exits.FAILED
    assert done.out == "13 messages: 0 new for you, 2 carried on, 0 known already, 11 damaged.\n"
    assert done.err.splitlines() == [
        "Line 3: no JSON.",
        "Line 4: its record is no base64.",
        "Line 5: no JSON.",
        "Line 6: no JSON.",
        "Line 7: no JSON object.",
        "And 6 more lines.",
        "11 damaged; all the rest was taken. Export once more where the file comes from.",
    ]


@pytest.mark.usefixtures("server")
async def test_it_goes_in_batches_and_what_had_no_room_fails(
    fencewire: Fencewire, backend: MemoryBackend
) -> None:
    small = [line(number) for number in range(MAX_RECORDS + 1)]
    large = [json.dumps({"record": record(n, 90_000)}).encode() for n in range(900, 906)]
    (fencewire.folder / "carried.jsonl").write_bytes(b"\n".join([*small, *large]))
    assert (await fencewire("import", "carried.jsonl")).code == exits.OK
    sizes = [len(batch.records) for batch in backend.records.brought]
    assert sum(sizes) == len(small) + len(large)
    assert sizes[0] == MAX_RECORDS
    backend.records.outcomes = {
        record(1000): RecordOutcome("message", "no-room"),
        record(1001): RecordOutcome("message", "not-now"),
    }
    full = await brought(fencewire, line(1000))
    assert (full.code, "no room" in full.err) == (exits.FAILED, True)
    later = await brought(fencewire, line(1001))
    assert (later.code, "again" in later.err) == (exits.FAILED, True)
    missing = await fencewire("import", "missing.jsonl")
    assert (missing.code, "can't be read" in missing.err) == (exits.FAILED, True)
    assert (await fencewire("import", ".")).code == exits.FAILED


@pytest.mark.usefixtures("server")
async def test_expiry_is_chosen_and_said(fencewire: Fencewire, backend: MemoryBackend) -> None:
    assert (await fencewire("send", "clinic", "Bus", "--expires", "12h")).code == exits.OK
    assert backend.asked[-1][-1] == 12 * 3600
    for wrong in ("0h", "31d", "12", "-1h", "h"):
        assert (await fencewire("send", "clinic", "Bus", f"--expires={wrong}")).code == exits.USAGE
    ends: dict[MessageState, int] = {
        "queued": 43_000,
        "relayed": 119,
        "expired": -5,
        "delivered": 9,
    }
    for state, left_s in ends.items():
        sent = replace(backend.kept[0], id=state * 9, state=state, expires_in_s=left_s)
        backend.kept.append(replace(sent, lifetime_s=43_200))
    shown = (await fencewire("inbox")).out
    assert "    Waiting, given up in 12 h.\n" in shown
    assert "    On its way, carried by 0, given up in 119 s.\n" in shown
    assert "    Expired: not delivered within 12 h.\n" in shown
    assert "    Delivered.\n" in shown


async def test_without_a_daemon_nothing_is_read(fencewire: Fencewire) -> None:
    assert (await brought(fencewire, line(1))).code == exits.NOT_RUNNING


def test_age_counts_only_between_clocks_that_are_sure() -> None:
    hour_ago = {"ms": NOW.ms - 3_600_000, "sure": True}
    for exported, now, age_s in (
        (hour_ago, NOW, 3605),
        (hour_ago, UNSURE, 5),
        (hour_ago | {"sure": False}, NOW, 5),
        ({"ms": NOW.ms + 1, "sure": True}, NOW, 5),
        ({"ms": True, "sure": True}, NOW, 5),
        ({}, NOW, 5),
        (7, NOW, 5),
    ):
        found = parse(line(1, age_s=5, exported_at=exported), now)
        assert found == HandedRecord(record(1), age_s)
    for age in (True, "5", 2**41, 0.5, None):
        with pytest.raises(LineError):
            parse(line(1, age_s=age), NOW)


def test_memory_is_bounded_whatever_the_lines(tmp_path: Path) -> None:
    path = tmp_path / "hostile"
    with path.open("wb") as file:
        file.truncate(40_000_000)  # one line of zeros
        file.seek(0, 2)
        file.write(b"\n" * 200_000 + line(1))
    tracemalloc.start()
    try:
        with path.open("rb") as file:
            assert list(_lines(file)) == [(1, None), (200_001, line(1))]
        assert tracemalloc.get_traced_memory()[1] < 6 * MAX_LINE_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.usefixtures("server")
async def test_exports_hold_what_import_needs(fencewire: Fencewire, backend: MemoryBackend) -> None:
    for number in range(150):
        backend.store(CLINIC, f"text {number}", author=US)
        backend.records.signed[backend.kept[-1].id] = record(number)
    notice = backend.kept[70].id
    del backend.records.signed[notice]
    backend.records.most_found = 50
    assert (await fencewire("export", "--output", "all.jsonl")).code == exits.OK
    lines = (fencewire.folder / "all.jsonl").read_text().splitlines()
    found = [json.loads(one) for one in lines]
    assert [one["text"] for one in found] == [f"text {number}" for number in range(150)]
    expected = [record(number) if number != 70 else None for number in range(150)]
    assert [one.get("record") for one in found] == expected
    done = await fencewire("import", "all.jsonl")
    assert done.out.splitlines()[0].startswith("150 messages: 0 new for you, 149 carried on,")
    batches = backend.records.brought
    assert [one.record for batch in batches for one in batch.records] == [
        one for one in expected if one
    ]


@pytest.mark.usefixtures("server")
async def test_what_is_carried_is_exported_whole(
    fencewire: Fencewire, backend: MemoryBackend
) -> None:
    parts = [tuple(HandedRecord(record(10 * part + n), n) for n in range(3)) for part in range(3)]
    backend.records.parts = parts
    done = await fencewire("export", "--carried")
    assert (done.code, done.err) == (exits.OK, "")
    assert [(one["record"], one["age_s"]) for one in done.lines] == [
        (one.record, one.age_s) for part in parts for one in part
    ]
    done = await fencewire("export", "--carried", "--output", "c.jsonl", "--json")
    assert done.lines == [{"file": "c.jsonl", "records": 9}]
    assert (await fencewire("export", "--carried", "--since", "6h")).code == exits.USAGE
