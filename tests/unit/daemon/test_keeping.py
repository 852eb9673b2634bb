"""Search, recipients and room, asked of a whole daemon that nobody else hears."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from store_samples import got, incoming

from appliance.adapters.blobs import Blobs
from appliance.adapters.store import Store
from appliance.api.backend import ApiError
from appliance.api.event_log import EventLog
from appliance.api.schema import EVERYONE
from appliance.api.storage import MAX_REMOVED, MIN_MESSAGES, SetStorage
from appliance.daemon import keeping
from appliance.daemon.alerting import ALARM, Alerting
from appliance.daemon.announcer import Announcer
from appliance.daemon.backend import DaemonBackend
from appliance.daemon.main import _build
from appliance.daemon.settings import Settings
from appliance.model.identity import StationId, StationKey
from appliance.model.message import DeliveryState
from appliance.model.record import Precedence
from appliance.node.ports import SetValue
from appliance.node.ports.keeping import Evict, GetCandidates

FEW = 30


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[DaemonBackend]:
    store = Store.open(tmp_path / "station.db")
    settings = Settings(store, tmp_path, b"bootboot")
    announcer = Announcer(EventLog("b"))
    key = StationKey.from_bytes(bytes(32))
    runtime = await _build(key, settings, announcer, Blobs(tmp_path / "blobs"))
    made = DaemonBackend(runtime, announcer, settings)
    await announcer.load()
    yield made
    await runtime.stop()


def store_of(daemon: DaemonBackend) -> Store:
    return daemon.views.runtime.store


async def write(daemon: DaemonBackend, text: str) -> str:
    sent = await daemon.send_message(
        EVERYONE, text, line="console", precedence="routine", lifetime_s=None
    )
    return sent.id


async def test_what_was_written_is_found_and_paged(daemon: DaemonBackend) -> None:
    ids = [await write(daemon, f"Truck {number}") for number in range(5)]
    first = await daemon.search("TRUCK", EVERYONE, before=None, before_id=None, limit=2)
    assert [one.text for one in first.messages] == ["Truck 4", "Truck 3"]
    rest = await daemon.search(
        "truck", None, before=first.before, before_id=first.before_id, limit=9
    )
    assert [one.id for one in rest.messages] == ids[2::-1]
    assert rest.before is None
    page = await daemon.messages(None, before=rest.messages[0].order, before_id=ids[2], limit=1)
    assert ([one.id for one in page.messages], page.more) == ([ids[1]], True)
    order = page.messages[0].order
    for of in (None, EVERYONE):
        for place, limit, expected, more in (
            (ids[1], 2, ids[2:4], True),
            (None, 3, ids[2:], False),
        ):
            behind = await daemon.messages(
                of, before=None, before_id=None, after=order, after_id=place, limit=limit
            )
            assert ([one.id for one in behind.messages], behind.more) == (expected, more)
    for wrong, why in (("a b c d e f g h i j k l m n o p q", "At most 16 words"), (" ", "no word")):
        with pytest.raises(ApiError, match=why):
            await daemon.search(wrong, None, before=None, before_id=None, limit=9)


async def test_everybody_who_has_it_can_be_asked_for(daemon: DaemonBackend) -> None:
    sent = await write(daemon, "fire")
    readers = [StationId(bytes([number]) * 32) for number in range(1, 81)]
    for one in readers:
        state = DeliveryState.READ if one is readers[0] else DeliveryState.DELIVERED
        await store_of(daemon).perform(got(one, state, bytes.fromhex(sent)))
    found = await daemon.recipients(sent, after=None, limit=64)
    assert (len(found.recipients), found.more, found.delivered, found.read) == (64, True, 79, 1)
    rest = await daemon.recipients(sent, after=found.recipients[-1].station, limit=64)
    assert [one.station for one in (*found.recipients, *rest.recipients)] == [
        one.text for one in readers
    ]
    assert found.recipients[0].state == "read"
    for wrong in ("00", "no id"):
        with pytest.raises(ApiError, match="no such message"):
            await daemon.recipients(wrong, after=None, limit=1)
    with pytest.raises(ApiError, match="station id"):
        await daemon.recipients(sent, after="clinic", limit=1)


async def test_room_is_made_and_told(
    daemon: DaemonBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr("appliance.daemon.keeping.MIN_MESSAGES", FEW)
    monkeypatch.setattr("appliance.node.retention.LOOK_EVERY_S", 0.01)
    stranger = StationId(b"s" * 32)
    for order in range(FEW + 10):
        await store_of(daemon).perform(incoming(stranger, order=order))
    before = await daemon.storage()
    assert before.classes[0].records == FEW + 10
    assert before.removed == ()

    told = daemon.events(None)
    assert (await anext(told)).type == "reset"
    chosen = await daemon.set_storage(SetStorage(max_messages=FEW))
    assert chosen.classes[0].max_records == FEW
    looking = asyncio.create_task(daemon.keep())
    async with asyncio.timeout(10):
        kinds: list[str] = []
        while not (kinds.count("storage") == 2 and "station" in kinds):
            kinds.append((await anext(told)).type)
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
    after = await daemon.storage()
    (removed,) = after.removed
    assert (removed.conversation, removed.records) == (stranger.text, after.removed_records)
    assert after.classes[0].records == FEW + 10 - removed.records <= FEW
    assert daemon.status().unread == after.classes[0].records


async def test_what_nobody_has_seen_sounds_again_after_a_start(daemon: DaemonBackend) -> None:
    heard: list[str] = []
    announcer = daemon._announcer
    announcer._alerting = Alerting(
        heard.append, lambda: False, lambda *_: None, is_stranger=lambda _: False
    )
    routine = incoming(StationId(b"s" * 32))
    await store_of(daemon).perform(routine)
    await announcer.remind()
    assert heard == []
    urgent = replace(routine.message, id=bytes(32), precedence=Precedence.EMERGENCY)
    record = replace(routine.record, id=bytes(32), raw=bytes(200))
    await store_of(daemon).perform(replace(routine, message=urgent, record=record))
    await announcer.remind()
    assert heard == [ALARM]


async def test_what_had_to_go_is_counted_also_where_not_all_of_it_is_listed(
    daemon: DaemonBackend,
) -> None:
    strangers = [StationId(bytes([number]) * 32) for number in range(1, MAX_REMOVED + 8)]
    for stranger in strangers:
        await store_of(daemon).perform(incoming(stranger))
    rows = await store_of(daemon).perform(GetCandidates(0, 1_000))
    await store_of(daemon).perform(Evict(tuple(one.number for one in rows), 0.0))
    told = await daemon.storage()
    assert (len(told.removed), told.removed_records) == (MAX_REMOVED, len(strangers))


async def test_bounds_are_kept_and_have_bounds(daemon: DaemonBackend) -> None:
    await daemon.set_storage(SetStorage(max_bytes=10**9, max_carried_bytes=0))
    again = await daemon.set_storage(SetStorage(max_messages=MIN_MESSAGES))
    assert [(one.max_records, one.max_bytes) for one in again.classes[:2]] == [
        (MIN_MESSAGES, 10**9),
        (None, 0),
    ]
    for wrong in (SetStorage(max_messages=1), SetStorage(max_bytes=1), SetStorage(None, None, -1)):
        with pytest.raises(ApiError, match="should be"):
            await daemon.set_storage(wrong)
    for damaged in (b"", b"[]", b'{"bytes": null}'):
        await store_of(daemon).perform(SetValue(keeping.BOUNDS_VALUE, damaged))
        assert (await daemon._load()).messages > MIN_MESSAGES
