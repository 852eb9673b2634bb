"""The reader takes what real phones send and refuses the rest with one error."""

from __future__ import annotations

import pytest
from sip_samples import INVITE, RINGING
from sipmessage import Request, Response

from appliance.protocol.sip.message import ack_for_failure, cancel_for, new_response, redact, tag_of
from appliance.protocol.sip.reader import (
    MAX_MESSAGE_BYTES,
    SipError,
    is_star_contact,
    read_message,
)


def test_request_and_response() -> None:
    invite, ringing = read_message(INVITE), read_message(RINGING)
    assert isinstance(invite, Request)
    assert (invite.method, invite.body, tag_of(invite.from_address)) == ("INVITE", b"offer", "a1")
    assert isinstance(ringing, Response)
    assert (ringing.code, tag_of(ringing.to_address)) == (180, "b1")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\r\n", b"\n"),
        (b"INVITE sip:bob", b"\r\n\r\nINVITE sip:bob"),
        (b"Call-ID: ", b"i:"),
        (b"Call-ID: ", b"CALL-id \t: "),
        (b"Via: SIP/2.0/UDP a.invalid;", b"v: SIP/2.0/UDP\r\n a.invalid\r\n\t;"),
        (b"From: ", b"f: "),
        (b"sip:bob@b.invalid SIP/2.0", b"SIP:bob@b.invalid SIP/2.0"),
        (b"Content-Length: 5\r\n", b""),
        (b"offer", b"offer and what follows"),
    ],
)
def test_what_is_tolerated(old: bytes, new: bytes) -> None:
    message = read_message(INVITE.replace(old, new))
    assert message.call_id == "one@a.invalid"
    assert message.via[0].parameters["branch"] == "z9hG4bKabc"
    assert message.body.startswith(b"offer")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"INVITE sip:bob@b.invalid SIP/2.0", b"INVITE sip:bob@b.invalid SIP/3.0"),
        (b"INVITE sip:bob@b.invalid SIP/2.0", b"INVITE mailto:bob SIP/2.0"),
        (b"\r\n\r\n", b"\r\n"),
        (b"Via: SIP/2.0/UDP a.invalid;branch=z9hG4bKabc\r\n", b""),
        (b";branch=z9hG4bKabc", b""),
        (b";branch=z9hG4bKabc", b";self=1;branch=z9hG4bKabc"),
        (b";tag=a1", b""),
        (b"Call-ID: one@a.invalid", b"Call-ID:"),
        (b"To: <sip:bob@b.invalid>", b"To: <sip:bob@b.invalid"),
        (b"CSeq: 1 INVITE", b"CSeq: 1 BYE"),
        (b"CSeq: 1 INVITE", b"CSeq: 99999999999 INVITE"),
        (b"CSeq: 1 INVITE", "CSeq: ١ INVITE".encode()),
        (b"CSeq: 1 INVITE", b"CSeq: 1 INVITE\r\nCSeq: 2 INVITE"),
        (b"Contact: <sip:alice@a.invalid>", b"Contact: *"),
        (b"Content-Length: 5", b"Content-Length: 6"),
        (b"Content-Length: 5", b"Content-Length: -1"),
        (b"Max-Forwards: 70", b"Max-Forwards: many"),
        (b"Alice", b"Al\rice"),
        (b"Alice", b"Al\x00ice"),
        (b"Alice", b"Al\xffice"),
        (b"Max-Forwards: 70", b"X: 1\r\n" * 70 + b"Max-Forwards: 70"),
        (b"Max-Forwards: 70", b"X: " + b"1" * 3000),
        (b"offer", b"x" * MAX_MESSAGE_BYTES),
    ],
)
def test_what_is_refused(old: bytes, new: bytes) -> None:
    with pytest.raises(SipError):
        read_message(INVITE.replace(old, new))


def test_a_registration_may_forget_every_contact() -> None:
    data = INVITE.replace(b"INVITE", b"REGISTER").replace(b"<sip:alice@a.invalid>\r\nC", b"*\r\nC")
    assert is_star_contact(read_message(data))
    assert not is_star_contact(read_message(INVITE))


def test_what_is_copied_from_a_request_is_not_rewritten() -> None:
    data = INVITE.replace(b";branch=z9hG4bKabc", b";branch=z9hG4bKabc;received=[fe80::1]")
    invite = read_message(data)
    assert isinstance(invite, Request)
    response = new_response(invite, 486, to_tag="b1")
    assert response.headers["Via"].endswith("received=[fe80::1]")
    assert response.headers["To"] == "<sip:bob@b.invalid>;tag=b1"
    ack = read_message(bytes(ack_for_failure(invite, response)))
    cancel = read_message(bytes(cancel_for(invite)))
    assert str(ack.cseq) == "1 ACK"
    assert str(cancel.cseq) == "1 CANCEL"
    assert tag_of(ack.to_address) == "b1"
    assert ack.via == cancel.via == invite.via


def test_redacted_text_has_no_key() -> None:
    text = redact("a=crypto:1 X inline:c2VjcmV0|2^20 INLINE:more;x\r\nb")
    assert text == "a=crypto:1 X inline:(secret) INLINE:(secret);x\r\nb"
