"""One direction pair of RTP: frames to packets and packets to frames, without sockets or files."""

from __future__ import annotations

import os

from appliance.adapters.opus import OpusDecoder, OpusEncoder, OpusError
from appliance.adapters.srtp import AES_GCM, SrtpError, SrtpReceiver, SrtpSender, new_key
from appliance.media.pcm import FRAME_BYTES, QUIET_DB, SILENCE, SILENT_DB, level_db, merge
from appliance.model.secret import Secret
from appliance.protocol.jitter import (
    FRAME,
    FRAME_S,
    Action,
    Conceal,
    Fec,
    JitterBuffer,
    Merge,
    Play,
    Pushed,
)
from appliance.protocol.opus_packet import CLOCK_HZ, OpusPacketError, packet_samples
from appliance.protocol.rtcp import (
    ReportBlock,
    RtcpError,
    RtcpReport,
    SenderInfo,
    is_rtcp,
)
from appliance.protocol.rtp import HEADER_BYTES, RtpError, RtpPacket

BITRATE = 32_000
"""bit/s; PESQ-WB 4.3 with the FEC that 5 % loss asks for, 4.4 without (natural speech)."""

COMPLEXITY = 9
"""Of the encoder; 0.2 ms a frame on a PC."""

ASSUMED_LOSS_PCT = 5
"""Until the other side has told."""

LEAST_LOSS_PCT = 3
"""Never less, so that a first lost packet can be recovered."""

OLD_KEY_S = 2.0
"""For how long packets under the keys of before are still opened after a change."""


def _random_bits(count: int) -> int:
    """From the kernel; the module `secrets` would bring all of OpenSSL into memory."""
    return int.from_bytes(os.urandom(4), "big") >> (32 - count)


class Sender:
    """Our voice on its way out."""

    def __init__(self, suite: str, key: Secret, payload_type: int) -> None:
        """Raises `SrtpError`, `OpusError`."""
        self._encoder = OpusEncoder(
            bitrate=BITRATE, complexity=COMPLEXITY, expected_loss_pct=ASSUMED_LOSS_PCT
        )
        self._sequence = 0
        self.packets = 0
        self._octets = 0
        self._timestamp = _random_bits(32)
        self._loss = float(ASSUMED_LOSS_PCT)
        self.cname = os.urandom(12).hex()  # RFC 7022: nothing that lasts longer than the call.
        self.rekey(suite, key, payload_type)

    def rekey(self, suite: str, key: Secret, payload_type: int) -> None:
        """Go on under another key; a new source, since its rollover counter begins at 0."""
        self._srtp = SrtpSender(suite, key)
        self._payload_type = payload_type
        self.ssrc = _random_bits(32)
        # RFC 3711 section 3.3.1: far from the wrap, or a lost first packet desynchronizes.
        self._sequence = _random_bits(15)
        self._first = True

    def frame(self, pcm: bytes) -> bytes:
        """The packet for 20 ms of sound."""
        payload = self._encoder.encode(pcm)
        packet = RtpPacket(
            payload_type=self._payload_type,
            sequence_number=self._sequence,
            timestamp=self._timestamp,
            ssrc=self.ssrc,
            payload=payload,
            marker=self._first,
        )
        self._first = False
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._timestamp = (self._timestamp + FRAME) & 0xFFFFFFFF
        self.packets += 1
        self._octets += len(payload)
        return self._srtp.protect(bytes(packet))

    def skip(self, frames: int) -> None:
        """Time has passed in which nothing was sent."""
        self._timestamp = (self._timestamp + frames * FRAME) & 0xFFFFFFFF

    def heard_there(self, loss_pct: float) -> None:
        """What the other side reports: decides how much goes into FEC."""
        self._loss += (loss_pct - self._loss) / (2 if loss_pct > self._loss else 6)
        self._encoder.expect_loss(max(LEAST_LOSS_PCT, min(30, round(1.2 * self._loss))))

    def report(self, blocks: tuple[ReportBlock, ...], now: float) -> bytes:
        """An SRTCP compound packet: SR and SDES."""
        info = SenderInfo(
            ntp=int(now * 2**32) & 0xFFFFFFFFFFFFFFFF,
            rtp_timestamp=self._timestamp,
            packets=self.packets & 0xFFFFFFFF,
            octets=self._octets & 0xFFFFFFFF,
        )
        return self._srtp.protect_rtcp(
            bytes(RtcpReport(self.ssrc, sender=info, blocks=blocks, cname=self.cname))
        )


class Receiver:
    """Their voice on its way in."""

    def __init__(self, suite: str, key: Secret, payload_type: int) -> None:
        """Raises `SrtpError`, `OpusError`."""
        self._srtp = SrtpReceiver(suite, key)
        self._old: tuple[SrtpReceiver, float] | None = None
        self._payload_type = payload_type
        self._decoder = OpusDecoder()
        self._buffer = JitterBuffer()
        self._pcm = b""
        self._volume_pct = 100
        self._report_heard: tuple[int, float] | None = None
        self._source: int | None = None
        self.level_db = SILENT_DB
        self.packets = 0
        self.rejected = 0
        self.concealed = 0
        self.recovered = 0
        self.playing = False
        """Something of theirs has been made into sound."""

    def rekey(self, suite: str, key: Secret, payload_type: int, now: float) -> None:
        """Expect another key; packets on their way under the old one still count for a while."""
        self._old = (self._srtp, now + OLD_KEY_S)
        self._srtp = SrtpReceiver(suite, key)
        self._payload_type = payload_type

    def set_volume_pct(self, percent: int) -> None:
        """0 to 200."""
        self._volume_pct = percent
        self._decoder.set_gain_pct(percent)

    @property
    def buffer(self) -> JitterBuffer:
        """For its figures."""
        return self._buffer

    def datagram(self, data: bytes, now: float) -> RtcpReport | bool:
        """Take what came in; a report, or whether it was sound of theirs (else it counts)."""
        try:
            if is_rtcp(data):
                return self._report(data, now)
            self._voice(data, now)
        except (SrtpError, RtpError, RtcpError, OpusPacketError):
            self.rejected += 1
            return False
        return True

    def _voice(self, data: bytes, now: float) -> None:
        if len(data) <= HEADER_BYTES or data[0] >> 6 != 2:
            raise RtpError("no RTP")
        packet = RtpPacket.parse(self._open(data, now))
        if packet.payload_type != self._payload_type:
            raise RtpError("another codec")
        samples = packet_samples(packet.payload)
        if self._buffer.push(packet, samples=samples, now=now) is Pushed.REFUSED:
            raise RtpError("numbers that do not fit")
        self._source = packet.ssrc
        self.packets += 1

    def _open(self, data: bytes, now: float) -> bytes:
        try:
            return self._srtp.unprotect(data)
        except SrtpError:
            if self._old is None:
                raise
            if now > self._old[1]:
                self._old = None
                raise
            return self._old[0].unprotect(data)

    def _report(self, data: bytes, now: float) -> RtcpReport:
        report = RtcpReport.parse(self._srtp.unprotect_rtcp(data))
        if report.sender is not None:
            self._report_heard = ((report.sender.ntp >> 16) & 0xFFFFFFFF, now)
        return report

    def report_blocks(self, now: float) -> tuple[ReportBlock, ...]:
        """What we tell them about their voice."""
        if self._source is None:
            return ()
        last_sr, delay = 0, 0
        if self._report_heard is not None:
            last_sr = self._report_heard[0]
            delay = min(0xFFFFFFFF, int((now - self._report_heard[1]) * 65_536))
        return (ReportBlock(self._source, self._buffer.reception.report(), last_sr, delay),)

    def frame(self, at: float) -> bytes:
        """The 20 ms that sound at ``at``."""
        pcm = self._pcm
        while len(pcm) < FRAME_BYTES:
            sounds_at = at + len(pcm) / (2 * CLOCK_HZ)
            made = self._render(self._buffer.pull(sounds_at, quiet=self.level_db < QUIET_DB))
            pcm = pcm + made if pcm else made
        frame, self._pcm = pcm[:FRAME_BYTES], pcm[FRAME_BYTES:]
        if not self._volume_pct:
            frame = SILENCE
        self.level_db = level_db(frame)
        return frame

    def _render(self, action: Action) -> bytes:
        try:
            match action:
                case Play(payload, _):
                    self.playing = True
                    return self._decoder.decode(payload)
                case Merge(first, second, _):
                    return merge(self._decoder.decode(first), self._decoder.decode(second))
                case Fec(following, samples):
                    self.recovered += 1
                    return self._decoder.recover(following, samples)
                case Conceal(samples, lost):
                    self.concealed += lost
                    return self._decoder.conceal(samples)
        except OpusError:
            self.rejected += 1
            self.concealed += 1
        return bytes(2 * action.samples)


def loss_and_round_trip(
    report: RtcpReport, *, ssrc: int, now: float
) -> tuple[float, float | None] | None:
    """Loss of our voice in percent and round trip in seconds (RFC 3550 6.4.1); None: not on us."""
    for block in report.blocks:
        if block.ssrc == ssrc:
            round_trip = None
            if block.last_sr:
                ticks = (int(now * 65_536) - block.last_sr - block.delay_since_last_sr) & 0xFFFFFFFF
                round_trip = ticks / 65_536 if ticks < 60 * 65_536 else None
            return 100 * block.reception.fraction_lost / 256, round_trip
    return None


def warm_up() -> None:
    """Touch all that a call needs, so that the first frames of the first call are on time."""
    key = new_key(AES_GCM)
    sender, receiver = Sender(AES_GCM, key, 96), Receiver(AES_GCM, key, 96)
    for beat in range(10):
        receiver.datagram(sender.frame(SILENCE), beat * FRAME_S)
        receiver.frame(beat * FRAME_S)
    receiver.datagram(sender.report(receiver.report_blocks(1.0), 1.0), 1.0)
