"""Frames on their way to Opus packets: an encoder, and what there is of the next packet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from appliance.adapters.opus import OpusEncoder
from appliance.media.effort import COMPLEXITY, Effort
from appliance.protocol.adaptation import MIN_BITRATE, Decision, bandwidth_for
from appliance.protocol.opus_packet import Bandwidth


@dataclass(frozen=True, slots=True)
class Coding:
    """How a packet is made; the part of a decision that is the encoder's."""

    bitrate: int
    """bit/s."""

    frame_ms: int
    """Sound in a packet."""

    fec_pct: int
    """Loss that its FEC is made for; 0: no FEC."""

    bandwidth: Bandwidth
    """Highest audio bandwidth."""

    dtx: bool
    """Silence is hardly any bytes."""


RATES: Final = (32_000, 22_500, 14_000, 10_000, 8_000, MIN_BITRATE)
"""bit/s of what several get: what none to three copies leave, and less for thin paths."""

FEC_STEPS: Final = (0, 10, 20, 30)
"""Loss that the FEC of what several get is made for."""


def coding(wanted: Decision) -> Coding:
    """What one listener needs."""
    return Coding(wanted.bitrate, wanted.frame_ms, wanted.fec_pct, wanted.bandwidth, wanted.dtx)


@lru_cache(maxsize=64)
def common_coding(wanted: Decision) -> Coding | None:
    """The nearest of a few codings, so that many listeners need few; it takes no more of the path.

    None for longer packets, which one listener's thin path asks for and begin when his last ends.
    """
    if wanted.frame_ms != 20:
        return None
    bitrate = next((rate for rate in RATES if rate <= wanted.bitrate), MIN_BITRATE)
    fec_pct = next((step for step in FEC_STEPS if step >= wanted.fec_pct), FEC_STEPS[-1])
    return Coding(bitrate, 20, fec_pct, bandwidth_for(bitrate), wanted.dtx)


class Coder:
    """One encoder; how it encodes can change between two packets."""

    def __init__(self) -> None:
        """Raises `OpusError`."""
        self._encoder = OpusEncoder(bitrate=16_000, complexity=COMPLEXITY, expected_loss_pct=0)
        self._effort = Effort(self._encoder)
        self._tuned: Coding | None = None
        self._collected: list[bytes] = []

    def allow(self, complexity: int) -> None:
        """Encode with so much thought at most."""
        self._effort.allow(complexity)

    @property
    def waiting(self) -> int:
        """Frames that wait for the rest of their packet."""
        return len(self._collected)

    @property
    def between(self) -> bool:
        """Nothing waits."""
        return not self._collected

    def forget(self) -> None:
        """What waits is not sent."""
        self._collected.clear()

    def follow(self, frames: Iterable[bytes], wanted: Coding) -> None:
        """Go on behind these frames, which another encoder has made packets of.

        Two encoders that were given the same sound last are nearly in the same state, and whoever
        hears first the one and then the other hears no break; without it PESQ falls by 0.7.
        """
        self._tune(wanted)
        for frame in frames:
            self._effort.encode(frame)

    def frame(self, pcm: bytes, wanted: Coding) -> tuple[bytes, int] | None:
        """Take 20 ms; the packet that is complete with it and how many frames are in it.

        Raises `OpusError`.
        """
        if not self._collected:
            self._tune(wanted)
        self._collected.append(pcm)
        frames = len(self._collected)
        if self._tuned is None or 20 * frames < self._tuned.frame_ms:
            return None
        pcm = pcm if frames == 1 else b"".join(self._collected)
        self._collected.clear()
        return self._effort.encode(pcm), frames

    def _tune(self, wanted: Coding) -> None:
        if wanted == self._tuned:
            return
        self._encoder.tune(
            bitrate=wanted.bitrate,
            fec_pct=wanted.fec_pct,
            bandwidth=wanted.bandwidth,
            dtx=wanted.dtx,
        )
        self._tuned = wanted
