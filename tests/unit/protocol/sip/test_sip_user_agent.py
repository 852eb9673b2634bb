"""Two user agents against each other, on a link that may lose, reorder and break."""

from __future__ import annotations

import pytest
from sip_samples import INVITE, Pair
from sipmessage import URI, Request

from appliance.protocol.sip import events as ev
from appliance.protocol.sip.dialog import Dialog
from appliance.protocol.sip.leg import LEG_STEPS, LegState, UserAgentError
from appliance.protocol.sip.message import Origin, new_response
from appliance.protocol.sip.reader import read_message
from appliance.protocol.sip.user_agent import UserAgent


def code_of(data: bytes) -> int:
    return int(data[8:11]) if data.startswith(b"SIP/2.0 ") else 0


def as_other(data: bytes, number: int) -> bytes:
    """Make another request of one: other transaction, other call."""
    data = data.replace(b"z9hG4bKabc", b"z9hG4bK%d" % number)
    return data.replace(b"Call-ID: one", b"Call-ID: n%d" % number)


def test_a_call_from_dial_to_bye() -> None:
    pair = Pair()
    ours, _ = pair.talk()
    pair.agents[0].bye(ours, pair.now)
    pair.pump()
    pair.run(1)
    assert pair.kinds(0) == ["Answered"]
    assert pair.kinds(1) == ["Invited", "Confirmed", "HungUp"]
    pair.run(70)
    assert all(agent.leg_count == 0 for agent in pair.agents)
    assert all(agent.next_wakeup() == float("inf") for agent in pair.agents)


@pytest.mark.parametrize("seed", range(40))
def test_a_call_over_a_bad_link(seed: int) -> None:
    """Half of the messages are lost and the rest come in any order: both agree all the same."""
    pair = Pair(reliable=False, loss=0.5, jitter_s=1.0, seed=seed)
    ours = pair.call()
    pair.run(20)
    if "Invited" in pair.kinds(1):
        pair.agents[1].ring(pair.leg_of_callee(), pair.now)
        pair.run(5)
        if "Cancelled" not in pair.kinds(1):
            pair.agents[1].accept(pair.leg_of_callee(), b"answer", pair.now)
        pair.pump()
        pair.run(40)
    pair.loss = 0.2
    if "Answered" in pair.kinds(0) and not {"HungUp"} & set(pair.kinds(0)):
        pair.agents[0].bye(ours, pair.now)
        pair.pump()
    pair.run(200)
    assert all(agent.leg_count == 0 for agent in pair.agents), f"seed {seed}"
    assert all(agent.next_wakeup() == float("inf") for agent in pair.agents), f"seed {seed}"
    assert set(pair.kinds(0)) <= {"RingingThere", "Answered", "HungUp", "Refused"}


@pytest.mark.parametrize("rings", [True, False])
def test_cancel(rings: bool) -> None:
    pair = Pair()
    ours = pair.call()
    if rings:
        pair.run(1)
    pair.agents[0].cancel(ours, pair.now)
    pair.pump()
    pair.run(1)
    assert pair.kinds(1) == ["Invited", "Cancelled"]
    assert pair.events[0] == []
    assert pair.agents[0].leg_count == 0
    cancels = [data for data in pair.sent[0] if data.startswith(b"CANCEL")]
    assert len(cancels) == 1


def test_an_answer_that_crosses_a_cancel_is_hung_up() -> None:
    pair = Pair()
    ours = pair.call()
    pair.run(1)
    pair.agents[1].accept(pair.leg_of_callee(), b"answer", pair.now)
    pair.agents[0].cancel(ours, pair.now)
    pair.pump()
    pair.run(1)
    assert pair.kinds(1) == ["Invited", "Confirmed", "HungUp"]
    assert pair.events[0] == []


@pytest.mark.parametrize("code", [404, 480, 486, 488, 603])
def test_refusals(code: int) -> None:
    pair = Pair()
    pair.call()
    pair.run(1)
    pair.agents[1].reject(pair.leg_of_callee(), code, pair.now)
    pair.pump()
    pair.run(1)
    assert [e.code for e in pair.events[0] if isinstance(e, ev.Refused)] == [code]


def test_silence_is_a_timeout() -> None:
    pair = Pair(reliable=False, loss=1.0)
    pair.call()
    pair.run(33)
    assert [e.code for e in pair.events[0] if isinstance(e, ev.Refused)] == [408]


def test_reinvite_both_ways() -> None:
    pair = Pair()
    ours, theirs = pair.talk()
    for side, leg, other in ((0, ours, theirs), (1, theirs, ours)):
        pair.agents[side].offer(leg, b"again", pair.now)
        pair.pump()
        pair.run(1)
        assert pair.events[1 - side][-1] == ev.Offered(other, b"again")
        pair.agents[1 - side].answer_offer(other, b"yes", pair.now)
        pair.pump()
        pair.run(1)
        assert pair.events[side][-1] == ev.OfferAnswered(leg, b"yes")


def test_reinvites_that_cross_are_both_refused() -> None:
    pair = Pair()
    ours, theirs = pair.talk()
    pair.agents[0].offer(ours, b"mine", pair.now)
    pair.agents[1].offer(theirs, b"no, mine", pair.now)
    pair.pump()
    pair.run(1)
    assert pair.events[0][-1] == ev.OfferRefused(ours, 491)
    assert pair.events[1][-1] == ev.OfferRefused(theirs, 491)
    assert pair.agents[0].can_offer(ours)


def test_a_reinvite_to_who_forgot_the_call() -> None:
    pair = Pair()
    ours, _ = pair.talk()
    pair.agents[1] = UserAgent(origin=Origin("UDP", "b.invalid"), random_bytes=bytes)
    pair.agents[0].offer(ours, b"again", pair.now)
    pair.pump()
    pair.run(1)
    assert pair.events[0][-1] == ev.OfferRefused(ours, 481)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (b"INVITE", b"SUBSCRIBE", 405),
        (b"Max-Forwards: 70", b"Require: 100rel\r\nMax-Forwards: 70", 420),
        (b"application/sdp", b"text/plain", 415),
        (b"Contact: <sip:alice@a.invalid>\r\n", b"", 400),
        (b"INVITE sip:bob@b.invalid", b"INVITE tel:112", 416),
        (b"To: <sip:bob@b.invalid>", b"To: <sip:bob@b.invalid>;tag=x", 481),
        (b"INVITE", b"BYE", 481),
        (b"INVITE", b"CANCEL", 481),
        (b"INVITE", b"OPTIONS", 200),
    ],
)
def test_what_is_answered_without_the_user(old: bytes, new: bytes, code: int) -> None:
    pair = Pair()
    (answer,) = pair.give(1, INVITE.replace(old, new))
    assert code_of(answer) == code
    assert (b"\r\nAllow: INVITE," in answer) == (code in {405, 200})
    assert (b"\r\nUnsupported: 100rel\r\n" in answer) == (code == 420)
    assert pair.events[1] == []


def test_merged_and_repeated_requests() -> None:
    pair = Pair()
    assert code_of(pair.give(1, INVITE)[0]) == 100
    assert code_of(pair.give(1, INVITE)[0]) == 100
    assert code_of(pair.give(1, INVITE.replace(b"bKabc", b"bKother"))[0]) == 482
    assert pair.kinds(1) == ["Invited"]


def test_legs_are_bounded() -> None:
    pair = Pair()
    codes = [code_of(pair.give(1, as_other(INVITE, number))[0]) for number in range(40)]
    assert codes == [100] * 16 + [503] * 24
    assert pair.agents[1].leg_count == 16
    for _ in range(16):
        pair.call()
    with pytest.raises(UserAgentError, match="too many"):
        pair.call()


def test_a_requests_number_must_grow() -> None:
    pair = Pair()
    pair.talk()
    ack = next(data for data in pair.sent[0] if data.startswith(b"ACK"))
    bye = ack.replace(b"ACK", b"BYE")
    assert code_of(pair.give(1, bye.replace(b"z9hG4bK", b"z9hG4bKx"))[0]) == 500
    later = bye.replace(b"1 BYE", b"2 BYE").replace(b"z9hG4bK", b"z9hG4bKy")
    assert code_of(pair.give(1, later)[0]) == 200
    assert pair.kinds(1)[-1] == "HungUp"


def test_a_second_fork_is_hung_up() -> None:
    pair = Pair()
    pair.talk()
    answer = next(data for data in pair.sent[1] if data.startswith(b"SIP/2.0 200"))
    tag = answer.split(b"\r\nTo: ")[1].split(b"\r\n")[0].split(b"tag=")[1]
    sent = pair.give(0, answer.replace(tag, b"fork"))
    assert [data.split(b" ")[0] for data in sent] == [b"ACK", b"BYE"]
    assert pair.kinds(0) == ["Answered"]


def test_a_lost_ack_is_sent_again_and_a_missing_one_ends_the_call() -> None:
    pair = Pair()
    ours = pair.call()
    pair.run(1)
    pair.agents[1].accept(pair.leg_of_callee(), b"answer", pair.now)
    pair.pump()
    pair.run(0.015)
    pair.break_link()
    pair.run(100)
    assert "NeverConfirmed" not in pair.kinds(1)
    pair.mend_link()
    pair.run(1)
    assert pair.kinds(1)[-1] == "Confirmed"
    pair.agents[0].bye(ours, pair.now)

    silent = Pair()
    silent.give(1, INVITE)
    silent.agents[1].accept(silent.leg_of_callee(), b"answer", silent.now)
    silent.run(33)
    assert silent.kinds(1)[-1] == "NeverConfirmed"


def test_a_bye_waits_for_the_ack() -> None:
    pair = Pair()
    pair.give(1, INVITE)
    leg = pair.leg_of_callee()
    pair.agents[1].accept(leg, b"answer", pair.now)
    pair.agents[1].bye(leg, pair.now)
    pair.pump()
    assert not any(data.startswith(b"BYE") for data in pair.sent[1])
    pair.run(33)
    assert any(data.startswith(b"BYE") for data in pair.sent[1])
    assert pair.kinds(1) == ["Invited"]


def test_wrong_commands() -> None:
    pair = Pair()
    ours = pair.call()
    agent = pair.agents[0]
    for command in (agent.ring, agent.bye):
        with pytest.raises(UserAgentError):
            command(ours, pair.now)
    with pytest.raises(UserAgentError, match="must wait"):
        agent.offer(ours, b"", pair.now)
    with pytest.raises(UserAgentError, match="no such leg"):
        agent.cancel("nothing", pair.now)
    with pytest.raises(UserAgentError, match="no re-INVITE"):
        agent.answer_offer(ours, b"", pair.now)
    assert {state for state, _ in LEG_STEPS} == set(LegState) - {LegState.OVER}


def test_routes_of_a_dialog() -> None:
    routed = INVITE.replace(
        b"Max-Forwards", b"Record-Route: <sip:p1.invalid;lr>, <sip:p2.invalid>\r\nMax-Forwards"
    )
    invite = read_message(routed)
    assert isinstance(invite, Request)
    origin = Origin("UDP", "b.invalid")
    callee = Dialog.of_callee(invite, "b1")
    loose = callee.new_request("BYE", origin=origin, branch="z9hG4bK1")
    assert str(loose.uri) == "sip:alice@a.invalid"
    assert loose.headers.getlist("Route") == ["<sip:p1.invalid;lr>", "<sip:p2.invalid>"]
    answer = new_response(invite, 200, to_tag="b1", contact="<sip:bob@desk.invalid>")
    caller = Dialog.of_caller(invite, answer)
    strict = caller.new_request("BYE", origin=origin, branch="z9hG4bK1")
    assert strict.uri == URI.parse("sip:p2.invalid")
    assert strict.headers.getlist("Route") == ["<sip:p1.invalid;lr>", "<sip:bob@desk.invalid>"]
    assert strict.cseq.sequence == 2
