"""Every path that a call can take, between two real ends in virtual time."""

from __future__ import annotations

import pytest
from call_world import DELAY_S, World

from appliance.model.call import CallState, EndReason
from appliance.model.identity import Address
from appliance.model.media import SetStream, SoundProblem, SoundWarning
from appliance.node.calls import CallError


def test_place_answer_talk_and_hang_up() -> None:
    world = World()
    a, b = world.nodes
    world.connect(a, b)
    a.place(b)
    assert a.state is CallState.DIALLING
    world.run(0.1)
    assert (a.state, b.state) == (CallState.RINGING_THERE, CallState.RINGING_HERE)
    assert (a.tone, b.tone) == ("ringback", "ring")
    assert b.call.peer == a.address
    b.answer(play="b.wav", record="b-out.wav")
    assert b.state is CallState.CONNECTING
    world.run(1)
    assert (a.state, b.state) == (CallState.TALKING, CallState.TALKING)
    assert (a.tone, b.tone) == (None, None)
    (stream,) = b.streams.values()
    assert stream.start is not None
    assert (stream.start.play, stream.start.record) == ("b.wav", "b-out.wav")
    assert stream.start.remote_host == "fe80::1:a%eth1"
    assert stream.start.crypto_suite == "AEAD_AES_128_GCM"
    a.hangup()
    world.run()
    assert (a.ended, b.ended) == (EndReason.HUNG_UP, EndReason.THEY_HUNG_UP)
    world.check_quiet()


def test_the_answer_leaves_at_once() -> None:
    world = World()
    a, b = world.nodes
    world.connect(a, b)
    a.place(b)
    world.run()
    before = len(b.sip)
    b.answer()
    assert b.sip[before][1].startswith(b"SIP/2.0 200 OK\r\n")
    assert next(iter(b.streams.values())).start is not None


def test_decline() -> None:
    world = World()
    a, b = world.nodes
    world.connect(a, b)
    a.place(b)
    world.run()
    b.decline()
    world.run()
    assert (a.ended, b.ended) == (EndReason.THEY_DECLINED, EndReason.DECLINED)
    world.check_quiet()


@pytest.mark.parametrize("wait_s", [0.0, 0.005, 0.015, 0.025, 0.1, 5.0])
def test_the_caller_gives_up_at_any_moment(wait_s: float) -> None:
    world = World()
    a, b = world.nodes
    world.connect(a, b)
    a.place(b)
    world.run(wait_s)
    a.hangup()
    world.run(40)
    assert a.ended is EndReason.HUNG_UP
    assert not b.calls.history or b.ended is EndReason.CANCELLED
    world.check_quiet()


def test_cancel_and_answer_cross() -> None:
    world = World()
    a, b = world.nodes
    world.connect(a, b)
    a.place(b)
    world.run()
    b.answer()
    a.hangup()
    world.run(2)
    assert (a.ended, b.ended) == (EndReason.HUNG_UP, EndReason.THEY_HUNG_UP)
    world.check_quiet()


def test_both_hang_up_at_once() -> None:
    world = World()
    a, b = world.talk()
    a.hangup()
    b.hangup()
    world.run(40)
    assert (a.ended, b.ended) == (EndReason.HUNG_UP, EndReason.HUNG_UP)
    world.check_quiet()


def test_hanging_up_right_after_answering() -> None:
    world = World()
    a, b = world.nodes
    world.connect(a, b)
    a.place(b)
    world.run()
    b.answer()
    b.hangup()
    world.run(2)
    assert (a.ended, b.ended) == (EndReason.THEY_HUNG_UP, EndReason.HUNG_UP)
    world.check_quiet()


def test_busy_and_the_missed_call_is_listed() -> None:
    world = World("abc")
    a, b = world.talk()
    c = world.nodes[2]
    world.connect(c, b)
    c.place(b)
    world.run()
    assert c.ended is EndReason.BUSY
    assert c.tone == "busy"
    missed = b.calls.history[-1]
    assert (missed.peer, missed.end_reason) == (c.address, EndReason.BUSY)
    assert (a.state, b.state) == (CallState.TALKING, CallState.TALKING)
    world.run(4)
    assert c.tone is None


def test_nobody_answers() -> None:
    world = World()
    a, b = world.nodes
    world.connect(a, b)
    a.place(b)
    world.run(59.9)
    assert b.state is CallState.RINGING_HERE
    world.run(1)
    assert (a.ended, b.ended) == (EndReason.NO_ANSWER, EndReason.NO_ANSWER)
    world.check_quiet()


def test_a_station_may_let_it_ring_for_a_shorter_time() -> None:
    world = World()
    a, b = world.nodes
    b.calls.ring_s = 3.0
    world.connect(a, b)
    a.place(b)
    world.run(2.9)
    assert b.state is CallState.RINGING_HERE
    world.run(0.2)
    assert (a.ended, b.ended) == (EndReason.NO_ANSWER, EndReason.NO_ANSWER)
    world.check_quiet()


@pytest.mark.parametrize("lead_s", [0.0, 0.003, 0.009])
@pytest.mark.parametrize("lower_first", [True, False])
def test_both_dial_each_other_at_once(lead_s: float, lower_first: bool) -> None:
    world = World()
    a, b = world.nodes
    first, second = (a, b) if lower_first else (b, a)
    world.connect(a, b)
    first.place(second)
    world.run(lead_s)
    second.place(first)
    world.run(2)
    assert (a.state, b.state) == (CallState.TALKING, CallState.TALKING)
    assert not a.calls.history
    assert not b.calls.history
    assert (a.tone, b.tone) == (None, None)
    if lead_s < DELAY_S:  # both INVITEs were under way: that of the lower id is taken
        assert any(data.startswith(b"SIP/2.0 200 OK") for _, data in b.sip)
        assert any(data.startswith(b"SIP/2.0 491 ") for _, data in a.sip)
    b.hangup()
    world.run(2)
    world.check_quiet()


def test_dialling_who_is_ringing_here_answers() -> None:
    world = World()
    a, b = world.nodes
    world.connect(a, b)
    a.place(b)
    world.run()
    assert b.place(a) == b.call.id
    world.run(2)
    assert (a.state, b.state) == (CallState.TALKING, CallState.TALKING)


def test_a_lost_session_does_not_end_a_call_that_sounds() -> None:
    world = World()
    a, b = world.talk()
    keys = len(world.sent_keys)
    world.cut(a, b)
    world.run(60)
    assert (a.state, b.state) == (CallState.TALKING, CallState.TALKING)
    world.connect(a, b, path=2)
    world.run(5)
    assert len(world.sent_keys) == keys + 2, "one renewal, fresh keys in both directions"
    assert next(iter(a.streams.values())).host == "fe80::2:a%eth2"
    assert all(world.hears(n, s.start) for n in (a, b) for s in n.streams.values() if s.start)
    a.hangup()
    world.run()
    world.check_quiet()


def test_a_lost_session_without_sound_ends_a_call() -> None:
    world = World()
    a, b = world.talk()
    world.cut(a, b, sound_too=True)
    world.run(14)
    assert SoundProblem.NO_SOUND_ARRIVING in a.call.problems
    world.run(3)
    assert (a.ended, b.ended) == (EndReason.UNREACHABLE, EndReason.UNREACHABLE)
    world.check_quiet()


@pytest.mark.parametrize("moment_s", [0.0, 0.005, 0.015, 0.1])
@pytest.mark.parametrize("away_s", [0.0, 3.0])
@pytest.mark.parametrize("path", [1, 2])
def test_a_session_lost_while_dialling_is_made_good(
    moment_s: float, away_s: float, path: int
) -> None:
    world = World()
    a, b = world.nodes
    world.connect(a, b)
    a.place(b)
    world.run(moment_s)
    world.cut(a, b)
    world.run(away_s)
    world.connect(a, b, path=path)
    world.run(1)
    b.answer()
    world.run(2)
    assert (a.state, b.state) == (CallState.TALKING, CallState.TALKING)
    assert all(world.hears(n, s.start) for n in (a, b) for s in n.streams.values() if s.start)


@pytest.mark.parametrize("moment_s", [0.0, 0.005, 0.015, 0.025])
@pytest.mark.parametrize("path", [1, 2])
def test_a_session_lost_while_answering_is_made_good(moment_s: float, path: int) -> None:
    world = World()
    a, b = world.nodes
    world.connect(a, b)
    a.place(b)
    world.run(1)
    b.answer()
    world.run(moment_s)
    world.cut(a, b)
    world.run(2)
    world.connect(a, b, path=path, lag_s=0.05)
    world.run(10)
    assert (a.state, b.state) == (CallState.TALKING, CallState.TALKING)
    assert all(world.hears(n, s.start) for n in (a, b) for s in n.streams.values() if s.start)


def test_the_other_daemon_was_restarted() -> None:
    for restarted in (0, 1):
        world = World()
        world.talk()
        gone, left = world.nodes[restarted], world.nodes[1 - restarted]
        world.restart(gone)
        world.run(1)
        world.connect(*world.nodes)
        world.run(5)
        assert left.ended is EndReason.THEY_HUNG_UP
        assert "restarted" in left.calls.history[-1].detail
        world.check_quiet()


def test_the_other_daemon_was_restarted_while_it_rang() -> None:
    for restarted in (0, 1):
        world = World()
        a, b = world.nodes
        world.connect(a, b)
        a.place(b)
        world.run(1)
        gone, left = world.nodes[restarted], world.nodes[1 - restarted]
        world.restart(gone)
        world.run(1)
        world.connect(a, b)
        world.run(1)
        assert left.ended is (EndReason.UNREACHABLE if left is a else EndReason.CANCELLED)
        assert not gone.calls.history, "it must not ring there once more"
        assert "restarted" in left.calls.history[-1].detail
        world.check_quiet()


def test_the_voice_process_dies_and_comes_back() -> None:
    world = World()
    a, b = world.talk()
    b.calls.mute(b.call.id, muted=True)
    b.pump()
    b.kill_media()
    world.run(2)
    assert SoundProblem.MEDIA_GONE in b.call.problems
    b.restart_media()
    world.run(3)
    assert SoundProblem.MEDIA_GONE not in b.call.problems
    assert not a.call.problems
    assert all(world.hears(n, s.start) for n in (a, b) for s in n.streams.values() if s.start)
    assert b.settings[-1] == SetStream(b.call.id, muted=True)
    b.hangup()
    world.run()
    world.check_quiet()


def test_the_voice_process_never_comes_back() -> None:
    world = World()
    a, b = world.talk()
    b.kill_media()
    world.run(20)
    assert (a.ended, b.ended) == (EndReason.THEY_HUNG_UP, EndReason.FAILED)


def test_no_socket_for_the_sound() -> None:
    world = World()
    a, b = world.nodes
    world.connect(a, b)
    b.fail_open = SoundProblem.WRONG_FORMAT
    a.place(b)
    world.run()
    assert (a.ended, b.ended) == (EndReason.FAILED, EndReason.FAILED)
    assert b.calls.history[-1].detail == "no socket"


def test_calling_somebody_away() -> None:
    world = World()
    a, b = world.nodes
    a.place(b)
    assert a.needed == [b.id]
    world.run(14)
    assert a.state is CallState.DIALLING
    world.run(2)
    assert a.ended is EndReason.UNREACHABLE
    a.place(b)
    world.run(3)
    world.connect(a, b)
    world.run()
    assert b.state is CallState.RINGING_HERE


def test_commands_that_do_not_fit() -> None:
    world = World("abc")
    a, _, c = world.nodes
    with pytest.raises(CallError, match="your own"):
        a.place(a)
    world.talk()
    with pytest.raises(CallError, match="hang up first"):
        a.place(c)
    with pytest.raises(CallError, match="answered already"):
        a.calls.answer(a.call.id, now=world.now)
    with pytest.raises(CallError, match="no such call"):
        a.calls.hangup("nothing", now=world.now)
    with pytest.raises(CallError, match="200"):
        a.calls.set_volume(a.call.id, volume_pct=201)
    with pytest.raises(CallError):
        a.calls.place(Address(a.id, "attic"), now=world.now)


def test_what_makes_it_silent_is_shown_and_goes_away() -> None:
    world = World()
    a, _ = world.talk()
    problem = SoundProblem.NO_MICROPHONE
    a._media(SoundWarning(a.call.id, problem, False, "Plug it in."))
    assert (a.call.problems, a.call.detail) == ((problem,), "Plug it in.")
    a._media(SoundWarning(a.call.id, problem, True, ""))
    assert (a.call.problems, a.call.detail) == ((), "")
