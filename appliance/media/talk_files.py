"""Files that stand in for microphone and speaker in a talk group, over all of its spurts."""

from __future__ import annotations

from collections.abc import Callable

from appliance.adapters.wavfile import WavError
from appliance.media.files import FileThread, PlayFile, RecordFile
from appliance.model.talk_media import SetTalk


class TalkFiles:
    """At most one to play and one to record."""

    def __init__(self, thread: FileThread) -> None:
        self._thread = thread
        self._play: PlayFile | None = None
        self._record: RecordFile | None = None
        self._named: tuple[str | None, str | None] = (None, None)
        self._problems: list[str | None] = [None, None]
        self._left: list[PlayFile | RecordFile] = []

    def follow(self, command: SetTalk, files: list[int]) -> None:
        """Use these from now on; what is kept of the descriptors goes from the list."""
        play, record = self._named
        self._named = (command.play, command.record)
        if command.record != record:
            self._leave(self._record)
            self._record, self._problems[1] = None, command.record_problem
            if command.record is not None and command.record_problem is None:
                self._record = RecordFile(command.record, files.pop(), self._thread)
        if command.play != play:
            self._leave(self._play)
            self._play, self._problems[0] = None, command.play_problem
            if command.play is not None and command.play_problem is None:
                try:
                    self._play = PlayFile(command.play, files[0])
                except WavError as error:
                    self._problems[0] = str(error)

    def _leave(self, file: PlayFile | RecordFile | None) -> None:
        if file is not None:
            file.close()
            self._left.append(file)

    @property
    def plays(self) -> bool:
        """A file stands in for the microphone."""
        return self._named[0] is not None

    @property
    def records(self) -> bool:
        """A file stands in for the speaker."""
        return self._named[1] is not None

    def microphone(self) -> bytes | None:
        """The next 20 ms; None: no file, or it has not begun."""
        if self._play is None or not (self._play.ready or self._play.over):
            return None
        return self._play.frame()

    def speaker(self, frame: bytes) -> None:
        """The next 20 ms."""
        if self._record is not None:
            self._record.write(frame)

    def check(self, fail: Callable[[None, str], None]) -> None:
        """Say what is wrong with them; `fail` says each thing once."""
        said = [
            *self._problems,
            self._play.problem if self._play is not None else None,
            self._record.problem if self._record is not None else None,
        ]
        for problem in filter(None, said):
            fail(None, problem)

    def close(self) -> None:
        """Complete them."""
        self._leave(self._play)
        self._leave(self._record)
        self._play = self._record = None
        self._named = (None, None)

    def finished(self) -> bool:
        """Whether all that was left is complete; asked again until it is."""
        self._left = [
            file
            for file in self._left
            if not (file.reaped() if isinstance(file, PlayFile) else file.closed)
        ]
        return not self._left
