"""Somebody else's voice in a talk group: one spurt, with its redundant copies, on its way in."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from appliance.media.receiver import Receiver
from appliance.media.talk_sender import OPUS_TYPE, RED_TYPE
from appliance.model.secret import Secret
from appliance.protocol.jitter import Pushed
from appliance.protocol.opus_packet import packet_samples
from appliance.protocol.red import RedError, parse_red
from appliance.protocol.rtp import HEADER_BYTES, RtpError, RtpPacket

MAX_SEEN = 64
"""Time stamps that are remembered; copies are far younger."""

Keep = Callable[[int, int, bytes], None]
"""What is done with a piece of sound: its RTP time stamp, its samples, its Opus packet."""


class SpurtReceiver(Receiver):
    """Opens, orders and plays the packets of one spurt."""

    def __init__(self, suite: str, key: Secret, keep: Keep) -> None:
        """``keep`` gets each piece once, copies of lost ones late; raises as `Receiver`."""
        super().__init__(suite, key, OPUS_TYPE)
        self._keep = keep
        self._seen: deque[int] = deque(maxlen=MAX_SEEN)

    def _voice(self, data: bytes, now: float) -> None:
        if len(data) <= HEADER_BYTES or data[0] >> 6 != 2:
            raise RtpError("no RTP")
        packet = RtpPacket.parse(self._open(data, now))
        self.packets += 1
        if packet.payload_type == OPUS_TYPE:
            self._take(packet, now)
            return
        if packet.payload_type != RED_TYPE:
            raise RtpError("another codec")
        try:
            own, copies = parse_red(packet.payload)
        except RedError as error:
            raise RtpError(str(error)) from error
        if any(block.payload_type != OPUS_TYPE for block in (own, *copies)):
            raise RtpError("another codec")
        begun = bool(self._seen)
        self._take(_piece(packet, 0, 0, own.payload), now)
        for copy in copies if begun else ():
            # Frames are alike, so that the offset tells how many packets ago it was.
            behind = copy.timestamp_offset // packet_samples(copy.payload)
            self._take(_piece(packet, behind, copy.timestamp_offset, copy.payload), now)

    def _take(self, packet: RtpPacket, now: float) -> None:
        if packet.timestamp in self._seen:
            return
        samples = packet_samples(packet.payload)
        if self._buffer.push(packet, samples=samples, now=now) is Pushed.REFUSED:
            raise RtpError("numbers that do not fit")
        self._seen.append(packet.timestamp)
        self._keep(packet.timestamp, samples, packet.payload)


def _piece(packet: RtpPacket, behind: int, offset: int, payload: bytes) -> RtpPacket:
    """A block of a redundant packet as if it had come in a packet of its own."""
    return RtpPacket(
        payload_type=OPUS_TYPE,
        sequence_number=(packet.sequence_number - behind) & 0xFFFF,
        timestamp=(packet.timestamp - offset) & 0xFFFFFFFF,
        ssrc=packet.ssrc,
        payload=payload,
    )
