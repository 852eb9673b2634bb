"""What is to be done for the next piece of sound: played, repaired, made up, or nothing.

`playout` decides it; whoever has the decoder does it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

from appliance.protocol.opus_packet import CLOCK_HZ

FRAME: Final = 960
"""Samples of one beat, 20 ms."""

FRAME_S: Final = FRAME / CLOCK_HZ
"""Seconds of one beat."""


class Care(Enum):
    """How a frame may be bent."""

    EXACTLY = "exactly"
    """By just so much: nobody hears it."""

    SMOOTHLY = "smoothly"
    """By one period of the voice at most so long, if there is a clear one."""

    ANYHOW = "anyhow"
    """By the best period at most so long."""


@dataclass(frozen=True, slots=True)
class Bend:
    """Makes a frame longer or shorter after decoding."""

    samples: int
    """How much longer; below 0: shorter."""

    care: Care
    """What is allowed."""


@dataclass(frozen=True, slots=True)
class Play:
    """Decode and play."""

    payload: bytes
    """Opus packet."""

    samples: int
    """How much it is."""

    bend: Bend | None = None
    """None: as it is."""

    splice: bool = False
    """It does not go on from what was played before."""


@dataclass(frozen=True, slots=True)
class Fec:
    """The frame is lost; decode what the packet behind it tells about it."""

    following: bytes
    """The next Opus packet, which is played in its own turn too."""

    samples: int
    """How much to make."""

    bend: Bend | None = None
    """None: as it is."""


@dataclass(frozen=True, slots=True)
class Conceal:
    """Make up a frame from what was heard."""

    samples: int
    """How much to make."""

    lost: bool
    """False: a silence of the sender, or time won for later packets in a silence."""

    bend: Bend | None = None
    """None: as it is."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to play: silence."""

    samples: int = FRAME
    """How much silence; what is left of the beat, so that what comes next begins with one."""


Action: TypeAlias = Play | Fec | Conceal | Wait


@dataclass(slots=True)
class Figures:
    """What became of the packets of all sources, in frames of 20 ms; packets that are not whole
    frames count as one more."""

    played: int = 0
    """Played from their own packet."""

    copied: int = 0
    """Played from a redundant copy."""

    recovered: int = 0
    """Played from in-band FEC."""

    concealed: int = 0
    """Made up."""

    dropped: int = 0
    """Left out after a stall, though they were there."""
