"""When to dial and when to leave it: ours, chosen by trying."""

from __future__ import annotations

from typing import Final

LASTING_S: Final = 5.0
"""A session that ends sooner counts as a failed dial, so that two stations can't spin."""

YIELD_S: Final = 0.6
"""The station with the higher id leaves the dialling to the other for this long."""

CROWD_S: Final = 1.0
"""Where many are, the choice is left to settle for up to this long."""

MAX_ATTEMPTS: Final = 16
"""Dials at a time, beside those of the operator's own."""

MOVE_S: Final = 1.0
"""A route that has stood for so long is one to move a session to."""

MEET_S: Final = 6.0
"""How long gossip has to bring the card of a station that is reached."""

LOOK_EVERY_S: Final = 2.0
"""How often to look for sessions that nobody needs."""

ENOUGH_S: Final = 120.0
"""For how long a station that has enough sessions is left alone."""
