"""Our voice in a talk group: one encoding and one encryption, however many hear it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from appliance.adapters.srtp import SrtpSender
from appliance.media.coder import Coder, coding
from appliance.media.pcm import SILENCE
from appliance.media.sender import MAX_PAYLOAD_BYTES
from appliance.model.secret import Secret
from appliance.protocol.adaptation import Decision
from appliance.protocol.jitter import FRAME, FRAME_S
from appliance.protocol.opus_packet import DTX_BYTES
from appliance.protocol.red import Block, copies_of, pack_red
from appliance.protocol.rtp import RtpPacket

OPUS_TYPE = 96
"""RTP payload type of Opus in every talk group: nothing is negotiated, since nobody answers."""

RED_TYPE = 97
"""RTP payload type of redundant Opus (RFC 2198)."""

MAX_DISTANCE = 4
"""Packets by which the sound that is carried once more is older at most."""

GAP_S = 0.1
"""A microphone that was silent for longer has been away, and the time stamps go on with time."""

MAX_PACKETS = 30_000
"""10 minutes.  Nobody holds the key for so long, and a sequence number that wrapped would keep out
who comes late (RFC 3711 section 3.3.1)."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """One packet of ours."""

    packet: bytes
    """As it is sent."""

    timestamp: int
    """RTP time stamp."""

    samples: int
    """How much sound it is."""

    sound: bytes
    """That sound alone."""


class SpurtSender:
    """Frames of the microphone to packets, under the key of one spurt."""

    def __init__(self, suite: str, key: Secret, *, ssrc: int, now: float, wanted: Decision) -> None:
        """``now`` is on the machine's monotonic clock; raises `SrtpError`, `OpusError`.

        Numbers begin at that clock's count of frames, so that a voice process that was started
        again in the middle of a spurt goes on behind the one before it and never uses the key for
        the same number twice.
        """
        self.wanted = wanted
        """How it is to be sent, from the next packet on."""
        self._decision = wanted
        """That of the packet that is being made."""
        self._coder = Coder()
        self._srtp = SrtpSender(suite, key)
        self._ssrc = ssrc
        self._sequence = int(now / FRAME_S) & 0x7FFF
        self._timestamp = int(now / FRAME_S) * FRAME
        self.packets = 0
        self._next_at = now
        self._before: deque[tuple[int, bytes]] = deque(maxlen=MAX_DISTANCE)
        self._after_pause = True

    def frame(self, pcm: bytes, now: float) -> Spoken | None:
        """Take 20 ms; the packet that is complete with it.

        None: it is not yet, or it is silence that is left out, or it goes on for too long.  Raises
        `OpusError`, `SrtpError`.
        """
        if self.packets >= MAX_PACKETS:
            return None
        if now - self._next_at > GAP_S:
            self._timestamp += FRAME * (self._coder.waiting + int((now - self._next_at) / FRAME_S))
            self._next_at = now
            self._coder.forget()
        self._next_at += FRAME_S
        if self._coder.between:
            self._decision = self.wanted
        made = self._coder.frame(pcm, coding(self._decision))
        if made is None:
            return None
        sound, frames = made
        spoken = self._packet(sound, FRAME * frames)
        self._timestamp += FRAME * frames
        return spoken

    def _packet(self, sound: bytes, samples: int) -> Spoken | None:
        silent = len(sound) <= DTX_BYTES
        copies = copies_of(
            self._before,
            self._decision.copies,
            timestamp=self._timestamp,
            payload_type=OPUS_TYPE,
            room=MAX_PAYLOAD_BYTES - len(sound),
        )
        self._before.append((self._timestamp, b"" if silent else sound))
        if silent and not copies:
            self._after_pause = True  # RFC 3551 section 4.1: the next one begins a talk spurt.
            return None
        packet = RtpPacket(
            payload_type=RED_TYPE if copies else OPUS_TYPE,
            sequence_number=self._sequence,
            timestamp=self._timestamp & 0xFFFFFFFF,
            ssrc=self._ssrc,
            payload=pack_red(Block(OPUS_TYPE, 0, sound), copies) if copies else sound,
            marker=self._after_pause,
        )
        self._after_pause = False
        self._sequence += 1
        self.packets += 1
        return Spoken(self._srtp.protect(bytes(packet)), packet.timestamp, samples, sound)

    def last(self, now: float) -> list[bytes]:
        """What is left of the last words, and packets with their copies; raises as `frame`."""
        frames = self.wanted.frame_ms // 20
        count = max(self.wanted.copies, default=0) * frames
        if not self._coder.between:
            count += self._decision.frame_ms // 20 - self._coder.waiting
        made = (self.frame(SILENCE, now) for _ in range(count))
        return [found.packet for found in made if found is not None]
