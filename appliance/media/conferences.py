"""All conferences of the voice process: what the loop sees of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf

from appliance.media.conference import Conference
from appliance.media.stream import Stream
from appliance.model.conference_media import Mix
from appliance.model.media import MediaEvent
from appliance.protocol.jitter import FRAME_S

MAX_MIXES = 4
"""Conferences at once; each of our lines can be in one."""

STALL_S = 0.2
"""One that is further behind its grid than this leaves the frames out."""


class Conferences:
    """At most `MAX_MIXES`, no stream in two of them."""

    def __init__(self, emit: Callable[[MediaEvent], None], streams: Mapping[str, Stream]) -> None:
        """``streams``: all that there are, as the loop keeps them."""
        self._emit = emit
        self._streams = streams
        self._mixes: dict[str, Conference] = {}

    def mix(self, command: Mix, now: float) -> None:
        """Have just these streams in a conference."""
        conference = self._mixes.pop(command.mix, None) or Conference(command.mix, self._emit, now)
        known = [self._streams[name] for name in command.streams if name in self._streams]
        free = [
            stream for stream in known if not any(stream in other for other in self._mixes.values())
        ]
        conference.seat(free, ours=command.ours)
        if command.streams and len(self._mixes) < MAX_MIXES:
            self._mixes[command.mix] = conference
        else:
            conference.seat([], ours=False)

    def leave(self, stream: Stream) -> None:
        """A stream ends."""
        for conference in self._mixes.values():
            conference.leave(stream)

    @property
    def due(self) -> float:
        """When `beat` is wanted; infinite while there is none."""
        return min((conference.due for conference in self._mixes.values()), default=inf)

    @property
    def wants_microphone(self) -> bool:
        """A sound card is our voice in one."""
        return any(conference.wants_microphone for conference in self._mixes.values())

    @property
    def wants_speaker(self) -> bool:
        """A sound card is where we hear one."""
        return any(conference.wants_speaker for conference in self._mixes.values())

    def beat(self, now: float) -> None:
        """The grids of some may have come round."""
        for conference in self._mixes.values():
            while conference.due <= now:
                behind = int((now - conference.due) / FRAME_S)
                if behind * FRAME_S > STALL_S:
                    conference.skip(behind)
                conference.beat(max(now, conference.due))
                conference.due += FRAME_S

    def microphone(self, frame: bytes, now: float) -> None:
        """20 ms from the sound card."""
        for conference in self._mixes.values():
            if conference.wants_microphone:
                conference.microphone(frame, now)

    def speaker(self, now: float) -> list[bytes]:
        """The next 20 ms for the sound card, of all that are heard there."""
        mixes = self._mixes.values()
        return [conference.speaker(now) for conference in mixes if conference.wants_speaker]
