"""With which stations on a link to keep a session for gossip.

On a link with many stations a session with each would cost the square of their number.  Those that
are there stand in a ring, ordered by their keys, which are as good as random; each keeps sessions
with the ones at fixed distances on both sides.  Whoever sees the same stations comes to the same
answer from both ends.  The nearest two on each side alone make a graph that holds together when any
three die; the farther ones keep the ways short (a circulant graph).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from appliance.model.identity import StationId

MAX_SESSIONS: Final = 8
"""Sessions for gossip on one link."""

DISTANCES: Final = (1, 2, 5, 12)
"""Steps along the ring, to either side."""


def choose(own: StationId, others: Collection[StationId]) -> frozenset[StationId]:
    """Return at most `MAX_SESSIONS` of the stations on a link."""
    others = frozenset(others) - {own}
    if len(others) <= MAX_SESSIONS:
        return others
    ring = sorted((*others, own), key=lambda station: station.key)
    here = ring.index(own)
    steps = [sign * distance for distance in DISTANCES for sign in (1, -1)]
    return frozenset(ring[(here + step) % len(ring)] for step in steps) - {own}
