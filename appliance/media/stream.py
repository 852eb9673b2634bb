"""One stream of a call: its socket, its voice in both directions, its files and its figures."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from appliance.adapters.opus import OpusError
from appliance.adapters.srtp import SrtpError
from appliance.adapters.udp import UdpError, VoiceSocket
from appliance.media.coder import Coding
from appliance.media.devices import NO_FIGURES, Figures
from appliance.media.effort import COMPLEXITY
from appliance.media.files import FileThread
from appliance.media.lateness import Lateness
from appliance.media.levels import LevelWatch
from appliance.media.pcm import SILENCE, SILENT_DB, level_db
from appliance.media.receiver import Receiver
from appliance.media.sender import Sender
from appliance.media.shield import Shield
from appliance.media.stand_ins import StandIns
from appliance.media.talk_key import TalkKey
from appliance.media.voice import begin, change
from appliance.media.voice_stats import voice_stats
from appliance.media.watch import Facts, Watch, problems
from appliance.model.media import (
    FirstSound,
    MediaEvent,
    OpenStream,
    SetStream,
    SoundProblem,
    StartStream,
    StreamClosed,
    StreamFailed,
    StreamOpened,
)
from appliance.protocol.rtcp import RtcpReport

DEVICE_LOST_S = 0.06
"""Without a beat of the sound card for this long, the stream goes on by our own clock."""

BURST = 64
"""Packets read per wake-up of a socket; then others have their turn."""

CALM = 8
"""Packets of 20 ms up to which they are only read when the next sound is wanted: the kernel says
when they came, and to wake for each costs as much as to decode it."""

BEAT_BUDGET = 256
"""Packets read per 20 ms; what a flood brings beyond it is left to the kernel to drop."""

Emit = Callable[[MediaEvent], None]


class Stream:
    """A stream from `OpenStream` to `StreamClosed`."""

    def __init__(
        self, command: OpenStream, emit: Emit, files: FileThread, clock: Callable[[], float]
    ) -> None:
        """Bind; raises `UdpError`."""
        self.name = command.stream
        self._emit = emit
        self.files = StandIns(self.name, emit, files)
        self._clock = clock
        self._socket = VoiceSocket(command.local_host)
        self._next_socket: VoiceSocket | None = None
        self._shield = Shield(self._socket)
        self._sender: Sender | None = None
        self._receiver: Receiver | None = None
        self._watch = Watch(self.name)
        self._facts = Facts(started_at=0.0)
        self._lateness = Lateness()
        self._talk_key = TalkKey()
        self._spoken = SILENCE
        self._level_in_db: float | None = None
        self._levels_out = LevelWatch()
        self._gain_db = 0.0
        self.volume_pct = 100
        """Loudness of the other side for us."""
        self._budget = BEAT_BUDGET
        self._calm = False
        self._device_in_at = self._device_out_at = 0.0
        self._first_said = False
        self._loss_reports = False
        self._report_at = 0.0
        self.mixed = False
        """A conference sends and plays for it."""
        self.mixed_by_cards = (False, False)
        """Whether that conference has a microphone and a loudspeaker of this machine."""
        self.microphone_lent = False
        """A talk group has the microphone; until it is given back, silence is sent."""
        self.due = 0.0
        """Next moment of its 20 ms grid; the engine's."""
        emit(StreamOpened(self.name, self._socket.port))

    # What the daemon wants

    @property
    def started(self) -> bool:
        """Whether it sends and receives."""
        return self._sender is not None

    def reopen(self, command: OpenStream) -> None:
        """Bind another socket for the next `start`; raises `UdpError`."""
        fresh = VoiceSocket(command.local_host)
        if self._next_socket is not None:
            self._next_socket.close()
        self._next_socket = fresh
        self._emit(StreamOpened(self.name, fresh.port))

    def start(self, command: StartStream, files: list[int], now: float) -> bool:
        """Send and receive, or change keys and addresses; False: it failed, which was said.

        ``files`` are the descriptors that came with the command; what it keeps goes from the list.
        """
        try:
            self._change_path(command)
            if self._sender is None or self._receiver is None:
                self._sender, self._receiver = begin(command)
                self._set_loudness()
                self._facts.started_at = now
            else:
                self._shield.lower()
                change(self._sender, self._receiver, command, now)
            self._loss_reports = command.loss_reports
        except (UdpError, ValueError) as error:
            self._fail(SoundProblem.NO_SOUND_ARRIVING, str(error))
            return False
        except (SrtpError, OpusError) as error:
            detail = f"The sound can't be encrypted or encoded: {error}."
            self._fail(SoundProblem.UNREADABLE_SOUND, detail)
            return False
        self.files.play_from(command, files)
        self.files.record_to(command, files)
        return True

    def _change_path(self, command: StartStream) -> None:
        kinds = (command.payload_type, command.red_payload_type or command.payload_type)
        if not 0 < command.remote_port < 65_536 or not all(96 <= kind < 128 for kind in kinds):
            raise ValueError("The other side named a port or codec that can't be.")
        sock = self._next_socket or self._socket
        sock.connect(command.remote_host, command.remote_port)
        if sock is not self._socket:
            self._socket.close()
            self._socket, self._next_socket = sock, None
            self._shield = Shield(sock)

    def _fail(self, problem: SoundProblem, detail: str) -> None:
        self._emit(StreamFailed(self.name, problem, detail))

    def set(self, command: SetStream) -> None:
        """Mute, loudness, push to talk."""
        if command.muted is not None:
            self._facts.muted = command.muted
        key = (command.push_to_talk, command.talking)
        self._talk_key.set(used=key[0], held=key[1], now=self._clock())
        if command.volume_pct is not None:
            self.volume_pct = max(0, min(200, command.volume_pct))
            self._set_loudness()

    def _set_loudness(self) -> None:
        """How loud we want it is our speaker's matter: a conference's others hear it as it came."""
        percent = 100 if self.mixed else self.volume_pct
        # What we make of it is not what is wrong with their microphone.
        self._gain_db = 20 * math.log10(max(1, percent) / 100)
        if self._receiver is not None:
            self._receiver.set_volume_pct(percent)

    def close(self) -> None:
        """Stop; `finished` tells when its files are complete."""
        self._sender = self._receiver = None
        self._socket.close()
        if self._next_socket is not None:
            self._next_socket.close()
        self.files.close()

    def finished(self) -> StreamClosed | None:
        """Its last event, once its files are complete and its process is gone."""
        if not self.files.closed:
            return None
        return StreamClosed(self.name, self._lateness.histogram())

    # The beat

    def fileno(self) -> int:
        """For select."""
        return self._socket.fileno()

    @property
    def thirsty(self) -> bool:
        """Whether what comes is to be read at once, and may still be in this beat."""
        return self._budget > 0 and not (self._calm and self.started and self._socket.stamps)

    @property
    def wants_microphone(self) -> bool:
        """A sound card is what it sends."""
        return self.started and not self.mixed and self.files.by_microphone

    @property
    def wants_speaker(self) -> bool:
        """A sound card is what it plays to."""
        return self.started and not self.mixed and self.files.by_speaker

    def beat(self, now: float) -> None:
        """Its grid has come round (at `due`): send and play what no sound card drives."""
        flooded, self._calm = self._budget <= 0, BEAT_BUDGET - self._budget <= CALM
        self._budget = BEAT_BUDGET
        if self._sender is None or self._receiver is None:
            return
        heard_at = self._facts.last_voice_at or 0.0
        self._shield.beat(now, flooded=flooded, source=self._receiver.source, heard_at=heard_at)
        if not self.mixed:
            self._beat_alone(now)
        if now >= self._report_at:
            self._report(now)

    def _beat_alone(self, now: float) -> None:
        if not self.wants_microphone:
            self._send(self.files.frame(now))
            self._lateness.add(self._clock() - self.due)
        elif now - self._device_in_at > DEVICE_LOST_S:
            self._send(SILENCE)
        if self.files.records:
            self.files.write(self.sound(now), now)
        elif now - self._device_out_at > DEVICE_LOST_S:
            self.sound(now)

    def microphone(self, frame: bytes, now: float) -> None:
        """20 ms from the sound card, all streams alike."""
        self._device_in_at = now
        self.note_microphone(frame, now)
        self._send(frame)

    def note_microphone(self, frame: bytes, now: float) -> None:
        """Learn what the microphone gives, for the warning that it is silent."""
        if any(frame):
            self._facts.last_microphone_at = now

    def speaker(self, now: float) -> bytes:
        """The next 20 ms for the sound card."""
        self._device_out_at = now
        return self.sound(now)

    def skip(self, frames: int) -> None:
        """The process stood still for so long that these frames are left out."""
        if self._sender is not None:
            self._sender.skip(frames)

    def _send(self, frame: bytes) -> None:
        if self._sender is None:
            return
        if self.muted:
            frame = SILENCE
        self._spoken, self._level_in_db = frame, None
        self._give(frame)

    def _give(self, frame: bytes) -> None:
        packet = self._sender.frame(frame, self._clock()) if self._sender is not None else None
        if packet is not None:
            self._socket.send(packet)

    def sound(self, now: float) -> bytes:
        """Their next 20 ms."""
        if self._receiver is None:
            return SILENCE
        self.receive()  # What has come by now may be what sounds now.
        frame = self._receiver.frame(now)
        if self._receiver.playing:
            self._levels_out.add(self._receiver.level_db - self._gain_db)
        if self._receiver.playing and not self._first_said:
            self._first_said = True
            self._emit(FirstSound(self.name, now))
        return frame

    @property
    def sound_db(self) -> float:
        """Level of their last 20 ms."""
        return SILENT_DB if self._receiver is None else self._receiver.level_db

    def receive(self) -> None:
        """Its socket is readable."""
        for _ in range(min(BURST, self._budget)):
            data = self._socket.receive()
            if data is None:
                return
            self._budget -= 1
            if self._receiver is None or not data:
                continue
            now = self._clock() - self._socket.age_s
            result = self._receiver.datagram(data, now)
            if result is True:
                self._facts.last_voice_at = now
            elif result is False:
                self._facts.last_rejected_at = now
            else:
                self._heard(result, now)

    def _heard(self, report: RtcpReport, now: float) -> None:
        if self._sender is not None:
            self._sender.heard(report, now)

    def _report(self, now: float) -> None:
        if self._sender is None or self._receiver is None:
            return
        receiver = self._receiver
        losses = receiver.losses() if self._loss_reports else ()
        packet, interval_s = self._sender.report(receiver.report_blocks(now), losses, now)
        self._report_at = now + interval_s
        self._socket.send(packet)

    # In a conference

    @property
    def muted(self) -> bool:
        """Our microphone is off or with a talk group, or the key that opens it is not held."""
        is_open = self._talk_key.lets_talk(self._clock())
        return self._facts.muted or self.microphone_lent or not is_open

    def join_mix(self) -> None:
        """Send and play no more by itself: a conference does both from now on."""
        self.mixed = True
        self._set_loudness()

    def leave_mix(self) -> None:
        """Be a call of its own again."""
        self.mixed = False
        self.set_complexity(COMPLEXITY)
        self._set_loudness()

    def set_complexity(self, complexity: int) -> None:
        """Encode with less thought where there is much to encode."""
        if self._sender is not None:
            self._sender.set_complexity(complexity)

    @property
    def common_coding(self) -> Coding | None:
        """How its next packet could be made together with others'; None: not now."""
        return None if self._sender is None else self._sender.common_coding

    def send_mixed(self, frame: bytes, *, level_in_db: float, encoded: bytes | None = None) -> None:
        """Send 20 ms of a conference; ``level_in_db`` is our microphone's part.

        ``encoded`` is the frame as it was encoded for several, in the way of `common_coding`.
        """
        if self._sender is None:
            return
        self._level_in_db = level_in_db
        if encoded is None:
            self._give(frame)
        elif (packet := self._sender.encoded(encoded, frame, self._clock())) is not None:
            self._socket.send(packet)

    # What the daemon hears

    def check(
        self,
        now: float,
        microphone: str | None,
        speaker: str | None,
        notice: str | None,
        echo: str | None,
    ) -> None:
        """Say what has begun or ceased to be wrong; what the devices say comes from outside."""
        if not self.started:
            return
        facts = self._facts
        cards = (self.files.by_microphone, self.files.by_speaker)
        by_microphone, by_speaker = self.mixed_by_cards if self.mixed else cards
        facts.uses_microphone = by_microphone
        facts.microphone_problem = microphone if by_microphone else None
        facts.speaker_problem = speaker if by_speaker else None
        facts.echo_problem = echo if by_microphone else None
        facts.device_notice = notice if by_microphone or by_speaker else None
        facts.play_problem = self.files.play_problem
        facts.record_problem = self.files.record_problem
        for warning in self._watch.update(problems(facts, now)):
            self._emit(warning)

    def tell_stats(self, now: float, figures: Figures = NO_FIGURES) -> None:
        """Once a second."""
        if self._sender is None or self._receiver is None:
            return
        self._sender.tick(now)
        level_in_db = level_db(self._spoken) if self._level_in_db is None else self._level_in_db
        self._emit(
            replace(
                voice_stats(self.name, self._sender, self._receiver, now, self._shield.total),
                level_in_db=level_in_db,
                late_max_ms=self._lateness.take_worst_s() * 1000,
                sound_gaps=figures.gaps,
                voice_in_db=figures.voice_db,
                clipped_in_pct=figures.clipped_pct,
                voice_out_db=self._levels_out.loudest_db,
                clipped_out_pct=self._levels_out.clipped_pct,
                talk_left_s=self._talk_key.left_s(now),
            )
        )
