"""What is played at each beat: the sound itself, a repair, something made up, or nothing, sans IO.

The order of repair is the packet, a copy of it, the codec's FEC in the packet behind it,
concealment.  The delay is held between what the path needs (`delay`) and one beat more, since
frames begin with beats.  It changes by bending: where it is quiet at once, in speech only by whole
periods of the voice and only when there is much to gain; silences of the sender are made longer or
shorter as it suits.  A clock that runs faster or slower at the other side shows as a slow change
of delay and is met the same way.

Decoding and the bending itself (`stretch`) stay out.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, inf
from typing import Final

from appliance.protocol.delay import MAX_NEED_S, DelayWindow
from appliance.protocol.opus_packet import CLOCK_HZ, DTX_BYTES, has_fec
from appliance.protocol.playing import (
    FRAME,
    FRAME_S,
    Action,
    Bend,
    Care,
    Conceal,
    Fec,
    Figures,
    Play,
    Wait,
)
from appliance.protocol.shelf import Entry, Shelf
from appliance.protocol.stretch import LONGEST

MIN_TARGET_S: Final = 0.008
"""Room for a process that is woken late."""

MARGIN_S: Final = 0.005
"""Added to the measured need."""

MAX_TARGET_S: Final = MAX_NEED_S + MARGIN_S
"""The longest."""

SHORT_S: Final = 0.001
"""From this much below the target on, the delay grows in a pause."""

SHORT_IN_SPEECH_S: Final = 0.0025
"""From this much on also in speech, after `PATIENCE_S`."""

SPARE_S: Final = FRAME_S + 0.004
"""From this much above the target on, a beat is saved in a pause."""

SPARE_IN_SPEECH_S: Final = FRAME_S + 0.025
"""From this much on also in speech, when no pause came for `PATIENCE_S`: each time costs more
quality than 20 ms of delay."""

SPARE_ANYHOW_S: Final = 0.12
"""From this much on at once, and however it sounds."""

PATIENCE_S: Final = 4.0
"""Longest wait for a pause."""

LATE_URGENT: Final = 0.04
"""Share of sounds that come too late from which on the delay does not wait for a pause to grow."""

JUMP_ABOVE_S: Final = 0.25
"""From this much on, all that is too old is dropped at once: a stalled link has just come back."""

ALIGN_FROM: Final = 144
"""Samples between beat and frame that are worth being cut out of a pause: 3 ms."""

LOWEST_OF: Final = 25
"""Beats whose least delay decides whether some is spared: a sound card takes two at a time."""

REST: Final = 4
"""Frames from one bend in speech to the next."""

STARVED: Final = 10
"""Frames made up in a row with nothing to come, after which it is silence: 200 ms."""


def _frames(samples: int) -> int:
    return ceil(samples / FRAME)


@dataclass(frozen=True, slots=True)
class Patience:
    """How much delay there may be."""

    least_s: float = MIN_TARGET_S
    """Had also where the path does not need it."""

    spare_in_speech_s: float = SPARE_IN_SPEECH_S
    """Above what the path needs; from this much on it is taken away in speech too."""

    jump_above_s: float = JUMP_ABOVE_S
    """Likewise; from this much on something is left out."""


CONVERSATION: Final = Patience()
"""Two talk to each other, and each waits for the other's answer."""


class Playout:
    """Decides what is taken from the shelf and when, for one numbering of one source."""

    def __init__(
        self,
        shelf: Shelf,
        delay: DelayWindow,
        figures: Figures,
        *,
        patience: Patience = CONVERSATION,
    ) -> None:
        self._shelf, self._delay, self._figures = shelf, delay, figures
        self._patience = patience
        self.floor: int | None = None
        """What is older than this is too late."""
        self.delay_s = 0.0
        """Of the sound that was played last, above that of the fastest packet; a silence has none,
        however long nothing comes."""
        self._cursor: int | None = None
        self._sequence = 0
        self._samples = FRAME
        self._silent = False
        self._priming = self._splice = True
        self._starved = self._doubtful = self._made_up = 0
        self._rested = False
        self._since_bend = REST
        self._impatient = 0
        self._low_s, self._low_before_s, self._low_beats = inf, inf, 0

    def begin(self, entry: Entry) -> None:
        """The first packet has come."""
        assert entry.sequence is not None
        self._cursor, self._sequence = entry.timestamp, entry.sequence - 1
        self._samples = entry.samples

    @property
    def target_s(self) -> float:
        """Delay aimed at, above that of the fastest packet."""
        return min(MAX_TARGET_S, max(self._patience.least_s, self._delay.need_s + MARGIN_S))

    def pull(self, at: float, *, ahead: int, quiet: bool) -> Action:
        """What sounds ``ahead`` samples after the beat ``at``; ``quiet``: it does where we are."""
        if self._cursor is None:
            return Wait(FRAME - ahead)
        first = self._shelf.first
        if self._priming and first is not None:
            if first.timestamp != self._cursor and self._shelf.missing_behind(self._sequence) <= 0:
                self._doubtful = 0  # It was silence.
            self._cursor = first.timestamp
        spare_s = self._spare_s(at)
        if spare_s > self._patience.jump_above_s and first is not None:
            self._jump(spare_s)
            spare_s = self._spare_s(at)
        if self._priming:
            if first is None or spare_s < 0.0:
                return Wait(FRAME - ahead)
            self._priming = False
            self._forget_lowest()
        self._since_bend += 1
        entry = self._shelf.at(self._cursor)
        if entry is None:
            action = self._missing(spare_s, ahead, quiet)
        else:
            self.delay_s = spare_s + self.target_s + ahead / CLOCK_HZ
            action = self._present(entry, spare_s, ahead, quiet)
        self.floor = self._cursor
        return action

    def _spare_s(self, at: float) -> float:
        """Delay above the target that the frame at the cursor has."""
        assert self._cursor is not None
        whole = self._cursor + self._samples
        return at - self._delay.base_s - whole / CLOCK_HZ - self.target_s

    def _jump(self, spare_s: float) -> None:
        """Drop what is older than the target."""
        assert self._cursor is not None
        wanted = self._cursor + int(spare_s * CLOCK_HZ)
        while (entry := self._shelf.first) is not None:
            if entry.timestamp >= wanted or len(self._shelf) == 1:
                break
            self._figures.dropped += _frames(entry.samples)
            self._shelf.drop_before(entry.timestamp + 1)
        assert entry is not None
        self._cursor = entry.timestamp
        if entry.sequence is not None:
            self._sequence = entry.sequence - 1
        self._starved = self._doubtful = self._made_up = 0
        self._splice = True
        self._forget_lowest()

    # The sound is there

    def _present(self, entry: Entry, spare_s: float, ahead: int, quiet: bool) -> Action:
        silent = len(entry.payload) <= DTX_BYTES
        # What was made up and was not lost, but late, is heard now.
        splice, self._splice = self._splice or self._doubtful > 0, False
        bend = None if splice else self._bend(spare_s, ahead, quiet or silent)
        self._take(entry, silent)
        return Play(entry.payload, entry.samples, bend, splice)

    def _take(self, entry: Entry, silent: bool) -> None:
        frames = _frames(entry.samples)
        if entry.sequence is None:
            self._figures.copied += frames
            self._sequence += 1
        else:
            missed = frames * (entry.sequence - self._sequence - 1)
            if missed <= 0:
                missed = self._doubtful  # It was only late.
            elif self._rested:
                missed = min(missed, self._doubtful)  # The rest was silence.
            self._figures.concealed += missed
            self._figures.played += frames
            self._sequence = entry.sequence
        self._starved = self._doubtful = self._made_up = 0
        self._rested = False
        self._cursor = entry.timestamp + entry.samples
        self._samples = entry.samples
        self._silent = silent
        self._shelf.drop_before(self._cursor)

    def _bend(self, spare_s: float, ahead: int, quiet: bool) -> Bend | None:
        """Whether the frame that is played now is made longer or shorter."""
        spared_s = self._lowest(spare_s)
        if not quiet and self._since_bend < REST:
            return None
        short_s = -spare_s
        if short_s > (SHORT_S if quiet else SHORT_IN_SPEECH_S):
            samples = ceil(short_s / FRAME_S) * FRAME - ahead
            care = self._care(quiet, self._delay.late_share(self.target_s - short_s) > LATE_URGENT)
            if not quiet:
                samples = max(samples, LONGEST)  # A period more does not matter.
        elif spared_s >= SPARE_S:
            heard_s = spared_s + ahead / CLOCK_HZ
            samples = -int(spared_s / FRAME_S) * FRAME - ahead
            care = self._care(quiet, heard_s >= SPARE_ANYHOW_S)
            if heard_s < self._patience.spare_in_speech_s and not quiet:
                return None
        else:
            self._impatient = 0
            samples, care = -ahead, Care.EXACTLY
            if not quiet or ahead < ALIGN_FROM:
                return None
        if care is None:
            return None
        self._since_bend = 0
        if samples < -ahead:  # At most a beat is saved by one bend.
            self._low_s, self._low_before_s = self._low_s - FRAME_S, self._low_before_s - FRAME_S
        return Bend(samples, care)

    def _care(self, quiet: bool, urgent: bool) -> Care | None:
        """How the delay may change now; None: not before there is a pause."""
        if quiet:
            return Care.EXACTLY
        if urgent:
            return Care.ANYHOW
        self._impatient += 1
        return Care.SMOOTHLY if self._impatient * FRAME_S >= PATIENCE_S else None

    def _lowest(self, spare_s: float) -> float:
        """The least of the last beats, of `LOWEST_OF` at least; nothing while they are fewer."""
        self._low_s = min(self._low_s, spare_s)
        self._low_beats += 1
        if self._low_beats >= LOWEST_OF:
            self._low_before_s, self._low_s, self._low_beats = self._low_s, inf, 0
        lowest = min(self._low_before_s, self._low_s)
        return lowest if self._low_before_s < inf else min(lowest, 0.0)

    def _forget_lowest(self) -> None:
        self._low_s, self._low_before_s, self._low_beats = inf, inf, 0

    # The sound is not there

    def _missing(self, spare_s: float, ahead: int, quiet: bool) -> Action:
        following = self._shelf.first
        if following is None:
            return self._starve(ahead)
        assert self._cursor is not None
        lost = self._shelf.missing_behind(self._sequence)
        hole = following.timestamp - self._cursor
        silence = hole - lost * self._samples
        if self._made_up < lost and (silence <= 0 or following.marker):
            return self._repair(following, spare_s, ahead, quiet)
        if lost > self._made_up:
            hole = silence
        return self._silence(following, hole, spare_s, ahead, quiet)

    def _starve(self, ahead: int) -> Action:
        """Nothing is held."""
        self._starved += 1
        if self._starved > STARVED:
            self._priming = self._rested = True
            return Wait(FRAME - ahead)
        if not self._silent:
            self._doubtful += 1
        return Conceal(FRAME, lost=not self._silent)

    def _silence(
        self, following: Entry, hole: int, spare_s: float, ahead: int, quiet: bool
    ) -> Action:
        """The sender was silent for ``hole`` samples: as long as it suits the delay."""
        assert self._cursor is not None
        self._doubtful = 0
        if spare_s < 0.0:
            return Conceal(FRAME - ahead, lost=False)
        skipped = min(hole, int(spare_s * CLOCK_HZ))
        self._cursor += skipped
        made = min(FRAME - ahead, hole - skipped)
        if made > 0:
            self._cursor += made
            return Conceal(made, lost=False)
        if self._cursor >= following.timestamp:
            return self._present(following, spare_s - skipped / CLOCK_HZ, ahead, quiet)
        return self._missing(spare_s - skipped / CLOCK_HZ, ahead, quiet)

    def _repair(self, following: Entry, spare_s: float, ahead: int, quiet: bool) -> Action:
        """A packet is lost, and no copy has come."""
        assert self._cursor is not None
        while spare_s >= FRAME_S:
            # It was made up, or a silence went on, before anything behind it came.
            step = min(self._samples, following.timestamp - self._cursor)
            self._cursor += step
            spare_s -= step / CLOCK_HZ
            self._doubtful = max(0, self._doubtful - 1)
            self._made_up += 1
            if self._cursor >= following.timestamp:
                return self._present(following, spare_s, ahead, quiet)
        self._doubtful = 0
        samples = min(self._samples, following.timestamp - self._cursor)
        bend = self._bend(spare_s, ahead, quiet)
        self._cursor += samples
        self._made_up += 1
        if self._cursor == following.timestamp and has_fec(following.payload):
            self._figures.recovered += _frames(samples)
            self._sequence += 1
            self._made_up -= 1
            return Fec(following.payload, samples, bend)
        return Conceal(samples, lost=True, bend=bend)
