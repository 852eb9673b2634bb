"""A flood of forged packets: it is dropped before it costs anything, and the call goes on."""

from __future__ import annotations

import asyncio
import socket
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from voice_ends import silence_file, started, station

from appliance.adapters.udp import VoiceSocket
from appliance.media.pcm import SILENCE
from appliance.media.sender import Sender
from appliance.media.shield import AGAIN_S, HOLD_S, UNHEARD_S, Shield
from appliance.model.media import StreamStats
from appliance.protocol.jitter import FRAME_S

RATE = 100_000
"""Forged packets a second."""

FORGED = bytes([0x80, 96]) + bytes(range(1, 90))


def rtp(ssrc: int, kind: int = 96) -> bytes:
    return bytes([0x80, kind, 0, 1, 0, 0, 0, 2]) + ssrc.to_bytes(4, "big") + b"voice"


def rtcp(ssrc: int) -> bytes:
    return bytes([0x80, 200, 0, 6]) + ssrc.to_bytes(4, "big") + bytes(20)


def test_the_kernel_lets_one_source_through() -> None:
    ours = VoiceSocket("::1")
    theirs = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    with theirs:
        theirs.bind(("::1", 0))
        ours.connect("::1", theirs.getsockname()[1])
        theirs.connect(("::1", ours.port))
        ssrc = 0xDEAD_BEEF
        genuine = [rtp(ssrc), rtp(ssrc, 96 | 0x80), rtp(ssrc, 0), rtcp(ssrc)]
        forged = [rtp(1), rtp(1, 224), rtcp(1), rtcp(1) + rtp(ssrc), b"\x80", b"", bytes(11)]
        ours.hear_only(ssrc)
        for data in (*forged, *genuine, *forged):
            theirs.send(data)
        assert [ours.receive() for _ in range(5)] == [*genuine, None]
        assert ours.dropped == 2 * len(forged)
        ours.hear_all()
        theirs.send(forged[0])
        assert ours.receive() == forged[0]
    ours.close()


@dataclass
class FakeSocket:
    said: list[object] = field(default_factory=list)
    dropped: int = 0

    def hear_only(self, ssrc: int) -> None:
        self.said.append(ssrc)

    def hear_all(self) -> None:
        self.said.append("all")


def test_the_shield_is_up_in_a_flood_only_and_not_while_it_may_keep_the_call_out() -> None:
    sock = FakeSocket()
    shield = Shield(sock)
    shield.beat(0.0, flooded=False, source=7, heard_at=0.0)
    shield.beat(0.1, flooded=True, source=None, heard_at=0.0)
    assert sock.said == [], "nobody is known"
    shield.beat(1.0, flooded=True, source=7, heard_at=1.0)
    sock.dropped = 5
    shield.beat(2.0, flooded=True, source=7, heard_at=1.9)
    assert (sock.said, shield.total) == ([7], 5)
    shield.beat(1.0 + HOLD_S + 0.1, flooded=False, source=7, heard_at=HOLD_S + 1.0)
    assert (sock.said, shield.total) == ([7, "all"], 5)
    shield.beat(20.0, flooded=True, source=8, heard_at=20.0)
    assert sock.said[2:] == [8]
    shield.beat(20.1 + UNHEARD_S, flooded=False, source=8, heard_at=20.0)
    shield.beat(20.2 + UNHEARD_S, flooded=True, source=8, heard_at=20.0)
    assert sock.said[3:] == ["all"], "another source may have taken over"
    shield.beat(20.2 + UNHEARD_S + AGAIN_S, flooded=True, source=9, heard_at=20.8)
    shield.lower()
    shield.lower()
    assert sock.said[4:] == [9, "all"]


class Flood:
    """A forger who has the caller's own address: 50 genuine packets a second among the rest."""

    def __init__(self, peer: socket.socket, sender: Sender) -> None:
        self._peer, self._sender = peer, sender
        self.genuine = self.forged = 0

    def run(self, seconds: float) -> None:
        begun = time.monotonic()
        for beat in range(int(seconds / FRAME_S)):
            packet = self._sender.frame(SILENCE, beat * FRAME_S)
            if packet is not None:
                self._peer.send(packet)
                self.genuine += 1
            while (spent := time.monotonic() - begun) < (beat + 1) * FRAME_S:
                if self.forged >= RATE * spent:
                    time.sleep(0.001)
                self._peer.send(FORGED)
                self.forged += 1


async def test_a_call_goes_on_in_a_flood_of_forged_packets(tmp_path: Path) -> None:
    peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    peer.bind(("127.0.0.1", 0))
    async with station() as end:
        peer.connect(("127.0.0.1", await end.open("call")))
        command = started("call", peer.getsockname()[1])
        said, heard = silence_file(tmp_path / "said.wav"), str(tmp_path / "heard.wav")
        await end.client.send(replace(command, play=said, record=heard))
        sender = Sender(command.crypto_suite, command.receive_key, command.payload_type)
        flood = Flood(peer, sender)
        await asyncio.to_thread(flood.run, 2.0)
        ended = flood.genuine
        stats = await end.events.first(StreamStats, lambda event: event.packets_sent > ended)
    peer.close()
    assert flood.forged > 10 * flood.genuine
    assert stats.rejected > 0.9 * flood.forged - 1_000, "what the kernel drops is counted too"
    assert stats.packets_received > 0.5 * flood.genuine, f"{stats} of {flood.genuine}"
    assert stats.concealed < 0.5 * flood.genuine
