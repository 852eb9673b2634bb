"""Typed frames on a session's WebSocket.

A message belongs to a channel and spans one or more frames of at most 16 KiB, each one binary
WebSocket message: a channel byte, a flags byte, a piece.  Frames of different channels interleave
and those of the more urgent channel go first, so a call can be set up in the middle of a long
message.
What is urgent goes before everything else that is not signalling, however much of that waits.
A channel that this version does not know is skipped whole, so that newer stations can add some.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final

from appliance.model.codec import FormatError

MAX_FRAME: Final = 16 * 1024
"""Bytes of one frame, header included (architecture decision 5)."""

HEADER: Final = 2
MAX_QUEUED: Final = 1024 * 1024
"""Bytes that may wait to be sent; a slower reader than this is not waited for."""


class Channel(IntEnum):
    """What a message is, in the order in which it goes out; the number is the channel byte."""

    CONTROL = 0
    SIP = 1
    TALK = 10
    VERIFY = 2
    ACK = 3
    CARD = 4
    RECORD = 5
    GOSSIP = 6
    MAP = 7
    SYNC = 8
    CARRY = 9


MAX_MESSAGE: Final = {
    Channel.CONTROL: 4 * 1024,
    Channel.SIP: 32 * 1024,
    Channel.TALK: 1024,
    Channel.VERIFY: 1024,
    Channel.ACK: 16 * 1024,
    Channel.CARD: 16 * 1024,
    Channel.RECORD: 128 * 1024,
    Channel.GOSSIP: 64 * 1024,
    Channel.MAP: 16 * 1024,
    Channel.SYNC: 64 * 1024,
    Channel.CARRY: 128 * 1024,
}
"""Longest message of each channel in bytes."""

SIGNALLING: Final = frozenset(
    {Channel.CONTROL, Channel.SIP, Channel.TALK, Channel.VERIFY, Channel.ACK}
)
"""What goes before everything else, and is small."""


class Flags(IntFlag):
    """Second byte of a frame; unknown bits are ignored."""

    LAST = 1
    """The message is complete."""


class OverflowedError(Exception):
    """More is waiting to be sent than may wait."""


@dataclass
class _Waiting:
    """A message that waits, or is partly sent."""

    frames: deque[bytes]
    """What of it is still to go out."""

    urgent: bool
    """It goes before others."""

    started: bool = False
    """Something of it is out; in its channel nothing can come between."""


class Sender:
    """Cuts messages into frames and gives them out, signalling first."""

    def __init__(self) -> None:
        self._waiting: dict[Channel, deque[_Waiting]] = {channel: deque() for channel in Channel}
        self.queued = 0
        """Bytes that wait."""

    def put(self, channel: Channel, message: bytes, *, urgent: bool = False) -> None:
        """Queue a message whole; raises OverflowedError and queues nothing when it does not fit."""
        if len(message) > MAX_MESSAGE[channel]:
            raise ValueError(f"a {channel.name} message of {len(message)} bytes is too long")
        # Signalling is small and must get through while records wait, so only they are refused.
        if channel not in SIGNALLING and not urgent and self.queued + len(message) > MAX_QUEUED:
            raise OverflowedError
        if self.queued + len(message) > 2 * MAX_QUEUED:
            raise OverflowedError
        waiting = self._waiting[channel]
        place = len(waiting)
        if urgent:
            while place and not (waiting[place - 1].urgent or waiting[place - 1].started):
                place -= 1
        waiting.insert(place, _Waiting(deque(_frames(channel, message)), urgent))
        self.queued += len(message)

    def take(self) -> bytes | None:
        """Return the frame to send next."""
        channel = self._next()
        if channel is None:
            return None
        waiting = self._waiting[channel]
        first = waiting[0]
        frame = first.frames.popleft()
        first.started = True
        if not first.frames:
            waiting.popleft()
        self.queued -= len(frame) - HEADER
        return frame

    def _next(self) -> Channel | None:
        first = None
        for channel, waiting in self._waiting.items():
            if not waiting:
                continue
            # An urgent one stands first, or behind what its channel has to finish.
            urgent = waiting[0].urgent or (len(waiting) > 1 and waiting[1].urgent)
            if channel in SIGNALLING or urgent:
                return channel
            if first is None:
                first = channel
        return first


def _frames(channel: Channel, message: bytes) -> Iterator[bytes]:
    room = MAX_FRAME - HEADER
    for start in range(0, max(len(message), 1), room):
        flags = Flags.LAST if start + room >= len(message) else Flags(0)
        yield bytes((channel, flags)) + message[start : start + room]


class Receiver:
    """Puts messages together again."""

    def __init__(self) -> None:
        self._partial: dict[Channel, bytearray] = {}

    def feed(self, frame: bytes) -> tuple[Channel, bytes] | None:
        """Take one frame; return the message that it completes.

        Raises FormatError when a frame is empty or a message exceeds its channel's length.
        """
        if not HEADER <= len(frame) <= MAX_FRAME:
            raise FormatError(f"a frame of {len(frame)} bytes")
        try:
            channel = Channel(frame[0])
        except ValueError:
            return None
        partial = self._partial.setdefault(channel, bytearray())
        partial += frame[HEADER:]
        if len(partial) > MAX_MESSAGE[channel]:
            raise FormatError(f"a {channel.name} message is too long")
        if not frame[1] & Flags.LAST:
            return None
        del self._partial[channel]
        return channel, bytes(partial)
