"""Whatever bytes come: SipError or nothing, from the readers and from the user agent behind."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from sipmessage import URI

from appliance.model.identity import StationId
from appliance.node.calls import Calls
from appliance.protocol.sip.events import Invited
from appliance.protocol.sip.message import Origin, redact
from appliance.protocol.sip.reader import SipError, read_message
from appliance.protocol.sip.sdp import read_description
from appliance.protocol.sip.transaction_layer import Hop
from appliance.protocol.sip.user_agent import UserAgent

HOP = Hop("peer")


def _traffic() -> list[bytes]:
    """Return all messages of a call, and what they are made of."""
    rng = random.Random(1)
    agents = [
        UserAgent(origin=Origin("WSS", f"{name}.invalid"), random_bytes=rng.randbytes)
        for name in "ab"
    ]
    messages: list[bytes] = []

    def exchange(sender: int) -> None:
        while outgoing := agents[sender].take_outgoing():
            messages.extend(out.data for out in outgoing)
            for out in outgoing:
                agents[1 - sender].receive(HOP, out.data, 0.0)
            sender = 1 - sender

    uris = [URI.parse(f"sip:console@{name}.invalid") for name in "ab"]
    leg = agents[0].invite(
        HOP, target=uris[1], caller=uris[0], contact=uris[0], body=OFFER, now=0.0
    )
    exchange(0)
    (invited,) = agents[1].take_events()
    assert isinstance(invited, Invited)
    agents[1].ring(invited.leg, 0.0)
    agents[1].accept(invited.leg, OFFER, 0.0)
    exchange(1)
    agents[0].bye(leg, 0.0)
    exchange(0)
    return messages


OFFER = (
    b"v=0\r\no=- 7 1 IN IP6 fe80::1\r\ns=-\r\nc=IN IP6 fe80::1\r\nt=0 0\r\n"
    b"m=audio 20000 RTP/SAVP 96\r\na=rtpmap:96 opus/48000/2\r\n"
    b"a=crypto:1 AEAD_AES_128_GCM inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGw==\r\n"
)
MESSAGES = _traffic()
HEADERS = sorted({line for m in MESSAGES for line in m.split(b"\r\n") if b":" in line})
JUNK = b'\r\n|\n |;|,|<|>|"|:|=| |\x00|\xff|*|;self=1|;tag=|%00|-1|sip:|SIP/2.0|[::||'.split(b"|")
LONG_JUNK = [b"Contact: *\r\n", b"9" * 30, b"a-" * 40, b'"a;b="' * 20, "١".encode()]
BITS = st.sampled_from([*JUNK, *LONG_JUNK])


@st.composite
def mutated(draw: st.DrawFn, base: list[bytes]) -> bytes:
    """A real message with some bytes replaced, inserted or cut out."""
    data = draw(st.sampled_from(base))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 12))
        middle = draw(st.one_of(BITS, st.binary(max_size=6), st.sampled_from(HEADERS)))
        data = data[:start] + middle + data[start + length :]
    return data


@settings(max_examples=400, deadline=500)
@given(st.one_of(st.binary(max_size=300), mutated(MESSAGES)))
def test_the_reader_raises_nothing_else(data: bytes) -> None:
    try:
        message = read_message(data)
    except SipError:
        return
    again = read_message(bytes(message))
    assert (again.call_id, again.cseq, again.via) == (message.call_id, message.cseq, message.via)
    redact(bytes(message).decode(errors="replace"))


@settings(max_examples=300, deadline=500)
@given(st.one_of(st.binary(max_size=300), mutated([OFFER])))
def test_the_sdp_reader_raises_nothing_else(data: bytes) -> None:
    try:
        description = read_description(data)
    except SipError:
        return
    if description is not None:
        assert read_description(bytes(description)) == description


@settings(max_examples=150, deadline=2000)
@given(st.lists(mutated(MESSAGES), max_size=12), st.integers(0, 3))
def test_the_user_agent_survives_anything(messages: list[bytes], accepts: int) -> None:
    agent = UserAgent(origin=Origin("UDP", "b.invalid"), random_bytes=random.Random(1).randbytes)
    for number, data in enumerate(messages):
        try:
            agent.receive(HOP, data, float(number))
        except SipError:
            continue
        for event in agent.take_events():
            if isinstance(event, Invited) and number >= accepts:
                agent.accept(event.leg, b"", float(number))
        for outgoing in agent.take_outgoing():
            read_message(outgoing.data)
    for now in (40.0, 80.0, 120.0, 160.0):
        agent.handle_timers(now)


@settings(max_examples=100, deadline=2000)
@given(st.lists(mutated(MESSAGES), max_size=8))
def test_the_call_logic_survives_anything(messages: list[bytes]) -> None:
    rng = random.Random(1)
    us, peer = StationId(rng.randbytes(32)), StationId(rng.randbytes(32))
    calls = Calls(station=us, random_bytes=rng.randbytes)
    calls.session_up(peer, boot=b"", local_host="fe80::1", remote_host="fe80::2", now=0.0)
    for data in messages:
        real = data.replace(b"@b.invalid", b"@%s.invalid" % us.text.encode())
        real = real.replace(b"@a.invalid", b"@%s.invalid" % peer.text.encode())
        calls.sip_received(peer, real, now=1.0)
        calls.take_effects()
    assert len(calls.active) <= 1
