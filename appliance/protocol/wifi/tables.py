"""What all stations must agree on so that their radios meet: names, modes, channels, rates.

The network is open: what protects is above it.  802.11s is preferred to IBSS, since there a station
peers with each neighbour by itself and nothing has to merge.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Mode(StrEnum):
    """How radios of stations speak to each other, the preferred first."""

    MESH = "mesh"
    """802.11s mesh point (IEEE 802.11-2020 section 14), without its forwarding: babeld routes."""

    IBSS = "ad hoc"
    """Independent BSS, ad hoc mode (IEEE 802.11-2020 section 4.3.2)."""


class Band(StrEnum):
    """A range of frequencies; the one that reaches farther first."""

    LOW = "2.4 GHz"
    HIGH = "5 GHz"


@dataclass(frozen=True)
class Channel:
    """Where a radio sends and listens, 20 MHz wide."""

    number: int
    """As people know it."""

    frequency_mhz: int
    """Of its middle."""


NETWORK: Final = "fencewire"
"""The mesh ID, and the SSID in IBSS."""

CELL: Final = "02:00:00:fe:ce:01"
"""The BSSID in IBSS, so that cells need not merge.  It is low among the addresses that may be
chosen freely: some drivers ignore it and make one up, and go to the lowest that is heard."""

CHANNELS: Final = {
    Band.LOW: (Channel(6, 2437),),
    Band.HIGH: (Channel(36, 5180), Channel(149, 5745)),
}
"""The first that is allowed is taken.  6 is, all over the world; in the 5 GHz band nothing is
unless the country is known.  149 is for where 36 is for indoors only."""

BASIC_RATES_MBPS: Final = "6,12,24"
"""OFDM's mandatory ones (IEEE 802.11-2020 table 17-4).  Mesh points must have the same; without it
beacons would be sent at 1 Mbit/s in the 2.4 GHz band, and take as much longer."""

MCAST_RATE_MBPS: Final = {Band.LOW: 6, Band.HIGH: 12}
"""For multicast, where the driver allows.  At the lowest rate hellos are heard over links that can
carry nothing else.  These are what community networks use; nothing was measured by us."""

BEACON_TU: Final = 100
"""Between beacons, in 1024 µs: short, so that a short look at the channel finds everybody."""

BEACON_ONLY_MESH_TU: Final = 120
"""Between beacons of a mesh point that can do nothing else, so that those that can do both know."""
