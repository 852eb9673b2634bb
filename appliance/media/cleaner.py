"""What is done to the microphone's sound before anybody gets it: echo, noise and level.

libspeexdsp does it everywhere, also on the image, which has no sound server that could.  WebRTC's
AEC3 was measured beside it in the same rooms: it takes the echo out sooner, but when both talk at
once it crushes the near voice (PESQ 1.2 against 3.4) and brings numpy along.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from appliance.adapters.speex import Cancel, Refine, SpeexError, is_there
from appliance.protocol.jitter import FRAME, FRAME_S
from appliance.protocol.opus_packet import CLOCK_HZ

TAIL_S = 0.2
"""Echo that is known: what is left of the way through the sound cards, and the room's."""

NOISE_DB = -15
"""Steady noise is lowered by this; more costs voices their ends."""

ECHO_DB = (-30, -10)
"""The rest of the echo is lowered by this, while they talk alone and while both do."""

VOICE_LEVEL = 16_000
"""A voice is brought to this: -28 dB full scale on the mean, with room for its peaks."""

VOICE_PCT = 80
"""The gain rises only while it is so likely that a voice is there, not in its pauses."""

MOST_GAIN_DB = 12
"""A voice is not made louder than by this, since noise would come with it."""

UP_DB_S, DOWN_DB_S = 6, -20
"""How fast the level follows."""

ECHO_QUIET = 64
"""What the loudspeaker plays below this, of 32,768, makes no echo that counts."""

HOLD_FRAMES = 15
"""The gain does not rise before the loudspeaker was quiet for so many frames: 300 ms, longer than
the echo, which is no voice to be brought up."""


MOST = 0.5
"""Share of a core that it may take; on a Raspberry Pi Zero 2 W it is a seventh."""

TIMED_FRAMES = 100
"""After which that is judged: 2 s."""


class Cleaner(Protocol):
    """Something between the microphone and whoever listens; frames are 20 ms of 48 kHz."""

    name: str
    """What it is, for `doctor` and the log."""

    problem: str | None
    """Why it has given up; None: it has not."""

    def clean(self, near: bytes, far: bytes) -> bytes:
        """A frame of the microphone; ``far`` is what the loudspeaker played in the same 20 ms."""

    def reset(self) -> None:
        """The room or the cards have changed."""


class Untouched:
    """For handsets and headsets, whose microphone hears no loudspeaker."""

    def __init__(self, name: str = "off") -> None:
        self.name = name
        self.problem: str | None = None

    def clean(self, near: bytes, far: bytes) -> bytes:
        """The frame as it is."""
        del far
        return near

    def reset(self) -> None:
        """Nothing is kept."""


class SpeexCleaner:
    """Echo, noise and level by libspeexdsp; the sound is one frame later by it."""

    name = "libspeexdsp"
    problem: str | None = None

    def __init__(self) -> None:
        """Raises `SpeexError`."""
        self._make()

    def _make(self) -> None:
        self._cancel = Cancel(rate=CLOCK_HZ, frame=FRAME, tail=round(TAIL_S * CLOCK_HZ))
        self._refine = Refine(
            rate=CLOCK_HZ,
            frame=FRAME,
            noise_db=NOISE_DB,
            echo_db=ECHO_DB,
            agc=(VOICE_LEVEL, MOST_GAIN_DB, 0, DOWN_DB_S),
            after=self._cancel,
        )
        self._rises = False
        self._quiet = HOLD_FRAMES

    def clean(self, near: bytes, far: bytes) -> bytes:
        """Echo out, noise down, voice at its level."""
        self._quiet = 0 if is_loud(far) else self._quiet + 1
        cleaned = self._refine.run(self._cancel.clean(near, far))
        rises = self._quiet >= HOLD_FRAMES and self._refine.voice_pct() >= VOICE_PCT
        if rises is not self._rises:
            self._rises = rises
            self._refine.raise_by(UP_DB_S if rises else 0)
        return cleaned

    def reset(self) -> None:
        """Learn the room anew; the voice's level too, since it may be another microphone."""
        self._make()


class Affordable:
    """A cleaner, until it turns out that the machine has no time for it.

    Sound that comes late for ever is worse than an echo.
    """

    def __init__(self, cleaner: Cleaner, used_s: Callable[[], float] = time.thread_time) -> None:
        """``used_s``: processor time of the calling thread, in seconds."""
        self._cleaner, self._used_s = cleaner, used_s
        self._spent_s, self._frames = 0.0, 0
        self.name = cleaner.name
        self.problem: str | None = None

    def clean(self, near: bytes, far: bytes) -> bytes:
        """As the cleaner does, or the frame as it is."""
        if self.problem is not None:
            return near
        before = self._used_s()
        cleaned = self._cleaner.clean(near, far)
        self._spent_s += self._used_s() - before
        self._frames += 1
        if self._frames == TIMED_FRAMES:
            if self._spent_s > MOST * self._frames * FRAME_S:
                self.problem = "This board is too slow to take the echo out."
            self._spent_s, self._frames = 0.0, 0
        return cleaned

    def reset(self) -> None:
        """As the cleaner does."""
        self._cleaner.reset()


def is_loud(frame: bytes) -> bool:
    """Whether a frame is worth an echo; by every sixteenth sample."""
    samples = memoryview(frame).cast("h")[::16]
    return max(samples) > ECHO_QUIET or min(samples) < -ECHO_QUIET


def remover() -> str:
    """What removes echo where that is wanted, or why nothing does, for `doctor`."""
    return SpeexCleaner.name if is_there() else cleaner_for(handset=False).name


def cleaner_for(*, handset: bool) -> Cleaner:
    """What is to be used; without the library the sound stays as it is, and the name says why."""
    if handset:
        return Untouched()
    try:
        return Affordable(SpeexCleaner())
    except SpeexError as error:
        return Untouched(str(error))
