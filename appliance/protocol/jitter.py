"""The jitter buffer: from packets as they come to sound on an even beat, sans IO.

`push` takes authenticated packets with the copies of older sound in them; `pull` says what to play
next.  Here is the numbering of one source after another; what is held (`shelf`), how late it comes
(`delay`) and what is played when (`playout`) have files of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from appliance.protocol.delay import DelayWindow
from appliance.protocol.opus_packet import CLOCK_HZ, has_fec
from appliance.protocol.playing import FRAME as FRAME
from appliance.protocol.playing import FRAME_S as FRAME_S
from appliance.protocol.playing import Action, Figures
from appliance.protocol.playout import CONVERSATION, Patience, Playout
from appliance.protocol.rtp import MAX_DROPOUT, Reception, RtpPacket, Unwrapper
from appliance.protocol.shelf import Entry, Shelf

MAX_TIMESTAMP_STEP: Final = 30 * CLOCK_HZ
"""A larger step of the RTP timestamp is a restart."""

REMEMBERED: Final = 128
"""Sounds of which it is known that they came already, one way or another."""

MAX_REPAIR_S: Final = 0.5
"""A copy that is older than this is none."""


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


@dataclass(frozen=True, slots=True)
class Copy:
    """Older sound that comes along in a packet once more."""

    offset: int
    """Samples by which it begins before the packet."""

    payload: bytes
    """Opus packet."""

    samples: int
    """How much it is."""


class JitterBuffer:
    """One source's packets, in order and in time."""

    def __init__(self, patience: Patience = CONVERSATION) -> None:
        self._patience = patience
        self.figures = Figures()
        """What became of all that was expected."""
        self.late = 0
        """Packets of this source that came too late."""
        self._ssrc: int | None = None
        self._previous_ssrc: int | None = None
        self._restart_at: int | None = None
        self._reset()

    def _reset(self) -> None:
        self.late = 0
        self.reception = Reception(CLOCK_HZ)
        """RFC 3550's counts for this source."""
        self._sequences, self._timestamps = Unwrapper(16), Unwrapper(32)
        self._newest: tuple[int, int] | None = None
        self._shelf, self._delay = Shelf(), DelayWindow()
        self._playout = Playout(self._shelf, self._delay, self.figures, patience=self._patience)
        self._known: dict[int, bool] = {}

    @property
    def target_s(self) -> float:
        """Delay aimed at, above that of the fastest packet."""
        return self._playout.target_s

    @property
    def delay_s(self) -> float:
        """Delay of what is played now, above that of the fastest packet."""
        return self._playout.delay_s

    @property
    def buffered_s(self) -> float:
        """Sound that is held."""
        return self._shelf.seconds

    def push(
        self, packet: RtpPacket, *, samples: int, now: float, copies: Sequence[Copy] = ()
    ) -> Pushed:
        """Take an authenticated packet of ``samples`` length that came at ``now``.

        Its payload is Opus; ``copies`` are what came with it (RFC 2198).
        """
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
        return self._accept(packet, sequence, timestamp, samples, now, copies)

    def pull(self, at: float, *, ahead: int = 0, quiet: bool = False) -> Action:
        """What is to be played next, at the beat ``at``.

        ``ahead``: samples of this beat that there are already, less than `FRAME`; ``quiet``: what
        was played last is near silence.  Its length may be any; ask again until a beat is full.
        """
        return self._playout.pull(at, ahead=ahead, quiet=quiet)

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
        self._accept(packet, sequence, timestamp, samples, now, ())
        return Pushed.RESTARTED

    def _accept(
        self,
        packet: RtpPacket,
        sequence: int,
        timestamp: int,
        samples: int,
        now: float,
        copies: Sequence[Copy],
    ) -> Pushed:
        if self._known.get(timestamp):
            return Pushed.DUPLICATE
        self._restart_at = None
        self._sequences.accept(packet.sequence_number)
        self._timestamps.accept(packet.timestamp)
        self.reception.add(sequence=sequence, timestamp=timestamp, now=now)
        if timestamp not in self._known:
            self._delay.add(now - (timestamp + samples) / CLOCK_HZ, now=now)
        self._know(timestamp, itself=True)
        entry = Entry(timestamp, samples, packet.payload, sequence, packet.marker)
        if self._newest is None:
            self._playout.begin(entry)
        pushed = self._hold(entry)
        self._hold_copies(timestamp, copies, now)
        if self._newest is None or sequence > self._newest[0]:
            self._expect_fec(entry, sequence, now)
            self._newest = (sequence, timestamp)
        return pushed

    def _hold(self, entry: Entry) -> Pushed:
        floor = self._playout.floor
        if floor is not None and entry.timestamp < floor:
            self.late += 1
            return Pushed.LATE
        return Pushed.BUFFERED if self._shelf.put(entry) else Pushed.DUPLICATE

    def _know(self, timestamp: int, *, itself: bool) -> None:
        self._known[timestamp] = itself
        if len(self._known) > REMEMBERED:
            del self._known[next(iter(self._known))]

    def _hold_copies(self, timestamp: int, copies: Sequence[Copy], now: float) -> None:
        """Keep those of what has not come, and learn how long waiting for them takes."""
        floor = self._playout.floor
        for copy in copies:
            begins = timestamp - copy.offset
            if begins in self._known or not 0 < copy.offset <= MAX_REPAIR_S * CLOCK_HZ:
                continue
            self._know(begins, itself=False)
            self._delay.add(now - (begins + copy.samples) / CLOCK_HZ, now=now)
            if floor is None or begins >= floor:
                self._shelf.put(Entry(begins, copy.samples, copy.payload, None))

    def _expect_fec(self, carrier: Entry, sequence: int, now: float) -> None:
        """Learn how long waiting for FEC takes, where it is all that there is."""
        lost = self._newest is not None and sequence != self._newest[0] + 1
        before = carrier.timestamp - carrier.samples
        if lost and before not in self._known and has_fec(carrier.payload):
            self._delay.add(now - carrier.timestamp / CLOCK_HZ, now=now)
