"""A call that broke comes back: the same call, by itself, within 15 s and not later."""

from __future__ import annotations

import pytest
from call_world import Node, World

from appliance.model.call import CallState, EndReason
from appliance.protocol.kept_calls import KeptCallsError, decode


def both_hear(world: World) -> bool:
    return all(
        world.hears(node, stream.start)
        for node in world.nodes
        for stream in node.streams.values()
        if stream.start
    )


def check_same_call(world: World, ids: tuple[str, str]) -> None:
    a, b = world.nodes
    assert (a.state, b.state) == (CallState.TALKING, CallState.TALKING)
    assert (a.call.id, b.call.id) == ids
    assert not a.call.away
    assert not b.call.away
    assert len(a.streams) == len(b.streams) == 1
    assert both_hear(world)
    b.hangup()
    world.run(40)
    world.check_quiet()
    assert (a.ended, b.ended) == (EndReason.THEY_HUNG_UP, EndReason.HUNG_UP)


def talking(world: World) -> tuple[Node, Node, tuple[str, str]]:
    a, b = world.talk()
    return a, b, (a.call.id, b.call.id)


@pytest.mark.parametrize("restarted", [0, 1])
@pytest.mark.parametrize("down_s", [0.0, 3.0, 10.0])
@pytest.mark.parametrize("voice_lives", [False, True])
def test_a_station_that_was_killed_goes_on_with_its_call(
    restarted: int, down_s: float, voice_lives: bool
) -> None:
    world = World()
    a, b, ids = talking(world)
    left, back = world.nodes[1 - restarted], world.nodes[restarted]
    started = back.call.answered_at
    world.restart(back, remembers=True, down_s=down_s, voice_lives=voice_lives)
    assert left.call.away
    assert back.call.away
    assert back.needed[-1] == left.id
    world.run(1)
    world.connect(a, b)
    world.run(3)
    assert back.call.answered_at == started
    check_same_call(world, ids)


def test_the_sound_never_stops_where_the_voice_process_is_a_service() -> None:
    world = World()
    a, b, ids = talking(world)
    (stream,) = b.streams.values()
    world.restart(b, remembers=True, down_s=4.0, voice_lives=True)
    assert not a.call.problems
    world.connect(a, b)
    world.run(3)
    assert not a.call.problems
    assert b.streams == {ids[1]: stream}, "the stream was taken away and made anew"
    check_same_call(world, ids)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("lag_s", [0.0, 0.4])
def test_both_were_killed(first: int, lag_s: float) -> None:
    world = World()
    *_, ids = talking(world)
    nodes = world.nodes
    world.restart(nodes[first], remembers=True, down_s=2.0)
    world.restart(nodes[1 - first], remembers=True, down_s=2.0)
    world.connect(nodes[first], nodes[1 - first], lag_s=lag_s)
    world.run(8)
    check_same_call(world, ids)


@pytest.mark.parametrize("restarted", [0, 1])
def test_killed_again_and_again_while_it_comes_back(restarted: int) -> None:
    world = World()
    a, b, ids = talking(world)
    back = world.nodes[restarted]
    for pause_s in (0.0, 0.005, 0.015, 0.5):
        world.restart(back, remembers=True, down_s=1.0)
        world.connect(a, b)
        world.run(pause_s)
    world.run(8)
    check_same_call(world, ids)


@pytest.mark.parametrize("restarted", [0, 1])
def test_after_15_s_it_is_over_on_both_sides(restarted: int) -> None:
    world = World()
    a, b, _ = talking(world)
    left, back = world.nodes[1 - restarted], world.nodes[restarted]
    world.restart(back, remembers=True, down_s=3.0)
    left_s = [node.calls.lost_at(node.call.id) - world.now for node in (left, back)]
    assert left_s == pytest.approx([12.0, 12.0], abs=1.0)
    world.run(13)
    assert (left.ended, back.ended) == (EndReason.UNREACHABLE, EndReason.UNREACHABLE)
    world.connect(a, b)
    world.run(5)
    world.check_quiet()


@pytest.mark.parametrize("who", [0, 1])
@pytest.mark.parametrize("restarted", [0, 1])
def test_who_hangs_up_meanwhile_is_not_called_back(who: int, restarted: int) -> None:
    world = World()
    a, b, _ = talking(world)
    world.restart(world.nodes[restarted], remembers=True, down_s=1.0)
    world.nodes[who].hangup()
    world.connect(a, b)
    world.run(40)
    other = world.nodes[1 - who]
    assert (world.nodes[who].ended, other.ended) == (EndReason.HUNG_UP, EndReason.THEY_HUNG_UP)
    world.check_quiet()


def test_what_was_hung_up_before_the_kill_does_not_come_back() -> None:
    world = World()
    a, b, _ = talking(world)
    b.calls.hangup(b.call.id, now=world.now)
    b.world.cut(a, b)  # nothing of it leaves
    b.pump()
    world.restart(b, remembers=True, down_s=1.0)
    assert not b.calls.active
    world.connect(a, b)
    world.run(3)
    assert a.ended is EndReason.THEY_HUNG_UP
    world.check_quiet()


@pytest.mark.parametrize("restarted", [0, 1])
def test_a_call_that_was_not_answered_is_not_taken_up(restarted: int) -> None:
    world = World()
    a, b = world.nodes
    world.connect(a, b)
    a.place(b)
    world.run(1)
    world.restart(world.nodes[restarted], remembers=True, down_s=1.0)
    world.connect(a, b)
    world.run(10)
    assert not a.calls.active
    assert not b.calls.active


def test_a_station_that_has_forgotten_ends_it_at_once() -> None:
    world = World()
    a, b, _ = talking(world)
    world.restart(b, down_s=1.0)
    world.connect(a, b)
    world.run(1.5)
    assert a.ended is EndReason.THEY_HUNG_UP
    assert "restarted" in a.calls.history[-1].detail


@pytest.mark.parametrize("restarted", [0, 1])
def test_who_has_forgotten_can_call_again_at_once(restarted: int) -> None:
    world = World()
    a, b, _ = talking(world)
    back, left = world.nodes[restarted], world.nodes[1 - restarted]
    world.restart(back, down_s=1.0)
    world.connect(a, b)
    back.place(left)
    world.run(0.5)
    assert left.ringing.peer == back.address
    assert left.calls.history[-1].end_reason is EndReason.THEY_HUNG_UP


def test_nobody_else_can_take_a_call_up() -> None:
    world = World("abc")
    a, b, ids = talking(world)
    c = world.nodes[2]
    world.restart(b, remembers=True, down_s=1.0)
    c.note = b.note
    world.connect(a, c)
    world.restart(c, remembers=True)
    c.calls.restore((), lost_at=world.now, now=world.now)
    world.connect(a, c)
    # It claims the dialog in its own session: nothing there is known.
    (stolen,) = c.calls.active
    assert stolen.peer == a.address
    world.run(3)
    assert not c.calls.active
    assert c.calls.history[-1].end_reason is EndReason.THEY_HUNG_UP
    assert a.call.peer == b.address
    world.connect(a, b)
    world.run(3)
    assert (a.call.id, b.call.id) == ids
    assert both_hear(world)


def test_what_was_muted_stays_so() -> None:
    world = World()
    a, b, _ = talking(world)
    b.calls.mute(b.call.id, muted=True)
    b.calls.set_volume(b.call.id, volume_pct=40)
    b.calls.wakeup(now=world.now)
    b.pump()
    world.restart(b, remembers=True, down_s=1.0)
    assert b.call.muted
    world.connect(a, b)
    world.run(3)
    assert (b.settings[-1].muted, b.settings[-1].volume_pct) == (True, 40)


def test_a_recording_goes_on_in_another_file() -> None:
    world = World()
    a, b = world.nodes
    world.connect(a, b)
    a.place(b, record="a.wav")
    world.run()
    b.answer()
    world.run(2)
    world.restart(a, remembers=True, down_s=1.0)
    world.connect(a, b)
    world.run(3)
    (stream,) = a.streams.values()
    assert stream.start is not None
    assert stream.start.record == "a-2.wav"


def test_a_lost_session_is_shown_as_away_until_it_is_back() -> None:
    world = World()
    a, b, ids = talking(world)
    world.cut(a, b, sound_too=True)
    assert a.call.away
    world.run(10)
    assert a.calls.lost_at(a.call.id) - world.now == pytest.approx(5.0, abs=0.6)
    world.mend_sound()
    world.connect(a, b, path=2)
    world.run(4)
    check_same_call(world, ids)


def test_a_note_that_is_none_is_refused() -> None:
    world = World()
    _, b, _ = talking(world)
    for broken in (b"", b"\xa0", b.note[:-1], b"\xa1dtypehNoneType", b.note[:40] + b.note[41:]):
        with pytest.raises(KeptCallsError):
            decode(broken)


def test_a_session_that_is_there_before_the_note_is_read_does_as_well() -> None:
    world = World()
    a, b, ids = talking(world)
    note = b.note
    world.restart(b, down_s=1.0)
    died_at = world.now - 1.0
    world.connect(a, b)
    world.run(0.1)
    b.calls.restore(decode(note).calls, lost_at=died_at, now=world.now)
    b.opened |= {ids[1]}
    b.pump()
    world.run(3)
    check_same_call(world, ids)


def test_who_mixes_a_conference_does_not_take_its_calls_up() -> None:
    world = World("abc")
    a, _, _ = talking(world)
    c = world.nodes[2]
    world.connect(a, c)
    a.calls.add(a.call.id, c.id, now=world.now)
    a.pump()
    assert decode(a.note).calls == ()
