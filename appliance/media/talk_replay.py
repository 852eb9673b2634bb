"""The last 2 minutes of a talk group, as they came, and how they are played again."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from appliance.adapters.opus import OpusDecoder, OpusError
from appliance.media.pcm import FRAME_BYTES, QUIET_DB, SILENCE, level_db
from appliance.model.talk_media import REPLAY_S
from appliance.protocol.jitter import FRAME
from appliance.protocol.opus_packet import CLOCK_HZ, MAX_SAMPLES

MAX_BYTES = 1 << 20
"""Kept for one talk; our own senders need 360 kB in 2 minutes, with what Python adds 900 kB."""

OVERHEAD_BYTES = 100
"""What Python adds to each piece of sound."""

PAUSE_FRAMES = 15
"""Silence that is left of a pause: 300 ms."""

SKIP = 5
"""Frames of a pause that are left out in the time of one, so that none takes long."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One Opus packet."""

    spurt: str
    """In which time of holding the key."""

    at_s: float
    """When it came, on the machine's monotonic clock."""

    timestamp: int
    """RTP time stamp."""

    samples: int
    """How much it is."""

    sound: bytes
    """Opus."""


class History:
    """What was said, at most `REPLAY_S` and `MAX_BYTES` of it."""

    def __init__(self) -> None:
        self._pieces: deque[Piece] = deque()
        self._bytes = 0

    def add(self, piece: Piece) -> None:
        """Keep it."""
        self._pieces.append(piece)
        self._bytes += len(piece.sound) + OVERHEAD_BYTES
        self.forget(piece.at_s)

    def forget(self, now: float) -> None:
        """Drop what is too old or too much."""
        while self._pieces and (self._pieces[0].at_s < now - REPLAY_S or self._bytes > MAX_BYTES):
            self._bytes -= len(self._pieces.popleft().sound) + OVERHEAD_BYTES

    def since(self, at_s: float) -> list[Piece]:
        """What came since then: spurts in the order in which they began, each in its own order."""
        spurts: dict[str, list[Piece]] = {}
        for piece in self._pieces:
            if piece.at_s >= at_s:
                spurts.setdefault(piece.spurt, []).append(piece)
        ordered: list[Piece] = []
        for pieces in spurts.values():
            first = pieces[0].timestamp
            ordered += sorted(pieces, key=lambda piece: _after(piece.timestamp, first))
        return ordered


def _after(timestamp: int, first: int) -> int:
    """Samples from one RTP time stamp to another, either sign."""
    return (timestamp - first + (1 << 31)) % (1 << 32) - (1 << 31)


class Replay:
    """What was kept, on its way to the speaker once more."""

    def __init__(self, pieces: list[Piece]) -> None:
        """Raises `OpusError`."""
        self._pieces = deque(pieces)
        self._decoder = OpusDecoder()
        self._pcm = b""
        self._last: Piece | None = None
        self._done = 0
        self._quiet = 0
        self.length_s = sum(piece.samples for piece in pieces) / CLOCK_HZ

    @property
    def position_s(self) -> float:
        """How much of it has been played, or left out since it was a pause."""
        return self._done / CLOCK_HZ

    @property
    def over(self) -> bool:
        """All of it has been played."""
        return not self._pieces and not self._pcm

    def frame(self) -> bytes:
        """The next 20 ms."""
        frame = SILENCE
        for _ in range(SKIP):
            frame = self._next()
            self._quiet = self._quiet + 1 if level_db(frame) < QUIET_DB else 0
            if self._quiet <= PAUSE_FRAMES or self.over:
                break
        return frame

    def _next(self) -> bytes:
        while len(self._pcm) < FRAME_BYTES and self._pieces:
            self._pcm += self._decode(self._pieces.popleft())
        frame, self._pcm = self._pcm[:FRAME_BYTES], self._pcm[FRAME_BYTES:]
        return frame + bytes(FRAME_BYTES - len(frame))

    def _decode(self, piece: Piece) -> bytes:
        before, self._last = self._last, piece
        self._done += piece.samples
        made = b""
        try:
            if before is not None and before.spurt != piece.spurt:
                self._decoder = OpusDecoder()
                made = SILENCE * PAUSE_FRAMES
            elif before is not None:
                missing = _after(piece.timestamp, before.timestamp) - before.samples
                if 0 < missing <= MAX_SAMPLES:
                    made = self._decoder.conceal(missing)
                elif missing > MAX_SAMPLES:  # Silence is not sent.
                    made = SILENCE * min(PAUSE_FRAMES, missing // FRAME)
            return made + self._decoder.decode(piece.sound)
        except OpusError:
            return made + bytes(2 * piece.samples)
