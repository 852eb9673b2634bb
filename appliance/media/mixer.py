"""What everybody in a conference hears: the loudest of the others, and never himself.

Only sums over frames; where they come from and go to is `conference`'s business.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from appliance.media.pcm import SILENCE, SILENT_DB, level_db, mix
from appliance.protocol.jitter import FRAME

OWN: Final = ""
"""Our microphone among the voices."""

VOICES: Final = 4
"""Mixed at a time: more than four people at once nobody understands, and every further one brings
the noise of his room."""

FLOOR_DB: Final = -60.0
"""What is quieter than this is no voice."""

TALKING_DB: Final = -40.0
"""What is louder than this counts as talking on the screen."""

DECAY_DB: Final = 0.5
"""By which a voice's level falls in 20 ms at most: it stays in the mix between two words."""

LEAD_DB: Final = 6.0
"""By which a voice must be louder than one that is in the mix to take its place."""

NO_LEVELS: Final[Mapping[str, float]] = {}


@dataclass(eq=False)
class _Voice:
    level_db: float = SILENT_DB
    """Its loudness, falling slowly."""

    heard: bool = False
    """It is in the mix."""

    last: bytes = SILENCE
    """Its latest frame, while it is in the mix."""


class Mixer:
    """The voices of a conference."""

    def __init__(self) -> None:
        self._voices: dict[str, _Voice] = {}
        self.apart: frozenset[str] = frozenset()
        """Who heard something of his own in the last turn; the others all hear `everything`."""
        self.everything = SILENCE

    @property
    def talking(self) -> tuple[str, ...]:
        """Who talks just now, loudest first."""
        loud = [
            (name, one) for name, one in self._voices.items() if one.heard and _talks(one.level_db)
        ]
        return tuple(name for name, _ in sorted(loud, key=lambda pair: -pair[1].level_db))

    def turn(
        self, sounds: Mapping[str, bytes], levels: Mapping[str, float] = NO_LEVELS
    ) -> dict[str, bytes]:
        """Take 20 ms of everybody, and their `level_db` where known; what each of them hears.

        Whoever comes into the mix or leaves it is faded over this frame, so that nothing clicks.
        """
        fading = self._forget(sounds)
        for name, frame in sounds.items():
            voice = self._voices.setdefault(name, _Voice())
            level = levels.get(name)
            if level is None:
                level = level_db(frame) if frame is not SILENCE else SILENT_DB
            voice.level_db = max(level, voice.level_db - DECAY_DB)
        chosen = self._loudest()
        parts: dict[str, bytes] = {}
        for name, frame in sounds.items():
            voice = self._voices[name]
            if name in chosen:
                parts[name] = frame if voice.heard else ramp(frame, rising=True)
                voice.last = frame
            elif voice.heard:
                parts[name] = ramp(frame, rising=False)
            voice.heard = name in chosen
        self.apart = frozenset(parts)
        self.everything = mix([*parts.values(), *fading])
        return {
            name: mix([part for other, part in parts.items() if other != name] + fading)
            if name in parts
            else self.everything
            for name in sounds
        }

    def _forget(self, sounds: Mapping[str, bytes]) -> list[bytes]:
        """Drop who has left; returns how their voices end."""
        ends = []
        for name in [name for name in self._voices if name not in sounds]:
            voice = self._voices.pop(name)
            if voice.heard:
                ends.append(ending(voice.last))
        return ends

    def _loudest(self) -> set[str]:
        ranked = sorted(
            (-(voice.level_db + LEAD_DB * voice.heard), name)
            for name, voice in self._voices.items()
            if voice.level_db > FLOOR_DB
        )
        return {name for _, name in ranked[:VOICES]}


def _talks(level: float) -> bool:
    return level > TALKING_DB


def ramp(frame: bytes, *, rising: bool) -> bytes:
    """A frame faded in or out over its whole length."""
    samples = array("h", frame)
    if not rising:
        samples.reverse()
    faded = array("h", [value * place // FRAME for place, value in enumerate(samples)])
    if not rising:
        faded.reverse()
    return faded.tobytes()


def ending(frame: bytes) -> bytes:
    """What comes after the last frame of a voice: it backwards goes on where it ended, and fades.

    Silence stays silence.
    """
    return frame if frame is SILENCE else ramp(array("h", frame)[::-1].tobytes(), rising=False)
