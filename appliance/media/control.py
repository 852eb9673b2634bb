"""The voice process's side of its Unix socket: one daemon at a time, one message per packet."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import struct
from collections import deque
from pathlib import Path

from appliance.model.media import MediaCommand, MediaEvent, StreamStats
from appliance.protocol.media_wire import (
    MAX_FRAME_BYTES,
    MediaWireError,
    decode_command,
    encode,
)

MAX_WAITING = 512
"""Events that wait for a daemon that does not read; above it the oldest goes."""

MAX_WAITING_STATS = 64
"""Above it no figures are added, so that what matters is kept."""

BURST = 1
"""Commands read at a time, so that the calls that are to start do not hold up those that run."""

_UCRED = struct.Struct("3i")


class Control:
    """Where commands come from and events go."""

    def __init__(self, *, path: Path | None = None, fd: int | None = None) -> None:
        """Listen at ``path``, or talk over the inherited socket ``fd``; raises OSError."""
        self.persistent = fd is None
        """The process outlives the daemon's connection."""
        self._path = path
        self._listener: socket.socket | None = None
        self._peer: socket.socket | None = None
        self._waiting: deque[bytes] = deque(maxlen=MAX_WAITING)
        self.fresh = False
        """A daemon has just connected and wants its `MediaReady`."""
        if fd is not None:
            self._adopt(socket.socket(fileno=fd))
        elif path is not None:
            self._listener = _listen(path)

    @property
    def connected(self) -> bool:
        """Whether there is a daemon."""
        return self._peer is not None

    def readable(self) -> list[socket.socket]:
        """What to wait for."""
        return [sock for sock in (self._listener, self._peer) if sock is not None]

    def writable(self) -> list[socket.socket]:
        """What to wait for to be writable: a daemon that did not keep up."""
        return [self._peer] if self._peer is not None and self._waiting else []

    def emit(self, event: MediaEvent) -> None:
        """Tell the daemon; never blocks."""
        if self._peer is None:
            return
        if isinstance(event, StreamStats) and len(self._waiting) >= MAX_WAITING_STATS:
            return
        self._waiting.append(encode(event))
        self.flush()

    def flush(self) -> None:
        """Send what waits."""
        while self._peer is not None and self._waiting:
            try:
                self._peer.send(self._waiting[0])
            except BlockingIOError:
                return
            except OSError:
                self._lose()
                return
            self._waiting.popleft()

    def read(self, ready: socket.socket) -> list[MediaCommand]:
        """What has come at one of `readable`; broken messages are skipped."""
        if ready is self._listener:
            self._accept()
            return []
        commands: list[MediaCommand] = []
        while self._peer is ready and len(commands) < BURST:
            try:
                data = ready.recv(MAX_FRAME_BYTES + 1)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            if not data:
                self._lose()
                break
            with contextlib.suppress(MediaWireError):  # Same-version daemons send none.
                commands.append(decode_command(data))
        return commands

    def close(self) -> None:
        """Hang up and remove the socket."""
        self._lose()
        if self._listener is not None and self._path is not None:
            self._listener.close()
            self._path.unlink(missing_ok=True)

    def _adopt(self, peer: socket.socket) -> None:
        self._lose()
        peer.setblocking(False)
        self._peer, self.fresh = peer, True

    def _accept(self) -> None:
        """A new daemon takes the place of the one before, if it is ours or root's."""
        if self._listener is None:
            return
        try:
            peer, _ = self._listener.accept()
        except OSError:
            return
        credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        _, uid, _ = _UCRED.unpack(credentials)
        if uid in (0, os.geteuid()):
            self._adopt(peer)
        else:
            peer.close()

    def _lose(self) -> None:
        if self._peer is not None:
            self._peer.close()
        self._peer = None
        self._waiting.clear()


def _listen(path: Path) -> socket.socket:
    """A listening socket for this user alone; one that a dead process left is replaced."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        if path.exists() and stat.S_ISSOCK(path.stat().st_mode) and not _answers(path):
            path.unlink()
        old_mask = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(old_mask)
        listener.listen(4)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
        return probe.connect_ex(str(path)) == 0
