"""Voice messages as the daemon and the voice process speak of them: recorded, and played.

There is at most one of both, and none while there is a call.  What becomes of a recording is the
daemon's matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


class NoteEnd(StrEnum):
    """Why the recording or playing of a voice message is over."""

    DONE = "done"
    """It was told to, or has come to the end."""

    FULL = "full"
    """The recording has reached its greatest length."""

    CALL = "call"
    """A call has begun, which comes first."""

    FAILED = "failed"
    """A device, the file or the voice process has failed."""


@dataclass(frozen=True)
class StartRecording:
    """Record a voice message, in place of one that is being recorded or played.

    While there is a call it ends at once.  `RecordingHeard` is told meanwhile, at the end
    `RecordingEnded`.
    """

    recording: str
    """Its name, chosen by the daemon; unique while the voice process lives."""

    path: str
    """Where it goes: Opus in Ogg.  The daemon opens the files and passes them along."""

    max_s: float
    """It ends by itself after this."""

    play: str | None = None
    """WAV file that stands in for the microphone; None: the chosen device."""


@dataclass(frozen=True)
class StopRecording:
    """It is enough; what was recorded is kept."""

    recording: str
    """Which."""


@dataclass(frozen=True)
class StartPlayback:
    """Play a voice message or a WAV file, in place of one that is being recorded or played.

    While there is a call it ends at once.  `PlaybackMoved` is told meanwhile, at the end
    `PlaybackEnded`.
    """

    playback: str
    """Its name, chosen by the daemon; unique while the voice process lives."""

    path: str
    """The file.  The daemon opens the files and passes them along."""

    from_ms: int = 0
    """Where to begin."""

    record: str | None = None
    """WAV file that stands in for the speaker; None: the chosen device."""


@dataclass(frozen=True)
class PausePlayback:
    """Hold it, or go on."""

    playback: str
    """Which."""

    paused: bool
    """True: hold it."""


@dataclass(frozen=True)
class StopPlayback:
    """It is enough."""

    playback: str
    """Which."""


NoteCommand: TypeAlias = (
    StartRecording | StopRecording | StartPlayback | PausePlayback | StopPlayback
)


@dataclass(frozen=True)
class RecordingHeard:
    """At most five times a second: how a recording goes on."""

    recording: str
    """Which."""

    recorded_ms: int
    """How much there is."""

    level_db: float
    """Loudest moment since the last time, dB full scale; -100 is silence."""

    detail: str
    """One sentence for the operator where nothing is heard; else empty."""


@dataclass(frozen=True)
class RecordingEnded:
    """The file is complete and on the disk, as far as it goes."""

    recording: str
    """Which."""

    end: NoteEnd
    """Why."""

    detail: str
    """One sentence for the operator where it was not told to; else empty."""


@dataclass(frozen=True)
class PlaybackMoved:
    """At most five times a second: how far it is."""

    playback: str
    """Which."""

    position_ms: int
    """From the file's beginning."""

    level_db: float
    """Loudest moment since the last time, dB full scale."""

    paused: bool
    """It is held."""


@dataclass(frozen=True)
class PlaybackEnded:
    """It is over."""

    playback: str
    """Which."""

    end: NoteEnd
    """Why."""

    position_ms: int
    """How far it came."""

    detail: str
    """One sentence for the operator where it was not told to; else empty."""


NoteEvent: TypeAlias = RecordingHeard | RecordingEnded | PlaybackMoved | PlaybackEnded
