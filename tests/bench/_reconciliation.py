"""Two sets of ids that find out how they differ, without a network: bytes, messages and time."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from appliance.protocol.id_set import IdSet
from appliance.protocol.reconciliation import Reconciler


@dataclass
class Side:
    """What one of the two has said and found."""

    reconciler: Reconciler
    """Its end of the exchange."""

    theirs: list[bytes] = field(default_factory=list)
    """What it has found that it lacks."""

    ours: list[bytes] = field(default_factory=list)
    """What it has found that the other lacks."""

    messages: int = 0
    """How many it has sent."""

    sent_bytes: int = 0
    """How much."""

    longest: int = 0
    """Bytes of the longest of them."""

    done: bool = False
    """It awaits no answer."""

    cut_short: bool = False
    """It has left something for another exchange."""


@dataclass
class Exchange:
    """What two sets said to each other."""

    begins: Side
    """Who began."""

    other: Side
    """The other."""

    half_rounds: int
    """Times that messages went one way."""


@dataclass(frozen=True)
class Figures:
    """What comparing two sets took."""

    records: int
    """That both have."""

    differences: int
    """Half of them at either."""

    sent_bytes: tuple[int, int]
    """By who began, and by the other."""

    half_rounds: int
    """Times that messages went one way."""

    seconds: float
    """For both sides, one after the other."""

    cpu_s: float
    """The same on the processor."""


def _nothing(_: int) -> None:
    pass


def exchange(
    ids: IdSet, others: IdSet, *, nonce: bytes = b"", between: Callable[[int], None] = _nothing
) -> Exchange:
    """Let two sets compare themselves; `between` is called after each half round trip."""
    begins, other = Side(Reconciler(ids)), Side(Reconciler(others))
    result = Exchange(begins, other, 0)
    flight: tuple[bytes, ...] = (begins.reconciler.begin(nonce),)
    sender, receiver = begins, other
    while flight:
        sender.messages += len(flight)
        sender.sent_bytes += sum(map(len, flight))
        sender.longest = max(sender.longest, *map(len, flight))
        result.half_rounds += 1
        replies: list[bytes] = []
        for message in flight:
            step = receiver.reconciler.received(message)
            receiver.theirs += step.theirs
            receiver.ours += step.ours
            receiver.done = step.done
            receiver.cut_short |= step.cut_short
            replies += step.replies
        between(result.half_rounds)
        flight, sender, receiver = tuple(replies), receiver, sender
    return result


def two_sets(records: int, differences: int, *, seed: int) -> tuple[IdSet, IdSet]:
    """Make two sets; half of what differs is in either."""
    rng = random.Random(seed)
    first = IdSet(rng.randbytes(32) for _ in range(records))
    second = IdSet(first)
    for number in range(differences):
        (first, second)[number % 2].add(rng.randbytes(32))
    return first, second


def measure(records: int, differences: int, *, seed: int = 1) -> Figures:
    """Compare two sets once."""
    first, second = two_sets(records, differences, seed=seed)
    wall, cpu = time.perf_counter(), time.process_time()
    result = exchange(first, second, nonce=seed.to_bytes(8))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    found = len(result.begins.theirs) + len(result.begins.ours)
    if found != differences or found != len(result.other.theirs) + len(result.other.ours):
        raise RuntimeError(f"{found} of {differences} differences were found")
    return Figures(
        records=records,
        differences=differences,
        sent_bytes=(result.begins.sent_bytes, result.other.sent_bytes),
        half_rounds=result.half_rounds,
        seconds=wall,
        cpu_s=cpu,
    )
