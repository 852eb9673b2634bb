"""One encoding for all in a conference who hear the same: real streams over loopback."""

from __future__ import annotations

import math
import socket
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from unittest.mock import patch

import pytest

from appliance.adapters.opus import OpusDecoder, OpusEncoder
from appliance.adapters.srtp import AES_GCM, SrtpReceiver, new_key
from appliance.media import common_voice
from appliance.media.coder import RATES, Coder, Coding, common_coding
from appliance.media.conference import Conference
from appliance.media.files import FileThread
from appliance.media.sender import Sender
from appliance.media.stream import Stream
from appliance.model.media import MediaEvent, OpenStream, StartStream, StreamOpened
from appliance.protocol.adaptation import Adaptation, Decision, Reason, Takes
from appliance.protocol.jitter import FRAME, FRAME_S
from appliance.protocol.opus_packet import Bandwidth
from appliance.protocol.red import parse_red
from appliance.protocol.rtp import RtpPacket

OPUS, RED = 96, 97
BEATS = 5
"""In the tests one who was silent for so long is encoded for together with others."""

COPIED = Decision(22_500, 20, (2,), 0, Bandwidth.WIDEBAND, dtx=False, reason=Reason.LOSS)


@cache
def voice(beat: int, *, pitch: float = 210.0) -> bytes:
    """20 ms of a hum with overtones that swells and slides."""
    values = []
    for at in range(beat * FRAME, (beat + 1) * FRAME):
        t = at / 48_000
        phase = 2 * math.pi * (pitch * t + 3 * math.sin(5 * t))
        sound = sum(math.sin(overtone * phase) / overtone for overtone in range(1, 6))
        values.append(round(3_000 * (1.5 + math.sin(9 * t)) * sound))
    return array("h", values).tobytes()


@dataclass
class Member:
    """The other end of a stream: what it gets, and a voice of its own."""

    stream: Stream
    socket: socket.socket
    opened: SrtpReceiver
    sender: Sender
    packets: list[RtpPacket] = field(default_factory=list)

    @property
    def sounds(self) -> list[bytes]:
        """Opus packets, the copies left out."""
        return [
            parse_red(one.payload)[0].payload if one.payload_type == RED else one.payload
            for one in self.packets
        ]

    def close(self) -> None:
        self.stream.close()
        self.socket.close()


class Room:
    """A conference that is beaten by hand, in a time of its own."""

    def __init__(self, size: int) -> None:
        self.now, self.beats = 100.0, 0
        self.files = FileThread()
        self.conference = Conference("room", lambda _: None, self.now)
        self.members: list[Member] = []
        self.seat(*(self.member(f"m{number}") for number in range(size)))

    def seat(self, *members: Member) -> None:
        """Just these are in it; who is no more, hangs up."""
        self.conference.seat([member.stream for member in members], ours=True)
        for member in self.members:
            if member not in members:
                member.close()
        self.members = list(members)

    def member(self, name: str) -> Member:
        said: list[MediaEvent] = []
        stream = Stream(OpenStream(name, "127.0.0.1"), said.append, self.files, lambda: self.now)
        (opened,) = said
        assert isinstance(opened, StreamOpened)
        end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        end.bind(("127.0.0.1", 0))
        end.connect(("127.0.0.1", opened.port))
        end.settimeout(1.0)
        here, there = new_key(AES_GCM), new_key(AES_GCM)
        port = end.getsockname()[1]
        command = StartStream(
            name, "127.0.0.1", port, OPUS, AES_GCM, here, there, red_payload_type=RED
        )
        assert stream.start(command, [], self.now)
        stream._sender._adaptation.decision = COPIED  # type: ignore[union-attr]
        return Member(stream, end, SrtpReceiver(AES_GCM, here), Sender(AES_GCM, there, OPUS))

    def beat(self, *, speaks: Member | None = None) -> None:
        """20 ms: our operator talks, and maybe one of the others."""
        self.now += FRAME_S
        if speaks is not None:
            packet = speaks.sender.frame(voice(self.beats, pitch=330.0), self.now)
            assert packet is not None
            speaks.socket.send(packet)
        self.conference.microphone(voice(self.beats), self.now)
        self.beats += 1
        self.conference.beat(self.now)
        for member in self.members:
            member.packets.append(
                RtpPacket.parse(member.opened.unprotect(member.socket.recv(2_000)))
            )

    def close(self) -> None:
        self.seat()
        self.files.close()


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    monkeypatch.setattr(common_voice, "SILENT_BEATS", BEATS)
    made = Room(3)
    yield made
    made.close()


@pytest.fixture
def encodings(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """How often each encoder was used since it was cleared."""
    used: Counter[int] = Counter()
    encode = OpusEncoder.encode

    def counted(self: OpusEncoder, pcm: bytes) -> bytes:
        used[id(self)] += 1
        return encode(self, pcm)

    monkeypatch.setattr(OpusEncoder, "encode", counted)
    return used


def test_all_who_hear_the_same_cost_one_encoder_and_who_speaks_his_own(
    room: Room, encodings: Counter[int]
) -> None:
    one, two, three = room.members
    for _ in range(BEATS):
        room.beat()
    assert len(encodings) == 3
    room.beat()
    encodings.clear()
    for _ in range(4):
        room.beat()
    assert list(encodings.values()) == [4]
    assert one.sounds[-4:] == two.sounds[-4:] == three.sounds[-4:]
    for _ in range(10):
        room.beat(speaks=one)
    encodings.clear()
    room.beat(speaks=one)
    assert sum(encodings.values()) == 3 - 1 + 1  # his at both ends, and that of the two who listen
    assert two.sounds[-1] == three.sounds[-1] != one.sounds[-1]


def test_a_stream_goes_on_as_one_whoever_encodes_for_it(room: Room) -> None:
    one = room.members[0]
    for beat in range(30):
        room.beat(speaks=one if 10 <= beat < 18 else None)
    assert len({packet.ssrc for packet in one.packets}) == 1
    for before, after in pairwise(one.packets):
        assert after.sequence_number == (before.sequence_number + 1) & 0xFFFF
        assert after.timestamp == (before.timestamp + FRAME) & 0xFFFFFFFF
    for number, packet in enumerate(one.packets[2:]):
        (copy,) = parse_red(packet.payload)[1]
        assert copy.payload == one.sounds[number]


def heard(way: str) -> list[bytes]:
    """What is heard where a stream changes encoders every 10 frames, or never."""
    sender, common, decoder = Sender(AES_GCM, new_key(AES_GCM), OPUS), Coder(), OpusDecoder()
    packets: list[bytes] = []
    wanted = common_coding(sender.decision)
    assert wanted is not None
    with patch.object(Sender, "_packet", lambda _self, sound, *_: packets.append(sound)):
        for number in range(40):
            made = common.frame(voice(number), wanted)
            assert made is not None
            if way == "one" or number // 10 % 2 == 0:
                sender.encoded(made[0], voice(number), 0.0)
            else:
                if way == "without lead":
                    sender._elsewhere.clear()
                sender.frame(voice(number), 0.0)
    return [decoder.decode(packet) for packet in packets]


def unlike(one: list[bytes], other: list[bytes]) -> float:
    """The largest difference of two sounds in a frame, by the loudness of the whole."""
    pairs = [(array("h", a), array("h", b)) for a, b in zip(one, other, strict=True)]
    power = [sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) for a, b in pairs]
    return max(power) / (sum(x * x for a, _ in pairs for x in a) / len(pairs))


def test_nobody_hears_that_encoders_change() -> None:
    steady = heard("one")
    assert unlike(steady, heard("changing")) < 0.2
    assert unlike(steady, heard("without lead")) > 1.0, "it would click"


def third_hears(room: Room, *, visits: int) -> list[bytes]:
    """What one hears while others come, are silent or talk, and go; no packet is missing."""
    third, fourth = room.members[:2]
    room.seat(third, fourth)
    for visit in range(3):
        visitor = room.member(f"visitor {visit}")
        if visit < visits:
            room.seat(third, fourth, visitor)
        for _ in range(2 * BEATS):
            room.beat()
        room.seat(third, fourth)
        for _ in range(BEATS):
            room.beat()
        visitor.close()
    decoder = OpusDecoder()
    assert len(third.packets) == 3 * (3 * BEATS)
    return [decoder.decode(sound) for sound in third.sounds]


def test_who_comes_and_goes_is_not_heard_by_a_third(room: Room) -> None:
    other = Room(3)
    try:
        undisturbed = third_hears(other, visits=0)
    finally:
        other.close()
    assert unlike(undisturbed, third_hears(room, visits=3)) < 0.2


@pytest.mark.parametrize("copies", [0, 1, 2, 3])
def test_a_clean_path_and_one_with_copies_lose_nothing_by_it(copies: int) -> None:
    pattern = ((), (2,), (2, 4), (2, 4, 6))[copies]
    with patch("appliance.protocol.adaptation.COPIES", {20: (pattern,)}):
        adaptation = Adaptation(Takes(red=True), header_octets=76)
        adaptation.tick(0.0)
    assert adaptation.decision.copies == pattern
    found = common_coding(adaptation.decision)
    assert found is not None
    assert found.bitrate == adaptation.decision.bitrate
    assert found.bandwidth == adaptation.decision.bandwidth


def test_a_common_packet_takes_no_more_of_a_path_than_was_decided() -> None:
    for bitrate in range(RATES[-1], RATES[0], 500):
        found = common_coding(Decision(bitrate, 20, (), 7, Bandwidth.WIDEBAND, True, Reason.THIN))
        assert found is not None
        assert found.bitrate <= bitrate
        assert (found.fec_pct, found.dtx) == (10, True)
    longer = Decision(8_000, 60, (), 0, Bandwidth.NARROWBAND, False, Reason.THIN)
    assert common_coding(longer) is None


def test_a_coder_between_two_packets_says_so() -> None:
    coder = Coder()
    wanted = Coding(8_000, 40, 0, Bandwidth.NARROWBAND, dtx=False)
    assert coder.frame(voice(0), wanted) is None
    assert not coder.between
    made = coder.frame(voice(1), wanted)
    assert made is not None
    assert made[1] == 2
    assert coder.between
