"""Typed frames on a session's WebSocket.

A message belongs to a channel and spans one or more frames of at most 16 KiB, each one binary
WebSocket message: a channel byte, a flags byte, a piece.  Frames of different channels interleave
and those of the lower channel go first, so a call can be set up in the middle of a long message.
A channel that this version does not know is skipped whole, so that newer stations can add some.
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum, IntFlag
from typing import Final

from appliance.model.codec import FormatError

MAX_FRAME: Final = 16 * 1024
"""Bytes of one frame, header included (architecture decision 5)."""

HEADER: Final = 2
MAX_QUEUED: Final = 1024 * 1024
"""Bytes that may wait to be sent; a slower reader than this is not waited for."""


class Channel(IntEnum):
    """What a message is, in the order in which it goes out."""

    CONTROL = 0
    SIP = 1
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


class Flags(IntFlag):
    """Second byte of a frame; unknown bits are ignored."""

    LAST = 1
    """The message is complete."""


class OverflowedError(Exception):
    """More is waiting to be sent than may wait."""


class Sender:
    """Cuts messages into frames and gives them out, signalling first."""

    def __init__(self) -> None:
        self._waiting: dict[Channel, deque[bytes]] = {channel: deque() for channel in Channel}
        self.queued = 0
        """Bytes that wait."""

    def put(self, channel: Channel, message: bytes) -> None:
        """Queue a message whole; raises OverflowedError and queues nothing when it does not fit."""
        if len(message) > MAX_MESSAGE[channel]:
            raise ValueError(f"a {channel.name} message of {len(message)} bytes is too long")
        # Signalling is small and must get through while records wait, so only they are refused.
        if channel >= Channel.CARD and self.queued + len(message) > MAX_QUEUED:
            raise OverflowedError
        if self.queued + len(message) > 2 * MAX_QUEUED:
            raise OverflowedError
        room = MAX_FRAME - HEADER
        for start in range(0, max(len(message), 1), room):
            piece = message[start : start + room]
            flags = Flags.LAST if start + room >= len(message) else Flags(0)
            self._waiting[channel].append(bytes((channel, flags)) + piece)
            self.queued += len(piece)

    def take(self) -> bytes | None:
        """Return the frame to send next."""
        for waiting in self._waiting.values():
            if waiting:
                frame = waiting.popleft()
                self.queued -= len(frame) - HEADER
                return frame
        return None


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
