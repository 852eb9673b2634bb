"""The sound cards of the voice process: opened, watched and lost in a thread of their own.

Opening a card can take a second; the loop only says what it wants and reads what is there.  What
the microphone hears is cleaned before the loop gets it.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from dataclasses import dataclass
from time import monotonic

from appliance.adapters.audio import AudioError, Microphone, Speaker, list_devices
from appliance.adapters.realtime import be_realtime
from appliance.media.cards import Cards
from appliance.media.cleaner import Cleaner, cleaner_for
from appliance.media.far import FarLine
from appliance.media.levels import LevelWatch
from appliance.media.pcm import SILENCE, SILENT_DB, level_db
from appliance.media.tones import Tone
from appliance.model.media import MediaEvent
from appliance.model.sound_device import ChooseDevices, DeviceList, Levels

AHEAD = 2
"""Frames that wait for the loudspeaker: 40 ms, so that one late wake-up is not heard."""

MAX_CAPTURED = 10
"""Frames of the microphone that wait for the loop; above it the oldest goes."""

LOOK_S = 0.5
"""How often a missing card is looked for and an open one is watched."""

LIVE = b"\x01\x00" + SILENCE[2:]
"""Of a microphone that hears nothing but noise, all of which is taken out: digital silence would be
told of as a microphone that is switched off."""

LOOP_FRAMES = 20
LOOPS = 2
"""As often as that the microphone is compared with the loudspeaker, and so many times in a row they
must be the same."""

LOOP = "There is no microphone; plug one in. (What it should give is our own loudspeaker's sound.)"

MAX_TEST_S = 10.0
"""Longest level test."""


@dataclass(frozen=True)
class Figures:
    """How the cards do."""

    gaps: int = 0
    """Frames that a card or the loop was too late for, since the start."""

    voice_db: float = SILENT_DB
    """Loudest moment of the microphone in the last 5 s, before anything was made of it."""

    clipped_pct: float = 0.0
    """Share of its last 5 s that met the end of the scale."""


NO_FIGURES = Figures()
"""Without cards."""


class Devices:
    """Microphone and loudspeaker, as far as they are wanted and there."""

    def __init__(self) -> None:
        self.wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        """Readable when a frame came, one is wanted or an answer is there."""
        self._captured: deque[bytes] = deque(maxlen=MAX_CAPTURED)
        self._ring: deque[bytes] = deque(maxlen=AHEAD + 1)
        self._answers: deque[MediaEvent] = deque(maxlen=16)
        self._tests: deque[float] = deque(maxlen=4)
        self._list_wanted = self._choice_changed = self._ending = False
        self._names: tuple[str | None, str | None] = (None, None)
        self._handset = False
        self._wanted = (False, False)
        self._cards = Cards(
            lambda name: Microphone(name, self._on_frame),
            lambda name: Speaker(name, self._next_frame),
        )
        self._cleaner: Cleaner | None = None
        self._far = FarLine()
        self._watch = LevelWatch()
        self._fed = False
        self._starved = self._frames_in = self._loops = 0
        self._change = threading.Event()
        self._thread: threading.Thread | None = None

    # For the loop

    def want(self, *, microphone: bool, speaker: bool) -> None:
        """Open or close; takes effect soon."""
        if (microphone, speaker) != self._wanted:
            self._wanted = (microphone, speaker)
            self._poke()

    def choose(self, choice: ChooseDevices) -> None:
        """Use these from now on."""
        self._names = (choice.input_device, choice.output_device)
        self._handset = choice.handset
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

    @property
    def microphone_problem(self) -> str | None:
        """Why there is no microphone; None: there is, or none is wanted."""
        return LOOP if self._loops >= LOOPS else self._cards.microphone.problem

    @property
    def speaker_problem(self) -> str | None:
        """Likewise."""
        return self._cards.speaker.problem

    @property
    def notice(self) -> str | None:
        """What stands in for a chosen card that is not there."""
        notices = (self._cards.microphone.notice, self._cards.speaker.notice)
        return " ".join(notice for notice in notices if notice is not None) or None

    @property
    def echo_problem(self) -> str | None:
        """Why the echo is no longer taken out."""
        return self._cleaner.problem if self._cleaner is not None else None

    def figures(self) -> Figures:
        """How the cards do."""
        gaps = self._starved + self._cards.microphone.gaps + self._cards.speaker.gaps
        return Figures(gaps, self._watch.loudest_db, self._watch.clipped_pct)

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
        return self._cards.speaker.device is not None and len(self._ring) < AHEAD

    def put(self, frame: bytes) -> None:
        """A frame for the loudspeaker."""
        self._ring.append(frame)
        self._fed = True

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

    def _on_frame(self, frame: bytes, spoken_at: float) -> None:
        self._watch.add(level_db(frame))
        if self._is_loop(frame):
            frame = SILENCE
        cleaner = self._cleaner
        if cleaner is not None:
            far, moved = self._far.beside(frame, spoken_at)
            if moved:
                cleaner.reset()
            cleaned = cleaner.clean(frame, far)
            frame = LIVE if any(frame) and not any(cleaned) else cleaned
        self._captured.append(frame)
        os.eventfd_write(self.wake_fd, 1)

    def _is_loop(self, frame: bytes) -> bool:
        """The sound server gives us our own loudspeaker, since it has no microphone."""
        self._frames_in += 1
        if self._frames_in % LOOP_FRAMES == 0:
            found = self._far.is_loop(frame)
            if found is not None:
                self._loops = self._loops + 1 if found else 0
        return self._loops >= LOOPS

    def _next_frame(self, heard_at: float) -> bytes:
        try:
            frame = self._ring.popleft()
        except IndexError:
            frame = SILENCE
            self._starved += self._fed
            self._fed = False
        self._far.played(frame, heard_at)
        os.eventfd_write(self.wake_fd, 1)
        return frame

    # The thread of this module

    def _run(self) -> None:
        be_realtime()  # It holds the interpreter's lock at times, so it must not be kept waiting.
        while not self._ending:
            self._change.wait(LOOK_S if self._wanted != (False, False) else None)
            self._change.clear()
            if self._choice_changed:
                self._choice_changed = False
                self._cards.leave()
                self._cards.microphone.chosen, self._cards.speaker.chosen = self._names
            self._follow()
            if self._list_wanted:
                self._list_wanted = False
                self._tell_list()
            if self._tests:
                self._test_levels(self._tests.popleft())
        self._cards.leave()

    def _follow(self) -> None:
        """Bring what is open in line with what is wanted and what is there."""
        cards = self._cards
        cards.microphone.wanted, cards.speaker.wanted = self._wanted
        if cards.follow():
            # Another card or another room; what is known of the old one would do harm.
            self._ring.clear()
            self._fed, self._loops = False, 0
            self._far, self._watch = FarLine(), LevelWatch()
            self._cleaner = cleaner_for(handset=self._handset)

    def _tell_list(self) -> None:
        if self._cards.idle:
            self._cards.look()
        try:
            answer = DeviceList(list_devices(), *self._names, handset=self._handset)
        except AudioError as error:
            answer = DeviceList((), *self._names, handset=self._handset, detail=str(error))
        self._answers.append(answer)
        os.eventfd_write(self.wake_fd, 1)

    def _test_levels(self, seconds: float) -> None:
        """Listen and play a tone; uses cards of its own where no call has them open."""
        loudest = SILENT_DB
        tone = Tone("notice")

        def heard(frame: bytes, _moment: float) -> None:
            nonlocal loudest
            loudest = max(loudest, level_db(frame))

        problems: list[str] = []
        if self._cards.idle:
            self._cards.look()
        own: list[Microphone | Speaker] = []
        for opening in (
            lambda: Microphone(self._names[0], heard),
            lambda: Speaker(self._names[1], lambda _moment: tone.frame()),
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
