"""Session descriptions: what is read, what is refused, and that keys stay hidden."""

from __future__ import annotations

import pytest
from sip_samples import KEY_GCM, OFFER

from appliance.model.secret import Secret
from appliance.protocol.sip.reader import SipError
from appliance.protocol.sip.sdes import KEY_BYTES, Crypto, Suite
from appliance.protocol.sip.sdp import Description, Direction, Voice, read_description


def test_an_offer() -> None:
    description = read_description(OFFER)
    assert description is not None
    voice = description.voice
    assert (voice.host, voice.port, voice.payload_type) == ("fe80::1", 20000, 96)
    assert [c.suite for c in voice.crypto] == list(Suite)
    assert [len(c.key.value) for c in voice.crypto] == list(KEY_BYTES.values())
    assert (voice.direction, voice.rtcp_mux) == (Direction.SENDRECV, True)
    assert KEY_GCM not in f"{description} {description!r} {voice.crypto[0]}"


@pytest.mark.parametrize("host", ["10.0.0.1", "fe80::1"])
@pytest.mark.parametrize("suite", Suite)
def test_what_is_written_can_be_read(host: str, suite: Suite) -> None:
    crypto = (Crypto(3, suite, Secret(bytes(range(KEY_BYTES[suite])))),)
    voice = Voice(host, 40_000, 111, crypto, Direction.INACTIVE, "RTP/SAVPF", rtcp_mux=False)
    description = Description(2**60, 4, voice, 1, ("video RTP/SAVP 97",))
    assert read_description(bytes(description)) == description
    assert b"m=video 0 RTP/SAVP 97\r\nm=audio 40000 " in bytes(description)
    assert b"useinbandfec=1" in bytes(description)


def test_what_is_agreed_beyond_opus_can_be_read() -> None:
    suite = Suite.AEAD_AES_128_GCM
    crypto = (Crypto(1, suite, Secret(bytes(range(KEY_BYTES[suite])))),)
    voice = Voice(
        "fe80::1",
        4,
        96,
        crypto,
        red_payload_type=97,
        dtx=True,
        loss_reports=True,
        max_ptime_ms=60,
        limit_kbit=16,
    )
    description = Description(1, 1, voice)
    written = bytes(description)
    assert read_description(written) == description
    assert b"m=audio 4 RTP/SAVP 96 97\r\n" in written
    assert b"a=rtpmap:97 red/48000/2\r\na=fmtp:97 96/96\r\n" in written
    assert b"a=rtcp-xr:pkt-loss-rle\r\n" in written
    for old, new in (
        (b"fmtp:97 96/96", b"fmtp:97 96/0"),
        (b"fmtp:97 96/96", b"fmtp:98 96/96"),
        (b"fmtp:97 96/96", b"fmtp:97"),
        (b"96 97\r\n", b"96\r\n"),
        (b":97 red/48000/2", b":97 red/8000"),
    ):
        read = read_description(written.replace(old, new))
        assert read is not None
        assert (read.voice.payload_type, read.voice.red_payload_type) == (96, None)
    for other in (b"AS:0", b"AS:-1", b"AS:99999999", b"AS:x", b"CT:16", b"AS:16 "):
        read = read_description(written.replace(b"b=AS:16", b"b=" + other))
        assert read is not None
        assert read.voice.limit_kbit is None
    read = read_description(written.replace(b"maxptime:60", b"maxptime:x"))
    assert read is not None
    assert read.voice.max_ptime_ms is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"a=crypto", b"a=nothing"),
        (b"RTP/SAVP", b"RTP/AVP"),
        (b"m=audio", b"m=video"),
        (b"m=audio 20000", b"m=audio 0"),
        (b"opus/48000/2", b"opus/48000"),
        (b"SAVP 0 96", b"SAVP 0 97"),
        (b" inline:", b" prefix:"),
        (b"inline:AAEC", b"inline:AA"),
        (b"\r\na=rtcp", b" UNENCRYPTED_SRTP\r\na=rtcp"),
    ],
)
def test_well_formed_but_of_no_use(old: bytes, new: bytes) -> None:
    offer = OFFER.replace(old, new)
    description = read_description(offer)
    if new.startswith(b" UNENCRYPTED"):
        assert description is not None
        assert [c.tag for c in description.voice.crypto] == [1]
    else:
        assert description is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"v=0", b"v=1"),
        (b"v=0\r\n", b""),
        (b"o=- 7 1 IN", b"o=- x 1 IN"),
        (b"o=- 7 1 IN IP6 fe80::1\r\n", b""),
        (b"c=IN IP6 fe80::1\r\n", b""),
        (b"c=IN IP6 fe80::1", b"c=IN IP4 fe80::1"),
        (b"c=IN IP6 fe80::1", b"c=IN IP6 fe80::1::2"),
        (b"m=audio 20000", b"m=audio 70000"),
        (b"m=audio 20000", b"m=audio port"),
        (b"opus/48000/2", b"opus"),
        (b"t=0 0", b"nonsense"),
        (b"s=-", b"s=\x07"),
        (b"s=-", b"s=\xff"),
        (b"t=0 0", b"t=0 0\r\n" + b"a=x\r\n" * 300),
        (b"t=0 0", b"t=0 0" + b"\r\nm=video 1 RTP/AVP 1" * 9),
        (b"s=-", b"s=" + b"x" * 9000),
    ],
)
def test_malformed(old: bytes, new: bytes) -> None:
    with pytest.raises(SipError):
        read_description(OFFER.replace(old, new))
