"""A conference in the voice process: its streams hear each other and our microphone.

It has a beat of its own: every 20 ms each stream's next frame is taken, mixed and given to the
others.  A stream's socket, keys, jitter buffer and figures stay its own (`stream`), sums over
frames are the mixer's.  Where files stand in for our microphone and speaker, they are those of the
first stream that has some, and stay in the conference when that stream leaves.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable
from typing import Final

from appliance.media.common_voice import CommonVoice
from appliance.media.effort import COMPLEXITY
from appliance.media.mixer import OWN, Mixer, ending, ramp
from appliance.media.pcm import SILENCE, SILENT_DB, level_db, merge
from appliance.media.stream import DEVICE_LOST_S, Stream
from appliance.model.conference_media import MixTalking
from appliance.model.media import MediaEvent
from appliance.protocol.jitter import FRAME_S

MAX_MIXED: Final = 15
"""Streams of a conference: 16 people with ours."""

WAITING: Final = 3
"""Frames between a sound card's beat and ours; more are made one, since that is only delay."""

PRIMED: Final = 2
"""Frames that have to be there after none was, so that two clocks do not chase each other."""

TOLD_EVERY_S: Final = 0.25
"""How often it is told who talks, at most."""


class Conference:
    """Streams that are mixed."""

    def __init__(self, name: str, emit: Callable[[MediaEvent], None], now: float) -> None:
        self.name = name
        self.due = now
        """Next moment of its 20 ms grid; the engine's."""
        self._emit = emit
        self._mixer = Mixer()
        self._common = CommonVoice()
        self._streams: list[Stream] = []
        self._ours = True
        self._captured = _Queue()
        self._played = _Queue()
        self._microphone_at = self._speaker_at = 0.0
        self._talking: tuple[str, ...] = ()
        self._told_at = now

    # What the daemon wants

    def seat(self, streams: list[Stream], *, ours: bool) -> None:
        """Have just these streams in it, and our own microphone and speaker or not."""
        for stream in list(self._streams):
            if stream not in streams:
                self.leave(stream)
        for stream in streams:
            if stream not in self._streams and len(self._streams) < MAX_MIXED:
                stream.join_mix()
                self._streams.append(stream)
        self._ours = ours

    def leave(self, stream: Stream) -> None:
        """Let a stream go, back to being a call of its own or to its end."""
        if stream not in self._streams:
            return
        self._streams.remove(stream)
        stream.leave_mix()
        if self._streams:
            stream.files.hand_to(self._streams[0].files)

    def __contains__(self, stream: Stream) -> bool:
        return stream in self._streams

    # Sound cards

    @property
    def _started(self) -> list[Stream]:
        return [stream for stream in self._streams if stream.started]

    @property
    def wants_microphone(self) -> bool:
        """A sound card is our voice in it."""
        started = self._started
        return self._ours and bool(started) and all(s.files.by_microphone for s in started)

    @property
    def wants_speaker(self) -> bool:
        """A sound card is where we hear it."""
        started = self._started
        return self._ours and bool(started) and all(s.files.by_speaker for s in started)

    def microphone(self, frame: bytes, now: float) -> None:
        """20 ms from the sound card."""
        self._microphone_at = now
        for stream in self._streams:
            stream.note_microphone(frame, now)
        self._captured.put(frame)

    def speaker(self, now: float) -> bytes:
        """The next 20 ms for the sound card."""
        self._speaker_at = now
        return self._played.take()

    # The beat

    def beat(self, now: float) -> None:
        """Its grid has come round: everybody's next 20 ms."""
        started = self._started
        sounds = {stream.name: stream.sound(now) for stream in started}
        levels = {stream.name: stream.sound_db for stream in started}
        own = SILENCE
        if self._ours:
            sounds[OWN] = own = self._own(started, now)
        level_in_db = SILENT_DB if own is SILENCE else level_db(own)
        heard = self._mixer.turn(sounds, levels | {OWN: level_in_db})
        common = self._common.beat(started, self._mixer.everything, self._mixer.apart)
        self._share(started)
        cards = (self.wants_microphone, self.wants_speaker)
        for stream in started:
            stream.mixed_by_cards = cards
            stream.send_mixed(
                heard[stream.name], encoded=common.get(stream.name), level_in_db=level_in_db
            )
        if self._ours:
            self._play(started, heard[OWN], now)
        if self._mixer.talking != self._talking and now >= self._told_at:
            self._talking = self._mixer.talking
            self._told_at = now + TOLD_EVERY_S
            self._emit(MixTalking(self.name, self._talking))

    def _share(self, started: list[Stream]) -> None:
        """Have each encoder take as much time as there is for so many."""
        complexity = complexity_for(len(started) - self._common.spared)
        self._common.allow(complexity)
        for stream in started:
            stream.set_complexity(complexity)

    def skip(self, frames: int) -> None:
        """The process stood still for so long that these frames are left out."""
        self.due += frames * FRAME_S
        for stream in self._started:
            stream.skip(frames)

    def _own(self, started: list[Stream], now: float) -> bytes:
        """Our voice, silent if we are muted towards any of them: there is one microphone."""
        if self.wants_microphone:
            lost = now - self._microphone_at > DEVICE_LOST_S
            frame = SILENCE if lost else self._captured.take()
        else:
            frame = next(
                (s.files.frame(now) for s in started if not s.files.by_microphone), SILENCE
            )
        return SILENCE if any(stream.muted for stream in started) else frame

    def _play(self, started: list[Stream], frame: bytes, now: float) -> None:
        volume_pct = max((stream.volume_pct for stream in started), default=100)
        frame = scaled(frame, volume_pct)
        for stream in started:
            if not stream.files.by_speaker:
                stream.files.write(frame, now)
                return
        if now - self._speaker_at <= DEVICE_LOST_S:
            self._played.put(frame)
        else:
            self._played.clear()


class _Queue:
    """A few frames between two clocks that are nearly the same."""

    def __init__(self) -> None:
        self._frames: deque[bytes] = deque()
        self._primed = False
        self._last = SILENCE

    def put(self, frame: bytes) -> None:
        self._frames.append(frame)
        self._primed = self._primed or len(self._frames) >= PRIMED
        if len(self._frames) > WAITING:
            last, before = self._frames.pop(), self._frames.pop()
            self._frames.append(merge(before, last))

    def take(self) -> bytes:
        """The next one, faded in and out where there is a gap."""
        before = self._last
        if self._primed and self._frames:
            self._last = self._frames.popleft()
            return ramp(self._last, rising=True) if before is SILENCE else self._last
        self._primed, self._last = False, SILENCE
        return ending(before)

    def clear(self) -> None:
        self._frames.clear()
        self._primed, self._last = False, SILENCE


def complexity_for(encoders: int) -> int:
    """How much thought the encoders get where one machine encodes for so many.

    32 kbit/s of natural speech has PESQ-WB 4.38 with 9, 4.43 with 5 and 4.34 with 1, for 0.27, 0.17
    and 0.08 ms a frame on a PC.
    """
    return COMPLEXITY if encoders < 2 else 5 if encoders < 4 else 1


def scaled(frame: bytes, percent: int) -> bytes:
    """A frame made louder or quieter, limited where it is too loud."""
    if percent == 100 or frame is SILENCE:
        return frame
    values = (value * percent // 100 for value in array("h", frame))
    return array("h", [max(-32_768, min(32_767, value)) for value in values]).tobytes()
