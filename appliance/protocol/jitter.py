"""The jitter buffer: from packets as they come to sound on an even beat, sans IO.

`push` takes authenticated packets; `pull` says what to play next.  The delay is measured against
the fastest packet of the last seconds, aims at what 99 of 100 packets need, and changes one frame
at a time: it grows by concealing a frame (the decoder goes on smoothly) and shrinks by leaving out
a lost frame or by merging two frames into one, both preferably where it is quiet.  A clock that
runs faster or slower at the other side shows as a slow change of delay and is met the same way.

Decoding, cross-fading and redundancy beyond the codec's own FEC stay out.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from appliance.protocol.opus_packet import CLOCK_HZ, DTX_BYTES
from appliance.protocol.rtp import MAX_DROPOUT, Reception, RtpPacket, Unwrapper

FRAME = 960
"""Samples of one beat, 20 ms."""

FRAME_S = FRAME / CLOCK_HZ
"""Seconds of one beat."""

MIN_TARGET_S = 0.025
"""One frame, so that the next packet (with FEC) is there when one is lost, and 5 ms for wake-up."""

MAX_TARGET_S = 0.4
"""Beyond this, talking to each other is harder than missing some words."""

MARGIN_S = 0.005
"""Added to the measured need."""

HISTORY = 400
"""Packets that the need is measured over: 8 s."""

REFRESH = 10
"""Packets between two measurements."""

MAX_PACKETS = 64
"""Held at most; above it the oldest goes."""

MAX_TIMESTAMP_STEP = 30 * CLOCK_HZ
"""A larger step of the RTP timestamp is a restart."""

SHRINK_ABOVE_S = 0.025
"""More delay than this above the target is taken away; one frame, so that it does not swing."""

SHRINK_NOW_ABOVE_S = 0.06
"""From here on without waiting for quiet."""

GROW_BELOW_S = -0.01
"""Less delay than this below the target is made up for."""

JUMP_ABOVE_S = 0.25
"""From here on all that is too old is dropped at once: a stalled link has just come back."""

PATIENCE_S = 2.0
"""Longest wait for a quiet moment."""

REST = 5
"""Frames between two changes of the delay, so that speech is bent by at most a fifth."""

STARVED = 10
"""Frames concealed in a row with nothing to come, after which it is silence: 200 ms."""

LOSSY = 0.01
"""From this share of lost frames on, the delay leaves room for the packet that repairs."""


@dataclass(frozen=True, slots=True)
class Play:
    """Decode and play."""

    payload: bytes
    """Opus packet."""

    samples: int
    """How much it is."""


@dataclass(frozen=True, slots=True)
class Fec:
    """The frame is lost; decode what the packet behind it tells about it."""

    following: bytes
    """The next Opus packet, which is played in its own turn too."""

    samples: int
    """How much to make."""


@dataclass(frozen=True, slots=True)
class Conceal:
    """Make up a frame from what was heard."""

    samples: int
    """How much to make."""

    lost: bool
    """False: a silence of the sender, or time won for later packets."""


@dataclass(frozen=True, slots=True)
class Merge:
    """Decode both and fade from one into the other: one frame comes out, the delay shrinks."""

    first: bytes
    """Opus packet."""

    second: bytes
    """Opus packet behind it, of the same length."""

    samples: int
    """Length of each, and of the result."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to play: silence for one frame."""

    samples: int = FRAME
    """How much silence."""


Action: TypeAlias = Play | Fec | Conceal | Merge | Wait

_WAIT = Wait()


class Pushed(StrEnum):
    """What became of a packet."""

    BUFFERED = "buffered"
    """It will be played."""

    RESTARTED = "restarted"
    """A new source or numbering: the buffer begins anew with this packet."""

    LATE = "late"
    """Its time has passed."""

    DUPLICATE = "duplicate"
    """It is there already."""

    REFUSED = "refused"
    """It fits neither the numbering nor a restart."""


@dataclass(slots=True)
class _Entry:
    sequence: int
    payload: bytes
    samples: int


class JitterBuffer:
    """One source's packets, in order and in time."""

    def __init__(self) -> None:
        self.late = 0
        """Packets of this source that came too late."""
        self.reception = Reception(CLOCK_HZ)
        """RFC 3550's counts for this source."""
        self._ssrc: int | None = None
        self._previous_ssrc: int | None = None
        self._restart_at: int | None = None
        self._reset()

    def _reset(self) -> None:
        self.late = 0
        self.reception = Reception(CLOCK_HZ)
        self._sequences, self._timestamps = Unwrapper(16), Unwrapper(32)
        self._newest: tuple[int, int] | None = None
        self._packets: dict[int, _Entry] = {}
        self._transits: deque[float] = deque(maxlen=HISTORY)
        self._base_s = 0.0
        self._need_s = 0.0
        self._loss = 0.0
        self._cursor: int | None = None
        self._floor: int | None = None
        self._played_sequence = 0
        self._samples = FRAME
        self._priming = True
        self._starved = 0
        self._since_change = REST
        self._off_target = 0

    @property
    def target_s(self) -> float:
        """Delay aimed at, above that of the fastest packet."""
        repair = FRAME_S if self._loss > LOSSY else 0.0
        return min(MAX_TARGET_S, max(MIN_TARGET_S, self._need_s + MARGIN_S + repair))

    @property
    def buffered_s(self) -> float:
        """Sound that is held."""
        return sum(entry.samples for entry in self._packets.values()) / CLOCK_HZ

    def push(self, packet: RtpPacket, *, samples: int, now: float) -> Pushed:
        """Take an authenticated packet of ``samples`` length that came at ``now``."""
        if self._ssrc is None or packet.ssrc != self._ssrc:
            if packet.ssrc == self._previous_ssrc:
                return Pushed.REFUSED
            self._previous_ssrc, self._ssrc = self._ssrc, packet.ssrc
            return self._restart(packet, samples, now)
        sequence = self._sequences.near(packet.sequence_number)
        timestamp = self._timestamps.near(packet.timestamp)
        if not self._fits(sequence, timestamp):
            if packet.sequence_number == self._restart_at:
                return self._restart(packet, samples, now)
            self._restart_at = (packet.sequence_number + 1) & 0xFFFF
            return Pushed.REFUSED
        return self._accept(packet, sequence, timestamp, samples, now)

    def pull(self, at: float, *, quiet: bool = False) -> Action:
        """What sounds at ``at``; ``quiet``: what was played last is near silence."""
        if self._cursor is None:
            return _WAIT
        if self._priming and self._packets:
            self._cursor = min(self._packets)
        excess = at - self._base_s - self._cursor / CLOCK_HZ - self.target_s
        if excess > JUMP_ABOVE_S and self._packets:
            excess -= self._jump(excess) / CLOCK_HZ
        if self._priming:
            if excess < 0.0 or not self._packets:
                return _WAIT
            self._priming = False
        self._since_change += 1
        if self._cursor in self._packets:
            action = self._present(excess, quiet)
        else:
            action = self._missing(excess)
        self._floor = self._cursor
        return action

    def _fits(self, sequence: int, timestamp: int) -> bool:
        """Whether the numbers go on from the newest packet (RFC 3550 A.1)."""
        if self._newest is None:
            return True
        ahead, step = sequence - self._newest[0], timestamp - self._newest[1]
        if abs(ahead) > MAX_DROPOUT or abs(step) > MAX_TIMESTAMP_STEP:
            return False
        return (ahead > 0) == (step > 0) or ahead == step == 0

    def _restart(self, packet: RtpPacket, samples: int, now: float) -> Pushed:
        self._reset()
        self._restart_at = None
        sequence = self._sequences.near(packet.sequence_number)
        timestamp = self._timestamps.near(packet.timestamp)
        self._accept(packet, sequence, timestamp, samples, now)
        return Pushed.RESTARTED

    def _accept(
        self, packet: RtpPacket, sequence: int, timestamp: int, samples: int, now: float
    ) -> Pushed:
        if timestamp in self._packets:
            return Pushed.DUPLICATE
        self._restart_at = None
        self._sequences.accept(packet.sequence_number)
        self._timestamps.accept(packet.timestamp)
        self.reception.add(sequence=sequence, timestamp=timestamp, now=now)
        self._measure(now - timestamp / CLOCK_HZ)
        if self._newest is None or sequence > self._newest[0]:
            self._newest = (sequence, timestamp)
        if self._cursor is None:
            self._cursor, self._played_sequence = timestamp, sequence - 1
        if self._floor is not None and timestamp < self._floor:
            self.late += 1
            return Pushed.LATE
        self._packets[timestamp] = _Entry(sequence, packet.payload, samples)
        if len(self._packets) > MAX_PACKETS:
            del self._packets[min(self._packets)]
        return Pushed.BUFFERED

    def _measure(self, transit_s: float) -> None:
        if not self._transits or transit_s < self._base_s:
            self._base_s = transit_s
        self._transits.append(transit_s)
        if self.reception.received % REFRESH == 0:
            ordered = sorted(self._transits)
            self._base_s = ordered[0]
            self._need_s = ordered[len(ordered) * 99 // 100] - ordered[0]

    def _jump(self, excess: float) -> int:
        """Drop what is older than the target; returns the samples that were left out."""
        assert self._cursor is not None
        wanted = self._cursor + int(excess * CLOCK_HZ)
        kept = [timestamp for timestamp in self._packets if timestamp >= wanted]
        cursor = min(kept) if kept else max(self._packets)
        self._packets = {at: entry for at, entry in self._packets.items() if at >= cursor}
        left_out, self._cursor = cursor - self._cursor, cursor
        self._off_target = self._starved = 0
        return left_out

    def _present(self, excess: float, quiet: bool) -> Action:
        assert self._cursor is not None
        entry = self._packets[self._cursor]
        quiet = quiet or len(entry.payload) <= DTX_BYTES
        if GROW_BELOW_S <= excess < SHRINK_ABOVE_S:
            self._off_target = 0
        else:
            self._off_target += 1
            urgent = excess >= SHRINK_NOW_ABOVE_S or self._off_target * FRAME_S >= PATIENCE_S
            if (quiet or urgent) and self._since_change >= REST:
                if excess < 0:
                    self._since_change = 0
                    return Conceal(FRAME, lost=False)
                second = self._packets.get(self._cursor + entry.samples)
                if second is not None and second.samples == entry.samples:
                    self._since_change = 0
                    self._take()
                    self._take()
                    return Merge(entry.payload, second.payload, entry.samples)
        self._take()
        return Play(entry.payload, entry.samples)

    def _take(self) -> None:
        assert self._cursor is not None
        entry = self._packets.pop(self._cursor)
        self._cursor += entry.samples
        self._played_sequence = entry.sequence
        self._samples = entry.samples
        self._starved = 0
        self._loss *= 0.99

    def _missing(self, excess: float) -> Action:
        """Nothing is there for this moment: repair, leave out, wait or fall silent."""
        assert self._cursor is not None
        following = min(self._packets, default=None)
        if following is None:
            self._starved += 1
            if self._starved > STARVED:
                self._priming = True
                return _WAIT
            return Conceal(FRAME, lost=True)
        while excess >= FRAME_S and self._cursor < following:
            step = min(self._samples, following - self._cursor)
            self._cursor += step
            excess -= step / CLOCK_HZ
        if self._cursor >= following:
            self._cursor = following
            return self._present(excess, quiet=False)
        entry = self._packets[following]
        samples = min(self._samples, following - self._cursor)
        self._cursor += samples
        if entry.sequence == self._played_sequence + 1:
            return Conceal(samples, lost=False)
        self._loss = self._loss * 0.99 + 0.01
        if self._cursor == following:
            return Fec(entry.payload, samples)
        return Conceal(samples, lost=True)
