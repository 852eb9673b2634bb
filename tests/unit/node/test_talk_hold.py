"""The key that says when it is let go, in a talk group."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from talk_world import TalkWorld

from appliance.api.talking import Press
from appliance.daemon.talking import DaemonTalk
from appliance.model.talk import KeyState
from appliance.model.talk_media import TalkTone
from appliance.node.call_effects import Media
from appliance.node.effects import Effect

if TYPE_CHECKING:
    from appliance.daemon.group_backend import DaemonGroups
    from appliance.daemon.lookup import Lookup
    from appliance.daemon.runtime import Runtime


def a_desk(world: TalkWorld, done: list[Effect]) -> DaemonTalk:
    """What answers for the first station."""
    seat = world.seats[0]
    runtime = SimpleNamespace(
        station=SimpleNamespace(talk=seat.talk, id=seat.id, name="us"),
        time=SimpleNamespace(now=world.time),
        carry_out=done.extend,
    )
    lookup, groups = cast("Lookup", SimpleNamespace()), cast("DaemonGroups", SimpleNamespace())
    return DaemonTalk(cast("Runtime", runtime), lookup, groups, name_of=lambda _: "somebody")


def busy(done: list[Effect]) -> bool:
    return Media(TalkTone("talk-busy")) in done


def test_it_speaks_to_everyone_while_it_is_held() -> None:
    world, done = TalkWorld([(0, 1)]), list[Effect]()
    desk, seat = a_desk(world, done), world.seats[0]
    desk.hold(held=True)
    assert seat.view().key is KeyState.SPEAKING
    desk.hold(held=False)
    assert seat.view().key is KeyState.UP
    assert not busy(done)


async def test_what_a_screen_has_pressed_stays() -> None:
    world, done = TalkWorld([(0, 1)]), list[Effect]()
    desk, seat = a_desk(world, done), world.seats[0]
    seat.talk.listen(None, world.time(), on=True)
    await desk.press("everyone", Press())
    desk.hold(held=False)
    assert seat.view().key is KeyState.SPEAKING
    desk.hold(held=True)
    desk.hold(held=False)
    assert seat.view().key is KeyState.UP


def test_that_nobody_would_hear_it_is_heard() -> None:
    world, done = TalkWorld([(0, 1)]), list[Effect]()
    desk, seat = a_desk(world, done), world.seats[0]
    seat.talk.session_down(world.seats[1].id, world.time())
    desk.hold(held=True)
    assert busy(done)
    assert seat.view().key is KeyState.UP
    desk.hold(held=False)
    assert seat.view().key is KeyState.UP
