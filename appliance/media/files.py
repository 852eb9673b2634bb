"""Files as microphone and speaker, without ever blocking the loop."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Protocol

import appliance
from appliance.adapters.opus import OpusError, library_folder
from appliance.adapters.wavfile import WavError, WavWriter
from appliance.media.pcm import FRAME_BYTES, SILENCE

READ_BYTES = 8 * FRAME_BYTES
"""Taken of what is played at a time: to read each frame alone costs more than to encrypt it."""

MAX_QUEUED_FRAMES = 500
"""Of a recording, 10 s: a disk that is slower than that loses sound, which is said."""

WRITE_FRAMES = 10
"""Frames that are written at a time: to wake the thread for each costs as much as to decode it."""

SYNC_FRAMES = 50
"""Frames after which a recording can be read up to its end."""

_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[2]); sys.path += sys.argv[3:];"
    " from appliance.media.feed import main; sys.exit(main(int(sys.argv[1])))"
)

_CHRT = "/usr/bin/chrt"
_ORDINARY = [_CHRT, "-o", "0"] if os.access(_CHRT, os.X_OK) else []
"""A small program that leaves real time before Python starts, which would compete with the loop.

`posix_spawn` could do it too, but keeps us waiting until the then ordinary child is scheduled.
"""


class PlayFile:
    """A WAV file or a voice message as a source of sound; silence before and behind it."""

    def __init__(self, path: str, descriptor: int, *, from_ms: int = 0) -> None:
        """Start to read; raises `WavError` when no process can be started for it.

        The descriptor stays the caller's.  ``from_ms``: where a voice message begins.
        """
        self.path = path
        self._ready = False
        self._over = False
        self._held = bytearray()
        self._problem: str | None = None
        self._fd, writing = os.pipe()
        os.set_blocking(self._fd, False)
        root = str(Path(appliance.__file__).parent.parent)
        actions = [
            (os.POSIX_SPAWN_DUP2, descriptor, 0),
            (os.POSIX_SPAWN_DUP2, writing, 1),
        ]
        command = [*_ORDINARY, sys.executable, "-I", "-S", "-c", _PROGRAM, str(from_ms), root]
        if (folder := library_folder()) is not None:
            command.append(str(folder))
        try:
            self._pid: int | None = os.posix_spawn(
                command[0],
                command,
                os.environ,
                file_actions=actions,
                setsigdef=[signal.SIGPIPE, signal.SIGTERM, signal.SIGINT],
                setsigmask=[],
            )
        except OSError as error:
            os.close(self._fd)
            raise WavError(f"The WAV file can't be read: {error.strerror}.") from error
        finally:
            os.close(writing)

    @property
    def ready(self) -> bool:
        """Whether there is sound to take; otherwise `frame` is silence."""
        self._fill()
        return len(self._held) >= FRAME_BYTES or (self._over and bool(self._held))

    @property
    def over(self) -> bool:
        """Whether all of it has been taken."""
        return self._over and not self._held

    @property
    def problem(self) -> str | None:
        """Why it can't be played: one sentence, or None."""
        return self._problem

    def frame(self) -> bytes:
        """The next 20 ms; silence where there is nothing (any more)."""
        if not self.ready:
            return SILENCE
        frame = bytes(self._held[:FRAME_BYTES])
        del self._held[:FRAME_BYTES]
        return frame + bytes(FRAME_BYTES - len(frame))

    def close(self) -> None:
        """Stop reading."""
        self._end()
        if self._pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)

    def reaped(self) -> bool:
        """Whether the reading process is gone; to be asked after `close` until it is."""
        if self._pid is not None:
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(self._pid, os.WNOHANG) == (0, 0):
                    return False
            self._pid = None
        return True

    def _end(self) -> None:
        if not self._over:
            self._over = True
            os.close(self._fd)

    def _fill(self) -> None:
        """Have one frame at least, if there is one."""
        while not self._over and len(self._held) < FRAME_BYTES:
            try:
                data = os.read(self._fd, READ_BYTES)
            except BlockingIOError:
                return
            if not data:
                self._end()
            self._held += data
            if not self._ready and self._held:
                self._begin()

    def _begin(self) -> None:
        if self._held[:1] == b"+":
            self._ready = True
            del self._held[:1]
        elif self._over:
            self._problem = self._held[1:].decode(errors="replace")
            self._held.clear()


class FileThread:
    """Does the disk writes of all recordings, so that a slow disk delays no frame."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[RecordFile | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="files", daemon=True)
        self._thread.start()

    def wake(self, recording: RecordFile) -> None:
        """Have what is queued of a recording written."""
        self._queue.put(recording)

    def close(self) -> None:
        """Write what is queued and end."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (recording := self._queue.get()) is not None:
            recording.write_queued()


class SoundWriter(Protocol):
    """What writes a file of sound; all raise OSError, `OpusError`."""

    def write(self, pcm: bytes) -> None:
        """Append 20 ms."""

    def sync(self) -> None:
        """Make what was appended readable."""

    def close(self) -> None:
        """Complete the file."""


class RecordFile:
    """A file that sound is written to: a WAV file, unless the writer makes another kind."""

    def __init__(
        self,
        path: str,
        descriptor: int,
        thread: FileThread,
        make_writer: Callable[[int], SoundWriter] = WavWriter,
    ) -> None:
        """Begin to write; the descriptor becomes its own."""
        self.path = path
        self._descriptor = descriptor
        self._thread = thread
        self._frames: deque[bytes | None] = deque()
        self._make_writer = make_writer
        self._writer: SoundWriter | None = None
        self._written = 0
        self._closed = False
        self._problem: str | None = None
        thread.wake(self)

    @property
    def problem(self) -> str | None:
        """Why it can't be recorded: one sentence, or None."""
        return self._problem

    @property
    def closed(self) -> bool:
        """Whether the file is complete."""
        return self._closed

    def write(self, frame: bytes) -> None:
        """Append 20 ms; never blocks, drops when the disk is 10 s behind."""
        if self._problem is not None:
            return
        if len(self._frames) >= MAX_QUEUED_FRAMES:
            self._problem = "The disk is too slow for the recording; it has stopped."
            return
        self._frames.append(frame)
        if len(self._frames) % WRITE_FRAMES == 0:
            self._thread.wake(self)

    def close(self) -> None:
        """Complete the file; `closed` tells when that is done."""
        self._frames.append(None)
        self._thread.wake(self)

    def write_queued(self) -> None:
        """The part that may block, for the thread."""
        try:
            if self._writer is None and not self._closed and self._problem is None:
                self._writer = self._make_writer(self._descriptor)
            self._write_frames()
        except (OSError, OpusError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            self._problem = f"The recording can't be written: {reason}."
            self._frames.clear()
            self._finish()

    def _write_frames(self) -> None:
        while self._frames:
            frame = self._frames.popleft()
            if frame is None:
                self._finish()
            elif self._writer is not None:
                self._writer.write(frame)
                self._written += 1
                if self._written % SYNC_FRAMES == 0:
                    self._writer.sync()

    def _finish(self) -> None:
        writer, self._writer = self._writer, None
        self._closed = True
        if writer is not None:
            try:
                writer.close()
            except (OSError, OpusError) as error:
                self._problem = self._problem or f"The recording can't be completed: {error}."
