"""Push to talk in a call: what the voice process is told, and what of it outlives restarts."""

from __future__ import annotations

import pytest
from call_world import World

from appliance.model.media import TALK_LIMIT_S, SetStream
from appliance.node.calls import CallError


def test_the_key_opens_the_microphone_for_a_minute_at_most() -> None:
    world = World()
    _, b = world.talk()
    b.calls.key(b.call.id, used=True, held=None, now=world.now)
    b.pump()
    assert b.settings[-1] == SetStream(b.call.id, push_to_talk=True)
    assert b.call.push_to_talk
    assert b.call.talking_until <= world.now
    b.calls.key(b.call.id, used=None, held=True, now=world.now)
    b.pump()
    assert b.settings[-1] == SetStream(b.call.id, talking=True)
    until = b.call.talking_until
    assert until == world.now + TALK_LIMIT_S
    world.run(1)
    b.calls.key(b.call.id, used=None, held=True, now=world.now)  # the same push, said again
    assert b.call.talking_until == until
    b.calls.key(b.call.id, used=None, held=False, now=world.now)
    b.pump()
    assert b.settings[-1] == SetStream(b.call.id, talking=False)
    assert b.call.talking_until <= world.now
    b.calls.key(b.call.id, used=False, held=None, now=world.now)
    assert not b.call.push_to_talk


def test_an_open_microphone_has_no_key_to_hold() -> None:
    world = World()
    _, b = world.talk()
    b.calls.key(b.call.id, used=None, held=True, now=world.now)
    assert b.call.talking_until <= world.now
    b.hangup()
    with pytest.raises(CallError):
        b.calls.key("nothing", used=True, held=None, now=world.now)


def test_after_the_voice_process_died_the_microphone_is_still_closed() -> None:
    world = World()
    _, b = world.talk()
    b.calls.key(b.call.id, used=True, held=True, now=world.now)
    b.pump()
    b.kill_media()
    world.run(2)
    assert b.call.talking_until <= world.now
    b.restart_media()
    world.run(3)
    assert b.settings[-1].push_to_talk is True
    assert b.settings[-1].talking is None


def test_push_to_talk_outlives_the_station() -> None:
    world = World()
    a, b = world.talk()
    b.calls.key(b.call.id, used=True, held=None, now=world.now)
    b.calls.wakeup(now=world.now)
    b.pump()
    world.restart(b, remembers=True, down_s=1.0)
    assert b.call.push_to_talk
    world.connect(a, b)
    world.run(3)
    assert b.settings[-1].push_to_talk is True
