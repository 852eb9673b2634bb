"""Where on the 20 ms grid streams have their beats: spread, so that none waits for another."""

from __future__ import annotations

from collections.abc import Iterable

from appliance.protocol.jitter import FRAME_S

PHASES = 10
"""Slots of 2 ms that the streams' beats are spread over."""


def first_beat(others: Iterable[float], epoch: float, now: float) -> float:
    """Return the first beat of a stream, in the emptiest of the slots that share the 20 ms.

    ``others``: the next beats of those that run; all on one monotonic clock, in seconds.
    """
    used = [0] * PHASES
    for due in others:
        used[int((due - epoch) / FRAME_S * PHASES + 0.5) % PHASES] += 1
    slot = min(range(PHASES), key=used.__getitem__)
    beats = int((now - epoch) / FRAME_S) + 1
    return epoch + (beats + slot / PHASES) * FRAME_S
