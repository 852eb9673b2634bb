"""What a talk group's packets go through: sending, passing on, opening, keeping, playing again."""

from __future__ import annotations

import socket
from array import array
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from talk_ends import sender_of

from appliance.adapters.srtp import AES_GCM, new_key
from appliance.adapters.udp import HopSocket, UdpError
from appliance.media.pcm import FRAME_BYTES, SILENCE, fade_in, fade_out, level_db
from appliance.media.talk_paths import TalkPaths, Worst
from appliance.media.talk_receiver import SpurtReceiver
from appliance.media.talk_relay import MAX_KEPT, PACE, RATE, RATE_BURST, Relay
from appliance.media.talk_replay import MAX_BYTES, PAUSE_FRAMES, History, Piece, Replay
from appliance.media.talk_sender import MAX_DISTANCE, MAX_PACKETS
from appliance.media.tones import Tone
from appliance.model.secret import Secret
from appliance.model.talk_media import CATCH_UP_S, MAX_CHILDREN, REPLAY_S, TalkHop
from appliance.protocol.jitter import FRAME, FRAME_S
from appliance.protocol.rtp import RtpPacket

HOST = "127.0.0.1"
SSRC = 0x12345678


def speech_like(frames: int) -> list[bytes]:
    """A sound that goes on; what it is does not matter."""
    ring = Tone("ring")
    return [ring.frame() for _ in range(frames)]


def sent(key: Secret, frames: int, *, now: float = 100.0) -> list[bytes]:
    """The packets of one spurt."""
    sender = sender_of(key, now, ssrc=SSRC)
    made = [sender.frame(frame, now + i * FRAME_S) for i, frame in enumerate(speech_like(frames))]
    return [found.packet for found in made if found is not None]


class Ears:
    """Children of a relay, with real sockets."""

    def __init__(self, count: int) -> None:
        self.ours = HopSocket(HOST)
        self.sockets = [HopSocket(HOST) for _ in range(count)]
        for ear in self.sockets:
            ear.hear(HOST, self.ours.port)

    def ways(self, *which: int) -> dict[TalkHop, tuple[HopSocket, tuple[str, int]]]:
        ports = [self.sockets[index].port for index in which]
        return {TalkHop(HOST, HOST, port): (self.ours, (HOST, port)) for port in ports}

    def heard(self, which: int) -> list[bytes]:
        got = []
        while (data := self.sockets[which].receive()) is not None:
            got.append(data)
        return got

    def close(self) -> None:
        for sock in (self.ours, *self.sockets):
            sock.close()


def test_a_late_child_gets_the_first_words_in_order_and_at_twice_the_pace() -> None:
    ears = Ears(2)
    relay = Relay(SSRC, 0.0, TalkPaths())
    relay.set_children(ears.ways(0), 0.0)
    packets = [bytes([index]) * 40 for index in range(40)]
    for index, packet in enumerate(packets[:10]):
        assert relay.spread(packet, index * FRAME_S) == 1
    relay.set_children(ears.ways(0, 1), 0.2)
    assert relay.behind
    beats = 0
    for index, packet in enumerate(packets[10:30], 10):
        relay.spread(packet, index * FRAME_S)
        assert relay.beat(index * FRAME_S) <= PACE
        beats += relay.behind
    assert 5 < beats < 15, "it has caught up after as long as it was late"
    relay.spread(packets[30], 0.6)
    assert ears.heard(0) == ears.heard(1) == packets[:31]
    ears.close()


def test_who_comes_much_later_hears_what_is_said_now() -> None:
    ears = Ears(1)
    relay = Relay(SSRC, 0.0, TalkPaths())
    relay.spread(b"first", 0.0)
    relay.spread(b"later", CATCH_UP_S + FRAME_S)
    relay.set_children(ears.ways(0), 0.0)
    assert not relay.behind
    relay.spread(b"now", CATCH_UP_S + 2 * FRAME_S)
    assert ears.heard(0) == [b"now"]
    ears.close()


def test_what_is_passed_on_is_bounded() -> None:
    relay = Relay(SSRC, 0.0, TalkPaths())
    packets = sent(new_key(AES_GCM), 400)
    admitted = sum(relay.fits(packet) and relay.admits(packet, 0.0) for packet in packets)
    assert admitted == RATE_BURST
    assert sum(relay.admits(packet, 1.0) for packet in packets[:150]) <= RATE
    assert not relay.admits(packets[0], 99.0), "it came before"
    for broken in (
        b"", packets[0][:20], packets[0] + bytes(1_300), b"\x40" + packets[0][1:],
        packets[0][:8] + b"else" + packets[0][12:], b"\x80\xc8" + packets[0][2:],
    ):  # fmt: skip
        assert not relay.fits(broken)
    ears = Ears(1)
    for index in range(1_000):
        relay.spread(packets[index % len(packets)], 0.0)
    relay.set_children(ears.ways(0), 0.0)
    beats = 0
    while relay.behind:
        relay.beat(0.0)
        beats += 1
    assert beats * PACE <= MAX_KEPT
    many = {TalkHop(HOST, HOST, port): (ears.ours, (HOST, port)) for port in range(1, 100)}
    relay.set_children(many, 50.0)
    assert relay.spread(packets[0], 50.0) == MAX_CHILDREN
    ears.close()


def test_two_of_three_packets_lost_and_all_of_the_sound_comes() -> None:
    key = new_key(AES_GCM)
    pieces: dict[int, bytes] = {}
    receiver = SpurtReceiver(AES_GCM, key, lambda at, _samples, sound: pieces.update({at: sound}))
    for index, packet in enumerate(sent(key, 60)):
        if index % 3 == 0:
            assert receiver.datagram(packet, index * FRAME_S) is True
    assert len(pieces) == 57, "of the last ones no copy has come"
    assert {later - earlier for earlier, later in pairwise(sorted(pieces)[:56])} == {FRAME}
    assert receiver.rejected == 0


def test_silence_is_left_out_behind_all_copies_of_what_was_said() -> None:
    sender = sender_of(new_key(AES_GCM), 0.0, ssrc=SSRC)
    frames = [*speech_like(20), *[SILENCE] * 200]
    made = [sender.frame(frame, index * FRAME_S) for index, frame in enumerate(frames)]
    assert all(made[:20])
    assert sum(one is not None for one in made[20:]) < 60
    pauses = [index for index, one in enumerate(made) if one is None]
    assert pauses[0] > 20 + MAX_DISTANCE
    assert sender.packets == sum(one is not None for one in made)
    assert RtpPacket.parse(next(one.packet for one in made[pauses[0] :] if one)).marker


def test_what_is_thin_is_spoken_in_long_packets_to_its_last_word() -> None:
    worst = Worst(limit=20_000.0)
    sender = sender_of(new_key(AES_GCM), 0.0, ssrc=SSRC, worst=worst)
    made = [sender.frame(frame, i * FRAME_S) for i, frame in enumerate(speech_like(20))]
    packets = [one for one in made if one is not None]
    assert [one.samples for one in packets] == [6 * FRAME] * 3
    assert len(sender.last(0.4)) == 1, "what was collected"
    assert sender.packets == 4


def test_another_key_a_second_time_and_changed_on_the_way_are_rejected() -> None:
    key = new_key(AES_GCM)
    heard: list[int] = []
    receiver = SpurtReceiver(AES_GCM, key, lambda at, _samples, _sound: heard.append(at))
    packets = sent(key, 3)
    for forged in (*sent(new_key(AES_GCM), 3), packets[0][:-1] + bytes([packets[0][-1] ^ 1])):
        assert receiver.datagram(forged, 0.0) is False
    assert receiver.datagram(packets[0], 0.0) is True
    assert receiver.datagram(packets[0], 0.0) is False
    assert receiver.rejected == 5
    assert len(heard) == 1


def test_a_sender_that_was_started_again_uses_no_number_twice() -> None:
    key = new_key(AES_GCM)
    before = [RtpPacket.parse(data) for data in sent(key, 500, now=700.0)]
    after = [RtpPacket.parse(data) for data in sent(key, 500, now=700.0 + 500 * FRAME_S)]
    numbers = [packet.sequence_number for packet in (*before, *after)]
    assert len(set(numbers)) == len(before) + len(after)
    assert after[0].timestamp - before[0].timestamp == 500 * FRAME
    assert max(numbers) < 1 << 16 <= (1 << 15) + 2 * MAX_PACKETS


def test_a_microphone_that_was_away_leaves_a_gap_in_time() -> None:
    key = new_key(AES_GCM)
    sender = sender_of(key, 5.0, ssrc=SSRC)
    times = (5.0, 5.02, 6.02, 6.04)
    made = [found for at in times if (found := sender.frame(SILENCE, at)) is not None]
    steps = [later.timestamp - earlier.timestamp for earlier, later in pairwise(made)]
    assert steps == [FRAME, 50 * FRAME, FRAME]
    assert len(sender.last(6.06)) == MAX_DISTANCE


def piece(index: int, *, spurt: str = "a", at_s: float | None = None, bytes_: int = 40) -> Piece:
    at_s = index * FRAME_S if at_s is None else at_s
    return Piece(spurt, at_s, index * FRAME & 0xFFFFFFFF, FRAME, bytes(bytes_))


def test_what_is_kept_is_bounded_and_in_order() -> None:
    history = History()
    for index in range(10_000):
        history.add(piece(index))
    kept = history.since(0.0)
    assert len(kept) == pytest.approx(REPLAY_S / FRAME_S, abs=1)
    for index in range(10_000):
        history.add(piece(index, at_s=200.0, bytes_=1_000))
    assert sum(len(each.sound) for each in history.since(0.0)) < MAX_BYTES
    history.forget(1e6)
    wrap = (1 << 32) // FRAME
    mixed = [(wrap, "a"), (wrap + 2, "a"), (5, "b"), (wrap + 1, "a"), (wrap - 1, "a"), (4, "b")]
    for index, spurt in mixed:
        history.add(piece(index, spurt=spurt, at_s=1e6))
    steps = [wrap - 1, wrap, wrap + 1, wrap + 2]
    expected = [*((index * FRAME & 0xFFFFFFFF, "a") for index in steps), (4 * FRAME, "b"),
                (5 * FRAME, "b")]  # fmt: skip
    assert [(each.timestamp, each.spurt) for each in history.since(0.0)] == expected


def spoken(frames: list[bytes], spurt: str, *, start: int = 0) -> list[Piece]:
    """Frames as they would be kept."""
    sender = sender_of(new_key(AES_GCM), 0.0, ssrc=SSRC)
    made = [found for i, each in enumerate(frames) if (found := sender.frame(each, i * FRAME_S))]
    return [
        Piece(spurt, 0.0, one.timestamp + start * FRAME, one.samples, one.sound) for one in made
    ]


def played(replay: Replay) -> list[bytes]:
    frames = []
    while not replay.over:
        frames.append(replay.frame())
        assert len(frames) < 1_000
    return frames


def test_a_replay_shortens_pauses_and_makes_up_what_is_lost() -> None:
    sound = speech_like(10)
    pieces = spoken(sound + [SILENCE] * 150 + sound, "a") + spoken(sound, "b", start=77)
    replay = Replay(pieces)
    assert 30 * FRAME_S < replay.length_s < 80 * FRAME_S, "of silence little was sent"
    frames = played(replay)
    assert 30 + PAUSE_FRAMES < len(frames) < 30 + 2 * PAUSE_FRAMES + 150 // 4
    assert sum(level_db(frame) > -20 for frame in frames) >= 28
    assert replay.position_s == replay.length_s
    holes = Replay(spoken(sound * 3, "a")[::2])
    assert len(played(holes)) == 29


@settings(max_examples=30, deadline=None)
@given(st.lists(st.builds(
    Piece, st.sampled_from("ab"), st.just(0.0), st.integers(0, (1 << 32) - 1),
    st.sampled_from([FRAME, 2 * FRAME, 5760]), st.binary(max_size=60),
), max_size=20))  # fmt: skip
def test_whatever_was_said_can_be_played(pieces: list[Piece]) -> None:
    history = History()
    for each in pieces:
        history.add(each)
    assert all(len(frame) == FRAME_BYTES for frame in played(Replay(history.since(0.0))))


def test_cutting_off_and_joining_make_no_click() -> None:
    loud = array("h", [20_000] * FRAME).tobytes()
    for faded, first, last in ((fade_out(loud), 20_000, 0), (fade_in(loud), 0, 20_000)):
        samples = array("h", faded)
        assert (samples[0], samples[-1]) == (first, last)
        assert max(abs(later - earlier) for earlier, later in pairwise(samples)) < 100


@pytest.mark.parametrize(
    ("host", "other_kind", "family"),
    [(HOST, "::1", socket.AF_INET), ("::1", HOST, socket.AF_INET6)],
)
def test_a_socket_hears_one_address_alone(
    host: str, other_kind: str, family: socket.AddressFamily
) -> None:
    ours = HopSocket(host)
    with (
        socket.socket(family, socket.SOCK_DGRAM) as friend,
        socket.socket(family, socket.SOCK_DGRAM) as stranger,
    ):
        for other in (friend, stranger):
            other.bind((host, 0))
        port = friend.getsockname()[1]
        friend.sendto(b"early", (host, ours.port))
        ours.hear(host, port)
        friend.sendto(b"known", (host, ours.port))
        for _ in range(1_000):
            stranger.sendto(bytes(200), (host, ours.port))
        friend.sendto(b"still", (host, ours.port))
        assert [ours.receive(), ours.receive()] == [b"known", b"still"]
        assert ours.receive() == b"early", "it came before we knew from where it would come"
        ours.hear(host, 0)
        stranger.sendto(b"any port", (host, ours.port))
        while (data := ours.receive()) == b"\0" * 200:
            pass
        assert data == b"any port"
        ours.hear_nobody()
        stranger.sendto(b"nobody", (host, ours.port))
        assert ours.receive() == b""
        ours.send(b"to a friend", ours.address(host, port))
        assert friend.recv(100) == b"to a friend"
    with pytest.raises(UdpError, match="another kind"):
        ours.hear(other_kind, 9)
    ours.close()
