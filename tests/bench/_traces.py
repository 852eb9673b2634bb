"""What a bad link does to the packets of a call, from a seed: the same for every system.

The chain of losses goes on by one step with each packet of sound, as traces of networks are usually
given. Reports (RTCP) are lost as often, and while the link is bad, but do not move the chain: so
the packets of sound meet the same losses whoever sends how many reports.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from _clips import ADAPT_S

SEED = 20_261_123

STEP_S = 0.02
"""Of the chain, in silence."""

LONGEST_PACKET_S = 0.12
"""Between two packets of speech; what is longer is a silence."""

MOST_STEPS = 1_000
"""Nobody can tell what a link was like that long ago."""


@dataclass(frozen=True)
class Row:
    """One kind of link, and what a call over it should reach."""

    name: str
    """As in the table."""

    loss: float = 0.0
    """Share of the packets that are lost."""

    burst: float = 0.0
    """Mean number of packets lost in a row (Gilbert-Elliott); 0: each by itself."""

    jitter_s: float = 0.0
    """Each packet is late by a random time up to this, and may overtake others."""

    drift_ppm: float = 0.0
    """By how much the clock of who speaks runs fast."""

    goal_pesq: float | None = None
    """The least PESQ-WB."""

    goal_delay_ms: float = 180.0
    """The longest way from mouth to ear."""


ROWS = (
    Row("clean", goal_pesq=4.2, goal_delay_ms=60.0),
    Row("random5", loss=0.05, goal_pesq=4.0),
    Row("random10", loss=0.10, goal_pesq=3.8),
    Row("random20", loss=0.20, goal_pesq=3.5),
    Row("burst5", loss=0.05, burst=3.0),
    Row("burst10", loss=0.10, burst=3.0, goal_pesq=3.3),
    Row("burst20", loss=0.20, burst=3.0, goal_pesq=2.9),
    Row("jitter80", loss=0.05, jitter_s=0.080, goal_pesq=3.6),
    Row("drift", drift_ppm=300.0, goal_pesq=4.2),
)
"""The drift is the largest that two cheap sound cards have between them."""

GOAL_KBIT_S = 48.0
"""The most that the payload of RTP may take."""


def row(name: str) -> Row:
    """Raises ValueError that says which rows there are."""
    for one in ROWS:
        if one.name == name:
            return one
    raise ValueError(f"there is no row {name!r}; there are {', '.join(r.name for r in ROWS)}")


class Trace:
    """One direction of one call over such a link; ``now`` is seconds of a clock that goes on."""

    def __init__(self, kind: Row, seed: int, *, back: bool = False) -> None:
        self._kind = kind
        self._sound, self._reports, self._late = (
            random.Random(f"{SEED} {seed} {part} {back}") for part in ("sound", "reports", "late")
        )
        self._bad = False
        self._heard_at: float | None = None
        self.packets = self.lost = 0

    def sound(self, now: float) -> float | None:
        """What becomes of a packet of sound: seconds of delay, or None: it is lost."""
        self._pass_silence(now)
        self._heard_at = now
        self._step()
        self.packets += 1
        self.lost += self._bad
        delay_s = self._late.random() * self._kind.jitter_s
        return None if self._bad else delay_s

    def report(self, now: float) -> float | None:
        """The same of a report."""
        self._pass_silence(now)
        lost = self._bad if self._kind.burst else self._reports.random() < self._kind.loss
        delay_s = self._reports.random() * self._kind.jitter_s
        return None if lost else delay_s

    def _pass_silence(self, now: float) -> None:
        if self._heard_at is None:
            return
        steps = int((now - self._heard_at - LONGEST_PACKET_S) / STEP_S)
        if steps > 0:
            self._heard_at += steps * STEP_S
            for _ in range(min(steps, MOST_STEPS)):
                self._step()

    def _step(self) -> None:
        draw = self._sound.random()
        if self._kind.burst:
            leave = 1 / self._kind.burst
            enter = self._kind.loss * leave / (1 - self._kind.loss)
            self._bad = draw >= leave if self._bad else draw < enter
        else:
            self._bad = draw < self._kind.loss


ADAPTING_S = ADAPT_S
"""Figures of rates are taken from then on."""
