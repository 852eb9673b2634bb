"""All talk groups of the voice process: what the loop sees of them."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from appliance.media.files import FileThread
from appliance.media.pcm import SILENCE
from appliance.media.talk import Emit, Talk
from appliance.media.tones import CADENCES, Tone
from appliance.model.talk_media import (
    MAX_TALKS,
    CloseTalk,
    OpenTalk,
    ReplayTalk,
    SetTalk,
    StopReplay,
    TalkCommand,
    TalkFailed,
    TalkHeard,
    TalkReplayState,
    TalkTone,
)
from appliance.protocol.jitter import FRAME_S

STALL_S = 0.2
"""Frames that are later than this are left out of the grid."""

HOLD_S = 60.0
"""The loudspeaker stays open for this long after what was said, since an answer may come."""

CLOSED = "This talk group is not open."


class Talks:
    """At most `MAX_TALKS`, and one replay at a time."""

    def __init__(self, emit: Emit, thread: FileThread, clock: Callable[[], float]) -> None:
        self._emit = emit
        self._thread = thread
        self._clock = clock
        self._talks: dict[str, Talk] = {}
        self._closing: list[Talk] = []
        self._tone: Tone | None = None
        self._sounded_at = -inf
        self.due = inf
        """When `beat` is wanted; infinite while nothing goes on."""

    def obey(self, command: TalkCommand, files: list[int], now: float) -> None:
        """Do what the daemon wants; what is kept of the descriptors goes from the list."""
        if isinstance(command, TalkTone):
            self._tone = Tone(command.tone) if command.tone in CADENCES else None
            return
        talk = self._talks.get(command.talk)
        if talk is None and isinstance(command, OpenTalk):
            talk = self._new(command)
        if talk is not None:
            self._do(talk, command, files, now)
        elif isinstance(command, SetTalk):
            self._emit(TalkFailed(command.talk, None, CLOSED))
        elif isinstance(command, ReplayTalk):
            self._emit(TalkReplayState(command.talk, False, 0.0, 0.0, CLOSED))
        if self.due == inf and self._busy:
            self.due = now

    def _new(self, command: OpenTalk) -> Talk | None:
        if len(self._talks) + len(self._closing) >= MAX_TALKS:
            detail = "There are too many talk groups at once."
            self._emit(TalkFailed(command.talk, command.local_host, detail))
            return None
        talk = Talk(command.talk, self._emit, self._thread, self._clock)
        self._talks[command.talk] = talk
        return talk

    def _do(self, talk: Talk, command: TalkCommand, files: list[int], now: float) -> None:
        match command:
            case OpenTalk(_, local_host):
                talk.open(local_host)
            case SetTalk():
                talk.set(command, files, now)
                if self.speaking:
                    self.stop_replays()
            case CloseTalk():
                self._close(self._talks.pop(talk.name))
            case ReplayTalk() if self.speaking:
                detail = "Let go of the key first."
                self._emit(TalkReplayState(talk.name, False, 0.0, 0.0, detail))
            case ReplayTalk():
                self.stop_replays()
                talk.replay(command, now)
            case StopReplay():
                talk.stop_replay()
            case TalkHeard():
                talk.heard(command, now)

    def stop_replays(self) -> None:
        """Something else is to be heard."""
        for talk in self._talks.values():
            talk.stop_replay()

    def end(self) -> None:
        """Close all: the daemon is gone, and with it whoever could see that they are open."""
        for talk in self._talks.values():
            self._close(talk)
        self._talks.clear()
        self._tone = None

    def _close(self, talk: Talk) -> None:
        talk.close()
        if not talk.files.finished():
            self._closing.append(talk)

    # What the loop needs to know

    @property
    def _busy(self) -> bool:
        return any(talk.on_grid for talk in self._talks.values())

    @property
    def speaking(self) -> bool:
        """Our operator has a key, and so the microphone."""
        return any(talk.speaking for talk in self._talks.values())

    @property
    def wants_microphone(self) -> bool:
        """A sound card is what is spoken into."""
        return any(talk.wants_microphone for talk in self._talks.values())

    def wants_speaker(self, now: float) -> bool:
        """A sound card is what plays what is said."""
        if any(talk.sounding and not talk.records for talk in self._talks.values()):
            self._sounded_at = now
        hearing = any(
            (talk.listening or talk.speaking) and not talk.records for talk in self._talks.values()
        )
        return self._tone is not None or (hearing and now - self._sounded_at < HOLD_S)

    @property
    def thirsty(self) -> list[Talk]:
        """What to wait for."""
        return [talk for talk in self._talks.values() if talk.thirsty]

    # The beat

    def beat(self, now: float) -> None:
        """The grid may have come round."""
        while self.due <= now:
            if now - self.due > STALL_S:
                self.due = now
            for talk in self._talks.values():
                if talk.on_grid:
                    talk.beat(now)
            self.due = self.due + FRAME_S if self._busy else inf

    def microphone(self, frame: bytes, now: float) -> None:
        """20 ms from the sound card."""
        for talk in self._talks.values():
            if talk.wants_microphone:
                talk.microphone(frame, now)

    def speaker(self, now: float) -> list[bytes]:
        """The next 20 ms for the sound card, of everybody who is heard."""
        frames = [
            talk.sound(now) for talk in self._talks.values() if talk.sounding and not talk.records
        ]
        if self._tone is not None:
            frames.append(self._tone.frame())
            if self._tone.over:
                self._tone = None
        return [frame for frame in frames if frame is not SILENCE]

    def check(self, microphone: str | None, speaker: str | None) -> None:
        """Say what is wrong; the devices' problems come from outside."""
        for talk in self._talks.values():
            talk.check(microphone, speaker)
        self._closing = [talk for talk in self._closing if not talk.files.finished()]

    def tell_stats(self, now: float) -> None:
        """Once a second."""
        for talk in self._talks.values():
            talk.tell_stats(now)
