"""How fast a link is whose bottleneck is out of our sight: behind a radio bridge, behind a modem.

Such a bottleneck has a queue where nobody puts voice first. The only way to keep it short is to
send less than it carries, and to find out how much that is. So the delay of small packets to a
neighbour is watched while we send: once it stays up, our sending is held a little below what got
through, and from there it rises until the delay does, or stays where what we have to send ends. The
idea is that of cake-autorate and of LEDBAT (RFC 6817): one-way delay above the least that was seen
lately, so that what queues in the other direction counts for nothing and clocks need not agree.

A link that is idle, or fast, or only unsteady, is never held. What stays out: sending the packets,
and holding (`net/link_rates.py`).
"""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import Final

TICK_S: Final = 0.2
"""Between two calls of `tick`, and two packets to a neighbour, while much is sent; with their
answers 7 kbit/s."""

IDLE_TICK_S: Final = 1.0
"""Between two calls of `tick` else."""

IDLE_PROBE_S: Final = 20.0
"""Between two packets to a neighbour then: the least delay is known before a queue grows."""

FIRST_PROBES: Final = 5
"""To a new neighbour, one in each tick: a transfer may be about to begin."""

BASE_S: Final = 60.0
"""How long the least delay counts. Clocks that differ by 100 ppm drift apart by 6 ms meanwhile."""

BUCKET_S: Final = 10.0
"""Parts of that time which are forgotten at once."""

LATEST: Final = 3
"""Samples whose median counts; a single late one is the machine's fault."""

FRESH_S: Final = 1.0
"""Older samples say nothing of now."""

LONG_S: Final = 0.03
"""Of queueing delay: too much for a call, and more than a good link has."""

HELD_LONG_S: Final = 0.02
"""The same on a link that is held: it has shown that it is slow, so less is proof enough."""

SHORT_S: Final = 0.01
"""Of queueing delay: there is room."""

PATIENCE_TICKS: Final = 5
"""By so many more have to be too long than not, before a link is held: radios have fits."""

BUSY_KBIT: Final = 200
"""What is below is no transfer, and does not fill a queue."""

FIRST_CUT: Final = 0.85
"""Of what was sent when a queue was first seen; a part of it was dropped or still waits."""

CUT: Final = 0.9
"""Of the rate, each time that the queue grows."""

DRAIN_S: Final = 1.0
"""Until the queue that made us cut is gone, and another one is a reason of its own."""

SLOW_RISE: Final = 1.003
"""In a tick, near the rate at which a queue grew."""

RISE: Final = 1.03
"""In a tick, elsewhere."""

NEAR: Final = 0.93
FAR: Final = 1.1
"""Near that rate is between so many times of it."""

USED: Final = 0.8
"""Of the rate has to be in use before it rises; else nothing is learned from a short queue."""

LEAST_KBIT: Final = 256
"""Never less: what would still be too fast is not to be saved so, and delays may be lies."""

FAST_KBIT: Final = 50_000
"""A link that carries this needs no holding."""

FORGET_S: Final = 600.0
"""So long after the last transfer we know nothing any more."""


class Delay:
    """One-way delay to one neighbour; the clocks of both need not agree."""

    def __init__(self) -> None:
        self._latest: deque[tuple[float, float]] = deque(maxlen=LATEST)
        self._least: deque[tuple[float, float]] = deque(maxlen=round(BASE_S / BUCKET_S))

    def sample(self, delay_s: float, now: float) -> None:
        """A packet took that long, give or take a constant."""
        self._latest.append((now, delay_s))
        if not self._least or now - self._least[-1][0] >= BUCKET_S:
            self._least.append((now, delay_s))
        else:
            begun, least = self._least[-1]
            self._least[-1] = begun, min(least, delay_s)

    def queueing_s(self, now: float) -> float | None:
        """What the packet waited in queues; None: not known for now."""
        while self._least and now - self._least[0][0] > BASE_S + BUCKET_S:
            self._least.popleft()
        if len(self._latest) < LATEST or now - self._latest[0][0] > FRESH_S or not self._least:
            return None
        base = min(least for _, least in self._least)
        return median(delay for _, delay in self._latest) - base


class LinkRate:
    """The rate of one link."""

    def __init__(self) -> None:
        self.rate_kbit: int | None = None
        """To what sending is to be held; None: to nothing."""

        self._delays: dict[str, Delay] = {}
        self._rate = 0.0
        self._grew_at: float | None = None
        """Rate at which a queue grew last."""

        self._loads: deque[float] = deque(maxlen=PATIENCE_TICKS)
        self._last: tuple[float, int] | None = None
        self._long_ticks = self._first_probes = 0
        self._cut_at = self._busy_at = self._probed_at = float("-inf")

    def neighbours(self, addresses: frozenset[str]) -> None:
        """These are there now."""
        if addresses - self._delays.keys():
            self._first_probes = FIRST_PROBES
        self._delays = {each: self._delays.get(each, Delay()) for each in addresses}

    def sample(self, neighbour: str, delay_s: float, now: float) -> None:
        """A packet to a neighbour took that long, give or take a constant."""
        if neighbour in self._delays:
            self._delays[neighbour].sample(delay_s, now)

    def busy(self, now: float) -> bool:
        """Whether the link is to be looked at closely: much is sent, or a neighbour is new."""
        return self._first_probes > 0 or now - self._busy_at <= FRESH_S

    def probe_due(self, now: float) -> bool:
        """Whether a packet is to be sent to each neighbour now; asked after each `tick`."""
        if self._first_probes:
            self._first_probes -= 1
        elif not self.busy(now) and now - self._probed_at < IDLE_PROBE_S:
            return False
        self._probed_at = now
        return True

    def tick(self, sent_bytes: int, now: float) -> None:
        """To be called every `TICK_S` with all that was ever sent on the link."""
        last, self._last = self._last, (now, sent_bytes)
        if last is None or now <= last[0] or sent_bytes < last[1]:
            return
        self._loads.append((sent_bytes - last[1]) / (now - last[0]) / 125)
        load = sum(self._loads) / len(self._loads)
        if load >= BUSY_KBIT:
            self._busy_at = now
        found = [delay.queueing_s(now) for delay in self._delays.values()]
        # The least: what is slow towards one neighbour alone is not this link.
        queueing_s = min((each for each in found if each is not None), default=None)
        if self.rate_kbit is None:
            self._look(queueing_s, load, now)
        else:
            self._hold(queueing_s, load, now)

    def _look(self, queueing_s: float | None, load: float, now: float) -> None:
        """Decide whether the link is to be held."""
        long = queueing_s is not None and queueing_s > LONG_S and BUSY_KBIT <= load < FAST_KBIT
        self._long_ticks = max(0, self._long_ticks + (1 if long else -1))
        if self._long_ticks >= PATIENCE_TICKS:
            self._long_ticks = 0
            self._grew_at = load
            self._set(load * FIRST_CUT, now)

    def _hold(self, queueing_s: float | None, load: float, now: float) -> None:
        """Follow the link."""
        if now - self._busy_at > FORGET_S:
            self.rate_kbit = None
        elif queueing_s is None:
            return
        elif queueing_s > HELD_LONG_S:
            if now - self._cut_at >= DRAIN_S and load >= BUSY_KBIT:
                self._grew_at = min(self._rate, load)
                self._set(self._grew_at * CUT, now)
        elif queueing_s < SHORT_S and load >= USED * self._rate:
            near = self._grew_at is not None and (
                NEAR * self._grew_at <= self._rate <= FAR * self._grew_at
            )
            self._rate *= SLOW_RISE if near else RISE
            self.rate_kbit = round(self._rate) if self._rate < FAST_KBIT else None

    def _set(self, rate_kbit: float, now: float) -> None:
        self._rate = max(float(LEAST_KBIT), rate_kbit)
        self.rate_kbit = round(self._rate)
        self._cut_at = now
