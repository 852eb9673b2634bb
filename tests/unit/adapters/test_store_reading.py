"""Pages, search and recipients on the real store."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from store_samples import ANN, BOB, CLEO, ME, got, incoming, outgoing

from appliance.adapters.store import Store
from appliance.adapters.store.search import SLICE_CHARS
from appliance.model.identity import StationId
from appliance.model.message import DeliveryState
from appliance.model.search import MAX_WORDS, SearchError, fold, matches, words_of
from appliance.node.ports import StoredMessage
from appliance.node.ports.carrying import NoteHolder
from appliance.node.ports.keeping import Found, GetPage, GetRecipients, Place, Search


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = Store.open(tmp_path / "store.db")
    yield opened
    await opened.close()


def place(message: StoredMessage) -> Place:
    return Place(message.order, message.id)


async def test_pages_pass_over_nothing_however_many_have_one_order(store: Store) -> None:
    saved = [incoming(ANN, order=order) for order in (1, *[7] * 11, 9)]
    for operation in (*saved, incoming(BOB, order=7)):
        store.submit(operation, lazy=True)
    expected = sorted((one.message.order, one.record.id) for one in saved)
    found: list[StoredMessage] = []
    before = None
    while page := await store.perform(GetPage(ANN, False, before, 4)):
        found = [*page, *found]
        before = place(page[0])
    assert [(one.order, one.id) for one in found] == expected

    everything = await store.perform(GetPage(None, True, place(found[-1]), 100))
    assert len(everything) == 13
    assert {one.author for one in everything} == {ANN, BOB}


async def search(store: Store, query: str, of: StationId | None = None, limit: int = 50) -> Found:
    return await store.perform(Search(words_of(query), of, of is None, None, limit))


async def test_words_are_found_whatever_their_case_and_form(store: Store) -> None:
    texts = (
        "Die Stra\u00dfe ist zu",
        "DIE STRASSE IST FREI",
        "\u041c\u043e\u0441\u0442 \u0437\u0430\u043a\u0440\u044b\u0442",
        "cafe\u0301 at \uff11\uff12:00",
    )
    for order, text in enumerate(texts):
        await store.perform(incoming(ANN, order=order, text=text))
    await store.perform(incoming(BOB, order=9, text="strasse"))

    async def orders(query: str, of: StationId | None = None) -> list[int]:
        found = await search(store, query, of)
        assert found.reached is None
        return [one.order for one in found.messages]

    assert await orders("stra\u00dfe") == [9, 1, 0]
    assert await orders("STRASSE ist", ANN) == [1, 0]
    assert await orders("\u043c\u043e\u0441\u0442") == [2]
    assert await orders("CAF\u00c9 12") == [3]
    assert await orders("strasse nowhere") == []
    assert await orders("% _") == []


async def test_a_search_goes_on_where_it_was(store: Store) -> None:
    saved = [incoming(ANN, order=5, text=f"truck {number}") for number in range(7)]
    for operation in saved:
        store.submit(operation, lazy=True)
    words = words_of("truck")
    seen: list[bytes] = []
    before = None
    while True:
        found = await store.perform(Search(words, ANN, False, before, 3))
        seen += [one.id for one in found.messages]
        if found.reached is None:
            break
        before = found.reached
    assert sorted(seen) == sorted(one.record.id for one in saved)
    assert len(seen) == len(set(seen))
    gone = Place(6, b"?" * 32)
    assert len((await store.perform(Search(words, None, True, gone, 9))).messages) == 7


async def test_long_messages_are_searched_a_few_at_a_time(store: Store) -> None:
    count = SLICE_CHARS // 16_000 + 3
    for order in range(count):
        store.submit(incoming(ANN, order=order, text="x" * 16_000), lazy=True)
    found = await search(store, "nothing")
    assert found.messages == ()
    assert found.reached is not None
    assert found.reached.order > 0
    rest = await store.perform(Search(("nothing",), None, True, found.reached, 9))
    assert rest == Found((), None)


def test_what_can_be_looked_for() -> None:
    assert words_of("  Truck truck\tLEAVES ") == ("truck", "leaves")
    for wrong in ("", " \n", "x" * 201, " ".join(str(word) for word in range(MAX_WORDS + 1))):
        with pytest.raises(SearchError):
            words_of(wrong)
    assert matches("\u0130stanbul", (fold("\u0130STANBUL"),))


async def test_all_recipients_of_a_message_can_be_paged_through(store: Store) -> None:
    written = outgoing(None, order=3)
    await store.perform(written)
    message = written.record.id
    readers = [StationId(bytes([number]) * 32) for number in range(100, 180)]
    for number, reader in enumerate(readers):
        state = DeliveryState.READ if number % 4 == 0 else DeliveryState.DELIVERED
        store.submit(got(reader, state, message), lazy=True)
    await store.perform(NoteHolder(BOB, (message,)))
    await store.perform(NoteHolder(CLEO, (message,)))

    first = await store.perform(GetRecipients(message, None, 64))
    assert first is not None
    assert first.more
    assert first.counts == {DeliveryState.DELIVERED: 60, DeliveryState.READ: 20}
    assert first.carriers == (BOB, CLEO)
    rest = await store.perform(GetRecipients(message, first.states[-1].station, 64))
    assert rest is not None
    assert not rest.more
    assert [one.station for one in (*first.states, *rest.states)] == readers
    assert await store.perform(GetRecipients(b"?" * 32, None, 64)) is None

    theirs = incoming(ANN)
    await store.perform(replace(theirs, message=replace(theirs.message, author=ME)))
    nobody = await store.perform(GetRecipients(theirs.record.id, None, 64))
    assert nobody is not None
    assert nobody.states == ()
