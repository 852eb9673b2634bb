"""Which of a station's radios takes which band and mode, given what they can do and what is heard.

For each band one radio is the first.  What a radio can do alone decides where it can do one mode
only.  One that can do both is a mesh point, until stations are heard that can't follow it there:

- a mesh point that says that it can do nothing else: mesh;
- else an IBSS of stations: IBSS, since somebody in it can do nothing else, or has heard such a one;
- else mesh.

So a mixed fleet that has a common mode ends in it: IBSS begins only at a radio that can do nothing
else and spreads from there, and where there is none, nobody leaves the mesh.  A station with a
further radio serves the mode that its first one does not, where that is heard, and so bridges
fleets that have no common mode.  When to listen and to change, and for how long something counts as
heard, stays out (`joining`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from appliance.protocol.wifi.iw_text import Domain, Phy
from appliance.protocol.wifi.tables import (
    BEACON_ONLY_MESH_TU,
    BEACON_TU,
    CHANNELS,
    Band,
    Channel,
    Mode,
)

BOTH: Final = frozenset(Mode)


@dataclass(frozen=True)
class Able:
    """A radio that may be used, as far as choosing goes."""

    name: str
    """Of its interface."""

    modes: frozenset[Mode]
    """What it can do; not empty."""

    channels: Mapping[Band, Channel]
    """Where it may send; not empty."""


@dataclass(frozen=True)
class Heard:
    """What is on the air on our channel of a band, from stations other than ourselves."""

    mesh: bool = False
    """A mesh point."""

    only_mesh: bool = False
    """A mesh point that can do nothing else."""

    ibss: bool = False
    """An IBSS."""

    def has(self, mode: Mode) -> bool:
        """Whether somebody is heard in that mode."""
        return self.mesh if mode is Mode.MESH else self.ibss


@dataclass(frozen=True)
class Choice:
    """What a radio is to be."""

    band: Band
    """Where."""

    channel: Channel
    """Where in it."""

    mode: Mode
    """As what."""

    beacon_tu: int
    """Between its beacons."""

    def __str__(self) -> str:
        """For people."""
        return f"{self.mode}, channel {self.channel.number}"


def usable_channels(phy: Phy, domain: Domain | None) -> Mapping[Band, Channel]:
    """By band, the first channel of the table where a radio may begin to send, outdoors too."""
    free = {one.frequency_mhz for one in phy.frequencies if one.usable}
    indoor = domain.indoor if domain is not None else ()
    found: dict[Band, Channel] = {}
    for band, channels in CHANNELS.items():
        for channel in channels:
            mhz = channel.frequency_mhz
            # 20 MHz wide, so 10 to each side.
            inside = any(low < mhz + 10 and mhz - 10 < high for low, high in indoor)
            if mhz in free and not inside:
                found[band] = channel
                break
    return found


def choose(radios: Sequence[Able], heard: Mapping[Band, Heard]) -> Mapping[str, Choice]:
    """Decide what each radio is to be; those that are not needed are left out."""
    chosen: dict[str, Choice] = {}
    served: set[tuple[Band, Mode]] = set()

    def take(radio: Able, band: Band, mode: Mode) -> None:
        alone = mode is Mode.MESH and radio.modes == {Mode.MESH}
        beacon_tu = BEACON_ONLY_MESH_TU if alone else BEACON_TU
        chosen[radio.name] = Choice(band, radio.channels[band], mode, beacon_tu)
        served.add((band, mode))

    for band in Band:
        free = [one for one in radios if one.name not in chosen and band in one.channels]
        if free:
            first = min(free, key=_rank)
            take(first, band, _mode(first.modes, heard.get(band, Heard())))
    for band in Band:
        for mode in Mode:
            if (band, mode) in served or not heard.get(band, Heard()).has(mode):
                continue
            able = [
                one
                for one in radios
                if one.name not in chosen and band in one.channels and mode in one.modes
            ]
            # Without a first radio in the band there is none left for it either.
            if able:
                take(min(able, key=_rank), band, mode)
    return chosen


def _mode(modes: frozenset[Mode], heard: Heard) -> Mode:
    """Choose a first radio's mode."""
    if modes != BOTH:
        return next(iter(modes))
    return Mode.IBSS if heard.ibss and not heard.only_mesh else Mode.MESH


def _rank(radio: Able) -> tuple[int, int, bool, str]:
    """Order radios: those that can serve this band only come first, then the abler ones."""
    return len(radio.channels), -len(radio.modes), Mode.MESH not in radio.modes, radio.name
