"""Whatever comes on the TALK channel, it is understood or refused, and nothing forged counts."""

from __future__ import annotations

import contextlib
import random

from format_samples import ALICE, anything, eights, encoded, mutated, stations, tokens
from hypothesis import given
from hypothesis import strategies as st

from appliance.model.codec import FormatError
from appliance.model.record import Precedence
from appliance.model.talk_media import MAX_WITHOUT, REPORTED, TalkReport
from appliance.node.talk_channels import listened_value, read_listened
from appliance.protocol.talk import (
    MAX_HOPS,
    MAX_NUMBER,
    MAX_ORDER,
    Claim,
    Flooded,
    Full,
    Join,
    Joined,
    Leave,
    TalkMessage,
    Thin,
    decode_talk,
    encode_talk,
    make_claim,
)

ports = st.integers(1, 65535)
claims = st.builds(
    Claim,
    channel=tokens,
    speaker=st.just(ALICE.id) | stations,
    nonce=tokens,
    held=st.booleans(),
    number=st.integers(0, MAX_NUMBER - 1),
    precedence=st.sampled_from(Precedence),
    order=st.integers(0, MAX_ORDER - 1),
    key_id=st.just(b"") | eights,
    boot=eights,
    count=st.integers(0, (1 << 32) - 1),
    wall_ms=st.integers(0, (1 << 53) - 1),
    sure=st.booleans(),
    form=st.integers(0, 255),
)
reports = st.builds(
    TalkReport,
    highest=st.integers(0, 65_535),
    written_ms=st.integers(0, (1 << 53) - 1),
    arrived=st.integers(0, (1 << REPORTED) - 1),
    loss=st.integers(0, 1_000),
    burst=st.integers(0, 1_000),
    limit_bit_s=st.integers(0, (1 << 31) - 1),
    without=st.integers(0, MAX_WITHOUT),
)
messages = st.one_of(
    claims.map(lambda claim: make_claim(claim, ALICE)),
    st.builds(Join, tokens, ports, st.none() | reports),
    st.builds(Joined, tokens, ports),
    st.builds(Leave, tokens),
    st.builds(Full, tokens),
    st.builds(Thin, tokens),
)


@given(messages, st.integers(0, MAX_HOPS - 1))
def test_what_was_said_is_understood(message: TalkMessage, hops: int) -> None:
    if isinstance(message, Flooded):
        message = Flooded(message.claim, message.body, message.signature, hops)
        assert message.is_genuine() == (message.claim.speaker == ALICE.id)
    assert decode_talk(encode_talk(message)) == message


@given(messages, st.randoms(use_true_random=False))
def test_what_was_changed_on_the_way_is_not_genuine(
    message: TalkMessage, rng: random.Random
) -> None:
    with contextlib.suppress(FormatError):
        read = decode_talk(mutated(encode_talk(message), rng))
        if isinstance(read, Flooded) and isinstance(message, Flooded) and read.is_genuine():
            assert read.claim == message.claim


@given(st.binary(max_size=1100) | anything.map(encoded))
def test_anything_else_is_refused(data: bytes) -> None:
    with contextlib.suppress(FormatError):
        decode_talk(data)
    with contextlib.suppress(FormatError):
        channels = read_listened(data)
        assert set(read_listened(listened_value(channels))) == set(channels)
