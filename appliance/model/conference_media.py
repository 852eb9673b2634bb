"""What the daemon and the voice process tell each other about conferences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Mix:
    """How a conference is to be from now on: the whole wanted state, each time.

    Everybody in it hears our microphone and all the others but himself; our speaker has them all.
    It may be said again at any time, so also after either side was started anew.
    """

    mix: str
    """Which conference, as the daemon names it."""

    streams: tuple[str, ...]
    """Its streams, at most 15; those that have not started wait.  None: it is over, and the streams
    that are left are calls of their own again."""

    ours: bool = True
    """Our microphone and speaker take part; False: we only mix, for those who still need it."""


@dataclass(frozen=True)
class MixTalking:
    """Others talk now in a conference than before."""

    mix: str
    """Which."""

    talking: tuple[str, ...]
    """Streams whose voice is heard, loudest first; the empty name is our microphone."""


ConferenceCommand: TypeAlias = Mix
ConferenceEvent: TypeAlias = MixTalking
