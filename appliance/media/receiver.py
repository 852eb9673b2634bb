"""Their voice on its way in: from encrypted packets to frames, without sockets or files."""

from __future__ import annotations

from array import array
from dataclasses import replace

from appliance.adapters.opus import OpusDecoder, OpusError
from appliance.adapters.srtp import SrtpError, SrtpReceiver
from appliance.media.pcm import SILENCE, SILENT_DB, level_db
from appliance.media.quiet import Quiet
from appliance.model.secret import Secret
from appliance.protocol.jitter import Copy, JitterBuffer, Pushed
from appliance.protocol.opus_packet import OpusPacketError, packet_samples
from appliance.protocol.playing import (
    FRAME,
    Action,
    Bend,
    Care,
    Conceal,
    Fec,
    Figures,
    Play,
    Wait,
)
from appliance.protocol.red import Block, RedError, parse_red
from appliance.protocol.rtcp import ReportBlock, RtcpError, RtcpReport, is_rtcp
from appliance.protocol.rtcp_xr import LossRle
from appliance.protocol.rtp import HEADER_BYTES, RtpError, RtpPacket
from appliance.protocol.stretch import FADE, cut, fade, lengthen, pad, shorten

TOLD = 160
"""Packets that a report tells of one by one: those of the last reports too, should they be lost."""

OLD_KEY_S = 2.0
"""For how long packets under the keys of before are still opened after a change."""


IDLE_FRAMES = 50
"""For how long the noise of their room goes on when nothing comes: 1 s; the first packet after a
silence comes after 0.4 s (RFC 6716 section 2.1.9)."""

INAUDIBLE_DB = -80.0
"""Noise below this is not made up: that costs as much as a voice, and nobody hears it."""

_PLC_STEP = 120
"""libopus makes sound up in steps of 2.5 ms."""

_ALIKE = 0.9
"""Likeness of two periods of the voice from which on nobody hears that one is gone (NetEQ's)."""


class Receiver:
    """Their voice on its way in."""

    def __init__(
        self, suite: str, key: Secret, payload_type: int, *, red_payload_type: int | None = None
    ) -> None:
        """``red_payload_type``: of redundant packets (RFC 2198); None: they are refused.

        Raises `SrtpError`, `OpusError`.
        """
        self._srtp = SrtpReceiver(suite, key)
        self._old: tuple[SrtpReceiver, float] | None = None
        self._payload_type, self._red_payload_type = payload_type, red_payload_type
        self._decoder = OpusDecoder()
        self._buffer = JitterBuffer()
        self._pcm = array("h")
        self._volume_pct = 100
        self._report_heard: tuple[int, float] | None = None
        self._source: int | None = None
        self._quiet = Quiet()
        self._idle = IDLE_FRAMES
        self.level_db = SILENT_DB
        self.packets = 0
        self.rejected = 0
        self.stretched = 0
        """Samples by which sound was made longer or shorter to change the delay."""
        self.playing = False
        """Something of theirs has been made into sound."""

    def rekey(
        self,
        suite: str,
        key: Secret,
        payload_type: int,
        now: float,
        *,
        red_payload_type: int | None = None,
    ) -> None:
        """Expect another key; packets on their way under the old one still count for a while."""
        self._old = (self._srtp, now + OLD_KEY_S)
        self._source = None  # A new key comes with a new source.
        self._srtp = SrtpReceiver(suite, key)
        self._payload_type, self._red_payload_type = payload_type, red_payload_type

    def set_volume_pct(self, percent: int) -> None:
        """0 to 200."""
        self._volume_pct = percent
        self._decoder.set_gain_pct(percent)

    @property
    def buffer(self) -> JitterBuffer:
        """For its figures."""
        return self._buffer

    @property
    def source(self) -> int | None:
        """SSRC of what was genuine last; None: nothing was."""
        return self._source

    @property
    def figures(self) -> Figures:
        """What became of their sound."""
        return self._buffer.figures

    def datagram(self, data: bytes, now: float) -> RtcpReport | bool:
        """Take what came in; a report, or whether it was sound of theirs (else it counts)."""
        try:
            if is_rtcp(data):
                return self._report(data, now)
            self._voice(data, now)
        except (SrtpError, RtpError, RtcpError, RedError, OpusPacketError):
            self.rejected += 1
            return False
        return True

    def _voice(self, data: bytes, now: float) -> None:
        if len(data) <= HEADER_BYTES or data[0] >> 6 != 2:
            raise RtpError("no RTP")
        packet = RtpPacket.parse(self._open(data, now))
        copies: tuple[Block, ...] = ()
        kind = packet.payload_type
        if kind == self._red_payload_type:
            primary, copies = parse_red(packet.payload)
            kind, packet = primary.payload_type, replace(packet, payload=primary.payload)
        if kind != self._payload_type:
            raise RtpError("another codec")
        samples = packet_samples(packet.payload)
        older = [
            Copy(block.timestamp_offset, block.payload, packet_samples(block.payload))
            for block in copies
            if block.payload_type == self._payload_type
        ]
        pushed = self._buffer.push(packet, samples=samples, now=now, copies=older)
        if pushed is Pushed.REFUSED:
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

    def losses(self) -> tuple[LossRle, ...]:
        """Which of their newest packets came."""
        if self._source is None:
            return ()
        return (LossRle(self._source, *self._buffer.reception.arrived(TOLD)),)

    def frame(self, at: float) -> bytes:
        """The 20 ms that sound from ``at`` on."""
        pcm = self._pcm
        while len(pcm) < FRAME:
            pcm += self._render(self._buffer.pull(at, ahead=len(pcm), quiet=self._quiet.pause))
        frame, self._pcm = pcm[:FRAME].tobytes(), pcm[FRAME:]
        if not self._volume_pct:
            frame = SILENCE
        self.level_db = level_db(frame)
        self._quiet.add(self.level_db)
        return frame

    def _render(self, action: Action) -> array[int]:
        if isinstance(action, Wait):
            return self._rest(action.samples)
        self._idle = 0
        try:
            match action:
                case Play(payload, _, bend, splice):
                    self.playing = True
                    tail = self._made_up(FADE) if splice else None
                    sound = array("h", self._decoder.decode(payload))
                    if tail is not None:
                        sound[: len(tail)] = fade(tail, sound[: len(tail)])
                case Fec(following, samples, bend):
                    sound = array("h", self._decoder.recover(following, samples))
                case Conceal(samples, _, bend):
                    sound = self._made_up(samples)
        except OpusError:
            self.rejected += 1
            return array("h", bytes(2 * action.samples))
        return sound if bend is None else self._bent(sound, bend)

    def _made_up(self, samples: int) -> array[int]:
        """What the decoder makes of nothing."""
        made = self._decoder.conceal(-(-samples // _PLC_STEP) * _PLC_STEP)
        return array("h", made[: 2 * samples])

    def _rest(self, samples: int) -> array[int]:
        """Nothing comes: for a while the noise of their room, which fades to silence."""
        if self._idle >= IDLE_FRAMES or self.level_db < INAUDIBLE_DB:
            return array("h", bytes(2 * samples))
        self._idle += 1
        try:
            sound = self._made_up(samples)
        except OpusError:
            self._idle = IDLE_FRAMES
            return array("h", bytes(2 * samples))
        return fade(sound, array("h", bytes(2 * samples))) if self._idle == IDLE_FRAMES else sound

    def _bent(self, sound: array[int], bend: Bend) -> array[int]:
        size, alike = abs(bend.samples), _ALIKE if bend.care is Care.SMOOTHLY else -1.0
        if bend.care is Care.EXACTLY:
            bent = (cut if bend.samples < 0 else pad)(sound, size)
        else:
            bent = (shorten if bend.samples < 0 else lengthen)(sound, size, alike=alike)
        self.stretched += abs(len(bent) - len(sound))
        return bent
