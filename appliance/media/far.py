"""What the loudspeaker plays, laid beside what the microphone hears; times are given.

Two cards have two clocks, and their threads come when they please.  Both sides are counted in
samples and a line is laid through their moments, so that jitter moves nothing; the drift that it
shows is taken out of the loudspeaker's sound, since a canceller that has to run after it cancels
little (at 50 ppm 10 dB in place of 40); a gap is jumped over.  Where the echo comes later than the
canceller's tail reaches, the loudspeaker's sound is held back until they fit.
"""

from __future__ import annotations

import math
from collections import deque

from appliance.adapters.speex import STRETCH_STEP, Resampler, SpeexError
from appliance.media.delay import BIN_S, DelayFinder, loudness
from appliance.media.pcm import FRAME_BYTES, SILENCE
from appliance.protocol.jitter import FRAME, FRAME_S
from appliance.protocol.opus_packet import CLOCK_HZ

KEPT_FRAMES = 75
"""Of the loudspeaker: 1.5 s."""

FORGET = 0.9995
"""What a frame's moment still counts at the next: a line over some 40 s."""

KNOWN_FRAMES = 500
"""Before 10 s a line says nothing of drift."""

RESTART_S = 0.15
"""A callback that is so far from where it should be comes after a gap."""

STEP = FRAME // 2
"""Samples, 10 ms: less than this is not corrected, since each step costs the canceller what it
knows of the room."""

LEAST_DRIFT_PPM = 4.0
"""Below it is one clock and noise."""

DOUBTS = 5
"""Standard errors that a drift must be away from none."""

MOST_SLIP = 0.1
"""Of a sample: as exact is the drift taken out, by changing between the two nearest steps."""

MOST_DRIFT_PPM = 1000.0
"""Above it something else is wrong."""

LEAD_S = 0.03
"""The echo is laid so far behind the loudspeaker's sound: cards are not exact about their delay."""

AHEAD_FRAMES = 25
"""For half a second of lacking sound the loudspeaker may just have stumbled."""

LOOP_BYTES = 64
LOOP_VALUES = 8
"""So many samples, of so many different values, are not the same by chance."""

LATE_BIN = 9
"""An echo that begins later than this many bins is nearer to the end of the canceller's tail than
the room's own echo allows."""


class Clock:
    """One side's frames, and the line through their moments (least squares that forget)."""

    def __init__(self) -> None:
        self.count = 0
        """Frames so far."""
        self._begin = 0
        self._first_s = 0.0
        self._period_s = FRAME_S
        self._forget()

    def _forget(self) -> None:
        self._middle = self._mean = self._weight = 0.0
        self._spread = self._together = self._scatter = 0.0

    @property
    def period_s(self) -> float:
        """Of a frame; 20 ms until it is known better."""
        return self._period_s

    @property
    def known(self) -> bool:
        """It has been watched for long enough to say how fast it runs."""
        return self.count - self._begin >= KNOWN_FRAMES

    @property
    def doubt_ppm(self) -> float:
        """Standard error of how fast it runs."""
        if self._spread <= 0 or self._weight < 2:
            return math.inf
        rest = max(0.0, self._scatter - self._together**2 / self._spread)
        return math.sqrt(rest / self._weight / self._spread) / FRAME_S * 1e6

    def tick(self, moment: float) -> float:
        """Another frame came; the moment when it should have come."""
        index = self.count
        if not index or abs(moment - self.at(index)) > RESTART_S:
            self._begin, self._first_s = index, moment
            self._forget()
        x = float(index - self._begin)
        y = moment - self._first_s - x * FRAME_S
        self._weight = FORGET * self._weight + 1
        step_x, step_y = x - self._middle, y - self._mean
        self._middle += step_x / self._weight
        self._mean += step_y / self._weight
        self._spread = FORGET * self._spread + step_x * (x - self._middle)
        self._together = FORGET * self._together + step_x * (y - self._mean)
        self._scatter = FORGET * self._scatter + step_y * (y - self._mean)
        self.count += 1
        if self.known:
            self._period_s = FRAME_S + self._together / self._spread
        return self.at(index)

    def at(self, frame: float) -> float:
        """When a frame comes, past or future."""
        x = frame - self._begin
        slope = self._period_s - FRAME_S
        return self._first_s + x * FRAME_S + self._mean + slope * (x - self._middle)

    def frame_at(self, moment: float) -> float:
        """Which frame comes at a moment; the other way round."""
        return self._begin + (moment - self.at(self._begin)) / self._period_s


class FarLine:
    """The loudspeaker's last sound, by the moment when a frame of the microphone was recorded.

    `played` and `beside` may be called in two threads.
    """

    def __init__(self) -> None:
        self._frames: deque[bytes] = deque(maxlen=KEPT_FRAMES)
        self._out, self._in = Clock(), Clock()
        self._finder = DelayFinder()
        self._next: float | None = None
        self._warped = b""
        self._resampler: Resampler | None = None
        self._steps = 0
        self._slipped = 0.0
        self._ahead = 0
        self.drift_ppm = 0.0
        """What is taken out: how much slower the microphone's clock runs."""
        self.held_back_s = -LEAD_S
        """By how much the loudspeaker's sound is held back."""
        self.moved = 0
        """How often it had to be moved."""

    def played(self, frame: bytes, heard_at: float) -> None:
        """The loudspeaker has taken a frame, which is heard at that moment, as far as is known."""
        self._frames.append(frame)
        self._out.tick(heard_at)

    def beside(self, near: bytes, spoken_at: float) -> tuple[bytes, bool]:
        """What belongs to a frame of the microphone, and whether that has moved."""
        came = self._in.tick(spoken_at)
        if not self._out.count:
            return SILENCE, False
        begin = FRAME * self._out.frame_at(came - self.held_back_s)
        jumped = False
        if self._next is None or abs(begin - self._next) > STEP:
            jumped, self._next = self._next is not None, float(round(begin))
            self.moved += jumped
            self._warped = b""
        if self._is_ahead():
            return SILENCE, True
        if self._in.count % 50 == 0:
            self._follow_drift()
        far = self._take()
        return far, self._follow_delay(near, far) or jumped

    def is_loop(self, near: bytes) -> bool | None:
        """Whether a frame of the microphone is just what was played, bit by bit; None: can't say.

        No room does that.  Sound servers do, which offer the loudspeaker's own sound where they
        have no microphone.
        """
        piece = near[:LOOP_BYTES]
        if len(set(memoryview(piece).cast("h"))) < LOOP_VALUES:
            return None
        return piece in b"".join(tuple(self._frames))

    def _is_ahead(self) -> bool:
        """The cards are wrong about their delay: what would be needed was not yet played."""
        lacking = (self._next or 0) + FRAME - self._out.count * FRAME
        self._ahead = self._ahead + 1 if lacking > 0 else 0
        if self._ahead < AHEAD_FRAMES:
            return False
        self.held_back_s += lacking / CLOCK_HZ + BIN_S
        self._finder, self._next, self._ahead = DelayFinder(), None, 0
        self.moved += 1
        return True

    def _take(self) -> bytes:
        """The next 960 samples of the loudspeaker in the microphone's time."""
        if self._next is None:
            return SILENCE
        if self._resampler is None:
            self._next += FRAME
            return self._cut(round(self._next) - FRAME, FRAME)
        wish = -self.drift_ppm * 1e-6 / STRETCH_STEP
        self._slipped += FRAME * STRETCH_STEP * (self._steps - wish)
        if abs(self._slipped) > MOST_SLIP:
            self._set_steps(math.floor(wish), up=self._slipped < 0)
        while len(self._warped) < FRAME_BYTES:
            wanted = max(16, FRAME - len(self._warped) // 2)
            self._warped += self._resampler.process(self._cut(round(self._next), wanted))
            self._next += wanted
        far, self._warped = self._warped[:FRAME_BYTES], self._warped[FRAME_BYTES:]
        return far

    def _cut(self, begin: int, size: int) -> bytes:
        """Samples of all that were played, by their number; silence where there are none."""
        frames = tuple(self._frames)
        first = self._out.count - len(frames)
        index, offset = divmod(begin, FRAME)

        def frame(number: int) -> bytes:
            return frames[number - first] if 0 <= number - first < len(frames) else SILENCE

        if not offset and size == FRAME:
            return frame(index)
        return (frame(index) + frame(index + 1))[2 * offset : 2 * (offset + size)]

    def _follow_drift(self) -> None:
        if not (self._in.known and self._out.known):
            return
        drift_ppm = (self._in.period_s / self._out.period_s - 1) * 1e6
        if self._resampler is None:
            doubt_ppm = math.hypot(self._in.doubt_ppm, self._out.doubt_ppm)
            least = max(LEAST_DRIFT_PPM, DOUBTS * doubt_ppm)
            if not least < abs(drift_ppm) < MOST_DRIFT_PPM:
                return
            try:
                self._resampler = Resampler(source=CLOCK_HZ, target=CLOCK_HZ, quality=3)
            except SpeexError:
                return  # Then there is no canceller either.
        self.drift_ppm = max(-MOST_DRIFT_PPM, min(MOST_DRIFT_PPM, drift_ppm))

    def _set_steps(self, steps: int, *, up: bool) -> None:
        """The step below what is wished, or the one above; 0 is none of them."""
        steps = (steps + 1 or 1) if up else (steps or -1)
        if self._resampler is not None and steps != self._steps:
            self._steps = steps
            self._resampler.stretch(steps)

    def _follow_delay(self, near: bytes, far: bytes) -> bool:
        """Move the loudspeaker's sound where its echo comes too late, or before it."""
        late: int | None = None
        for here, there in zip(loudness(near), loudness(far), strict=True):
            late = self._finder.add(here, there)
        if late is None or 0 < late <= LATE_BIN:
            return False
        self.held_back_s = max(-0.5, self.held_back_s + late * BIN_S - LEAD_S)
        self._finder, self._next = DelayFinder(), None
        self.moved += 1
        return True
