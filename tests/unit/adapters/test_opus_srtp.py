"""Opus and SRTP do what the voice process relies on, and refuse garbage with their own errors."""

from __future__ import annotations

import math
import random
from array import array
from itertools import pairwise

import pytest

from appliance.adapters.opus import MAX_PACKET_BYTES, OpusDecoder, OpusEncoder, OpusError
from appliance.adapters.srtp import (
    KEY_BYTES,
    SrtpError,
    SrtpReceiver,
    SrtpSender,
    new_key,
)
from appliance.media.pcm import FRAME_BYTES, SILENCE, level_db
from appliance.model.secret import Secret
from appliance.protocol.jitter import FRAME
from appliance.protocol.opus_packet import OpusPacketError, packet_samples
from appliance.protocol.rtp import RtpPacket


def tone(number: int, frequency: int = 300) -> bytes:
    start = number * FRAME
    values = (
        round(9_000 * math.sin(2 * math.pi * frequency * (start + index) / 48_000))
        for index in range(FRAME)
    )
    return array("h", values).tobytes()


def encoder(*, loss_pct: int = 0, dtx: bool = False) -> OpusEncoder:
    return OpusEncoder(bitrate=32_000, complexity=9, expected_loss_pct=loss_pct, dtx=dtx)


def test_a_lost_frame_comes_back_from_the_packet_behind_it() -> None:
    """The frequency jumps in the lost frame: only its own bits, not concealment, can know."""
    sounds = [tone(number, 300 if number < 20 else 900) for number in range(40)]

    def heard(loss_pct: int) -> bytes:
        coder, decoder = encoder(loss_pct=loss_pct), OpusDecoder()
        packets = [coder.encode(sound) for sound in sounds]
        for packet in packets[:21]:
            decoder.decode(packet)
        return decoder.recover(packets[22], FRAME)

    def crossings(frame: bytes) -> int:
        samples = array("h", frame)
        return sum(a < 0 <= b for a, b in pairwise(samples))

    assert len(heard(20)) == FRAME_BYTES
    assert crossings(heard(20)) in range(15, 22), "900 Hz cross zero 18 times in 20 ms"


def test_concealment_goes_on_and_fades() -> None:
    coder, decoder = encoder(), OpusDecoder()
    for number in range(20):
        decoder.decode(coder.encode(tone(number)))
    concealed = [level_db(decoder.conceal(FRAME)) for _ in range(40)]
    assert concealed[0] > -20
    assert concealed[-1] < concealed[0] - 20


def test_dtx_silence_costs_next_to_nothing() -> None:
    coder = encoder(dtx=True)
    sizes = [len(coder.encode(SILENCE)) for _ in range(100)]
    assert min(sizes[50:]) <= 2


def test_loudness_is_the_decoder_s() -> None:
    coder, decoder = encoder(), OpusDecoder()
    for number in range(10):
        normal = decoder.decode(coder.encode(tone(number)))
    decoder.set_gain_pct(200)
    loud = decoder.decode(coder.encode(tone(10)))
    assert level_db(loud) - level_db(normal) == pytest.approx(6, abs=1)


@pytest.mark.parametrize("seed", range(3))
def test_garbage_is_sound_or_an_opus_error(seed: int) -> None:
    rng, decoder = random.Random(seed), OpusDecoder()
    for _ in range(500):
        data = rng.randbytes(rng.randint(1, 80))
        try:
            samples = packet_samples(data)
        except OpusPacketError:
            samples = None
        try:
            made = len(decoder.decode(data)) // 2
        except OpusError:
            continue
        assert made == samples, f"seed {seed}: {data.hex()}"


def test_a_frame_of_no_length_is_refused() -> None:
    with pytest.raises(OpusError):
        encoder().encode(bytes(100))
    assert len(encoder().encode(tone(0))) < MAX_PACKET_BYTES


@pytest.mark.parametrize("suite", KEY_BYTES)
def test_srtp_opens_its_own_and_refuses_replay_forgery_and_other_keys(suite: str) -> None:
    key = new_key(suite)
    sender, receiver = SrtpSender(suite, key), SrtpReceiver(suite, key)
    stranger = SrtpReceiver(suite, new_key(suite))
    for number in range(70_000 // 500):
        packet = bytes(RtpPacket(96, number * 500 & 0xFFFF, number, 7, b"voice"))
        secret = sender.protect(packet)
        assert b"voice" not in secret
        forged = bytearray(secret)
        forged[-1] ^= 1
        for who, data in ((receiver, bytes(forged)), (stranger, secret)):
            with pytest.raises(SrtpError):
                who.unprotect(data)
        assert receiver.unprotect(secret) == packet
        with pytest.raises(SrtpError):
            receiver.unprotect(secret)


@pytest.mark.parametrize("suite", KEY_BYTES)
def test_srtp_refuses_garbage_and_keys_of_another_length(suite: str) -> None:
    rng = random.Random(suite)
    receiver = SrtpReceiver(suite, new_key(suite))
    for size in range(0, 2_048, 13):
        for data in (rng.randbytes(size), b"\x80\x60" + rng.randbytes(size)):
            with pytest.raises(SrtpError):
                receiver.unprotect(data)
            with pytest.raises(SrtpError):
                receiver.unprotect_rtcp(data)
    with pytest.raises(SrtpError):
        SrtpReceiver(suite, Secret(b"short"))
    with pytest.raises(SrtpError):
        SrtpReceiver("NULL", new_key(suite))
