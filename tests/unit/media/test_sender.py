"""What leaves the sender: redundancy, silence, packet lengths, reports; and that it is read."""

from __future__ import annotations

import math
import random
from array import array
from dataclasses import replace
from itertools import pairwise
from unittest.mock import patch

import pytest

from appliance.adapters.srtp import AES_CM, AES_GCM, SrtpReceiver, SrtpSender, new_key
from appliance.media.pcm import SILENCE
from appliance.media.receiver import Receiver
from appliance.media.sender import MAX_PAYLOAD_BYTES, Sender
from appliance.media.watch import SILENT_AFTER_S
from appliance.protocol.adaptation import Decision, Reason, Takes
from appliance.protocol.jitter import FRAME, FRAME_S
from appliance.protocol.opus_packet import Bandwidth, packet_samples
from appliance.protocol.red import Block, parse_red
from appliance.protocol.rtcp import RtcpReport
from appliance.protocol.rtp import RtpPacket

OPUS, RED = 96, 97
REDUNDANT = Takes(red=True)
DECISION = Decision(16_000, 20, (2, 4), 0, Bandwidth.WIDEBAND, dtx=False, reason=Reason.LOSS)


def voice(number: int) -> bytes:
    """20 ms that no encoder takes for silence."""
    randomness = random.Random(number)
    values = (
        round(6_000 * math.sin((number * FRAME + at) / 30) + randomness.gauss(0, 2_000))
        for at in range(FRAME)
    )
    return array("h", values).tobytes()


class Line:
    """A sender whose packets are opened."""

    def __init__(self, suite: str = AES_GCM, *, takes: Takes = REDUNDANT) -> None:
        self.key = new_key(suite)
        self.sender = Sender(suite, self.key, OPUS, red_payload_type=RED, takes=takes)
        self.opened = SrtpReceiver(suite, self.key)
        self.now = 0.0

    def give(self, pcm: bytes) -> RtpPacket | None:
        self.now += FRAME_S
        packet = self.sender.frame(pcm, self.now)
        return None if packet is None else RtpPacket.parse(self.opened.unprotect(packet))


@pytest.mark.parametrize("suite", [AES_GCM, AES_CM])
def test_copies_are_what_was_sent_before(suite: str) -> None:
    line = Line(suite)
    line.sender._adaptation.decision = DECISION
    sounds: dict[int, bytes] = {}
    for number in range(12):
        packet = line.give(voice(number))
        assert packet is not None
        copies: tuple[Block, ...] = ()
        if number < 2:
            assert packet.payload_type == OPUS, "there is nothing to repeat yet"
            own = packet.payload
        else:
            assert packet.payload_type == RED
            primary, copies = parse_red(packet.payload)
            assert primary.payload_type == OPUS
            own = primary.payload
        assert len(copies) == sum(number >= distance for distance in DECISION.copies)
        for copy in copies:
            assert copy.payload == sounds[packet.timestamp - copy.timestamp_offset]
        sounds[packet.timestamp] = own
        assert packet.marker is (number == 0)


def test_silence_is_not_sent_but_its_copies_are_and_speech_begins_with_a_mark() -> None:
    line = Line(takes=Takes(red=True, dtx=True))
    line.sender._adaptation.decision = replace(DECISION, dtx=True)
    spoken = [line.give(voice(number)) for number in range(10)]
    quiet = [line.give(SILENCE) for _ in range(60)]
    assert all(spoken)
    sent = [packet for packet in quiet if packet is not None]
    assert len(sent) < 40, "a noise now and then, so that the line does not seem dead"
    begin = next(number for number, packet in enumerate(quiet) if packet is None)
    assert all(quiet[:begin])
    again = line.give(voice(99))
    assert again is not None
    assert spoken[-1] is not None
    assert again.timestamp - spoken[-1].timestamp == 61 * FRAME
    assert again.sequence_number - spoken[-1].sequence_number == len(sent) + 1
    assert again.marker


@pytest.mark.parametrize(("frame_ms", "copies"), [(20, ()), (20, (2, 4)), (120, ()), (120, (1,))])
def test_who_is_silent_is_heard_of_often_enough_not_to_be_thought_gone(
    frame_ms: int, copies: tuple[int, ...]
) -> None:
    line = Line(takes=Takes(red=True, dtx=True))
    line.sender._adaptation.decision = replace(
        DECISION, frame_ms=frame_ms, copies=copies, bandwidth=Bandwidth.NARROWBAND, dtx=True
    )
    sent = [number for number in range(200) if line.give(SILENCE) is not None]
    assert max(later - sooner for sooner, later in pairwise(sent)) * FRAME_S < SILENT_AFTER_S / 3


def test_who_does_not_want_gaps_gets_none() -> None:
    line = Line()
    line.sender._adaptation.decision = replace(DECISION, copies=())
    assert all(line.give(SILENCE) for _ in range(60))


def test_packets_change_their_length_between_two_packets_without_a_gap() -> None:
    line, expected, begun = Line(), None, 0
    for frame_ms in (20, 120, 40, 60, 20, 120):
        line.sender._adaptation.decision = replace(DECISION, frame_ms=frame_ms)
        for _ in range(12):
            packet = line.give(voice(begun))
            begun += 1
            if packet is None:
                continue
            own = packet.payload
            if packet.payload_type == RED:
                own = parse_red(own)[0].payload
            assert expected in {None, packet.timestamp}
            expected = (packet.timestamp + packet_samples(own)) & 0xFFFFFFFF
    assert line.sender.packets >= 12 + 2 + 6 + 4 + 12 + 2 - 1


def test_copies_that_do_not_fit_are_left_out() -> None:
    line = Line()
    line.sender._adaptation.decision = replace(
        DECISION, bitrate=32_000, frame_ms=120, copies=(1, 2), bandwidth=Bandwidth.FULLBAND
    )
    with patch.object(line.sender._coder._effort, "encode", lambda pcm: b"\x0b" + bytes(700)):
        packets = [packet for number in range(36) if (packet := line.give(voice(number)))]
    assert len(packets) == 6
    assert max(len(packet.payload) for packet in packets) <= MAX_PAYLOAD_BYTES + 20


def test_a_new_key_is_a_new_source_and_the_old_copies_stay_behind() -> None:
    line = Line()
    line.sender._adaptation.decision = DECISION
    before = [line.give(voice(number)) for number in range(8)][-1]
    key = new_key(AES_GCM)
    line.sender.rekey(AES_GCM, key, OPUS, red_payload_type=RED, takes=Takes(red=True))
    line.opened = SrtpReceiver(AES_GCM, key)
    after = line.give(voice(8))
    assert before is not None
    assert after is not None
    assert after.ssrc != before.ssrc
    assert after.payload_type == OPUS
    assert after.marker


def test_both_ends_find_out_what_gets_lost_and_repair_it() -> None:
    """Two seconds are enough for the first copies; what they are worth, the bench measures."""
    line, chance = Line(), random.Random(3)
    receiver = Receiver(AES_GCM, line.key, OPUS, red_payload_type=RED)
    next_report = 0.1
    for number in range(250):
        line.now += FRAME_S
        packet = line.sender.frame(voice(number), line.now)
        if packet is not None and chance.random() >= 0.2:
            assert receiver.datagram(packet, line.now) is True
        receiver.frame(line.now)
        if line.now >= next_report and receiver.losses():
            blocks = receiver.report_blocks(line.now)
            report = RtcpReport(1, blocks=blocks, losses=receiver.losses())
            line.sender.heard(RtcpReport.parse(bytes(report)), line.now + 0.01)
            next_report += 0.7
    assert len(line.sender.decision.copies) >= 2
    assert line.sender.loss_pct == pytest.approx(20, abs=15)
    figures = receiver.figures
    assert figures.copied >= 2 * figures.concealed, "the first second's losses are included"


def test_reports_are_within_their_share_and_soon_at_first() -> None:
    line = Line()
    key = new_key(AES_GCM)
    receiver = Receiver(AES_GCM, key, OPUS)
    receiver.datagram(Sender(AES_GCM, key, OPUS).frame(voice(0), 0.0) or b"", 0.0)
    taken = []
    for number in range(12):
        now = float(number)
        packet, interval_s = line.sender.report(receiver.report_blocks(now), receiver.losses(), now)
        taken.append((8 * (len(packet) + 48), interval_s))
    assert all(interval_s < 0.4 for _, interval_s in taken[:3])
    bits, seconds = (sum(column) for column in zip(*taken[3:], strict=True))
    assert bits / seconds <= 0.055 * line.sender.wire_bit_s


def test_a_clock_that_goes_back_is_no_negative_delay() -> None:
    key = new_key(AES_GCM)
    sender, receiver = Sender(AES_GCM, key, OPUS), Receiver(AES_GCM, key, OPUS)
    receiver.datagram(sender.frame(voice(0), 0.0) or b"", 5.0)
    report, _ = sender.report((), (), 5.0)
    assert isinstance(receiver.datagram(report, 5.0), RtcpReport)
    (block,) = receiver.report_blocks(4.0)
    assert block.delay_since_last_sr == 0
    answer = RtcpReport(1, blocks=(block,), losses=receiver.losses())
    assert RtcpReport.parse(bytes(answer)) == answer


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xe0",
        b"\xe0\x00\x00\x09\x60",
        b"\xe0\x0f\x00\x01\x60",
        b"\x60",
        b"\x61\x0b" + bytes(9),
    ],
)
def test_redundant_payloads_that_make_no_sense_are_counted(payload: bytes) -> None:
    key = new_key(AES_GCM)
    receiver = Receiver(AES_GCM, key, OPUS, red_payload_type=RED)
    packet = RtpPacket(RED, 1, 1_000, 7, payload)
    assert receiver.datagram(SrtpSender(AES_GCM, key).protect(bytes(packet)), 0.0) is False
    assert receiver.rejected == 1
