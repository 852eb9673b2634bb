"""Links, who is on them, and which of those can hear each other."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sim.sessions import Session


class Segment:
    """One link, such as a radio cell or a cable; all on it hear each other, unless it is split."""

    def __init__(self, name: str, rng: random.Random, *, loss: float, mean: float, rate: float):
        """`mean` is the latency in seconds; `rate` the bytes a second of a session."""
        self.name = name
        self.loss = loss * rng.uniform(0.5, 1.0)
        self.latency_s = mean * rng.uniform(0.3, 1.7)
        self.rate = rate * rng.uniform(0.5, 1.5)
        self.members: dict[int, int] = {}
        """Who is on it, by index, and in which part of it while it is split."""

        self.sessions: dict[Session, None] = {}
        """Those over it, in the order in which they began."""

    def joins(self, a: int, b: int) -> bool:
        """Tell whether two stations hear each other here."""
        part = self.members.get(a)
        return part is not None and part == self.members.get(b)

    def split(self, rng: random.Random) -> None:
        """Let only some hear each other."""
        for member in self.members:
            self.members[member] = rng.randrange(2)

    def heal(self) -> None:
        """Let all hear each other."""
        for member in self.members:
            self.members[member] = 0


def make_segments(
    stations: int, size: int, *, islands: bool, rng: random.Random
) -> list[list[int]]:
    """Return who is at home on which link.

    Each station has one; some are on a second, so that all hang together.  With `islands` a part of
    the links hangs together without the others.
    """
    count = max(1, round(stations / size))
    homes: list[list[int]] = [[] for _ in range(count)]
    for index in range(stations):
        homes[index if index < count else rng.randrange(count)].append(index)
    first = list(homes)
    cut = rng.randrange(1, count) if islands and count > 1 else 0
    for number in range(1, count):
        if number == cut:
            continue
        others = range(cut, number) if number > cut else range(number)
        homes[number].append(rng.choice(first[rng.choice(others)]))
    for _ in range(0 if cut else count // 4):
        homes[rng.randrange(count)].append(rng.randrange(stations))
    return [list(dict.fromkeys(home)) for home in homes]
