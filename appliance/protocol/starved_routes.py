"""Notices ways that babeld may not use and, after 3 s, will not get leave to use soon.

A router takes no way that is worse than what it once announced, since it might lead back to itself,
until the destination has raised its sequence number; it asks for that over the neighbour that
offers the way (RFC 8966 sections 2.5 to 2.7 and 3.8.2).  While routes change, such a question can
go astray, over a way that has just gone.  babeld, up to the newest, then does not pass it on again
for 65 s: it believes that it will repeat it by itself, and does not (``request_redundant`` in its
resend.c; somebody else's question is remembered without a time to repeat it).

Who starts anew has announced nothing and may take every way, so that is what helps: it costs the
links of one station a hello or two.

Not every way that is offered in vain is one.  When the last way to somewhere is cut, a neighbour
that went over us may seem to offer one for 20 s more: on links without split horizon nobody says
that it is none.  Such a way costs at least what ours did and the link between us, so only cheaper
ones count; the others wait the 65 s.

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
        self._metrics: dict[str, tuple[int, float]] = {}
        """Of the ways that were taken last, and when they last were."""
        self._last = -math.inf
        self._rest = REST_S

    def look(self, routes: Iterable[NetRoute], now: float) -> bool:
        """Take in all routes as they are; returns whether to start anew."""
        there = [route for route in routes if route.metric < INFINITY]
        taken = {route.prefix: (route.metric, now) for route in there if route.installed}
        offered = {route.prefix for route in there if self._leads_on(route)}
        starved = offered - taken.keys() - self._own
        metrics = (self._metrics | taken).items()
        self._metrics = {prefix: way for prefix, way in metrics if now - way[1] < REST_S}
        self._since = {prefix: self._since.get(prefix, now) for prefix in starved}
        rested = now - self._last
        if rested < self._rest or all(now - at < STARVED_S for at in self._since.values()):
            return False
        self._rest = min(self._rest * 2, MAX_REST_S) if rested <= MAX_REST_S else REST_S
        self._last = now
        self._since.clear()
        return True

    def _leads_on(self, route: NetRoute) -> bool:
        """Tell whether a way can't be our own, back from a neighbour."""
        link = route.metric - route.refmetric
        ours, _ = self._metrics.get(route.prefix, (0, 0.0))
        return route.refmetric < ours + link
