"""The files that stand in for a stream's microphone and speaker."""

from __future__ import annotations

from collections.abc import Callable

from appliance.adapters.wavfile import WavError
from appliance.media.files import FileThread, PlayFile, RecordFile
from appliance.media.pcm import SILENCE
from appliance.model.media import FileStarted, MediaEvent, StartStream
from appliance.protocol.jitter import FRAME_S


class StandIns:
    """What a stream plays and records in place of sound cards, as far as it does."""

    def __init__(self, stream: str, emit: Callable[[MediaEvent], None], files: FileThread) -> None:
        self._stream = stream
        self._emit = emit
        self._files = files
        self._play: PlayFile | None = None
        self._record: RecordFile | None = None
        self._play_problem: str | None = None
        self._record_problem: str | None = None
        self._play_said = self._record_said = False

    @property
    def by_microphone(self) -> bool:
        """No file stands in for the microphone."""
        return self._play is None and self._play_problem is None

    @property
    def by_speaker(self) -> bool:
        """No file stands in for the speaker."""
        return self._record is None and self._record_problem is None

    @property
    def records(self) -> bool:
        """There is a file to write to."""
        return self._record is not None

    @property
    def play_problem(self) -> str | None:
        """Why there is no sound from the file: one sentence, or None."""
        return self._play.problem if self._play is not None else self._play_problem

    @property
    def record_problem(self) -> str | None:
        """Why nothing is written: one sentence, or None."""
        return self._record.problem if self._record is not None else self._record_problem

    def play_from(self, command: StartStream, files: list[int]) -> None:
        """Play what the command names, unless that is being played."""
        if command.play is None or (self._play is not None and self._play.path == command.play):
            return
        if self._play is not None:
            self._play.close()
            self._play = None
        self._play_problem = command.play_problem
        if command.play_problem is None:
            try:
                self._play, self._play_said = PlayFile(command.play, files[0]), False
            except WavError as error:
                self._play_problem = str(error)

    def record_to(self, command: StartStream, files: list[int]) -> None:
        """Record to what the command names, unless that is being done; keeps the descriptor."""
        if command.record is None or (
            self._record is not None and self._record.path == command.record
        ):
            return
        if self._record is not None:
            self._record.close()
            self._record = None
        self._record_problem = command.record_problem
        if command.record_problem is None:
            self._record = RecordFile(command.record, files.pop(), self._files)
            self._record_said = False

    def frame(self, now: float) -> bytes:
        """20 ms of what is played."""
        if self._play is None:
            return SILENCE
        if not self._play_said and self._play.ready:
            self._play_said = True
            at_s = now - FRAME_S  # A microphone gives a frame when its last sample was spoken.
            self._emit(FileStarted(self._stream, self._play.path, recording=False, at_s=at_s))
        return self._play.frame()

    def write(self, frame: bytes, now: float) -> None:
        """20 ms for the recording, if there is one."""
        if self._record is None:
            return
        if not self._record_said:
            self._record_said = True
            self._emit(FileStarted(self._stream, self._record.path, recording=True, at_s=now))
        self._record.write(frame)

    def hand_to(self, other: StandIns) -> None:
        """Let another stream of ours go on with these, unless it has its own."""
        if other.by_microphone:
            other._play, self._play = self._play, None
            other._play_problem, self._play_problem = self._play_problem, None
            other._play_said = self._play_said
        if other.by_speaker:
            other._record, self._record = self._record, None
            other._record_problem, self._record_problem = self._record_problem, None
            other._record_said = self._record_said

    def close(self) -> None:
        """Read and write no more; `closed` tells when the files are complete."""
        if self._play is not None:
            self._play.close()
        if self._record is not None:
            self._record.close()

    @property
    def closed(self) -> bool:
        """After `close`: the recording is whole and the reading process gone."""
        reaped = self._play is None or self._play.reaped()
        return reaped and (self._record is None or self._record.closed)
