"""How often babeld says hello on a link (RFC 8966 section 3.4).

Often, where few are: a dead way is noticed after two to five missed hellos.  Each router answers
each other one, so the bytes on a shared link grow with the square of the routers on it, and where
many are hellos are rare.

babeld can't change the interval of a link that it uses.  It has to take the link up anew, which
costs the ways between this station and each other one on it for two to four intervals.  So a change
waits until it has been due for a while, stations make it one after the other, and nobody who comes
and goes causes one.  On a wire bytes are cheaper than that for longer than on a radio.

What stays out: telling babeld.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

WIRE_STEPS: Final = ((24, 400), (10_000, 2000))
RADIO_STEPS: Final = ((8, 400), (16, 1500), (10_000, 4000))
"""Up to how many neighbours, and the interval in milliseconds."""

FASTEST_MS: Final = 400
"""Of a link of which nothing is known yet: stations find each other soon."""

UPDATES: Final = {400: 4000, 1500: 9000, 2000: 8000, 4000: 24_000}
"""How often all routes are repeated, in milliseconds, by the interval of the hellos.  News go at
once.  Who misses the answers to what it asks at its start waits for that, at most."""

SLOWER_AFTER_S: Final = 10.0
FASTER_AFTER_S: Final = 60.0
SPREAD_S: Final = 50.0
"""How long a change must have been due, and up to how much longer by chance."""


@dataclass
class _Link:
    """What is known of a link."""

    interval_ms: int
    """Of its hellos, now."""

    wanted_ms: int
    """What it should be."""

    change_at: float
    """When it becomes that."""


class HelloIntervals:
    """The intervals of all links."""

    def __init__(self, random: Callable[[], float]) -> None:
        """`random` returns a number from 0 to 1."""
        self._random = random
        self._links: dict[str, _Link] = {}

    def choose(
        self, neighbours: Mapping[str, int], now: float, *, radios: Collection[str] = ()
    ) -> dict[str, int]:
        """Return the interval in milliseconds for each link, given how many routers it has.

        `radios`: the links whose bytes are dear.
        """
        self._links = {
            name: self._links.get(name) or _Link(FASTEST_MS, FASTEST_MS, now) for name in neighbours
        }
        for name, count in neighbours.items():
            link = self._links[name]
            steps = RADIO_STEPS if name in radios else WIRE_STEPS
            wanted = wanted_ms(steps, count, link.interval_ms)
            if wanted != link.wanted_ms:
                wait_s = SLOWER_AFTER_S if wanted > link.interval_ms else FASTER_AFTER_S
                link.wanted_ms = wanted
                link.change_at = now + wait_s + SPREAD_S * self._random()
            if link.wanted_ms != link.interval_ms and link.change_at <= now:
                link.interval_ms = link.wanted_ms
        return {name: link.interval_ms for name, link in self._links.items()}

    def next_wakeup(self) -> float | None:
        """Say when an interval changes if nothing else does."""
        return min(
            (link.change_at for link in self._links.values() if link.wanted_ms != link.interval_ms),
            default=None,
        )


def wanted_ms(steps: Sequence[tuple[int, int]], neighbours: int, current_ms: int) -> int:
    """Return the interval for so many neighbours; `current_ms` stays when it is nearly right."""
    wanted = next(interval for most, interval in steps if neighbours <= most)
    if wanted >= current_ms:
        return wanted
    # Faster only when there are much fewer than would make it slower.
    relaxed = next(interval for most, interval in steps if 3 * neighbours <= 2 * most)
    return min(current_ms, relaxed)
