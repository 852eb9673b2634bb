"""What the operations of the port mean, on the real store."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from store_samples import (
    ANN,
    BOB,
    CLEO,
    ME,
    NOW,
    got,
    incoming,
    message,
    outgoing,
    receipt,
    receipt_of,
    record,
    station,
)

from appliance.adapters.store import Store
from appliance.adapters.store.receipting import MAX_STRANGERS
from appliance.adapters.store.stations import MAX_VALUE
from appliance.model.identity import StationId
from appliance.model.message import DeliveryState
from appliance.model.record import Precedence, RecordKind
from appliance.node.ports import (
    CountUnread,
    ForgetStation,
    GetMessage,
    GetMessages,
    GetStations,
    GetUnread,
    GetValue,
    Incoming,
    MarkRead,
    NoteProblem,
    OutboxDone,
    Pending,
    RecipientState,
    SaveStation,
    SetValue,
    StoreError,
)

DELIVERED, READ, QUEUED = DeliveryState.DELIVERED, DeliveryState.READ, DeliveryState.QUEUED


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = Store.open(tmp_path / "store.db")
    yield opened
    await opened.close()


async def pending(
    store: Store,
    to: StationId,
    *,
    skip: frozenset[bytes] = frozenset(),
    awake_s: float = 0.0,
    for_everyone: bool = True,
) -> list[bytes]:
    found = await store.perform(Pending(to, awake_s, skip, 100, for_everyone))
    return [record_id for record_id, _ in found]


async def test_a_message_comes_back_as_it_was_given(store: Store) -> None:
    saved = incoming(ANN, text="nul \0, right-to-left \u202e, emoji \U0001f33e")
    assert await store.perform(saved) == Incoming(new=True, receipts=(receipt_of(saved).raw,))
    assert await store.perform(GetMessage(saved.record.id)) == saved.message
    assert await store.perform(GetMessage(b"?" * 32)) is None

    written = outgoing(ANN, precedence=Precedence.EMERGENCY, expires_awake_s=7.5)
    await store.perform(written)
    shown = await store.perform(GetMessage(written.record.id))
    waiting = RecipientState(ANN, QUEUED, at_ms=6, sure=True)
    assert shown == replace(written.message, recipients=(waiting,))


async def test_pages_go_back_oldest_first(store: Store) -> None:
    with_ann = [incoming(ANN, order=order) for order in (2, 4, 6, 8)]
    for_all = [outgoing(None, order=3), incoming(BOB, everyone=True, order=5)]
    for operation in with_ann:
        await store.perform(operation)
    await store.perform(for_all[0])
    await store.perform(for_all[1])

    async def page(
        of: StationId | None, before: int | None, limit: int = 9, *, everything: bool = False
    ) -> list[int]:
        found = await store.perform(GetMessages(of, everything, before, limit))
        return [shown.order for shown in found]

    assert await page(ANN, None, 3) == [4, 6, 8]
    assert await page(ANN, 4, 3) == [2]
    assert await page(None, None) == [3, 5]
    assert await page(None, None, everything=True) == [2, 3, 4, 5, 6, 8]
    assert await page(None, 6, 2, everything=True) == [4, 5]


async def test_states_grow_and_never_go_back(store: Store) -> None:
    written = outgoing(ANN)
    own = written.record.id
    await store.perform(written)
    assert await store.perform(got(BOB, READ, own)) == ()
    assert await store.perform(got(ANN, DELIVERED, own, b"?" * 32)) == (own,)
    assert await store.perform(got(ANN, DELIVERED, own)) == ()
    assert await store.perform(got(ANN, READ, own)) == (own,)
    assert await store.perform(got(ANN, DELIVERED, own)) == ()
    shown = await store.perform(GetMessage(own))
    assert shown is not None
    assert shown.recipients == (RecipientState(ANN, READ, NOW.wall_ms, sure=True),)
    assert shown.delivered_to == 1


async def test_a_receipt_for_what_others_wrote_means_nothing(store: Store) -> None:
    saved = incoming(ANN, everyone=True)
    await store.perform(saved)
    assert await store.perform(got(ANN, READ, saved.record.id)) == ()


async def test_a_message_to_everyone_shows_the_furthest_and_counts_all(store: Store) -> None:
    written = outgoing(None)
    await store.perform(written)
    crowd = [StationId(bytes([1, number]) * 16) for number in range(70)]
    for one in crowd:
        await store.perform(got(one, DELIVERED, written.record.id))
    await store.perform(got(crowd[69], READ, written.record.id))
    shown = await store.perform(GetMessage(written.record.id))
    assert shown is not None
    assert shown.delivered_to == 70
    assert len(shown.recipients) == 64
    assert shown.recipients[0].station == crowd[69]


async def test_strangers_receipts_have_a_bound_that_known_stations_pass(store: Store) -> None:
    written = outgoing(None)
    await store.perform(written)
    await store.perform(SaveStation(station(ANN, "known")))
    for number in range(MAX_STRANGERS):
        stranger = StationId(number.to_bytes(4, "big") * 8)
        store.submit(got(stranger, DELIVERED, written.record.id))
    assert await store.perform(got(BOB, DELIVERED, written.record.id)) == ()
    assert await store.perform(got(ANN, DELIVERED, written.record.id)) == (written.record.id,)


async def test_what_waits_comes_by_precedence_receipts_first_then_in_order(store: Store) -> None:
    late, early = outgoing(ANN, order=9), outgoing(ANN, order=2)
    for_all = outgoing(None, order=5)
    urgent = outgoing(ANN, order=7, precedence=Precedence.PRIORITY)
    arrived = incoming(ANN, order=8)
    for operation in (late, early, for_all, urgent):
        await store.perform(operation)
    await store.perform(arrived)
    in_order = [saved.record.id for saved in (urgent, early, for_all, late)]
    in_order.insert(1, receipt_of(arrived).id)
    assert await pending(store, ANN) == in_order
    assert await pending(store, BOB) == [for_all.record.id]
    assert await pending(store, ANN, skip=frozenset(in_order[:2])) == in_order[2:]
    two = await store.perform(Pending(ANN, 0.0, frozenset(in_order[:1]), 2))
    assert two == (
        (receipt_of(arrived).id, receipt_of(arrived).raw),
        (early.record.id, early.record.raw),
    )


async def test_what_was_delivered_or_has_expired_waits_no_longer(store: Store) -> None:
    direct, for_all = outgoing(ANN, expires_awake_s=50), outgoing(None, expires_awake_s=50)
    await store.perform(direct)
    await store.perform(for_all)
    both = {direct.record.id, for_all.record.id}
    assert set(await pending(store, ANN, awake_s=49.9)) == both
    assert await pending(store, ANN, awake_s=50) == []
    await store.perform(got(ANN, DELIVERED, *both))
    assert await pending(store, ANN) == []
    assert await pending(store, CLEO) == [for_all.record.id]


async def test_a_duplicate_brings_the_receipts_up_again(store: Store) -> None:
    saved = incoming(ANN)
    await store.perform(saved)
    seen = receipt(READ, saved.record.id, b"?" * 32)
    await store.perform(MarkRead((saved.record.id,), ((ANN, seen),)))
    await store.perform(OutboxDone(ANN, (receipt_of(saved).id, seen.id)))
    assert await pending(store, ANN) == []

    again = replace(saved, receipt=receipt(DELIVERED, saved.record.id))
    result = await store.perform(again)
    assert result == Incoming(new=False, receipts=(receipt_of(saved).raw, seen.raw))
    assert await pending(store, ANN) == [receipt_of(saved).id, seen.id]
    shown = await store.perform(GetMessage(saved.record.id))
    assert shown is not None
    assert not shown.unread


async def test_a_record_that_nobody_needs_any_more_is_dropped(store: Store) -> None:
    card = record(ME, kind=RecordKind.CARD)
    await store.perform(MarkRead((), ((ANN, card), (BOB, card))))
    await store.perform(OutboxDone(ANN, (card.id,)))
    assert await pending(store, BOB) == [card.id]
    await store.perform(OutboxDone(BOB, (card.id,)))
    # It can come again, since nothing of it is left.
    await store.perform(MarkRead((), ((ANN, replace(card, raw=b"new")),)))
    assert await store.perform(Pending(ANN, 0, frozenset(), 9)) == ((card.id, b"new"),)


async def test_why_a_message_waits_is_noted_by_its_recipient_alone(store: Store) -> None:
    written = outgoing(ANN)
    await store.perform(written)
    ids = (written.record.id, b"?" * 32)
    assert await store.perform(NoteProblem(BOB, ids, "no")) == ()
    assert await store.perform(NoteProblem(ANN, ids, "full")) == (written.record.id,)
    assert await store.perform(NoteProblem(ANN, ids, "full")) == ()
    shown = await store.perform(GetMessage(written.record.id))
    assert shown is not None
    assert shown.problem == "full"


async def test_unread_is_counted_and_read_by_conversation(store: Store) -> None:
    first, second, third = (incoming(ANN, order=order) for order in (1, 2, 3))
    for_all = incoming(BOB, everyone=True)
    for operation in (third, first, second, for_all):
        await store.perform(operation)
    await store.perform(outgoing(ANN, order=2))
    assert await store.perform(CountUnread()) == {ANN: 3, None: 1}
    unread = await store.perform(GetUnread(ANN, 2))
    assert unread == ((first.record.id, ANN), (second.record.id, ANN))
    assert await store.perform(GetUnread(None, 9)) == ((for_all.record.id, BOB),)
    ids = (first.record.id, second.record.id, for_all.record.id)
    await store.perform(MarkRead(ids, ()))
    assert await store.perform(GetUnread(ANN, 2)) == ()
    assert await store.perform(CountUnread()) == {ANN: 1}


async def test_writing_to_a_new_station_makes_it_known(store: Store) -> None:
    await store.perform(SaveStation(station(ANN, card=b"card")))
    await store.perform(SaveStation(station(BOB, "verified")))
    for to in (ANN, BOB, CLEO):
        await store.perform(outgoing(to))
    assert await store.perform(GetStations()) == (
        station(ANN, "known", card=b"card"),
        station(BOB, "verified"),
    )


async def test_a_station_is_forgotten_only_when_nothing_refers_to_it(store: Store) -> None:
    for one in (ANN, BOB, CLEO):
        await store.perform(SaveStation(station(one)))
    await store.perform(outgoing(ANN))
    await store.perform(incoming(BOB, everyone=True))
    for one in (ANN, BOB, CLEO):
        await store.perform(ForgetStation(one))
    assert [left.id for left in await store.perform(GetStations())] == [ANN, BOB]


async def test_values_are_kept_replaced_and_forgotten(store: Store) -> None:
    assert await store.perform(GetValue("card")) is None
    for value in (b"one", b"", b"x" * MAX_VALUE, None):
        await store.perform(SetValue("card", value))
        assert await store.perform(GetValue("card")) == value
    with pytest.raises(StoreError) as refused:
        await store.perform(SetValue("card", b"x" * (MAX_VALUE + 1)))
    assert refused.value.code == "value-too-long"


async def test_an_operation_that_fails_leaves_nothing_and_harms_no_other(store: Store) -> None:
    written = outgoing(ANN)
    await store.perform(written)
    with pytest.raises(StoreError) as refused:
        await store.perform(written)
    assert refused.value.code == "duplicate"
    senseless = record(ME, kind=RecordKind.RECEIPT, content=b"no receipt")
    half = MarkRead((), ((ANN, record(ME)), (ANN, senseless)))
    other = outgoing(BOB)
    failures: list[StoreError] = []
    store.submit(half, on_failed=failures.append)
    await store.perform(other)
    assert [failure.code for failure in failures] == ["store-failed"]
    assert await pending(store, ANN) == [written.record.id]
    assert await pending(store, BOB) == [other.record.id]


async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    first = Store.open(tmp_path / "again.db")
    saved, written = incoming(ANN, order=1), outgoing(None, order=2)
    await first.perform(saved)
    first.submit(written, lazy=True)
    await first.close()
    second = Store.open(tmp_path / "again.db")
    shown = await second.perform(GetMessages(None, True, None, 9))
    assert shown == (saved.message, written.message)
    assert message(written.record, None, order=2) == shown[1]
    await second.close()
