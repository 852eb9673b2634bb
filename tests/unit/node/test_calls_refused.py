"""What peers may not do to our calls: false names, plain sound, floods; and what stays hidden."""

from __future__ import annotations

from call_world import World
from sipmessage import Request

from appliance.model.call import CallState, EndReason
from appliance.protocol.sip.message import new_response, redact
from appliance.protocol.sip.reader import read_message


def _invite(world: World) -> bytes:
    """Return an INVITE of the first station to the second, as it was sent."""
    a, b = world.nodes[:2]
    world.connect(a, b)
    a.place(b)
    world.run(0.005)
    data = a.sip[-1][1]
    a.hangup()
    world.cut(a, b)
    world.run(40)
    world.connect(a, b)
    assert data.startswith(b"INVITE ")
    assert not b.calls.history
    return data


def _answer_to(world: World, data: bytes) -> bytes:
    """Give the second station a message as from the first and return the last thing it sent."""
    a, b = world.nodes[:2]
    before = len(b.sip)
    b.calls.sip_received(a.id, data, now=world.now)
    b.pump()
    assert len(b.sip) > before
    return b.sip[-1][1]


def test_what_is_refused() -> None:
    world = World("abc")
    a, b, c = world.nodes
    invite = _invite(world)

    def answer(changed: bytes) -> bytes:
        mark = b"%d" % len(b.sip)
        changed = changed.replace(b"z9hG4bK", b"z9hG4bK" + mark)
        return _answer_to(world, changed.replace(b"Call-ID: ", b"Call-ID: " + mark))

    assert answer(invite.replace(a.id.text.encode(), c.id.text.encode()))[8:11] == b"403"
    here, elsewhere = (b"sip:%s@%s" % (line, b.id.text.encode()) for line in (b"console", b"attic"))
    assert answer(invite.replace(here, elsewhere))[8:11] == b"404"
    plain = [x for x in invite.split(b"\r\n") if not x.startswith((b"a=crypto", b"Content-Length"))]
    assert answer(b"\r\n".join(plain))[8:11] == b"488"
    assert b.calls.history[-1].end_reason is EndReason.NO_COMMON_CODEC
    assert answer(invite.replace(b"v=0", b"v=9"))[8:11] == b"400"
    assert not b.calls.active
    assert not b.opened
    b.calls.sip_received(a.id, b"\x00garbage\r\n\r\n", now=world.now)
    b.calls.sip_received(c.id, invite, now=world.now)
    assert not b.calls.take_effects()


def test_somebody_else_cannot_touch_a_call() -> None:
    world = World("abc")
    a, b = world.talk()
    c = world.nodes[2]
    world.connect(c, b)
    a.hangup()
    bye = a.sip[-1][1]
    assert bye.startswith(b"BYE ")
    b.calls.sip_received(c.id, bye, now=world.now)
    b.pump()
    assert b.sip[-1][1].startswith(b"SIP/2.0 481 ")
    assert b.state is CallState.TALKING


def test_a_peer_that_says_that_we_dialled_each_other_is_dialled_again() -> None:
    world = World()
    a, b = world.nodes
    world.connect(a, b)
    a.place(b)
    world.run(0.005)
    invite = read_message(a.sip[-1][1])
    assert isinstance(invite, Request)
    a.calls.sip_received(b.id, bytes(new_response(invite, 491, to_tag="x")), now=world.now)
    a.pump()
    assert a.state is CallState.DIALLING
    world.run(6)
    invites = {data for _, data in a.sip if data.startswith(b"INVITE ")}
    assert len(invites) == 2


def test_a_flood_of_calls_stays_small() -> None:
    world = World()
    a, b = world.nodes
    invite = _invite(world)
    for number in range(3000):
        data = invite.replace(b"z9hG4bK", b"z9hG4bK%d" % number)
        data = data.replace(b"Call-ID: ", b"Call-ID: %d" % number)
        b.calls.sip_received(a.id, data, now=world.now)
        b.pump()
    assert len(b.calls.active) == 1
    assert len(b.calls.history) <= 8
    assert len(b.calls._book.agent._book.layer) <= 33
    world.run(120)
    assert len(b.calls._book.agent._book.layer) == 0


def test_no_key_is_ever_shown() -> None:
    world = World()
    a, b = world.talk()
    for node in (a, b):
        for _, data in node.sip:
            text = redact(data.decode())
            if b"inline:" in data:
                assert "inline:(secret)" in text
            for line in data.decode().splitlines():
                if "inline:" in line:
                    assert line.partition("inline:")[2] not in text
        assert "inline" not in repr(node.calls.active)
