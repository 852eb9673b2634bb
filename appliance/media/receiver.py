"""Their voice on its way in: from encrypted packets to frames, without sockets or files."""

from __future__ import annotations

from appliance.adapters.opus import OpusDecoder, OpusError
from appliance.adapters.srtp import SrtpError, SrtpReceiver
from appliance.media.pcm import FRAME_BYTES, QUIET_DB, SILENCE, SILENT_DB, level_db, merge
from appliance.model.secret import Secret
from appliance.protocol.jitter import (
    Action,
    Conceal,
    Fec,
    JitterBuffer,
    Merge,
    Play,
    Pushed,
)
from appliance.protocol.opus_packet import CLOCK_HZ, OpusPacketError, packet_samples
from appliance.protocol.rtcp import ReportBlock, RtcpError, RtcpReport, is_rtcp
from appliance.protocol.rtp import HEADER_BYTES, RtpError, RtpPacket

OLD_KEY_S = 2.0
"""For how long packets under the keys of before are still opened after a change."""


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
            delay = max(0, min(0xFFFFFFFF, int((now - self._report_heard[1]) * 65_536)))
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
