"""A link that is cut in silence: neither end is told, and nothing arrives any more."""

from __future__ import annotations

from functools import partial

import pytest
from call_world import Node, World

from appliance.model.call import CallState, EndReason
from appliance.model.media import SoundProblem

ANSWER_S = 4.0


def cut_in_silence(world: World, a: Node, b: Node) -> None:
    """Nothing crosses any more; a session that is asked ends when no answer has come."""
    cut_at = world.now
    world.sound_cut.add(frozenset({a.id, b.id}))

    def end(node: Node, peer: Node) -> None:
        if not world.sound_cut:
            return  # It has answered.
        if node.sessions.pop(peer.id, None) is not None:
            node.calls.session_down(peer.id, now=world.now, heard_at=cut_at)
            node.pump()

    world.run(2.5)
    for node, peer in ((a, b), (b, a)):
        assert [asked for asked, _ in node.asked] == [peer.id]
        assert node.asked[0][1] - cut_at <= 2.1
        world.after(node.asked[0][1] + ANSWER_S - world.now, partial(end, node, peer))


def test_the_session_is_asked_and_the_count_began_when_the_sound_stopped() -> None:
    world = World()
    a, b = world.talk()
    cut_at = world.now
    cut_in_silence(world, a, b)
    assert SoundProblem.NO_SOUND_ARRIVING in a.call.problems
    world.run(4.5)
    for node in (a, b):
        assert node.call.away
        assert 14 <= node.calls.lost_at(node.call.id) - cut_at <= 15.6
    world.run(15.5 - (world.now - cut_at))
    assert (a.ended, b.ended) == (EndReason.UNREACHABLE, EndReason.UNREACHABLE)
    world.check_quiet()


@pytest.mark.parametrize("away_s", [3.0, 8.0, 14.0])
def test_a_link_that_comes_back_in_time_brings_the_call_back(away_s: float) -> None:
    world = World()
    a, b = world.talk()
    cut_at, call = world.now, a.call.id
    cut_in_silence(world, a, b)
    world.run(away_s - (world.now - cut_at))
    world.mend_sound()
    world.run(1)
    assert not a.call.problems
    if not a.sessions:
        world.connect(a, b, path=2)
    world.run(30)
    assert (a.state, b.state) == (CallState.TALKING, CallState.TALKING)
    assert a.call.id == call
    assert not a.call.away
    assert all(world.hears(n, s.start) for n in (a, b) for s in n.streams.values() if s.start)


def test_a_session_that_answers_keeps_a_call_that_is_silent() -> None:
    world = World()
    a, b = world.talk()
    world.sound_cut.add(frozenset({a.id, b.id}))
    world.run(40)
    assert (a.state, b.state) == (CallState.TALKING, CallState.TALKING)
    assert [len(node.asked) for node in (a, b)] == [1, 1]
    world.cut(a, b)  # Only now nobody is there: 15 s from here.
    world.run(14)
    assert a.call.away
    assert a.state is CallState.TALKING
    world.run(2)
    assert a.ended is EndReason.UNREACHABLE


def test_a_call_that_is_not_answered_yet_waits_as_long_as_ever() -> None:
    world = World()
    a, b = world.nodes
    world.connect(a, b)
    a.place(b)
    world.run(1)
    now = world.now
    for node, peer in ((a, b), (b, a)):
        node.sessions.pop(peer.id)
        node.calls.session_down(peer.id, now=now, heard_at=now - 14)
        node.pump()
    world.run(10)
    assert a.state is CallState.RINGING_THERE
    assert not a.asked
