"""Conferences among real ends in virtual time: joining, leaving, and whoever mixes going away."""

from __future__ import annotations

import pytest
from conference_world import Village

from appliance.model.call import CallState, EndReason
from appliance.model.conference import MemberState
from appliance.model.conference_media import MixTalking
from appliance.node.calls import CallError


def test_three_hear_each_other_and_joining_disturbs_nobody() -> None:
    world = Village("abc")
    a, b, c = world.nodes
    a.place(b, play="a.wav")
    world.run(0.5)
    b.answer()
    world.run(1.5)
    started = [stream.start for node in (a, b) for stream in node.streams.values()]
    world.add(a, c)
    world.check_all([a, b, c], focus=a)
    assert [stream.start for stream in b.streams.values()] == started[1:], "its sound goes on as is"
    assert [one.number for one in world.view(c).members] == [1, 2, 3]
    assert c.call.peer == a.address


def test_each_may_leave_before_the_focus() -> None:
    world = Village("abcd")
    nodes = world.gather()
    for node in nodes[1:]:
        node.calls.hangup(node.call.id, now=world.now)
        node.pump()
        world.run(0.5)
    assert not nodes[0].calls.active
    world.run(40)
    world.check_quiet()


def test_the_seventeenth_is_told_so() -> None:
    world = Village("abcdefghijklmnopq")
    late = world.nodes.pop()
    a, b, *_ = world.gather()
    for one in (a, b):
        with pytest.raises(CallError, match="room for 16"):
            one.calls.add(world.any_call(one), late.id, now=world.now)
    world.leave(b)
    world.run(1)
    world.nodes.append(late)
    world.add(a, late)
    assert world.heard_by(late) == "acdefghijklmnop"


def test_what_can_not_be_added() -> None:
    world = Village("abc")
    a, b, c = world.nodes
    a.place(b)
    world.run(0.5)
    with pytest.raises(CallError, match="answered"):
        a.calls.add(a.call.id, c.id, now=world.now)
    b.answer()
    world.run(1)
    with pytest.raises(CallError, match="already"):
        a.calls.add(a.call.id, b.id, now=world.now)
    with pytest.raises(CallError, match="your own"):
        a.calls.add(a.call.id, a.id, now=world.now)
    world.add(a, c)
    with pytest.raises(CallError, match="call already"):
        c.place(b)


def test_who_declines_or_is_busy_is_not_in_the_roster_and_nobody_minds() -> None:
    world = Village("abcde")
    a, b, c, d, e = world.nodes
    a.place(b)
    world.run(0.5)
    b.answer()
    world.run(1)
    d.place(e)
    world.run(0.5)
    e.answer()
    world.run(1)
    world.add(a, c, answers=False)
    assert {one.state for one in world.view(b).members} == {MemberState.IN, MemberState.CALLING}
    c.decline()
    world.add(a, d, answers=False)
    world.run(1)
    world.check_hearing([a, b])
    assert [one.station for one in world.view(b).members] == [a.id, b.id]
    world.leave(b)
    world.run(1)
    assert (a.ended, b.ended) == (EndReason.THEY_HUNG_UP, EndReason.HUNG_UP)


def test_a_member_adds_somebody_through_the_focus() -> None:
    world = Village("abcd")
    a, b, c, d = world.nodes
    d_late = world.nodes.pop()
    world.gather()
    world.nodes.append(d_late)
    world.add(c, d)
    world.check_all([a, b, c, d], focus=a)


def test_members_leave_one_after_another() -> None:
    world = Village("abcd")
    a, b, c, d = world.gather()
    world.leave(c)
    world.run(1)
    world.check_all([a, b, d], focus=a)
    world.leave(b)
    world.run(1)
    world.check_hearing([a, d])
    world.leave(d)
    world.run(1)
    assert a.ended is EndReason.THEY_HUNG_UP
    world.run(40)
    world.check_quiet()


def test_muting_is_for_all_of_it() -> None:
    world = Village("abc")
    a, _, _ = world.gather()
    a.calls.mute(world.any_call(a), muted=True)
    a.pump()
    assert [call.muted for call in a.calls.active] == [True, True]
    assert {one.stream for one in a.settings if one.muted} == {c.id for c in a.calls.active}


def test_who_talks_is_told_but_not_too_often() -> None:
    world = Village("abc")
    a, b, c = world.gather()
    (mix,) = a.mixes.values()
    to_b = next(call.id for call in a.calls.active if call.peer == b.address)
    before = len(a.sip)
    for number in range(20):
        a.media(MixTalking(mix.mix, (to_b, "") if number % 2 else ()))
        world.run(0.1)
    world.run(1)
    assert {one.station for one in world.view(c).members if one.talking} == {a.id, b.id}
    assert {one.station for one in world.view(a).members if one.talking} == {a.id, b.id}
    assert len(a.sip) - before <= 2 * 4


def test_the_focus_hangs_up_and_the_others_go_on() -> None:
    world = Village("abcd")
    a, b, c, d = world.gather()
    ids = [node.call.id for node in (b, c, d)]
    world.leave(a)
    world.run(1)
    world.check_all([b, c, d], focus=b)
    assert ids[1:] == [c.call.id, d.call.id], "the same call for the operator"
    assert ids[0] in {call.id for call in b.calls.active}
    assert not a.calls.active
    assert {call.end_reason for call in a.calls.history} == {EndReason.HUNG_UP}
    world.leave(b)
    world.run(1)
    world.check_hearing([c, d])
    world.leave(c)
    world.run(40)
    world.check_quiet()
    for node in (b, c, d):
        mains = [call for call in node.calls.history if call.id in ids]
        assert [call.peer.station for call in mains] == [a.id], "filed with whom it began"


def test_the_focus_dies_and_the_next_takes_over_within_seconds() -> None:
    world = Village("abcde")
    a, b, c, d, e = world.gather()
    world.crash(a)
    world.run(4.5)
    world.check_hearing([b, c, d, e])
    world.run(20)
    assert world.view(b).focus == b.id
    world.crash(b)
    world.run(5)
    world.check_hearing([c, d, e])


def test_the_focus_and_the_next_die_together() -> None:
    world = Village("abcde")
    a, b, c, d, e = world.gather()
    world.crash(a)
    world.crash(b)
    world.run(8)
    world.check_hearing([c, d, e])
    assert world.view(d).focus == c.id


def test_the_power_of_the_focus_fails_and_no_session_breaks() -> None:
    world = Village("abcd")
    a, b, c, d = world.gather()
    for other in (b, c, d):
        world.sound_cut.add(frozenset({a.id, other.id}))
    a.streams.clear()
    world.run(8)
    world.check_hearing([b, c, d])


def test_a_focus_that_was_only_cut_off_comes_back_as_a_member() -> None:
    world = Village("abcd")
    a, b, c, d = world.gather()
    (call,) = {c.id for c in a.calls.active if c.peer == b.address}
    world.isolate(a)
    world.run(6)
    world.check_hearing([b, c, d])
    assert world.view(a).searching
    world.rejoin(a)
    world.run(4)
    world.check_all([a, b, c, d], focus=b)
    assert a.call.id == call


def test_a_moment_without_anybody_changes_nothing() -> None:
    world = Village("abcd")
    a, b, c, d = world.gather()
    world.isolate(a)
    world.run(1)
    world.rejoin(a)
    world.run(5)
    world.check_all([a, b, c, d], focus=a)


def test_a_member_that_was_cut_off_comes_back() -> None:
    world = Village("abcd")
    a, b, c, d = world.gather()
    world.isolate(d)
    world.run(7)
    world.check_hearing([a, b, c])
    world.rejoin(d)
    world.run(8)
    world.check_all([a, b, c, d], focus=a)


def test_nobody_comes_back_to_who_is_alone() -> None:
    world = Village("abc")
    a, b, c = world.gather()
    for one in (a, b, c):
        world.isolate(one)
    world.run(40)
    assert [node.ended for node in (a, b, c)] == [EndReason.UNREACHABLE] * 3
    for one in (a, b, c):
        world.rejoin(one)
    world.run(60)
    world.check_quiet()


def test_two_halves_become_one_again_under_the_lower_number() -> None:
    world = Village("abcdef")
    a, b, c, d, e, f = world.gather()
    for one in (a, c, e):
        world.isolate(one, b, d, f)
    world.run(30)
    world.check_hearing([a, c, e])
    world.check_hearing([b, d, f])
    for one in (a, c, e):
        world.rejoin(one, b, d, f)
    world.run(30)
    world.check_all([a, b, c, d, e, f], focus=a)


def test_who_left_is_not_called_back() -> None:
    world = Village("abcd")
    a, b, c, d = world.gather()
    world.isolate(d)
    world.run(3)
    world.leave(d)
    world.run(1)
    world.rejoin(d)
    world.run(20)
    assert not d.calls.active
    assert not any(c.state is CallState.RINGING_HERE for c in d.changes[-6:])
    world.check_all([a, b, c], focus=a)


def test_who_left_can_be_added_again_by_whoever_is_in() -> None:
    world = Village("abcd")
    a, b, c, d = world.gather()
    world.leave(d)
    world.run(1)
    world.check_all([a, b, c], focus=a)
    for adds in (b, a):
        world.add(adds, d, answers=False)
        world.run(1)
        d.answer()
        world.run(2)
        world.check_all([a, b, c, d], focus=a)
        world.leave(d)
        world.run(1)


def test_both_add_somebody_at_once() -> None:
    world = Village("abcd")
    a, b, c, d = world.nodes
    a.place(b)
    world.run(0.5)
    b.answer()
    world.run(1.5)
    for one, other in ((a, c), (b, d)):
        one.calls.add(one.call.id, other.id, now=world.now)
    a.pump()
    b.pump()
    world.run(1)
    for one in (c, d):
        one.answer()
    world.run(5)
    world.check_all([a, b, c, d], focus=a)


def test_both_add_at_once_and_one_of_them_is_answered_already() -> None:
    world = Village("abcd")
    a, b, c, d = world.nodes
    a.place(b)
    world.run(0.5)
    b.answer()
    world.run(1.5)
    b.calls.add(b.call.id, d.id, now=world.now)
    world.cut(a, b)
    b.pump()
    world.run(0.2)
    d.answer()
    world.run(0.2)
    a.calls.add(a.call.id, c.id, now=world.now)
    a.pump()
    world.connect(a, b)
    world.run(0.5)
    c.answer()
    world.run(8)
    world.check_all([a, b, c, d], focus=a)


def test_the_voice_process_of_the_focus_dies() -> None:
    world = Village("abcd")
    a, b, c, d = world.gather()
    a.kill_media()
    world.run(1)
    a.restart_media()
    world.run(8)
    world.check_all([a, b, c, d], focus=a)


def test_the_station_of_the_focus_stops() -> None:
    world = Village("abcd")
    a, b, c, d = world.gather()
    a.calls.hang_up_all(now=world.now)
    a.pump()
    world.run(0.05)
    world.crash(a)
    world.run(1)
    world.check_all([b, c, d], focus=b)
    b.calls.hang_up_all(now=world.now)
    b.pump()
    assert not b.calls.active


def test_a_focus_whose_program_was_restarted_is_rung_anew() -> None:
    world = Village("abcd")
    a, b, c, d = world.gather()
    world.restart(a, down_s=5.0)
    world.check_hearing([b, c, d])
    world.rejoin(a)
    world.run(4)
    assert a.ringing.peer == b.address
    assert not any(stream.start for stream in a.streams.values()), "nobody has answered it"
    a.answer()
    world.run(2)
    world.check_all([a, b, c, d], focus=b)


def test_a_member_whose_program_was_restarted_goes_on_by_itself() -> None:
    world = Village("abcd")
    a, b, c, d = world.gather()
    world.restart(d, remembers=True, down_s=3.0)
    world.rejoin(d)
    world.run(8)
    world.check_all([a, b, c, d], focus=a)


def test_a_focus_that_was_restarted_does_not_take_its_calls_up_again() -> None:
    world = Village("abcd")
    a, b, c, d = world.gather()
    world.restart(a, remembers=True, down_s=0.5)
    world.rejoin(a)
    world.run(10)
    world.check_hearing([b, c, d])
    a.answer()
    world.run(2)
    world.check_all([a, b, c, d], focus=b)
