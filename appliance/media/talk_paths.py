"""What the way to each listener takes, and how a voice is sent so that it gets through to all.

Every station hears once a second from those that it sends a spurt to, and tells whom it has it from
the worst of that (`TalkReport`).  So the speaker learns of the worst way in the whole tree, and
sends what that takes, down to the least that is speech.  A link that takes not even this is left
out by whoever is in front of it: one listener must not make it bad for all.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from appliance.adapters.srtp import AES_GCM, TAG_BYTES
from appliance.media.sender import IP_BYTES
from appliance.model.talk_media import MAX_WITHOUT, REPORTED, TalkHop, TalkReport
from appliance.protocol.adaptation import RECENT, Choice, Decision, Patterns, Takes
from appliance.protocol.congestion import FLOOR_BIT_S, FREE_BIT_S, Congestion
from appliance.protocol.jitter import FRAME_S
from appliance.protocol.loss_record import LossRecord
from appliance.protocol.opus_packet import CLOCK_HZ
from appliance.protocol.rtp import HEADER_BYTES, Reception

PATTERNS: Final[Patterns] = {
    20: ((), (2,), (2, 4)),
    40: ((), (1,), (1, 2)),
    60: ((), (1,)),
    120: ((), (1,)),
}
"""As `adaptation.COPIES`; where packets are short no copy is older than 80 ms, which is how much
delay a listener has from the first packet on."""

TAKES: Final = Takes(red=True, dtx=True)

LEAST_LOSS, LEAST_BURST = 0.05, 3.0
"""Where there is room there are two copies, which mend bursts of three, whatever is reported: of
many links one is always just getting worse, and who reports it has lost a word already."""

MOST_LOSS: Final = 0.3
"""More than this is the same to us: no way of sending mends it, and others shall not pay for it."""

CUT_LOSS, CUT_S = 0.12, 6.0
"""A link that loses so much for so long, while nearly the least is sent, takes no sound."""

NEARLY: Final = 1.5
"""Times the least (`congestion.FLOOR_BIT_S`)."""

CUT_PACKETS: Final = 25
"""Numbers before the newest by which that is judged: 3 s of the longest packets."""

REST_S: Final = 60.0
"""For how long a child is left out whose link takes no sound."""

FORGET_S: Final = 120.0
"""What was learned of a link that carried nothing since."""

MAX_PATHS: Final = 64
"""Links of which something is remembered."""

SURE_LOSS, SURE_QUEUE_S = 0.3, 0.6
"""So much is lost, or waits, where a link is far too thin for what is sent.  Less has other causes,
such as a listener's machine with much to do, and copies mend it: for that nobody else pays."""

SPARE: Final = 1.3
"""Times what a link is thought to take may be passed on to it: sound is not always the same."""

BUCKET_S: Final = 0.5
MIN_BUCKET_BITS: Final = 8 * 1_300
"""What may leave at once towards a link that is known to be thin."""

_NUMBERS: Final = 512
"""Packets of which it is remembered that they were sent."""


@dataclass(frozen=True, slots=True)
class Worst:
    """Of all that is behind a station, or before and behind it."""

    loss: float = 0.0
    """Share of packets, 0 to `MOST_LOSS`."""

    burst: float = 1.0
    """Lost in a row, on average."""

    limit: float | None = None
    """bit/s on the wire; None: no link is thin."""

    without: int = 0
    """Neighbours, here and behind, that are left out."""


class TalkPath:
    """The hop to one child."""

    def __init__(self) -> None:
        self._congestion = Congestion()
        self._numbers: OrderedDict[int, int] = OrderedDict()
        self._count = 0
        self._cut_until: float | None = None
        self._bad_since: float | None = None
        self._sure = False
        self._bits = MIN_BUCKET_BITS * 1.0
        self._bits_at = 0.0
        self.report: TalkReport | None = None
        """The newest; also one of an earlier spurt."""
        self.used_at = 0.0
        """When something was wanted of it."""

    def begin(self) -> None:
        """Another spurt: its numbers are others, and the link is the same."""
        self._congestion.restart()
        self._numbers.clear()

    def is_cut(self, now: float) -> bool:
        """Not even the least gets through, so nothing is sent for a while."""
        if self._cut_until is not None and now >= self._cut_until:
            self._cut_until, self.report = None, None
            self._congestion, self._sure = Congestion(), False
        return self._cut_until is not None

    def takes(self, octets: int, now: float) -> bool:
        """Whether a packet of so many octets fits what the link takes.

        Until the speaker has heard of it and sends less, what is too much is dropped here rather
        than queued: all that came behind it would be late.
        """
        limit = self._limit
        if limit is None:
            return True
        limit *= SPARE
        most = max(MIN_BUCKET_BITS, BUCKET_S * limit)
        self._bits = min(most, self._bits + limit * max(0.0, now - self._bits_at))
        self._bits_at = now
        bits = 8 * (octets + IP_BYTES)
        if self._bits < bits:
            return False
        self._bits -= bits
        return True

    def sent(self, data: bytes, now: float) -> None:
        """A packet has left."""
        self._count += 1
        self._congestion.sent(self._count, len(data) + IP_BYTES, now)
        self._numbers[_number(data)] = self._count
        if len(self._numbers) > _NUMBERS:
            self._numbers.popitem(last=False)

    def heard(self, report: TalkReport, now: float) -> None:
        """The child tells how it came."""
        self.report = report
        count = self._numbers.get(report.highest)
        if count is None or self.is_cut(now):
            return
        sent, loss = self._loss(report, REPORTED)
        written_at = report.written_ms / 1000
        self._congestion.heard(count, written_at, loss if sent >= RECENT else 0.0, now)
        if self._congestion.limit is None:
            self._sure = False
        elif loss >= SURE_LOSS or self._congestion.queue_s >= SURE_QUEUE_S:
            self._sure = True
        self._judge(report, now)

    def _loss(self, report: TalkReport, numbers: int) -> tuple[int, float]:
        """Of what was sent among the newest numbers: how many, and the share that was lost."""
        there = [
            report.arrived >> age & 1
            for number in self._numbers
            if (age := (report.highest - number) & 0xFFFF) < numbers
        ]
        return len(there), 1 - sum(there) / len(there) if there else 0.0

    def _judge(self, report: TalkReport, now: float) -> None:
        limit, (_, loss) = self._congestion.limit, self._loss(report, CUT_PACKETS)
        is_least = limit is not None and limit <= NEARLY * FLOOR_BIT_S
        if loss < CUT_LOSS or (limit is not None and not is_least):
            self._bad_since = None
        elif is_least and self._bad_since is None:
            self._bad_since = now  # A limit that is gone only says that less did not help.
        is_bad = self._bad_since is not None and now - self._bad_since >= CUT_S
        if is_bad or self._congestion.hopeless:
            self._cut_until, self._bad_since = now + REST_S, None

    def tick(self, now: float) -> None:
        """About every second, also without a report."""
        self._congestion.tick(now)

    @property
    def _limit(self) -> float | None:
        return self._congestion.limit if self._sure else None

    @property
    def limit(self) -> float | None:
        """What it takes, and what is behind it, in bit/s on the wire; None: no link is thin."""
        behind = self.report.limit_bit_s if self.report is not None else 0
        limits = [one for one in (self._limit, behind) if one]
        return min(limits, default=None)


class TalkPaths:
    """Those of one talk group, from spurt to spurt."""

    def __init__(self) -> None:
        self._paths: OrderedDict[tuple[str, str], TalkPath] = OrderedDict()

    def to(self, hop: TalkHop, now: float) -> TalkPath:
        """The one to a child; what was learned of it long ago is forgotten."""
        key = (hop.local_host, hop.remote_host)
        path = self._paths.pop(key, None)
        if path is None or (now - path.used_at > FORGET_S and not path.is_cut(now)):
            path = TalkPath()
        path.used_at = now
        self._paths[key] = path
        if len(self._paths) > MAX_PATHS:
            self._paths.popitem(last=False)
        return path


def worst(paths: Iterable[TalkPath], now: float) -> Worst:
    """What has to be kept to, so that all are served who can be."""
    loss, burst, without = 0.0, 1.0, 0
    limit: float | None = None
    for path in paths:
        if path.is_cut(now):
            without += 1
            continue
        if path.limit is not None:
            limit = path.limit if limit is None else min(limit, path.limit)
        if (report := path.report) is not None:
            without += report.without
            if report.loss / 1000 > loss:
                loss, burst = report.loss / 1000, report.burst / 10
    return Worst(min(MOST_LOSS, loss), burst, limit, min(MAX_WITHOUT, without))


class Arrivals:
    """What came of a spurt, by the numbers that anybody on the way can read."""

    def __init__(self) -> None:
        self._reception = Reception(CLOCK_HZ)
        self._record = LossRecord()
        self._last: tuple[int, int] | None = None
        self._frame_s = FRAME_S
        self.since: float | None = None
        """When the first came."""

    def add(self, data: bytes, now: float) -> None:
        """A packet that was passed on or played.  Numbers of a spurt never wrap."""
        if self.since is None:
            self.since = now
        number, timestamp = _number(data), int.from_bytes(data[4:8], "big")
        if self._last is not None and number == self._last[0] + 1:
            step_s = (timestamp - self._last[1]) / CLOCK_HZ
            if FRAME_S <= step_s <= 6 * FRAME_S:
                self._frame_s = step_s
        self._last = (number, timestamp)
        self._reception.add(sequence=number, timestamp=timestamp, now=now)

    def report(self, behind: Worst, now: float) -> TalkReport | None:
        """What our parent is told; None: nothing has come."""
        if not self._reception.received:
            return None
        end, arrived = self._reception.arrived(_NUMBERS)
        self._record.take(end, arrived)
        loss, burst = self._record.loss(self._frame_s), self._record.burst
        if behind.loss > loss:
            loss, burst = behind.loss, behind.burst
        newest = arrived[-REPORTED:]
        return TalkReport(
            highest=(end - 1) & 0xFFFF,
            written_ms=max(0, int(now * 1000)),
            arrived=sum(came << age for age, came in enumerate(reversed(newest))),
            loss=round(1000 * min(MOST_LOSS, loss)),
            burst=round(10 * burst),
            limit_bit_s=0 if behind.limit is None else round(min(FREE_BIT_S, behind.limit)),
            without=behind.without,
        )


class TalkChoice:
    """How our voice is sent to a talk group; goes on from spurt to spurt."""

    def __init__(self) -> None:
        headers = IP_BYTES + HEADER_BYTES + TAG_BYTES[AES_GCM]
        self._choice = Choice(TAKES, header_octets=headers, patterns=PATTERNS)

    def decide(self, behind: Worst, now: float) -> Decision:
        """So that it gets through to all."""
        loss, burst = max(LEAST_LOSS, behind.loss), max(LEAST_BURST, behind.burst)
        return self._choice.choose(loss, burst, behind.limit, now)


def _number(data: bytes) -> int:
    return int.from_bytes(data[2:4], "big")
