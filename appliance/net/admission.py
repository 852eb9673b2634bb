"""Which of a daemon's commands are obeyed.  Sans IO; what obeying means stays out (`service`)."""

from __future__ import annotations

import math
from ipaddress import IPv6Address
from typing import Final

from appliance.model.address import address_of
from appliance.model.net import NET_VERSION, Avoid, Join, Joined, NetCommand, NetRefused
from appliance.net.budget import Budget

STATIONS: Final = 3
STATION_S: Final = 20.0
"""So many stations may join in turn, and then one in so many seconds: each is a new address, for
which all others need new routes."""

AVOIDS: Final = 32
AVOID_S: Final = 5.0
"""The same for `Avoid`, over all connections."""


class Admission:
    """Knows whose turn it is."""

    def __init__(self) -> None:
        self.address: IPv6Address | None = None
        """Of the station that has joined; None: there was none yet."""
        self._stations = Budget(burst=STATIONS, every_s=STATION_S)
        self._avoids = Budget(burst=AVOIDS, every_s=AVOID_S)

    def answer(self, command: NetCommand, now: float) -> Joined | NetRefused | None:
        """Return what to say to a command; it is to be obeyed unless that is `NetRefused`."""
        match command:
            case Join():
                return self._join(command, now)
            case Avoid():
                if self._avoids.take(now):
                    return NetRefused("There are too many ways to avoid; try again later.")
                return None

    def _join(self, join: Join, now: float) -> Joined | NetRefused:
        if join.version != NET_VERSION:
            return NetRefused("The network helper is of another version; restart it.")
        address = address_of(join.station)
        if address != self.address:
            wait_s = self._stations.take(now)
            if wait_s:
                return NetRefused(
                    f"Too many stations have joined here; try again in {math.ceil(wait_s)} s."
                )
            self.address = address
        return Joined(NET_VERSION, str(address))
