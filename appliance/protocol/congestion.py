"""How much a path takes of what we send, from the delay that our own sending makes.

A report says up to which packet everything has come, and when it was written.  What we had sent by
then and had not arrived was on its way: for a moment on a path that is free, for ever longer where
we send more than it takes.  So the delay above the least of the last minute is a queue of ours, and
what arrives while there is one is what the path takes.  Loss alone is met by copies, not by
sending less, unless it is so much that no copies help.

Clocks of two machines are compared, so only differences count.  How the sound is made to fit
(`adaptation`) stays out.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import Final

FLOOR_BIT_S: Final = 11_000.0
"""On the wire: narrowband in packets of 120 ms, with all headers; less is no call."""

FREE_BIT_S: Final = 82_000.0
"""On the wire: more than this is never sent, so from here on there is no limit."""

QUEUE_S: Final = 0.1
"""Two reports in a row with more delay than this: we send too much.  Jitter alone stays below."""

LONG_QUEUE_S: Final = 0.3
"""One report is enough."""

DRAIN: Final = 0.6
"""Of what the path takes, while a long queue has to go."""

SHARE: Final = 0.85
"""Of what the path takes, else."""

GROWTH: Final = 1.08
"""A second, while the delay is low."""

WAIT_S, MAX_WAIT_S = 4.0, 60.0
"""After the limit was lowered nothing is tried for so long; doubled whenever trying was wrong."""

BASE_S: Final = 60.0
"""The least delay is that of the last minute: clocks drift apart."""

SILENCE_S: Final = 3.5
"""Without a report for this long, reports may be stuck behind our sound."""

LONGEST_FRAME_S: Final = 0.12
"""What is between two packets is no queue."""

PAUSE_S: Final = 0.15
"""More between two packets is a silence that was not sent."""

HEAVY_LOSS: Final = 0.5
"""Loss that copies do not mend; a short queue that overflows looks like this."""

SUSPECT_LOSS: Final = 0.35
"""Loss that looks like this where the path is known to be thin."""

MUCH_LOSS: Final = 0.2
"""No trying whether the path takes more."""

REBASE_LOSS: Final = 0.1
"""A queue that runs over loses more than this."""

HOPELESS_S, HOPELESS_TIMES = 3.0, 2
"""At the floor with a queue or heavy loss for this long, twice: the path does not take a call."""

AFTER_OUTAGE_S: Final = 4.0
"""What was lost while nothing came through tells nothing of what the path takes."""

_RING: Final = 512


@dataclass(frozen=True, slots=True)
class _Sent:
    at: float
    octets: int


class Congestion:
    """The limit for what one stream puts on the wire; ``now`` is monotonic seconds."""

    def __init__(self, link_bit_s: float | None = None) -> None:
        """``link_bit_s``: what the path is known to take, if it is."""
        self.limit: float | None = None
        """bit/s on the wire with all headers; None: as much as sounds good."""
        self.queue_s = 0.0
        """Delay that stands on the path above the least one."""
        self.hopeless = False
        """Not even the least that makes a call gets through."""
        self._ring: deque[_Sent] = deque(maxlen=_RING)
        self._first = 0
        self._octets = 0
        self._bases: deque[tuple[float, float]] = deque(maxlen=128)
        self._last: tuple[_Sent, float] | None = None
        self._above = False
        self._lowered: tuple[float, float] | None = None
        self._wait_s = WAIT_S
        self._grown_at = 0.0
        self._heard_at: float | None = None
        self._before_silence: tuple[float | None] | None = None
        self._heavy: tuple[float, float] | None = None
        self._heavy_ignored_until = 0.0
        self._bad_since: tuple[float, float] | None = None
        self._bad_times = 0
        self._drained: float | None = None
        if link_bit_s is not None and link_bit_s * SHARE < FREE_BIT_S:
            self.limit = max(FLOOR_BIT_S, link_bit_s * SHARE)

    def restart(self) -> None:
        """Our sequence numbers begin anew, or the path is another; the limit stays."""
        self._ring.clear()
        self._bases.clear()
        self._last, self._above, self.queue_s = None, False, 0.0
        self._heard_at = None

    def sent(self, sequence: int, octets: int, now: float) -> None:
        """A packet has left, ``octets`` long with all headers; numbers go up one by one."""
        if not self._ring:
            self._first = sequence
        elif len(self._ring) == _RING:
            self._first += 1
        self._octets += octets
        self._ring.append(_Sent(now, self._octets))
        if self._heard_at is None:
            self._heard_at = self._grown_at = now

    def heard(self, highest: int, written_at: float, loss: float, now: float) -> None:
        """A report: the highest number that arrived (16 bits), when it was written by the other
        clock (seconds), and the loss of late (0 to 1)."""
        self._heard_at = now
        index = (highest - self._first) & 0xFFFF
        if index >= len(self._ring):
            return
        if self._before_silence is not None:
            (self.limit,), self._before_silence = self._before_silence, None
            self._heavy_ignored_until = max(self._heavy_ignored_until, now + AFTER_OUTAGE_S)
        newest = self._ring[index]
        under_way = [one.at for one in islice(self._ring, index + 1, None)]
        frame_s = self._look(newest.at, under_way, written_at, now)
        if frame_s is None:
            return
        is_long = self.queue_s > LONG_QUEUE_S + frame_s
        is_above = self.queue_s > QUEUE_S + frame_s
        if is_long or (is_above and self._above):
            self._congested(newest, loss, now)
        elif loss > self._heavy_loss and now >= self._heavy_ignored_until:
            self._overflowing(loss, now)
        elif not is_above and loss < MUCH_LOSS:
            self._grow(now)
        self._above = is_above
        self._judge(loss, now)
        self._last = (newest, self.queue_s)

    @property
    def _heavy_loss(self) -> float:
        return HEAVY_LOSS if self.limit is None else SUSPECT_LOSS

    def _look(
        self, arrived: float, under_way: list[float], written_at: float, now: float
    ) -> float | None:
        """Learn the delay from what had not arrived, by when it was sent.

        Returns the time between two packets, by which the delay is not known; None: what is lost
        before a silence looks like a queue, so this report tells nothing.
        """
        if not under_way:
            self.queue_s = 0.0
            return 0.0
        if now - under_way[-1] > PAUSE_S:
            return None
        spurt, before = under_way[0], arrived
        for at in under_way:
            if at - before > PAUSE_S:
                spurt = at
            before = at
        frame_s = min(LONGEST_FRAME_S, under_way[0] - arrived)
        if spurt == under_way[0] and spurt - arrived <= PAUSE_S:
            self._measure(written_at - spurt, now)
        elif self._bases:
            self.queue_s = max(0.0, written_at - spurt - self._bases[0][1])
        return frame_s

    def _measure(self, delay: float, now: float) -> None:
        while self._bases and self._bases[0][0] < now - BASE_S:
            self._bases.popleft()
        while self._bases and self._bases[-1][1] >= delay:
            self._bases.pop()
        self._bases.append((now, delay))
        self.queue_s = delay - self._bases[0][1]

    def _congested(self, newest: _Sent, loss: float, now: float) -> None:
        if self._last is None:
            return
        if self._lowered is not None:
            at, queue_s = self._lowered
            if newest.at < at:
                return  # What is known of was sent before the limit was lowered.
            same = abs(queue_s - self.queue_s) < QUEUE_S / 2
            if self.limit == FLOOR_BIT_S and same and loss < REBASE_LOSS:
                # It does not answer to our sending: the path has become longer, nothing else.
                self._rebase(now)
                return
        before, queue_before = self._last
        passed = newest.at - before.at + self.queue_s - queue_before
        sent_s = newest.at - before.at
        if passed <= 0.0 or sent_s <= 0.0 or self.queue_s < queue_before:
            return  # It is getting shorter.
        octets = newest.octets - before.octets
        takes = 8 * octets * (1 - loss) / passed
        is_long = self.queue_s > LONG_QUEUE_S
        self._lower((DRAIN if is_long else SHARE) * takes, now)
        self._drained = SHARE * takes if is_long else None

    def _rebase(self, now: float) -> None:
        delay = self._bases[-1][1]
        self._bases.clear()
        self._bases.append((now, delay))
        self.queue_s = 0.0

    def _overflowing(self, loss: float, now: float) -> None:
        """So much is lost that a queue too short to be seen may be running over."""
        if self._heavy is None:
            self._heavy = (now, loss)
            self._lower((self.limit or FREE_BIT_S) * (1 - loss), now)
        elif now - self._heavy[0] >= WAIT_S:
            if loss > 0.8 * self._heavy[1]:  # Sending less does not help.
                self.limit, self._heavy_ignored_until = None, now + 30.0
                self._heavy = None
            else:
                self._heavy = (now, loss)
                self._lower((self.limit or FREE_BIT_S) * (1 - loss), now)

    def _lower(self, limit: float, now: float) -> None:
        if self._lowered is not None and now - self._lowered[0] < 30.0:
            self._wait_s = min(MAX_WAIT_S, 2 * self._wait_s)
        self._lowered = (now, self.queue_s)
        self._grown_at = now
        self.limit = max(FLOOR_BIT_S, min(limit, SHARE * (self.limit or FREE_BIT_S)))

    def _grow(self, now: float) -> None:
        passed, self._grown_at = now - self._grown_at, now
        if self._drained is not None and self.limit is not None:
            self.limit = max(self.limit, min(self._drained, FREE_BIT_S))
        self._drained = None
        if self._lowered is not None and now - self._lowered[0] < self._wait_s:
            return
        if self.limit is None:
            return
        self.limit *= GROWTH ** min(passed, 2.0)
        if self.limit >= FREE_BIT_S:
            self.limit, self._wait_s, self._heavy = None, WAIT_S, None

    def _judge(self, loss: float, now: float) -> None:
        is_long = self.queue_s > LONG_QUEUE_S + LONGEST_FRAME_S
        if self.limit != FLOOR_BIT_S or not (is_long or loss > HEAVY_LOSS):
            self._bad_since, self._bad_times, self.hopeless = None, 0, False
        elif self._bad_since is None:
            self._bad_since = (now, self.queue_s)
        elif now - self._bad_since[0] >= HOPELESS_S:
            # A long queue that gets shorter is only what was sent before.
            still = loss > HEAVY_LOSS or self.queue_s > 0.9 * self._bad_since[1]
            self._bad_times = self._bad_times + 1 if still else 0
            self._bad_since = (now, self.queue_s)
            self.hopeless = self._bad_times >= HOPELESS_TIMES

    def tick(self, now: float) -> None:
        """From time to time: without reports less is sent, and as before when they are back."""
        if self._heard_at is None or now - self._heard_at < SILENCE_S:
            return
        self._heard_at = now - SILENCE_S / 2
        if self._before_silence is None:
            self._before_silence = (self.limit,)
        self.limit = max(FLOOR_BIT_S, (self.limit or FREE_BIT_S) / 2)
