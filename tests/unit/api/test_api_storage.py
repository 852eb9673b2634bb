"""Pages, search, recipients and room over the local API."""

from __future__ import annotations

from dataclasses import replace

import pytest
from api_samples import STORAGE
from memory_backend import CLINIC, NOW, US, MemoryBackend

from appliance.api.client import Client, RequestError
from appliance.api.schema import EVERYONE, Message, Recipient
from appliance.api.storage import SetStorage
from appliance.api.unix_http import fetch


async def test_pages_go_on_among_messages_with_one_order(
    client: Client, backend: MemoryBackend
) -> None:
    for number in range(7):
        backend.store(CLINIC, str(number), author=CLINIC)
    backend.kept = [replace(one, order=5) for one in backend.kept]
    found: list[Message] = []
    page = await client.messages(CLINIC, limit=3)
    while page.messages:
        found = [*page.messages, *found]
        first = found[0]
        page = await client.messages(CLINIC, before=first.order, before_id=first.id, limit=3)
    assert [one.text for one in found] == [str(number) for number in range(7)]
    without = await client.messages(CLINIC, before=5, limit=3)
    assert without.messages == ()


async def test_pages_go_forwards_too(client: Client, backend: MemoryBackend) -> None:
    for number in range(7):
        backend.store(CLINIC, str(number), author=CLINIC)
    backend.kept = [replace(one, order=5) for one in backend.kept]
    found: list[Message] = []
    page = await client.messages(CLINIC, after=0, limit=3)
    while True:
        found += page.messages
        if not page.more:
            break
        last = found[-1]
        page = await client.messages(CLINIC, after=last.order, after_id=last.id, limit=3)
    assert [one.text for one in found] == [str(number) for number in range(7)]
    assert (await client.messages(CLINIC, after=5)).messages == ()


async def test_a_search_is_gone_on_with(client: Client, backend: MemoryBackend) -> None:
    for text in ("Truck one", "nothing", "more of it", "TRUCK two & 100 %"):
        backend.store(CLINIC, text, author=CLINIC)
    first = await client.search("truck", CLINIC)
    assert [one.text for one in first.messages] == ["TRUCK two & 100 %"]
    rest = await client.search("truck", before=first.before, before_id=first.before_id)
    assert [one.text for one in rest.messages] == ["Truck one"]
    assert rest.before is None
    assert len((await client.search("two & 100 %")).messages) == 1


@pytest.mark.parametrize(
    "target",
    [
        "/v1/messages?before_id=" + 64 * "0",
        "/v1/messages?before=1&before_id=xyz",
        "/v1/messages?after_id=" + 64 * "0",
        "/v1/messages?after=-1",
        "/v1/messages?after=1&before=3",
        "/v1/messages/search",
        "/v1/messages/search?words=%20",
        "/v1/messages/search?words=" + 201 * "x",
        "/v1/messages/search?words=x&limit=201",
    ],
)
async def test_what_is_no_place_or_word_is_refused(client: Client, target: str) -> None:
    status, answer = await fetch(client.path, "GET", target, None, timeout_s=5)
    assert (status, b"bad-request" in answer) == (400, True)


async def test_all_recipients_can_be_asked_for(client: Client, backend: MemoryBackend) -> None:
    sent = backend.store(EVERYONE, "fire", author=US)
    told = tuple(Recipient(f"{number:056}", "read", NOW) for number in range(70))
    backend.kept[-1] = replace(backend.kept[-1], recipients=told, carried_by=1)
    first = await client.recipients(sent.id, limit=64)
    assert (first.more, first.read, len(first.carriers)) == (True, 70, 1)
    rest = await client.recipients(sent.id, after=first.recipients[-1].station)
    assert (*first.recipients, *rest.recipients) == told
    with pytest.raises(RequestError, match="no such message"):
        await client.recipients("00")


async def test_room_is_told_and_chosen(client: Client, backend: MemoryBackend) -> None:
    assert await client.storage() == STORAGE
    assert await client.set_storage(SetStorage(max_bytes=10**9)) == STORAGE
    assert backend.asked == [("set_storage", SetStorage(max_bytes=10**9))]
