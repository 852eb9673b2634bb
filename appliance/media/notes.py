"""Voice messages in the voice process: one is recorded or played, and none during a call.

Sound cards drive it where it uses them; where files stand in for them, its own 20 ms grid does.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from appliance.adapters.oggopus import OggOpusWriter
from appliance.adapters.wavfile import WavError
from appliance.media.files import FileThread, PlayFile, RecordFile
from appliance.media.pcm import SILENCE, SILENT_DB, level_db
from appliance.model.note import (
    NoteEnd,
    NoteEvent,
    PausePlayback,
    PlaybackEnded,
    PlaybackMoved,
    RecordingEnded,
    RecordingHeard,
    StartPlayback,
    StartRecording,
    StopPlayback,
    StopRecording,
)
from appliance.protocol.jitter import FRAME_S

FRAME_MS = 20
"""Length of all frames in here."""

TELL_S = 0.2
"""Levels and positions are told no more often."""

SILENT_AFTER_S = 1.5
"""Without sound for this long it is said."""

TAIL_FRAMES = 10
"""Silence behind what is played, so that no sound card is closed before it has played the end."""

STALL_S = 0.2
"""Frames that are later than this are left out of the grid."""

MAX_ENDING = 4
"""Notes whose files are still being completed; a disk that stands still gets no more."""

LONGEST = "The recording has reached its greatest length."
CALL_FIRST = "A call comes first."
SILENT = "The microphone gives no sound; is it switched off or muted?"
BUSY = "The disk is too slow; try again in a moment."

Emit = Callable[[NoteEvent], None]


class Recorder:
    """A recording from `StartRecording` to `RecordingEnded`."""

    def __init__(
        self, command: StartRecording, files: list[int], thread: FileThread, now: float
    ) -> None:
        """``files``: what came with the command; what it keeps goes from it.  Raises `WavError`."""
        self.name = command.recording
        self._frames = 0
        self._most = max(1, int(command.max_s * 1000) // FRAME_MS)
        self._play = PlayFile(command.play, files[0]) if command.play is not None else None
        self._file = RecordFile(command.path, files.pop(), thread, OggOpusWriter)
        self._peak_db = SILENT_DB
        self._heard_at = now
        self._ended: tuple[NoteEnd, str] | None = None

    @property
    def over(self) -> bool:
        """It takes no more sound."""
        return self._ended is not None

    @property
    def wants_microphone(self) -> bool:
        """A sound card is what it records."""
        return self._play is None and not self.over

    @property
    def on_grid(self) -> bool:
        """No sound card drives it."""
        return self._play is not None and not self.over

    def take(self, frame: bytes, now: float) -> None:
        """The next 20 ms."""
        if self.over:
            return
        self._file.write(frame)
        self._frames += 1
        level = level_db(frame)
        self._peak_db = max(self._peak_db, level)
        if level > SILENT_DB:
            self._heard_at = now
        if self._frames >= self._most:
            self.end(NoteEnd.FULL, LONGEST)

    def beat(self, now: float) -> None:
        """Take from the file that stands in for the microphone."""
        if self._play is None:
            return
        if self._play.ready:
            self.take(self._play.frame(), now)
        elif self._play.problem is not None:
            self.end(NoteEnd.FAILED, self._play.problem)
        elif self._play.over:
            self.end(NoteEnd.DONE)

    def check(self, now: float, microphone: str | None, speaker: str | None) -> None:
        """End it when a device or the disk has failed."""
        del speaker
        if self._file.problem is not None:
            self.end(NoteEnd.FAILED, self._file.problem)
        elif microphone is not None and self.wants_microphone:
            self.end(NoteEnd.FAILED, microphone)

    def told(self, now: float) -> NoteEvent:
        """How it goes on."""
        peak, self._peak_db = self._peak_db, SILENT_DB
        silent = now - self._heard_at >= SILENT_AFTER_S
        return RecordingHeard(self.name, self._frames * FRAME_MS, peak, SILENT if silent else "")

    def end(self, why: NoteEnd, detail: str = "") -> None:
        """Complete the file."""
        if self._ended is None:
            self._ended = (why, detail)
            self._file.close()
            if self._play is not None:
                self._play.close()

    def finished(self) -> NoteEvent | None:
        """Its last event, once the file is complete."""
        reaped = self._play is None or self._play.reaped()
        if self._ended is None or not self._file.closed or not reaped:
            return None
        why, detail = self._ended
        if self._file.problem is not None:
            why, detail = NoteEnd.FAILED, self._file.problem
        return RecordingEnded(self.name, why, detail)


class Player:
    """A playback from `StartPlayback` to `PlaybackEnded`."""

    wants_microphone = False

    def __init__(self, command: StartPlayback, files: list[int], thread: FileThread) -> None:
        """As for `Recorder`."""
        self.name = command.playback
        self.paused = False
        self._from_ms = max(0, command.from_ms)
        self._frames = self._tail = 0
        self._play = PlayFile(command.path, files[0], from_ms=self._from_ms)
        self._sink: RecordFile | None = None
        if command.record is not None:
            self._sink = RecordFile(command.record, files.pop(), thread)
        self._peak_db = SILENT_DB
        self._ended: tuple[NoteEnd, str] | None = None

    @property
    def over(self) -> bool:
        """It gives no more sound."""
        return self._ended is not None

    @property
    def wants_speaker(self) -> bool:
        """A sound card is what it plays to."""
        return self._sink is None and not self.over and not self.paused

    @property
    def on_grid(self) -> bool:
        """No sound card drives it."""
        return self._sink is not None and not self.over

    def frame(self) -> bytes:
        """The next 20 ms."""
        if self.over or self.paused:
            return SILENCE
        if self._play.ready:
            frame = self._play.frame()
            self._frames += 1
            self._peak_db = max(self._peak_db, level_db(frame))
            return frame
        if self._play.over:
            self._tail += 1
            if self._tail > TAIL_FRAMES and self._play.problem is None:
                self.end(NoteEnd.DONE)
        return SILENCE

    def beat(self, now: float) -> None:
        """Give to the file that stands in for the speaker."""
        del now
        if self._sink is not None and not self.paused:
            self._sink.write(self.frame())

    def check(self, now: float, microphone: str | None, speaker: str | None) -> None:
        """End it when a device or the file has failed."""
        del now, microphone
        sink = self._sink.problem if self._sink is not None else None
        problem = self._play.problem or sink or (speaker if self.wants_speaker else None)
        if problem is not None:
            self.end(NoteEnd.FAILED, problem)

    def told(self, now: float) -> NoteEvent:
        """How far it is."""
        del now
        peak, self._peak_db = self._peak_db, SILENT_DB
        return PlaybackMoved(self.name, self._position_ms, peak, self.paused)

    @property
    def _position_ms(self) -> int:
        return self._from_ms + self._frames * FRAME_MS

    def end(self, why: NoteEnd, detail: str = "") -> None:
        """Stop."""
        if self._ended is None:
            self._ended = (why, detail)
            self._play.close()
            if self._sink is not None:
                self._sink.close()

    def finished(self) -> NoteEvent | None:
        """Its last event, once its process is gone and its file complete."""
        written = self._sink is None or self._sink.closed
        if self._ended is None or not self._play.reaped() or not written:
            return None
        return PlaybackEnded(self.name, self._ended[0], self._position_ms, self._ended[1])


class Notes:
    """At most one recorder or player at work, and those that are being completed."""

    def __init__(self, emit: Emit, thread: FileThread) -> None:
        self._emit = emit
        self._thread = thread
        self._now: Recorder | Player | None = None
        self._ending: list[Recorder | Player] = []
        self._tell_at = 0.0
        self._grid = inf
        """Next moment of the 20 ms grid; infinite while sound cards drive it or there is none."""
        self._look_at = inf
        """When those that are being completed are looked at."""

    @property
    def due(self) -> float:
        """When `beat` is wanted at the latest."""
        return min(self._grid, self._look_at)

    @property
    def wants_microphone(self) -> bool:
        """What is recorded comes from a sound card."""
        return self._now is not None and self._now.wants_microphone

    @property
    def wants_speaker(self) -> bool:
        """What is played goes to a sound card."""
        return isinstance(self._now, Player) and self._now.wants_speaker

    def start(
        self,
        command: StartRecording | StartPlayback,
        files: list[int],
        *,
        in_call: bool,
        now: float,
    ) -> None:
        """Begin, in place of what is there."""
        if in_call:
            self._refuse(command, NoteEnd.CALL, CALL_FIRST)
            return
        self.end(NoteEnd.DONE)
        if len(self._ending) >= MAX_ENDING:
            self._refuse(command, NoteEnd.FAILED, BUSY)
            return
        try:
            if isinstance(command, StartRecording):
                self._now = Recorder(command, files, self._thread, now)
            else:
                self._now = Player(command, files, self._thread)
        except WavError as error:
            self._refuse(command, NoteEnd.FAILED, str(error))
            return
        self._tell_at = now
        self._grid = now if self._now.on_grid else inf

    def _refuse(self, command: StartRecording | StartPlayback, why: NoteEnd, detail: str) -> None:
        if isinstance(command, StartRecording):
            self._emit(RecordingEnded(command.recording, why, detail))
        else:
            self._emit(PlaybackEnded(command.playback, why, command.from_ms, detail))

    def stop(self, command: StopRecording | StopPlayback) -> None:
        """It is enough."""
        kind, name = (
            (Recorder, command.recording)
            if isinstance(command, StopRecording)
            else (Player, command.playback)
        )
        if isinstance(self._now, kind) and self._now.name == name:
            self.end(NoteEnd.DONE)

    def pause(self, command: PausePlayback) -> None:
        """Hold it, or go on."""
        if isinstance(self._now, Player) and self._now.name == command.playback:
            self._now.paused = command.paused
            self._tell_at = 0.0

    def end(self, why: NoteEnd, detail: str = "") -> None:
        """End what is there, unless it has by itself."""
        if self._now is not None:
            self._now.end(why, detail)
            self._ending.append(self._now)
            self._now, self._grid, self._look_at = None, inf, 0.0

    # The beat

    def microphone(self, frame: bytes, now: float) -> None:
        """20 ms from the sound card."""
        if isinstance(self._now, Recorder) and self._now.wants_microphone:
            self._now.take(frame, now)

    def speaker(self) -> bytes:
        """The next 20 ms for the sound card."""
        return self._now.frame() if isinstance(self._now, Player) else SILENCE

    def beat(self, now: float) -> None:
        """The grid may have come round, and those that end may have ended."""
        while self._now is not None and self._grid <= now:
            if now - self._grid > STALL_S:
                self._grid = now
            self._now.beat(now)
            self._grid = self._grid + FRAME_S if self._now.on_grid else inf
            if self._now.over:
                self.end(NoteEnd.DONE)
        if now >= self._look_at:
            self.finish()
            self._look_at = now + FRAME_S if self._ending else inf

    def check(self, now: float, microphone: str | None, speaker: str | None) -> None:
        """Tell how it goes; the devices' problems come from outside."""
        if self._now is not None:
            self._now.check(now, microphone, speaker)
            if self._now.over:
                self.end(NoteEnd.DONE)
            elif now >= self._tell_at:
                self._tell_at = now + TELL_S
                self._emit(self._now.told(now))

    def finish(self) -> None:
        """Say how those have ended whose files are complete."""
        for note in list(self._ending):
            if (event := note.finished()) is not None:
                self._ending.remove(note)
                self._emit(event)
