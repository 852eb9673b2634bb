"""The sound cards of the voice process: opened, watched and lost in a thread of their own.

Opening a card can take a second; the loop only says what it wants and reads what is there.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic

from appliance.adapters.audio import (
    AudioError,
    Microphone,
    Speaker,
    list_devices,
    rescan,
)
from appliance.adapters.realtime import be_realtime
from appliance.media.pcm import SILENCE, SILENT_DB, level_db
from appliance.media.tones import Tone
from appliance.model.media import DeviceList, Levels, MediaEvent

AHEAD = 2
"""Frames that wait for the loudspeaker: 40 ms, so that one late wake-up is not heard."""

MAX_CAPTURED = 10
"""Frames of the microphone that wait for the loop; above it the oldest goes."""

LOOK_S = 1.0
"""How often a missing card is looked for and an open one is watched."""

MAX_TEST_S = 10.0
"""Longest level test."""


class Devices:
    """Microphone and loudspeaker, as far as they are wanted and there."""

    def __init__(self) -> None:
        self.wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        """Readable when a frame came, one is wanted or an answer is there."""
        self.microphone_problem: str | None = None
        """Why there is no microphone; None: there is, or none is wanted."""
        self.speaker_problem: str | None = None
        """Likewise."""
        self._captured: deque[bytes] = deque(maxlen=MAX_CAPTURED)
        self._ring: deque[bytes] = deque(maxlen=AHEAD + 1)
        self._answers: deque[MediaEvent] = deque(maxlen=16)
        self._tests: deque[float] = deque(maxlen=4)
        self._list_wanted = self._choice_changed = self._ending = False
        self._names: tuple[str | None, str | None] = (None, None)
        self._wanted = (False, False)
        self._microphone: Microphone | None = None
        self._speaker: Speaker | None = None
        self._change = threading.Event()
        self._thread: threading.Thread | None = None

    # For the loop

    def want(self, *, microphone: bool, speaker: bool) -> None:
        """Open or close; takes effect soon."""
        if (microphone, speaker) != self._wanted:
            self._wanted = (microphone, speaker)
            self._poke()

    def choose(self, microphone: str | None, speaker: str | None) -> None:
        """Use these from now on."""
        self._names = (microphone, speaker)
        self._choice_changed = True
        self._poke()

    def ask_list(self) -> None:
        """Answered by a `DeviceList`."""
        self._list_wanted = True
        self._poke()

    def ask_levels(self, seconds: float) -> None:
        """Answered by `Levels`."""
        self._tests.append(max(0.1, min(MAX_TEST_S, seconds)))
        self._poke()

    def clear(self) -> None:
        """The loop has seen `wake_fd`."""
        try:
            os.eventfd_read(self.wake_fd)
        except BlockingIOError:
            return

    def captured(self) -> bytes | None:
        """The microphone's next frame, if there is one."""
        return self._captured.popleft() if self._captured else None

    @property
    def hungry(self) -> bool:
        """Whether the loudspeaker can take another frame."""
        return self._speaker is not None and len(self._ring) < AHEAD

    def put(self, frame: bytes) -> None:
        """A frame for the loudspeaker."""
        self._ring.append(frame)

    def answer(self) -> MediaEvent | None:
        """The next answer, if there is one."""
        return self._answers.popleft() if self._answers else None

    def close(self) -> None:
        """Give all cards back."""
        self._ending = True
        if self._thread is not None:
            self._change.set()
            self._thread.join(timeout=5)
        os.close(self.wake_fd)

    def _poke(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="sound", daemon=True)
            self._thread.start()
        self._change.set()

    # PortAudio's thread

    def _on_frame(self, frame: bytes) -> None:
        self._captured.append(frame)
        os.eventfd_write(self.wake_fd, 1)

    def _next_frame(self) -> bytes:
        frame = self._ring.popleft() if self._ring else SILENCE
        os.eventfd_write(self.wake_fd, 1)
        return frame

    # The thread of this module

    def _run(self) -> None:
        be_realtime()  # It holds the interpreter's lock at times, so it must not be kept waiting.
        while not self._ending:
            self._change.wait(LOOK_S)
            self._change.clear()
            if self._choice_changed:
                self._choice_changed = False
                self._leave(microphone=True, speaker=True)
            self._follow()
            if self._list_wanted:
                self._list_wanted = False
                self._tell_list()
            if self._tests:
                self._test_levels(self._tests.popleft())
        self._leave(microphone=True, speaker=True)

    def _leave(self, *, microphone: bool, speaker: bool) -> None:
        if microphone and self._microphone is not None:
            gone, self._microphone = self._microphone, None
            gone.close()
        if speaker and self._speaker is not None:
            lost, self._speaker = self._speaker, None
            lost.close()
            self._ring.clear()

    def _follow(self) -> None:
        """Bring what is open in line with what is wanted and what is there."""
        microphone, speaker = self._wanted
        self._leave(
            microphone=not (microphone and self._microphone and self._microphone.alive),
            speaker=not (speaker and self._speaker and self._speaker.alive),
        )
        missing = (microphone and self._microphone is None) or (speaker and not self._speaker)
        if missing and self._microphone is None and self._speaker is None:
            self._rescan()
        if not microphone:
            self.microphone_problem = None
        elif self._microphone is None:
            self.microphone_problem = self._opened(self._open_microphone)
        if not speaker:
            self.speaker_problem = None
        elif self._speaker is None:
            self.speaker_problem = self._opened(self._open_speaker)

    def _rescan(self) -> str | None:
        return self._opened(rescan)

    @staticmethod
    def _opened(opening: Callable[[], None]) -> str | None:
        try:
            opening()
        except AudioError as error:
            return str(error)
        return None

    def _open_microphone(self) -> None:
        self._microphone = Microphone(self._names[0], self._on_frame)

    def _open_speaker(self) -> None:
        self._speaker = Speaker(self._names[1], self._next_frame)

    def _tell_list(self) -> None:
        if self._microphone is None and self._speaker is None:
            self._rescan()
        try:
            answer = DeviceList(list_devices(), *self._names)
        except AudioError as error:
            answer = DeviceList((), *self._names, detail=str(error))
        self._answers.append(answer)
        os.eventfd_write(self.wake_fd, 1)

    def _test_levels(self, seconds: float) -> None:
        """Listen and play a tone; uses cards of its own where no call has them open."""
        loudest = SILENT_DB
        tone = Tone("notice")

        def heard(frame: bytes) -> None:
            nonlocal loudest
            loudest = max(loudest, level_db(frame))

        problems: list[str] = []
        if self._microphone is None and self._speaker is None:
            self._rescan()
        own: list[Microphone | Speaker] = []
        for opening in (
            lambda: Microphone(self._names[0], heard),
            lambda: Speaker(self._names[1], tone.frame),
        ):
            try:
                own.append(opening())
            except AudioError as error:
                problems.append(str(error))
        has_input = any(isinstance(device, Microphone) for device in own)
        has_output = any(isinstance(device, Speaker) for device in own)
        until = monotonic() + seconds
        while not self._ending and (left := until - monotonic()) > 0 and own:
            self._change.wait(left)
            if self._wanted != (False, False):
                break
            self._change.clear()
        for device in own:
            device.close()
        if has_input and loudest == SILENT_DB:
            problems.append("The microphone gives no sound; is it switched off or muted?")
        detail = " ".join(dict.fromkeys(problems)) or "Microphone and loudspeaker work."
        self._answers.append(Levels(loudest if has_input else None, has_output, detail))
        os.eventfd_write(self.wake_fd, 1)
