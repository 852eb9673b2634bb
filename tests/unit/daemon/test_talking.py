"""Talk groups as clients of the daemon see them: what is kept, and what can fail."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import pytest
from core_node import Node, carry, join

from appliance.adapters.store.operations import READS, WRITES
from appliance.api.backend import ApiError
from appliance.api.groups import NewGroup
from appliance.api.talking import Listen, Press, Replay
from appliance.daemon.group_backend import DaemonGroups
from appliance.daemon.lookup import Lookup
from appliance.daemon.runtime import Runtime
from appliance.daemon.talking import DaemonTalk
from appliance.model.talk_media import CloseTalk, ReplayTalk, SetTalk
from appliance.node.beginnings import Now
from appliance.node.call_effects import Media
from appliance.node.effects import Effect
from appliance.node.ports import GetValue, Operation, StoreError
from appliance.node.station import Station
from appliance.node.talk_channels import TALK_VALUE, read_listened


class Pump:
    """What `DaemonTalk` uses of a runtime, over a node."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.time = self.store = self
        self.is_full = False

    @property
    def station(self) -> Station:
        return self.node.station

    def now(self) -> Now:
        return self.node.now

    def carry_out(self, effects: Iterable[Effect]) -> None:
        self.node.do(effects)
        self.node.settle()

    async def perform(self, operation: Operation[Any]) -> Any:
        if self.is_full:
            raise StoreError("full", "The disk is full.")
        kind = type(operation)
        return (READS.get(kind) or WRITES[kind])(self.node.db, operation)


class Desk:
    """A station as clients see it."""

    def __init__(self) -> None:
        self.node = Node()
        self.pump = Pump(self.node)
        runtime, self.name = cast(Runtime, self.pump), self.node.station.name
        lookup = Lookup(runtime)
        self.groups = DaemonGroups(runtime, lookup, unread={}, name_of=lambda one: one.tag)
        self.talk = DaemonTalk(runtime, lookup, self.groups, name_of=lambda one: one.tag)

    def said(self) -> list[object]:
        return [change.command for change in self.node.changes if isinstance(change, Media)]

    async def kept(self) -> tuple[object, ...]:
        return read_listened(await self.pump.perform(GetValue(TALK_VALUE)))


@pytest.fixture
def desks() -> tuple[Desk, Desk]:
    a, b = Desk(), Desk()
    join(a.node, b.node)
    return a, b


async def test_what_is_listened_to_is_kept(desks: tuple[Desk, Desk]) -> None:
    a, _ = desks
    (first,) = a.talk.all()
    assert (first.channel, first.open, first.listening, first.key) == ("everyone", True, True, "up")
    assert not (await a.talk.listen("everyone", Listen(on=False))).listening
    assert await a.kept() == ()
    pressed = await a.talk.press("everyone", Press("priority"))
    assert (pressed.key, pressed.speaker_name, pressed.precedence) == (
        "speaking",
        a.name,
        "priority",
    )
    assert await a.kept() == (None,)
    assert (await a.talk.release("everyone")).key == "up"
    a.talk.replay("everyone", Replay(from_s=5.0))
    assert a.said()[-1] == ReplayTalk("everyone", 5.0)


async def test_no_error_comes_while_the_microphone_is_open(desks: tuple[Desk, Desk]) -> None:
    a, _ = desks
    await a.talk.listen("everyone", Listen(on=False))
    a.pump.is_full = True
    with pytest.raises(ApiError) as refused:
        await a.talk.press("everyone", Press())
    assert refused.value.code == "not-stored"
    assert a.talk.all()[0].key == "up"
    assert not [one for one in a.said() if isinstance(one, SetTalk) and one.speaking]


async def test_a_group_without_a_key_gets_one_when_somebody_speaks(
    desks: tuple[Desk, Desk],
) -> None:
    a, b = desks
    made = await a.groups.make(NewGroup("Rescue", (b.name,)))
    carry(a.node, b.node)
    if b.groups.find(made.id).state == "invited":
        await b.groups.accept(made.id)
        carry(a.node, b.node)
    book = a.node.station.post.groups.groups.book
    (group,) = book
    book.load(group.id, group.without_keys().encode())
    pressed = await a.talk.press("Rescue", Press())
    assert (pressed.key, pressed.open, pressed.name) == ("speaking", False, "Rescue")
    carry(a.node, b.node)
    theirs = next(one for one in b.talk.all() if one.channel == made.id)
    assert (theirs.speaker, theirs.has_key) == (a.node.id.text, True)


async def test_what_can_not_be_is_refused(desks: tuple[Desk, Desk]) -> None:
    a, b = desks
    a.node.close(b.node.id)
    with pytest.raises(ApiError) as refused:
        await a.talk.press("everyone", Press())
    assert (refused.value.status, refused.value.code) == (409, "nobody")
    with pytest.raises(ApiError) as refused:
        await a.talk.press("Nobody", Press())
    assert refused.value.status == 404
    await a.groups.make(NewGroup("Alone"))
    with pytest.raises(ApiError) as refused:
        await a.talk.press("Alone", Press())
    assert (refused.value.status, refused.value.code) == (409, "alone")


async def test_who_ends_lets_go(desks: tuple[Desk, Desk]) -> None:
    a, b = desks
    await a.talk.press("everyone", Press())
    carry(a.node, b.node)
    assert b.talk.all()[0].speaker == a.node.id.text
    a.pump.carry_out(a.node.station.talk.stop(a.node.now))
    carry(a.node, b.node)
    assert b.talk.all()[0].speaker is None
    assert not [one for one in b.said() if isinstance(one, CloseTalk)]
