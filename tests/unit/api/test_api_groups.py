"""Groups over the local API."""

from __future__ import annotations

from contextlib import aclosing

import pytest
from memory_backend import CLINIC, PUMP, MemoryBackend

from appliance.api.client import Client, RequestError, event_data
from appliance.api.unix_http import fetch


async def test_a_group_is_made_changed_and_left(client: Client, backend: MemoryBackend) -> None:
    made = await client.make_group("Rescue", ["clinic"], history="all")
    assert (made.name, made.state, made.admin, made.history) == ("Rescue", "member", True, "all")
    assert [member.id for member in made.members][1:] == [CLINIC]
    grown = await client.invite("Rescue", "pump house/south")
    assert [member.id for member in grown.members][1:] == [CLINIC, PUMP]
    assert (await client.make_admin(made.id, CLINIC)).members[1].admin
    assert len((await client.remove_member("Rescue", PUMP)).members) == 2
    assert (await client.set_history("Rescue", "none")).history == "none"
    assert (await client.rename_group("Rescue", "Search")).name == "Search"
    assert await client.group("Search") == (await client.groups())[0]
    assert (await client.leave("Search")).state == "left"
    assert (await client.accept("Search")).state == "member"
    assert (await client.decline("Search")).state == "left"


async def test_what_is_wrong_is_said(client: Client, backend: MemoryBackend) -> None:
    with pytest.raises(RequestError, match="no group"):
        await client.group("Nobody")
    await client.make_group("Rescue")
    with pytest.raises(RequestError, match="not in the group"):
        await client.remove_member("Rescue", "clinic")
    await client.make_group("Rescue")
    with pytest.raises(RequestError) as failed:
        await client.group("Rescue")
    assert failed.value.code == "ambiguous-group"


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/v1/groups", b"{}"),
        ("/v1/groups", b'{"name": "x", "history": "some"}'),
        ("/v1/groups", b'{"name": "x", "members": "clinic"}'),
        ("/v1/groups/x/invite", b"{}"),
        ("/v1/groups/x/rename", b'{"name": 1}'),
        ("/v1/groups/x/history", b'{"history": "some"}'),
    ],
)
async def test_bodies_of_another_shape_are_refused(
    client: Client, target: str, body: bytes
) -> None:
    status, answer = await fetch(client.path, "POST", target, body, timeout_s=5)
    assert (status, b"bad-request" in answer) == (400, True)


async def test_changes_are_events(client: Client, backend: MemoryBackend) -> None:
    async with aclosing(client.events()) as events:
        await anext(events)
        made = await client.make_group("Rescue")
        assert event_data(await anext(events)) == made
