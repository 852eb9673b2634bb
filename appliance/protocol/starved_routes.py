"""Notices ways that babeld may not use and, after 3 s, will not get leave to use soon.

A router takes no way that is worse than what it once announced, since it might lead back to itself,
until the destination has raised its sequence number; it asks for that over the neighbour that
offers the way (RFC 8966 sections 2.5 to 2.7 and 3.8.2).  While routes change, such a question can
go astray, over a way that has just gone.  babeld, up to the newest, then does not pass it on again
for 65 s: it believes that it will repeat it by itself, and does not (``request_redundant`` in its
resend.c; somebody else's question is remembered without a time to repeat it).

Who starts anew has announced nothing and may take every way, so that is what helps: it costs the
links of one station a hello or two.

What stays out: starting babeld anew.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from appliance.model.net import NetRoute
from appliance.protocol.babel import INFINITY

STARVED_S: Final = 3.0
"""A question is answered in milliseconds, or when it is repeated after 2 s."""

REST_S: Final = 65.0
"""Between two starts at least, so that liars and flapping links cause few; after that babeld passes
questions on by itself.  It doubles each time."""

MAX_REST_S: Final = 3600.0
"""At most; after longer than that without one it begins again with the first."""


class StarvedRoutes:
    """Which destinations are offered and not taken, and since when."""

    def __init__(self, own: Iterable[str]) -> None:
        """`own`: our prefixes; who offers ways to these is a liar."""
        self._own = frozenset(own)
        self._since: dict[str, float] = {}
        self._last = -math.inf
        self._rest = REST_S

    def look(self, routes: Iterable[NetRoute], now: float) -> bool:
        """Take in all routes as they are; returns whether to start anew."""
        there = [route for route in routes if route.metric < INFINITY]
        taken = {route.prefix for route in there if route.installed}
        starved = {route.prefix for route in there} - taken - self._own
        self._since = {prefix: self._since.get(prefix, now) for prefix in starved}
        rested = now - self._last
        if rested < self._rest or all(now - at < STARVED_S for at in self._since.values()):
            return False
        self._rest = min(self._rest * 2, MAX_REST_S) if rested <= MAX_REST_S else REST_S
        self._last = now
        self._since.clear()
        return True
