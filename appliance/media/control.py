"""The voice process's side of its Unix socket: one daemon at a time, one message per packet."""

from __future__ import annotations

import os
import socket
import struct
from collections import deque
from pathlib import Path

from appliance.model.media import MediaCommand, MediaEvent, StartStream, StreamStats
from appliance.model.note import StartPlayback, StartRecording
from appliance.model.talk_media import SetTalk, TalkStats
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

MAX_FILES = 2
"""Open files that come with a command: one to play, one to record."""

_UCRED = struct.Struct("3i")


class Control:
    """Where commands come from and events go."""

    def __init__(self, *, listen_fd: int | None = None, fd: int | None = None) -> None:
        """Take daemons at the inherited socket ``listen_fd``, or talk over ``fd``; raises OSError.

        The socket's owner is who may connect, beside ourselves and root.
        """
        self.persistent = fd is None
        """The process outlives the daemon's connection."""
        self._listener: socket.socket | None = None
        self._allowed = {0, os.geteuid()}
        self._peer: socket.socket | None = None
        self._waiting: deque[bytes] = deque(maxlen=MAX_WAITING)
        self.fresh = False
        """A daemon has just connected and wants its `MediaReady`."""
        if fd is not None:
            self._adopt(socket.socket(fileno=fd))
        elif listen_fd is not None:
            self._listener = socket.socket(fileno=listen_fd)
            self._listener.set_inheritable(False)
            self._listener.setblocking(False)
            self._allowed.add(Path(self._listener.getsockname()).stat().st_uid)

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
        if isinstance(event, StreamStats | TalkStats) and len(self._waiting) >= MAX_WAITING_STATS:
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

    def read(self, ready: socket.socket) -> list[tuple[MediaCommand, list[int]]]:
        """What has come at one of `readable`; broken messages are skipped.

        With each command come descriptors of the files that it names, which the caller closes.
        """
        if ready is self._listener:
            self._accept()
            return []
        commands: list[tuple[MediaCommand, list[int]]] = []
        while self._peer is ready and len(commands) < BURST:
            try:
                data, files, _, _ = socket.recv_fds(
                    ready, MAX_FRAME_BYTES + 1, MAX_FILES, socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                break
            except OSError:
                data, files = b"", []
            if not data:
                self._lose()
                break
            try:
                command = decode_command(data)
                if len(files) != _expected_files(command):
                    raise MediaWireError("files are missing")
            except MediaWireError:  # Daemons of the same version send none.
                close_all(files)
            else:
                commands.append((command, files))
        return commands

    def close(self) -> None:
        """Hang up."""
        self._lose()
        if self._listener is not None:
            self._listener.close()

    def _adopt(self, peer: socket.socket) -> None:
        self._lose()
        peer.setblocking(False)
        self._peer, self.fresh = peer, True

    def _accept(self) -> None:
        """A new daemon takes the place of the one before, if its user may."""
        if self._listener is None:
            return
        try:
            peer, _ = self._listener.accept()
        except OSError:
            return
        credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        _, uid, _ = _UCRED.unpack(credentials)
        if uid in self._allowed:
            self._adopt(peer)
        else:
            peer.close()

    def _lose(self) -> None:
        if self._peer is not None:
            self._peer.close()
        self._peer = None
        self._waiting.clear()


def _expected_files(command: MediaCommand) -> int:
    """How many open files come with a command."""
    if isinstance(command, StartRecording):
        return 1 + (command.play is not None)
    if isinstance(command, StartPlayback):
        return 1 + (command.record is not None)
    if not isinstance(command, StartStream | SetTalk):
        return 0
    play = command.play is not None and command.play_problem is None
    record = command.record is not None and command.record_problem is None
    return play + record


def close_all(descriptors: list[int]) -> None:
    """Close what nobody keeps."""
    for descriptor in descriptors:
        os.close(descriptor)
