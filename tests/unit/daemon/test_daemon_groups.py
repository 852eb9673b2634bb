"""Groups as clients of the daemon name and see them, on stations in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import pytest
from mail_world import Desk, world

from appliance.api.backend import ApiError
from appliance.api.groups import Group, NewGroup
from appliance.daemon.group_backend import DaemonGroups
from appliance.daemon.lookup import Lookup
from appliance.daemon.runtime import Runtime
from appliance.model.group import GroupId
from appliance.model.identity import CONSOLE, Address, StationId
from appliance.node.beginnings import Now
from appliance.node.effects import Effect
from appliance.node.station import Station

T = TypeVar("T")


class Time:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def now(self) -> Now:
        return self._desk.now


@dataclass
class Pump:
    """What `DaemonGroups` uses of a runtime, over a desk."""

    desk: Desk

    @property
    def station(self) -> Station:
        return self.desk.station

    @property
    def time(self) -> Time:
        return Time(self.desk)

    def carry_out(self, effects: Iterable[Effect]) -> None:
        self.desk.carry_out(effects)


class Office:
    """A desk as clients see it."""

    def __init__(self, desk: Desk) -> None:
        self.world, self.id = desk.world, desk.id
        self.name = desk.station.name
        runtime = cast(Runtime, Pump(desk))
        self.lookup = Lookup(runtime)

        def name_of(station: StationId) -> str:
            own = station == desk.id
            return desk.station.name if own else desk.station.directory.get(station).name

        self.groups = DaemonGroups(runtime, self.lookup, unread={}, name_of=name_of)

    async def get(self, asked: Coroutine[Any, Any, T]) -> T:
        """Wait for an answer while the world goes on."""
        answer = asyncio.ensure_future(asked)
        await asyncio.sleep(0)
        self.world.settle()
        return await answer

    async def code(self, asked: Coroutine[Any, Any, Group]) -> tuple[int, str]:
        """Return how something is refused."""
        with pytest.raises(ApiError) as refused:
            await self.get(asked)
        return refused.value.status, refused.value.code


@pytest.fixture
async def offices() -> AsyncIterator[tuple[Office, Office]]:
    """Two that know each other."""
    with world() as w:
        a, b = w.desks
        a.write(b, "hello")
        b.write(a, "hello")
        w.settle()
        yield Office(a), Office(b)


async def test_a_group_as_its_members_see_it(offices: tuple[Office, Office]) -> None:
    a, b = offices
    made = await a.get(a.groups.make(NewGroup("Rescue", (b.name,), "all")))
    assert (made.state, made.admin, made.history, made.invited_by) == ("member", True, "all", None)
    (theirs,) = b.groups.all()
    assert (theirs.id, theirs.state, theirs.admin) == (made.id, "member", False)
    assert theirs.invited_by == a.id.text
    assert {one.id: (one.admin, one.name) for one in theirs.members} == {
        a.id.text: (True, a.name),
        b.id.text: (False, b.name),
    }
    await a.get(a.groups.appoint("rescue", b.name))
    assert b.groups.find(made.id[:5]).admin
    await b.get(b.groups.rename("Rescue", "Search"))
    await b.get(b.groups.choose_history("Search", "none"))
    assert (a.groups.find("Search").name, a.groups.find("Search").history) == ("Search", "none")
    assert (await b.get(b.groups.leave("Search"))).state == "left"
    assert [one.id for one in a.groups.find("Search").members] == [a.id.text]
    await a.get(a.groups.invite("Search", b.name))
    assert b.groups.find("Search").state == "member"
    await a.get(a.groups.remove("Search", b.name))
    assert b.groups.find("Search").state == "removed"
    assert await b.code(b.groups.leave("Search")) == (409, "not-a-member")
    assert await b.code(b.groups.decline("Search")) == (409, "no-invitation")


async def test_what_is_wrong_is_refused_with_a_code(offices: tuple[Office, Office]) -> None:
    a, b = offices
    assert await a.code(a.groups.make(NewGroup("\n"))) == (422, "name")
    assert await a.code(a.groups.make(NewGroup("Rescue", ("nobody",)))) == (404, "unknown-station")
    assert await a.code(a.groups.leave("Rescue")) == (404, "unknown-group")
    await a.get(a.groups.make(NewGroup("Rescue", (b.name,))))
    assert await b.code(b.groups.rename("Rescue", "Mine")) == (403, "not-an-admin")
    assert await a.code(a.groups.leave("Rescue")) == (409, "last-admin")


async def test_what_a_name_means(offices: tuple[Office, Office]) -> None:
    a, b = offices
    first = await a.get(a.groups.make(NewGroup("Rescue", (b.name,))))
    rescue = GroupId.parse(first.id)
    for text in ("Rescue", " rescue", first.id, first.id.upper(), first.id[:5]):
        assert a.lookup.conversation(text) == a.lookup.destination(text, CONSOLE) == rescue
    assert a.lookup.destination(b.name, CONSOLE) == Address(b.id, CONSOLE)
    assert a.lookup.conversation("everyone") is None

    def code(text: str) -> str:
        with pytest.raises(ApiError) as refused:
            a.lookup.conversation(text)
        return refused.value.code

    assert code("nothing") == "unknown-station"
    second = await a.get(a.groups.make(NewGroup("RESCUE")))
    assert code("Rescue") == "ambiguous-group"
    assert a.lookup.conversation(second.id) == GroupId.parse(second.id)
    await a.get(a.groups.leave(second.id))
    assert a.lookup.conversation("Rescue") == rescue  # the other one is over
    await a.get(a.groups.make(NewGroup(b.name)))
    assert code(b.name) == "ambiguous-name"
    assert a.lookup.conversation(b.id.text) == b.id
