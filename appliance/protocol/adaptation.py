"""How our voice is sent: rate, packet length, copies and FEC, from what the other side reports.

What a packet may carry is shared between the sound and copies of older sound (RFC 2198); more
copies mean fewer lost words, but each sounds less well.  Which is best follows from the loss rate
and the burst length by a model of the loss (Gilbert: two states) and a table of what was measured
(PESQ-WB of natural speech).  Where the path takes less (`congestion`), packets get longer, so that
headers cost less, and at last narrowband.

Encoding and packets stay out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Final, TypeAlias

from appliance.protocol.congestion import Congestion
from appliance.protocol.loss_record import LossRecord
from appliance.protocol.opus_packet import Bandwidth
from appliance.protocol.red import COPY_HEADER_BYTES, PRIMARY_HEADER_BYTES

PAYLOAD_BIT_S: Final = 47_000.0
"""Of RTP payload at most, copies and their headers included; the encoder may be 1 kbit/s above."""

MAX_BITRATE: Final = 32_000
"""Of the sound itself: PESQ-WB 4.4, in full bandwidth."""

MIN_BITRATE: Final = 5_800
"""Of the sound itself: what 120 ms packets leave of `congestion.FLOOR_BIT_S`, in narrowband."""

NARROW_BELOW: Final = 9_000
"""bit/s; less is not enough for wideband."""

FULL_FROM: Final = 28_000
"""bit/s; from here on there is something to spare for more than wideband."""

REPORTS_BIT_S: Final = 600.0
"""What our own reports cost."""

QUALITY: Final = (
    (5_000, 1.9),
    (6_000, 2.3),
    (8_000, 3.1),
    (9_000, 3.29),
    (11_000, 3.78),
    (12_000, 3.97),
    (14_000, 4.10),
    (16_000, 4.26),
    (20_000, 4.34),
    (24_000, 4.38),
    (32_000, 4.41),
)
"""PESQ-WB by bit/s, nothing lost, 20 ms frames, mean of three clips of natural speech."""

Patterns: TypeAlias = Mapping[int, tuple[tuple[int, ...], ...]]

COPIES: Final[Patterns] = {
    20: ((), (2,), (3,), (6,), (2, 4), (3, 6), (2, 4, 6)),
    40: ((), (1,), (3,), (1, 3)),
    60: ((), (1,), (2,), (1, 2)),
    120: ((), (1,)),
}
"""By packet length in ms, the distances of copies in packets that are chosen from; at most 120 ms
where packets are short, since the delay must cover what is to be repaired."""

RECENT, RECENT_S = 50, 3.0
"""Packets at least, and seconds, that tell whether so much is lost that a queue runs over."""

BETTER: Final = 0.05
"""A change has to promise so much more quality (PESQ)."""

STAY_S: Final = 3.0
"""No change to fewer copies or shorter packets sooner than this after the last change."""


class Reason(StrEnum):
    """Why it is sent as it is."""

    CLEAN = "clean"
    """The path is good."""

    LOSS = "loss"
    """Packets get lost, so sound is sent more than once or with FEC."""

    THIN = "thin"
    """The path takes no more."""

    TOO_THIN = "too-thin"
    """The path does not even take the least that makes a call."""


@dataclass(frozen=True, slots=True)
class Takes:
    """What the other side takes, as agreed in SDP."""

    red: bool = False
    """Redundant payloads (RFC 2198)."""

    dtx: bool = False
    """It likes silence not to be sent (RFC 7587 section 6.1: usedtx)."""

    max_frame_ms: int = 120
    """Longest packets (RFC 4566 section 6: maxptime)."""


@dataclass(frozen=True, slots=True)
class Decision:
    """How to send from the next packet on."""

    bitrate: int
    """bit/s of the encoder; each copy costs as much again."""

    frame_ms: int
    """Sound in a packet: 20, 40, 60 or 120."""

    copies: tuple[int, ...]
    """Which older packets' sound goes along: by how many packets older, near ones first."""

    fec_pct: int
    """Loss that the encoder's FEC is made for; 0: no FEC."""

    bandwidth: Bandwidth
    """Highest audio bandwidth."""

    dtx: bool
    """Silence is not sent."""

    reason: Reason
    """Why."""

    @property
    def thin(self) -> bool:
        """It is sent in packets of 120 ms, because the path takes no more."""
        return self.frame_ms == 120


@dataclass(frozen=True, slots=True)
class _Plan:
    frame_ms: int
    copies: tuple[int, ...]


def residual(loss: float, burst: float, distances: tuple[int, ...]) -> float:
    """Share of frames that neither arrives itself nor as a copy (0 to 1).

    In Gilbert's model packets are lost in runs of ``burst`` on average; the farther a copy is from
    its original, the less the fate of one tells about that of the other.
    """
    if not 0.0 < loss < 1.0:
        return max(0.0, min(1.0, loss))
    tie = max(0.0, 1.0 - 1.0 / burst - loss / ((1.0 - loss) * burst))
    left = loss
    for near, far in pairwise((0, *distances)):
        left *= loss + (1.0 - loss) * tie ** (far - near)
    return left


class Choice:
    """Decides how one stream is sent, by what is known of the path."""

    def __init__(
        self, takes: Takes, *, header_octets: int, patterns: Patterns | None = None
    ) -> None:
        """``header_octets``: of all headers of a packet without copies, on the wire;
        ``patterns``: packet lengths and copies to choose from; None: `COPIES`."""
        self.takes = takes
        self._header_bits = 8 * header_octets
        self._patterns = COPIES if patterns is None else patterns
        self._limit: float | None = None
        self._plan = _Plan(20, ())
        self._changed_at = float("-inf")

    @property
    def frame_s(self) -> float:
        """Sound in a packet, as it was decided last."""
        return self._plan.frame_ms / 1000

    def wire_bit_s(self, bitrate: int) -> float:
        """What the last decision costs on the wire while somebody speaks, with all headers."""
        plan = self._plan
        return bitrate * (1 + len(plan.copies)) + self._overhead(plan) + REPORTS_BIT_S

    def _overhead(self, plan: _Plan) -> float:
        return (self._header_bits + 8 * _red_octets(plan)) * 1000 / plan.frame_ms

    def _bitrate(self, plan: _Plan) -> int | None:
        """What the encoder gets; None: it does not fit."""
        red = 8 * _red_octets(plan) * 1000 / plan.frame_ms
        payload = PAYLOAD_BIT_S - red
        if self._limit is not None:
            payload = min(payload, self._limit - self._overhead(plan) - REPORTS_BIT_S)
        bitrate = min(MAX_BITRATE, int(payload / (1 + len(plan.copies))))
        return bitrate if bitrate >= MIN_BITRATE else None

    def _plans(self) -> Iterator[tuple[_Plan, int]]:
        for frame_ms, patterns in self._patterns.items():
            if frame_ms > max(20, self.takes.max_frame_ms):
                break
            for copies in patterns if self.takes.red else ((),):
                plan = _Plan(frame_ms, copies)
                if (bitrate := self._bitrate(plan)) is not None:
                    yield plan, bitrate

    @property
    def _thinnest(self) -> _Plan:
        return _Plan(max(ms for ms in self._patterns if ms <= max(20, self.takes.max_frame_ms)), ())

    def choose(
        self, loss: float, burst: float, limit: float | None, now: float, *, hopeless: bool = False
    ) -> Decision:
        """``loss``: share of packets; ``burst``: lost in a row, on average; ``limit``: bit/s on
        the wire; ``hopeless``: not even the least gets through."""
        self._limit = limit
        rated = {plan: self._worth(plan, rate, loss, burst) for plan, rate in self._plans()}
        best = max(rated, key=rated.__getitem__, default=self._thinnest)
        if self._plan not in rated or self._must_change(best, rated, now):
            if best != self._plan:
                self._changed_at = now
            self._plan = best
        plan = self._plan
        bitrate = self._bitrate(plan) or MIN_BITRATE
        # Chosen at most every so many bits: the encoder is not bothered with trifles.
        bitrate = max(MIN_BITRATE, bitrate // 500 * 500)
        fec_pct = 0 if plan.copies else min(30, round(120 * loss))
        return Decision(
            bitrate=bitrate,
            frame_ms=plan.frame_ms,
            copies=plan.copies,
            fec_pct=fec_pct,
            bandwidth=bandwidth_for(bitrate),
            dtx=self.takes.dtx,
            reason=_reason(plan, loss, hopeless=hopeless),
        )

    def _must_change(self, best: _Plan, rated: dict[_Plan, float], now: float) -> bool:
        if rated[best] < rated[self._plan] + BETTER:
            return False
        less = len(best.copies) < len(self._plan.copies) or best.frame_ms < self._plan.frame_ms
        return not less or now - self._changed_at >= STAY_S

    def _worth(self, plan: _Plan, bitrate: int, loss: float, burst: float) -> float:
        """Quality that may be hoped for (about PESQ), less what it costs others and in delay."""
        frames = plan.frame_ms / 20
        left = residual(loss, max(1.0, burst), plan.copies)
        if not plan.copies:
            left *= 0.7  # FEC, or what the decoder makes up.
        reach_ms = plan.frame_ms * max(plan.copies, default=0)
        delay = 0.0045 * plan.frame_ms + 0.0006 * reach_ms  # Repair costs delay only if needed.
        blocks = 1 + len(plan.copies)
        wire = bitrate * blocks + self._overhead(plan)
        quality = _quality(bitrate) - 0.35 * math.pow(100 * left, 0.85) * math.pow(frames, 0.3)
        return quality - delay - 0.002 * wire / 1000


class Adaptation:
    """Decides how one stream is sent; fed with what was sent and what is reported."""

    def __init__(
        self, takes: Takes, *, header_octets: int, link_bit_s: float | None = None
    ) -> None:
        """``header_octets``: as in `Choice`; ``link_bit_s``: what the path takes, if known."""
        self._header_octets = header_octets
        self._choice = Choice(takes, header_octets=header_octets)
        self.record = LossRecord()
        self.congestion = Congestion(link_bit_s)
        self.decision = self._choose(float("-inf"))
        """How to send now."""

    def negotiated(self, takes: Takes) -> None:
        """The path or the other side is another; sequence numbers begin anew."""
        self._choice.takes = takes
        self.record.restart()
        self.congestion.restart()
        self.decision = self._choose(float("-inf"))

    def sent(self, sequence: int, payload_octets: int, now: float) -> None:
        """A packet has left."""
        self.congestion.sent(sequence, payload_octets + self._header_octets, now)

    def heard(self, highest: int, written_at: float, now: float) -> Decision:
        """A report has come, after `record` was told of the losses that it names."""
        recent = self.record.recent(
            max(RECENT, int(RECENT_S / self._choice.frame_s)), fewest=RECENT
        )
        self.congestion.heard(highest, written_at, recent, now)
        self.decision = self._choose(now)
        return self.decision

    def tick(self, now: float) -> Decision:
        """About every second, also without reports."""
        self.congestion.tick(now)
        self.decision = self._choose(now)
        return self.decision

    @property
    def wire_bit_s(self) -> float:
        """What the decision costs on the wire while somebody speaks, with all headers."""
        return self._choice.wire_bit_s(self.decision.bitrate)

    def _choose(self, now: float) -> Decision:
        loss, burst = self.record.loss(self._choice.frame_s), self.record.burst
        limit, hopeless = self.congestion.limit, self.congestion.hopeless
        return self._choice.choose(loss, burst, limit, now, hopeless=hopeless)


def _reason(plan: _Plan, loss: float, *, hopeless: bool) -> Reason:
    if hopeless:
        return Reason.TOO_THIN
    if plan.frame_ms > 20:
        return Reason.THIN
    return Reason.LOSS if plan.copies or loss >= 0.01 else Reason.CLEAN


def _red_octets(plan: _Plan) -> int:
    copies = len(plan.copies)
    return PRIMARY_HEADER_BYTES + COPY_HEADER_BYTES * copies if copies else 0


def bandwidth_for(bitrate: int) -> Bandwidth:
    """The highest that so many bit/s are enough for."""
    if bitrate < NARROW_BELOW:
        return Bandwidth.NARROWBAND
    return Bandwidth.FULLBAND if bitrate >= FULL_FROM else Bandwidth.WIDEBAND


def _quality(bitrate: float) -> float:
    for (low, low_worth), (high, high_worth) in pairwise(QUALITY):
        if bitrate <= high:
            share = max(0.0, (bitrate - low) / (high - low))
            return low_worth + share * (high_worth - low_worth)
    return QUALITY[-1][1]
