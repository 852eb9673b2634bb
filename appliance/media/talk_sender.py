"""Our voice in a talk group: one encoding and one encryption, however many hear it."""

from __future__ import annotations

from collections import deque

from appliance.adapters.opus import OpusEncoder
from appliance.adapters.srtp import SrtpSender
from appliance.media.effort import COMPLEXITY, Effort
from appliance.media.pcm import SILENCE
from appliance.model.secret import Secret
from appliance.protocol.jitter import FRAME, FRAME_S
from appliance.protocol.red import Block, pack_red
from appliance.protocol.rtp import RtpPacket

OPUS_TYPE = 96
"""RTP payload type of Opus in every talk group: nothing is negotiated, since nobody answers."""

RED_TYPE = 97
"""RTP payload type of redundant Opus (RFC 2198)."""

BITRATE = 16_000
"""bit/s; PESQ-WB 4.1 to 4.3 (natural speech).  With its copies 48 kbit/s."""

COPY_OFFSETS = (2 * FRAME, 4 * FRAME)
"""Each packet carries the sound that is older by so many samples again.  No listener reports what
it lost, and each hop may lose some, so it is what bursts of three lost packets ask for, always."""

BEFORE = max(COPY_OFFSETS) // FRAME
"""Frames that are kept for it."""

GAP_S = 0.1
"""A microphone that was silent for longer has been away, and the time stamps go on with time."""

MAX_PACKETS = 30_000
"""10 minutes.  Nobody holds the key for so long, and a sequence number that wrapped would keep out
who comes late (RFC 3711 section 3.3.1)."""


class SpurtSender:
    """Frames of the microphone to packets, under the key of one spurt."""

    def __init__(self, suite: str, key: Secret, *, ssrc: int, now: float) -> None:
        """``now`` is on the machine's monotonic clock; raises `SrtpError`, `OpusError`.

        Numbers begin at that clock's count of frames, so that a voice process that was started
        again in the middle of a spurt goes on behind the one before it and never uses the key for
        the same number twice.
        """
        encoder = OpusEncoder(bitrate=BITRATE, complexity=COMPLEXITY, expected_loss_pct=0)
        self._effort = Effort(encoder)
        self._srtp = SrtpSender(suite, key)
        self._ssrc = ssrc
        self._sequence = int(now / FRAME_S) & 0x7FFF
        self._timestamp = int(now / FRAME_S) * FRAME
        self.packets = 0
        self._next_at = now
        self._before: deque[tuple[int, bytes]] = deque(maxlen=BEFORE)

    def frame(self, pcm: bytes, now: float) -> tuple[bytes, int, bytes] | None:
        """The packet for 20 ms, with its timestamp and sound alone; None: it goes on for too long.

        Raises `OpusError`, `SrtpError`.
        """
        if self.packets >= MAX_PACKETS:
            return None
        if now - self._next_at > GAP_S:
            self._timestamp += FRAME * int((now - self._next_at) / FRAME_S)
            self._next_at = now
        sound = self._effort.encode(pcm)
        copies = [
            Block(OPUS_TYPE, self._timestamp - earlier, payload)
            for earlier, payload in self._before
            if self._timestamp - earlier in COPY_OFFSETS
        ]
        packet = RtpPacket(
            payload_type=RED_TYPE,
            sequence_number=self._sequence,
            timestamp=self._timestamp & 0xFFFFFFFF,
            ssrc=self._ssrc,
            payload=pack_red(Block(OPUS_TYPE, 0, sound), copies),
            marker=not self.packets,
        )
        self._before.append((self._timestamp, sound))
        self._sequence += 1
        self._timestamp += FRAME
        self._next_at += FRAME_S
        self.packets += 1
        return self._srtp.protect(bytes(packet)), packet.timestamp, sound

    def last(self, now: float) -> list[bytes]:
        """Packets behind the last frame, for the copies of the last words; raises as `frame`."""
        made = (self.frame(SILENCE, now) for _ in range(BEFORE))
        return [found[0] for found in made if found is not None]
