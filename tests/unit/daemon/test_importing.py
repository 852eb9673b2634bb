"""Records that go by hand between daemons that never hear each other."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from appliance.adapters.blobs import Blobs
from appliance.adapters.store import Store, carried
from appliance.api.backend import ApiError
from appliance.api.event_log import EventLog
from appliance.api.records import HandedRecord, HandRecords, RecordOutcome
from appliance.api.schema import EVERYONE, Message
from appliance.daemon.announcer import Announcer
from appliance.daemon.backend import DaemonBackend
from appliance.daemon.importing import BY_HAND
from appliance.daemon.main import _build
from appliance.daemon.settings import Settings
from appliance.model.card import Prekey
from appliance.model.identity import Address, StationKey
from appliance.model.message import Text
from appliance.model.record import Certainty, Record, RecordKind, Stamp, make_record
from appliance.node.ports import SetValue
from appliance.protocol.sealing import seal

EVE = StationKey.from_bytes(b"e" * 32)


@asynccontextmanager
async def started(directory: Path, key: StationKey) -> AsyncIterator[DaemonBackend]:
    store = Store.open(directory / "station.db")
    settings = Settings(store, directory, b"bootboot")
    announcer = Announcer(EventLog("b"))
    runtime = await _build(key, settings, announcer, Blobs(directory / "blobs"))
    made = DaemonBackend(runtime, announcer, settings)
    await announcer.load()
    runtime.carry_out(runtime.station.start(runtime.time.now()))
    await store.perform(SetValue("started", b""))  # then its card is on disk
    yield made
    await runtime.stop()


@asynccontextmanager
async def several(
    names: str, folders: pytest.TempPathFactory
) -> AsyncIterator[tuple[DaemonBackend, ...]]:
    async with AsyncExitStack() as stack:
        made = [
            started(folders.mktemp(name), StationKey.from_bytes(name.encode() * 32))
            for name in names
        ]
        yield tuple([await stack.enter_async_context(one) for one in made])


@pytest.fixture
async def two(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[DaemonBackend, ...]]:
    async with several("ab", tmp_path_factory) as made:
        yield made


async def stick(daemon: DaemonBackend) -> list[HandedRecord]:
    """All that a station has for others."""
    found: list[HandedRecord] = []
    part = await daemon.records.handed_on(None)
    while part.next is not None:
        found += part.records
        part = await daemon.records.handed_on(part.next)
    assert not part.records
    return found


async def bring(daemon: DaemonBackend, records: list[HandedRecord]) -> Counter[tuple[str, str]]:
    """Take them there; how many became what."""
    outcomes = (await daemon.records.hand_in(HandRecords(tuple(records)))).outcomes
    assert len(outcomes) == len(records)
    return Counter((one.kind, one.outcome) for one in outcomes)


async def write(daemon: DaemonBackend, to: str, text: str, **more: int) -> Message:
    return await daemon.send_message(
        to, text, line="console", precedence="routine", lifetime_s=more.get("lifetime_s")
    )


async def texts(daemon: DaemonBackend) -> list[str]:
    page = await daemon.messages(None, before=None, before_id=None, limit=50)
    return [one.text for one in page.messages if not one.outgoing]


def handed(record: Record, age_s: int = 0) -> HandedRecord:
    return HandedRecord(base64.b64encode(record.raw).decode(), age_s)


async def outcome(daemon: DaemonBackend, one: HandedRecord) -> RecordOutcome:
    (found,) = (await daemon.records.hand_in(HandRecords((one,)))).outcomes
    return found


async def test_a_message_goes_over_a_courier_and_its_receipt_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    async with several("abc", tmp_path_factory) as (a, b, courier):
        assert await bring(a, await stick(b)) == {("card", "new"): 1}
        for_b = await write(a, b.status().id, "Send a doctor.")
        await write(a, EVERYONE, "Boil the water.")
        there = await stick(a)
        assert await bring(courier, there) == {
            ("card", "new"): 2,
            ("message", "carried"): 1,
            ("message", "new"): 1,
        }
        assert await texts(courier) == ["Boil the water."]
        on = await bring(b, await stick(courier))
        assert on[("message", "new")] == 2
        assert await texts(b) == ["Send a doctor.", "Boil the water."]
        again = await bring(b, there)
        assert again == {("card", "known"): 2, ("message", "known"): 2}
        back = await bring(a, await stick(b))
        # One at once; those for the message to everyone join it when their time has come.
        assert back[("receipt", "new")] >= 1
        found = await a.message(for_b.id)
        assert found.state == "delivered"
        assert all(one.id != BY_HAND.text for one in (*a.stations(), *b.stations()))


async def test_messages_are_found_as_they_were_signed(two: tuple[DaemonBackend, ...]) -> None:
    a, b = two
    ids = [(await write(a, EVERYONE, f"Truck {number}")).id for number in range(2)]
    first, missing, second = (await a.records.find((ids[0], "00" * 32, ids[1]))).records
    assert missing is None
    assert first is not None
    assert second is not None
    brought = [HandedRecord(first), HandedRecord(second)]
    assert await bring(b, brought) == {("message", "new"): 2}
    assert await bring(a, brought) == {("message", "known"): 2}
    for wrong in ("00", "no id", "zz" * 32):
        with pytest.raises(ApiError, match="no id"):
            await a.records.find((wrong,))
    for wrong in ("x1", "c", "r-1", f"r{2**63}", f"c1{'0' * 64}", ""):
        with pytest.raises(ApiError, match="no such part"):
            await a.records.handed_on(wrong)


async def test_all_sticks_together_have_the_room_of_one_neighbour(
    two: tuple[DaemonBackend, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = two
    monkeypatch.setattr(carried, "MAX_BYTES", 100_000)
    stamp = Stamp(1, bytes(8), 0, 0, Certainty.UNSET)
    to = (Address(b.views.runtime.station.id),)
    outcomes = [
        await outcome(
            a,
            handed(
                make_record(
                    StationKey.from_bytes(bytes([number]) * 32),
                    RecordKind.MESSAGE,
                    bytes(20_000),
                    stamp=stamp,
                    to=to,
                    prekey=bytes(8),
                )
            ),
        )
        for number in range(1, 4)
    ]
    assert set(outcomes) == {RecordOutcome("message", "no-room")}
    assert not [one for one in await stick(a) if len(one.record) > 20_000]


async def test_what_its_author_gave_up_is_shown_to_nobody_any_more(
    two: tuple[DaemonBackend, ...],
) -> None:
    a, b = two
    await bring(a, await stick(b))
    await write(a, EVERYONE, "Bus at 18:00.", lifetime_s=3600)
    await write(a, b.status().id, "Wait for the bus.", lifetime_s=3600)
    await write(a, EVERYONE, "Boil the water.")
    cards, bus, wait, boil = (await stick(a))[:-3], *(await stick(a))[-3:]
    await bring(b, cards)
    late = [replace(one, age_s=3600) for one in (bus, wait)]
    assert await bring(b, late) == {("message", "too-old"): 2}
    assert await bring(b, [replace(boil, age_s=40 * 86_400)]) == {("message", "new"): 1}
    assert await texts(b) == ["Boil the water."]
    assert await bring(b, [replace(bus, age_s=3599), wait]) == {("message", "new"): 2}


async def test_what_is_twice_in_a_file_is_new_once(two: tuple[DaemonBackend, ...]) -> None:
    a, b = two
    await write(a, EVERYONE, "Boil the water.")
    twice = [one for one in await stick(a) for _ in range(2)]
    assert await bring(b, twice) == {
        ("card", "new"): 1,
        ("card", "known"): 1,
        ("message", "new"): 1,
        ("message", "known"): 1,
    }
    assert await texts(b) == ["Boil the water."]


async def test_how_long_a_message_is_tried_is_said(two: tuple[DaemonBackend, ...]) -> None:
    a, _ = two
    assert (await write(a, EVERYONE, "for long")).expires_in_s is None
    short = await write(a, EVERYONE, "for an hour", lifetime_s=3600)
    assert short.expires_in_s in (3599, 3600)
    assert short.state == "queued"


async def test_what_cannot_be_taken_is_said(two: tuple[DaemonBackend, ...]) -> None:
    a, b = two
    stamp = Stamp(1, bytes(8), 0, 0, Certainty.UNSET)
    own, other = (Address(daemon.views.runtime.station.id) for daemon in (a, b))
    gone = Prekey(bytes(8), X25519PrivateKey.generate().public_key().public_bytes_raw())
    content = seal(
        Text(EVE.id, "For a key that is destroyed.").encode(),
        author=EVE.id,
        recipient=own.station,
        kind=RecordKind.MESSAGE,
        prekey=gone,
    )

    def record(to: Address, content: bytes, lifetime_s: int = 0) -> Record:
        return make_record(
            EVE,
            RecordKind.MESSAGE,
            content,
            stamp=stamp,
            to=(to,),
            prekey=gone.id,
            lifetime_s=lifetime_s,
        )

    lost = record(own, content)
    assert await outcome(a, handed(lost)) == RecordOutcome("message", "cannot-open")
    assert await texts(a) == []
    old = record(other, b"sealed", lifetime_s=60)
    assert await outcome(a, handed(old, age_s=60)) == RecordOutcome("message", "too-old")
    assert await outcome(a, handed(old, age_s=59)) == RecordOutcome("message", "carried")
    forged = bytearray(record(other, b"other").raw)
    forged[-1] ^= 1
    for text in (base64.b64encode(forged).decode(), "", "ä", "####", "AAAA", "A" * 100_000):
        assert await outcome(a, HandedRecord(text)) == RecordOutcome("unknown", "damaged")
    wrong = make_record(EVE, RecordKind.RECEIPT, b"none", stamp=stamp, to=(own,))
    assert await outcome(a, handed(wrong)) == RecordOutcome("receipt", "damaged")
    # Of many only some can be asked for at once, which makes none of them damaged.
    many = [handed(record(own, content, lifetime_s)) for lifetime_s in range(100, 170)]
    outcomes = await bring(a, many)
    assert outcomes == {("message", "cannot-open"): len(many)}
    # The author is asked to seal it again, by the same way.
    assert ("request", "carried") in await bring(b, await stick(a))
