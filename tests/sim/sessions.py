"""One session between two stations, as reliable as TCP is and no more.

What is sent arrives once and in order, late where frames are lost; while the way is broken it
waits.  When the session breaks, each direction loses what comes after some moment, and each end
notices by itself.  So a record may come again in the next session, before the last words of this
one, or both.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from appliance.node.usage import SessionInfo
from appliance.protocol.frames import Channel, OverflowedError, Receiver, Sender

if TYPE_CHECKING:
    from sim.board import Board
    from sim.segments import Segment
    from sim.world import World

BYE_S: Final = 2.0
"""How long a goodbye may take."""

SILENT_S: Final = (5.0, 15.0)
"""After which an end notices that nothing comes any more."""

RESEND_S: Final = 0.2
"""What the loss of a frame costs; doubles with each further one."""


@dataclass
class Pipe:
    """One direction."""

    sender: Sender = field(default_factory=Sender)
    receiver: Receiver = field(default_factory=Receiver)
    free_at: float = 0.0
    """When the next frame can go out."""

    last_arrival: float = 0.0
    """When the frame that went out last arrives."""

    lost_from: float | None = None
    """Nothing arrives after this."""

    waits: bool = False
    """A frame goes out as soon as the one before is out."""

    stuck: deque[bytes] = field(default_factory=deque)
    """What has gone out and waits for the way."""

    goodbye: str | None = None
    """Said after all that waits."""


class End:
    """One end."""

    def __init__(self, board: Board, handle: int) -> None:
        self.board, self.handle = board, handle
        self.life = board.life
        self.open = False
        """The station was told of the session, and not of its end."""

        self.ending = False
        """It has said goodbye, and nothing after that."""


class Session:
    """Both ends and what is between."""

    def __init__(
        self, world: World, segment: Segment, boards: tuple[Board, Board], rng: random.Random
    ) -> None:
        """The first of the boards has dialled."""
        self.world, self.segment, self._rng = world, segment, rng
        self.ends = tuple(End(board, world.network.new_handle()) for board in boards)
        self._between = boards[0].index, boards[1].index
        self._pipes = (Pipe(), Pipe())
        """By who sends."""

        self._broken = False

    @property
    def passes(self) -> bool:
        """Whether anything gets through at the moment."""
        return not self._broken and self.segment.joins(*self._between)

    def _side(self, board: Board) -> int:
        return 0 if self.ends[0].board is board else 1

    # -- Life

    def open(self, side: int) -> bool:
        """Tell a station of its new session; returns whether it lives to hear it."""
        end, other = self.ends[side], self.ends[1 - side]
        board, peer = end.board, other.board
        if not board.alive or board.life != end.life:
            return False
        end.open = True
        board.sessions[end.handle] = self
        info = SessionInfo(
            handle=end.handle,
            peer=peer.id,
            boot=peer.boot,
            outgoing=side == 0,
            local_host=f"fe80::{board.index:x}",
            remote_host=f"fe80::{peer.index:x}",
            opened_at=board.now.monotonic,
        )
        self.world.note(f"{board.name}: session {end.handle} with {peer.name}")
        board.feed(lambda station, now: station.session_opened(info, now))
        return end.open

    def close(self, side: int, reason: str) -> None:
        """An end notices that the session is over."""
        end, other = self.ends[side], self.ends[1 - side]
        if not end.open:
            return
        self.left(end.board)
        self.world.note(f"{end.board.name}: session {end.handle} over: {reason}")
        if other.open:
            self._notices(1 - side, abrupt=False)
        end.board.feed(
            lambda station, now: station.session_closed(end.handle, other.board.id, now, reason)
        )

    def _notices(self, side: int, *, abrupt: bool) -> None:
        """Let an end notice that the other is gone; `abrupt`: nothing told it so."""
        pipe = self._pipes[1 - side]
        delay = self._rng.uniform(*SILENT_S)
        if not abrupt and self.passes:
            delay = max(self.segment.latency_s, pipe.last_arrival - self.world.time.now)
        self.world.time.after(delay, lambda: self.close(side, "lost"))

    def left(self, board: Board) -> None:
        """An end is closed, by its station or with it."""
        end = self.ends[self._side(board)]
        end.open, end.ending = False, True
        board.sessions.pop(end.handle, None)
        if not any(end.open for end in self.ends):
            self.segment.sessions.pop(self, None)

    def died(self, board: Board, *, power: bool) -> None:
        """A process ended, and what it had not sent is gone."""
        side = self._side(board)
        self._pipes[side].sender = Sender()
        self._pipes[side].lost_from = self._pipes[side].last_arrival
        self.left(board)
        if self.ends[1 - side].open:
            self._notices(1 - side, abrupt=power)

    def snap(self) -> None:
        """Break it: a device on the way has forgotten it, or a radio was gone for too long."""
        if self._broken or not any(end.open for end in self.ends):
            return
        self._broken = True
        for pipe in self._pipes:
            pipe.lost_from = self.world.time.now + self._rng.random()
        for side in (0, 1):
            self.world.time.after(10.0 * self._rng.random(), partial(self.close, side, "reset"))

    def way_changed(self) -> None:
        """The way is broken, or there again."""
        for side in (0, 1):
            if self.passes:
                self._unstick(side)
                self._pump(side)
            else:
                self.world.time.after(self._rng.uniform(*SILENT_S), partial(self._if_silent, side))

    def _if_silent(self, side: int) -> None:
        if not self.passes:
            self.close(side, "silent")

    # -- What is said

    def send(self, board: Board, channel: Channel, data: bytes, *, urgent: bool = False) -> None:
        """Let a station say something."""
        side = self._side(board)
        if self.ends[side].ending:
            return
        try:
            self._pipes[side].sender.put(channel, data, urgent=urgent)
        except OverflowedError:
            self.world.overflows += 1
            return
        self._pump(side)

    def end(self, board: Board, reason: str) -> None:
        """Let a station say goodbye."""
        side = self._side(board)
        if self.ends[side].ending:
            return
        self.ends[side].ending = True
        self._pipes[side].goodbye = reason
        self._pump(side)
        self.world.time.after(BYE_S, lambda: self.close(side, reason))

    def _pump(self, side: int) -> None:
        pipe, now = self._pipes[side], self.world.time.now
        if pipe.waits or not self.passes:
            return
        if now < pipe.free_at:
            pipe.waits = True
            self.world.time.after(pipe.free_at - now, lambda: self._pump_again(side))
            return
        frame = pipe.sender.take()
        if frame is None:
            if pipe.goodbye is None:
                return
            frame, pipe.goodbye = b"", None
        pipe.free_at = now + len(frame) / self.segment.rate
        delay = self.segment.latency_s * self._rng.uniform(0.5, 1.5)
        resend = RESEND_S
        while self._rng.random() < self.segment.loss:
            delay += resend
            resend = min(2 * resend, 10.0)
        pipe.last_arrival = max(pipe.last_arrival, pipe.free_at + delay)
        self.world.time.after(pipe.last_arrival - now, lambda: self._arrive(side, frame))
        if pipe.sender.queued or pipe.goodbye is not None:
            self._pump(side)

    def _pump_again(self, side: int) -> None:
        self._pipes[side].waits = False
        self._pump(side)

    def _arrive(self, side: int, frame: bytes) -> None:
        pipe = self._pipes[side]
        if pipe.lost_from is not None and self.world.time.now > pipe.lost_from:
            return
        if pipe.stuck or not (self.passes or self._broken):
            pipe.stuck.append(frame)
            return
        self._deliver(side, frame)

    def _unstick(self, side: int) -> None:
        stuck = self._pipes[side].stuck
        while stuck:
            self._deliver(side, stuck.popleft())

    def _deliver(self, side: int, frame: bytes) -> None:
        end, sender = self.ends[1 - side], self.ends[side].board
        if not end.open:
            return
        self.world.frames += 1
        self.world.bytes += len(frame)
        if not frame:
            self.close(1 - side, "bye")
            return
        complete = self._pipes[side].receiver.feed(frame)
        if complete is not None:
            channel, data = complete
            self.world.heard(end.board, sender, channel, data)
            end.board.feed(
                lambda station, now: station.message_received(
                    end.handle, sender.id, channel, data, now
                )
            )
