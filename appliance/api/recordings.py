"""Voice messages in the local API: what is recorded, what is played, and who answers for it.

A recording waits here until it is attached to a message.  Both kinds of events come at most five
times a second while sound is heard.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

MAX_RECORDING_S = 300.0
"""5 minutes: 0.8 MB."""

RecordingState: TypeAlias = Literal["recording", "ready", "gone"]
PlaybackState: TypeAlias = Literal["playing", "paused", "over"]
EndedBy: TypeAlias = Literal["done", "full", "call", "failed"]
"""done: it was told to, or came to its end; full: the greatest length; call: a call comes first."""


@dataclass(frozen=True)
class Recording:
    """A voice message that was not sent yet; Opus in Ogg."""

    id: str
    """To attach it by."""

    state: RecordingState
    """ready: it can be played and attached; gone: cancelled, attached, too old, or empty."""

    duration_ms: int
    """How much there is."""

    bytes: int
    """Size of the file; 0 while it is being recorded."""

    level_db: float
    """Loudest of the last fifth of a second, dB full scale; -100 is silence."""

    ended: EndedBy | None
    """Why it ended; None: it is still recorded, or that was before the daemon's start."""

    text: str
    """A sentence for the operator where there is something to say; else empty."""


@dataclass(frozen=True)
class Playback:
    """What is played, or was last."""

    id: str
    """Unique since the daemon's start."""

    recording: str | None
    """Which recording of ours."""

    message: str | None
    """Or the message that it is attached to."""

    attachment: int
    """Which of the message's attachments, from 0."""

    state: PlaybackState
    """paused: it goes on when it is told to."""

    position_ms: int
    """From the beginning."""

    duration_ms: int
    """As the file claims; 0: not known."""

    level_db: float
    """Loudest of the last fifth of a second, dB full scale."""

    ended: EndedBy | None
    """Why it is over."""

    text: str
    """A sentence for the operator where there is something to say; else empty."""


@dataclass(frozen=True)
class NewRecording:
    """POST /v1/recordings."""

    max_s: float = MAX_RECORDING_S
    """It ends by itself after this; at most 300."""

    play: str | None = None
    """Absolute path of a WAV file in place of the microphone, as the daemon sees it."""


@dataclass(frozen=True)
class StartPlayback:
    """POST /v1/playback: a recording, or an attachment of a message."""

    recording: str | None = None
    """`Recording.id`."""

    message: str | None = None
    """`Message.id`."""

    attachment: int = 0
    """Which of the message's attachments, from 0."""

    from_ms: int = 0
    """Where to begin."""

    record: str | None = None
    """Absolute path of a WAV file in place of the speaker, as the daemon sees it."""


@dataclass(frozen=True)
class ChangePlayback:
    """PATCH /v1/playback."""

    paused: bool
    """Hold it, or go on."""


class RecordingBackend(Protocol):
    """The part of the daemon that answers; raises `ApiError`."""

    async def all(self) -> tuple[Recording, ...]:
        """List recordings, latest first, with the one that is being recorded."""

    async def start(self, new: NewRecording) -> Recording:
        """Begin to record, which ends what is played."""

    async def find(self, recording: str) -> Recording:
        """Find one."""

    async def stop(self, recording: str) -> Recording:
        """End it and keep it; returns when it is on the disk."""

    async def cancel(self, recording: str) -> None:
        """End it and throw it away."""

    async def sound(self, recording: str) -> bytes:
        """Return the file."""

    def playback(self) -> Playback:
        """Tell what is played, or was last."""

    async def play(self, start: StartPlayback) -> Playback:
        """Begin to play, in place of what is played."""

    def change_playback(self, *, paused: bool) -> Playback:
        """Hold it, or go on."""

    def stop_playback(self) -> Playback:
        """End it."""
