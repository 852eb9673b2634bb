"""The loop of the voice process: an absolute 20 ms grid, sockets, sound cards and the daemon.

One thread, woken by `select` at the next beat of any stream or by what comes in.  The streams'
beats are spread over the 20 ms, so that ten streams do not wait for each other.
"""

from __future__ import annotations

import gc
import select
from collections.abc import Callable
from socket import socket
from time import monotonic
from typing import get_args

from appliance.adapters import opus
from appliance.adapters.service_manager import notify_alive, watchdog_interval_s
from appliance.adapters.udp import UdpError
from appliance.media.cleaner import remover
from appliance.media.conferences import Conferences
from appliance.media.control import Control, close_all
from appliance.media.devices import Devices
from appliance.media.files import FileThread
from appliance.media.grid import first_beat
from appliance.media.notes import CALL_FIRST, Notes
from appliance.media.pcm import mix
from appliance.media.stream import Stream
from appliance.media.talk import Talk
from appliance.media.talks import Talks
from appliance.media.tones import CADENCES, Tone
from appliance.model.conference_media import Mix
from appliance.model.media import (
    MEDIA_VERSION,
    MediaCommand,
    MediaReady,
    OpenStream,
    Ring,
    SetStream,
    SoundProblem,
    StartStream,
    StopStream,
    StreamClosed,
    StreamFailed,
)
from appliance.model.note import (
    NoteEnd,
    PausePlayback,
    StartPlayback,
    StartRecording,
    StopPlayback,
    StopRecording,
)
from appliance.model.sound_device import ChooseDevices, ListDevices, TestLevels
from appliance.model.talk_media import SetTalk, TalkCommand
from appliance.protocol.jitter import FRAME_S

MAX_STREAMS = 64
"""Calls at once; a conference of a whole village is less."""

STALL_S = 0.2
"""A stream that is further behind its grid than this leaves the frames out."""

CHECK_S = 0.25
"""How often warnings are looked for."""

STATS_S = 1.0
"""How often figures are told."""

ORPHAN_S = 10.0
"""Streams whose daemon is gone go on for this long."""

TALK_FIRST = "Talking to a group comes first."

SLEEP_S = 1.0
"""Longest sleep with nothing to do."""


class Engine:
    """All streams and what drives them."""

    def __init__(self, control: Control, *, realtime: bool, memory_locked: bool) -> None:
        self._control = control
        self._realtime, self._memory_locked = realtime, memory_locked
        self._streams: dict[str, Stream] = {}
        self._closing: dict[str, Stream] = {}
        self._mixes = Conferences(control.emit, self._streams)
        self._files = FileThread()
        self._devices = Devices()
        self._notes = Notes(control.emit, self._files)
        self._talks = Talks(control.emit, self._files, monotonic)
        self._tone: Tone | None = None
        self._ending = False
        self._unread = False
        """Packets were left in their sockets in the last turn."""
        self._epoch = monotonic()
        self._check_at = self._stats_at = self._epoch
        self._alone_since: float | None = self._epoch
        self._watched = watchdog_interval_s() is not None
        self._handlers: dict[type[MediaCommand], Callable[..., None]] = {
            OpenStream: self._open,
            StopStream: self._stop,
            SetStream: self._set,
            ChooseDevices: self._choose,
            ListDevices: lambda _: self._devices.ask_list(),
            TestLevels: lambda command: self._devices.ask_levels(command.seconds),
            Ring: self._ring,
            Mix: self._mix,
            StopRecording: self._stop_note,
            StopPlayback: self._stop_note,
            PausePlayback: self._pause_note,
            **dict.fromkeys(get_args(TalkCommand), self._talk),
        }

    def end(self) -> None:
        """Stop the loop at its next turn; safe in a signal handler."""
        self._ending = True

    def run(self) -> None:
        """Work until `end`, or until the daemon that started us is gone."""
        try:
            while not self._ending:
                now = monotonic()
                self._beat(now)
                if now >= self._check_at:
                    self._check(now)
                self._wait()
        finally:
            self._shut()

    # The beat

    def _beat(self, now: float) -> None:
        for stream in list(self._streams.values()):
            while stream.started and stream.due <= now:
                behind = int((now - stream.due) / FRAME_S)
                if behind * FRAME_S > STALL_S:
                    if not stream.mixed:
                        stream.skip(behind)
                    stream.due += behind * FRAME_S
                stream.beat(max(now, stream.due))
                stream.due += FRAME_S
        self._mixes.beat(now)
        self._notes.beat(now)
        self._talks.beat(now)

    def _wait(self) -> None:
        """Sleep until the next beat or until something comes, and take that."""
        thirsty = [stream for stream in self._streams.values() if stream.thirsty]
        deadline = min(
            (stream.due for stream in self._streams.values() if stream.started),
            default=monotonic() + SLEEP_S,
        )
        dues = (self._mixes.due, self._notes.due, self._talks.due)
        deadline = min(deadline, self._check_at, *dues)
        readable: list[Stream | Talk | socket | int] = [*thirsty, *self._talks.thirsty]
        readable += [*self._control.readable(), self._devices.wake_fd]
        timeout = max(0.0, deadline - monotonic())
        ready, writable, _ = select.select(readable, self._control.writable(), [], timeout)
        for item in ready:
            if isinstance(item, Stream | Talk):
                if monotonic() >= deadline and not self._unread:
                    # Whoever is late to send goes first; but on a machine that is always late
                    # whatever comes would wait for ever.
                    self._unread = True
                    break
                item.receive()
            elif isinstance(item, socket):
                self._obey(item)
        else:
            self._unread = False
        if writable:
            self._control.flush()
        if self._devices.wake_fd in ready:
            self._devices.clear()
            self._serve_devices()

    def _serve_devices(self) -> None:
        now = monotonic()
        while (frame := self._devices.captured()) is not None:
            for stream in self._streams.values():
                if stream.wants_microphone:
                    stream.microphone(frame, now)
            self._mixes.microphone(frame, now)
            self._notes.microphone(frame, now)
            self._talks.microphone(frame, now)
        self._feed_speaker(now)
        while (answer := self._devices.answer()) is not None:
            self._control.emit(answer)

    def _feed_speaker(self, now: float) -> None:
        while self._devices.hungry:
            frames = [
                stream.speaker(now) for stream in self._streams.values() if stream.wants_speaker
            ]
            frames += [*self._mixes.speaker(now), *self._talks.speaker(now)]
            if self._notes.wants_speaker:
                frames.append(self._notes.speaker())
            if self._tone is not None:
                frames.append(self._tone.frame())
                if self._tone.over:
                    self._tone = None
            self._devices.put(mix(frames))

    # Housekeeping

    def _check(self, now: float) -> None:
        self._check_at = now + CHECK_S
        started = [stream for stream in self._streams.values() if stream.started]
        self._devices.want(
            microphone=self._notes.wants_microphone
            or self._mixes.wants_microphone
            or self._talks.wants_microphone
            or any(stream.wants_microphone for stream in started),
            speaker=self._notes.wants_speaker
            or self._tone is not None
            or self._mixes.wants_speaker
            or self._talks.wants_speaker(now)
            or any(stream.wants_speaker for stream in started),
        )
        self._notes.check(now, self._devices.microphone_problem, self._devices.speaker_problem)
        self._talks.check(self._devices.microphone_problem, self._devices.speaker_problem)
        for stream in started:
            problems = (self._devices.microphone_problem, self._devices.speaker_problem)
            stream.check(now, *problems, self._devices.notice, self._devices.echo_problem)
        if now >= self._stats_at:
            self._stats_at = now + STATS_S
            for stream in started:
                stream.tell_stats(now, self._devices.figures())
            self._talks.tell_stats(now)
            if self._watched:
                notify_alive()
            # The collector is off; what little is cyclic goes while there is nothing to do.
            gc.collect(1 if started else 2)
        self._bury()
        self._mind_daemon(now)

    def _bury(self) -> None:
        for name, stream in list(self._closing.items()):
            closed = stream.finished()
            if closed is not None:
                del self._closing[name]
                self._control.emit(closed)

    def _mind_daemon(self, now: float) -> None:
        if self._control.connected:
            self._alone_since = None
            return
        # Nobody would hear of it; the next daemon finds what was recorded.
        self._notes.end(NoteEnd.FAILED)
        self._talks.end()
        if not self._control.persistent:
            self._ending = True
        elif self._alone_since is None:
            self._alone_since = now
        elif now - self._alone_since >= ORPHAN_S:
            for name in list(self._streams):
                self._stop(StopStream(name))
            self._tone = None

    def _shut(self) -> None:
        for name in list(self._streams):
            self._stop(StopStream(name))
        self._notes.end(NoteEnd.DONE)
        self._talks.end()
        self._files.close()
        self._notes.finish()
        for stream in self._closing.values():
            self._control.emit(stream.finished() or StreamClosed(stream.name))
        self._devices.close()
        self._control.close()

    # Commands

    def _obey(self, ready: socket) -> None:
        for command, files in self._control.read(ready):
            if isinstance(command, StartStream):
                self._start(command, files)
            elif isinstance(command, StartRecording | StartPlayback):
                self._start_note(command, files)
            elif isinstance(command, SetTalk):
                self._talk(command, files)
            else:
                self._handlers[type(command)](command)
            close_all(files)
        if self._control.fresh:
            self.greet()
        if not self._control.connected and not self._control.persistent:
            self._ending = True

    def greet(self) -> None:
        """Say what we are and have, as the first event of a connection."""
        self._control.fresh = False
        self._notes.end(NoteEnd.FAILED)
        self._talks.end()
        self._control.emit(
            MediaReady(
                version=MEDIA_VERSION,
                realtime=self._realtime,
                memory_locked=self._memory_locked,
                opus=opus.version(),
                streams=tuple(self._streams),
                echo=remover(),
            )
        )

    def _open(self, command: OpenStream) -> None:
        self._call_first()
        try:
            if command.stream in self._streams:
                self._streams[command.stream].reopen(command)
                return
            if len(self._streams) >= MAX_STREAMS or command.stream in self._closing:
                raise UdpError("There are too many calls at once.")
            stream = Stream(command, self._control.emit, self._files, monotonic)
            self._streams[command.stream] = stream
        except UdpError as error:
            self._fail(command.stream, str(error))

    def _fail(self, stream: str, detail: str) -> None:
        self._control.emit(StreamFailed(stream, SoundProblem.NO_SOUND_ARRIVING, detail))

    def _start(self, command: StartStream, files: list[int]) -> None:
        stream = self._streams.get(command.stream)
        if stream is None:
            self._fail(command.stream, "The call has no sound to start.")
            return
        now = monotonic()
        fresh = not stream.started
        if stream.start(command, files, now) and fresh:
            others = (
                one.due for one in self._streams.values() if one.started and one is not stream
            )
            stream.due = first_beat(others, self._epoch, now)
            stream.microphone_lent = self._talks.speaking
            self._check_at = now

    def _stop(self, command: StopStream) -> None:
        stream = self._streams.pop(command.stream, None)
        if stream is not None:
            self._mixes.leave(stream)
            stream.close()
            self._closing[command.stream] = stream
            self._check_at = monotonic()

    def _set(self, command: SetStream) -> None:
        if command.stream in self._streams:
            self._streams[command.stream].set(command)

    def _mix(self, command: Mix) -> None:
        self._mixes.mix(command, monotonic())
        self._check_at = monotonic()

    def _choose(self, command: ChooseDevices) -> None:
        self._devices.choose(command)

    def _ring(self, command: Ring) -> None:
        known = command.tone in CADENCES
        self._tone = Tone(command.tone) if command.tone is not None and known else None
        if self._rings:
            self._call_first()
        self._check_at = monotonic()

    # Voice messages

    @property
    def _rings(self) -> bool:
        """A tone of a call is played, which goes on until it is stopped."""
        return self._tone is not None and self._tone.again

    def _call_first(self) -> None:
        self._notes.end(NoteEnd.CALL, CALL_FIRST)
        self._talks.stop_replays()
        self._check_at = monotonic()

    def _start_note(self, command: StartRecording | StartPlayback, files: list[int]) -> None:
        now = monotonic()
        busy = bool(self._streams) or self._rings or self._talks.speaking
        self._notes.start(command, files, in_call=busy, now=now)
        self._check_at = now

    def _stop_note(self, command: StopRecording | StopPlayback) -> None:
        self._notes.stop(command)
        self._check_at = monotonic()

    def _pause_note(self, command: PausePlayback) -> None:
        self._notes.pause(command)
        self._check_at = monotonic()

    # Talk groups

    def _talk(self, command: TalkCommand, files: list[int] | None = None) -> None:
        now = monotonic()
        self._talks.obey(command, files if files is not None else [], now)
        if self._talks.speaking:
            self._notes.end(NoteEnd.CALL, TALK_FIRST)
        for stream in self._streams.values():
            stream.microphone_lent = self._talks.speaking
        self._check_at = now
