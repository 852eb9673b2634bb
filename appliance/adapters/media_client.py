"""The daemon's side of the voice process: finds or starts it, talks to it, starts it again.

Where there is a service, that is used; otherwise the process is started as a child, with a socket
of its own that also ends it when the daemon is gone.  Files of a call are opened here, as the
daemon's user, and passed along.  What calls mean stays out.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import appliance
from appliance.adapters.wavfile import WavError, open_to_play, open_to_record
from appliance.model.media import (
    MEDIA_VERSION,
    MediaCommand,
    MediaEvent,
    MediaReady,
    OpenStream,
    SoundProblem,
    SoundWarning,
    StartStream,
    StreamClosed,
    StreamFailed,
)
from appliance.model.note import (
    NoteEnd,
    PlaybackEnded,
    RecordingEnded,
    StartPlayback,
    StartRecording,
)
from appliance.model.sound_device import ChooseDevices
from appliance.model.talk_media import SetTalk
from appliance.protocol.media_wire import (
    MAX_FRAME_BYTES,
    MediaWireError,
    decode_event,
    encode,
)

logger = logging.getLogger(__name__)

READY_S = 10.0
"""Longest wait for the first event, on the slowest board."""

STOP_S = 3.0
"""Longest wait for the process to complete its files; then it is killed."""

BACKOFF_S = (0.1, 0.5, 1.0, 2.0, 5.0)
"""Waits before it is started again; the last one repeats."""

LASTING_S = 10.0
"""A process that ends sooner has not worked, so that one which dies at each start is not started
without pause."""

BURST = 64
"""Events read at a time."""

GONE = "The sound of this machine has failed; it is being started again."
RETRY = "The sound of this machine is not there yet; call again in a moment."


class MediaUnavailableError(Exception):
    """There is no voice process now; the text is one sentence for the operator."""


class MediaClient:
    """Commands in, events out; supervises the process."""

    def __init__(
        self, on_event: Callable[[MediaEvent], None], *, socket_path: Path | None = None
    ) -> None:
        """``on_event`` is called in the loop's thread.

        ``socket_path``: where a service is, which is used and waited for; None: there is none.
        """
        self._on_event = on_event
        self._socket_path = socket_path
        self._socket: socket.socket | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._lost = asyncio.Event()
        self._ready: asyncio.Future[MediaReady] | None = None
        self._streams: set[str] = set()
        self._notes: dict[str, StartRecording | StartPlayback] = {}
        self._choice: ChooseDevices | None = None
        self.ready: MediaReady | None = None
        """What the voice process is and has; None: there is none now."""

    @property
    def pid(self) -> int | None:
        """Process id of the child; None: a service is used, or there is none."""
        return self._process.pid if self._process is not None else None

    async def start(self) -> MediaReady:
        """Find or start the process; raises `MediaUnavailableError`."""
        ready = await self._connect()
        self._supervisor = asyncio.create_task(self._supervise(), name="media supervisor")
        return ready

    async def send(self, command: MediaCommand) -> None:
        """Give a command; raises `MediaUnavailableError` when there is nobody to take it."""
        if isinstance(command, ChooseDevices):
            self._choice = command
        if self._socket is None:
            raise MediaUnavailableError(RETRY)
        if isinstance(command, OpenStream):
            self._streams.add(command.stream)
        files: list[int] = []
        try:
            if isinstance(command, StartStream | SetTalk):
                command, files = await asyncio.to_thread(_with_files, command)
            elif isinstance(command, StartRecording | StartPlayback):
                try:
                    files = await asyncio.to_thread(_files_of_note, command)
                except WavError as error:
                    self._on_event(note_failed(command, str(error)))
                    return
                self._notes[command_name(command)] = command
            self._transmit(encode(command), files)
        finally:
            for descriptor in files:
                os.close(descriptor)

    def _transmit(self, data: bytes, files: list[int]) -> None:
        if self._socket is None:
            raise MediaUnavailableError(RETRY)
        try:
            socket.send_fds(self._socket, [data], files)
        except OSError as error:  # Also a full queue: a process that reads so late is of no use.
            self._disconnect()
            raise MediaUnavailableError(RETRY) from error

    async def stop(self) -> None:
        """Hang up; a process that we started ends, and its files are complete."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._supervisor
            self._supervisor = None
        self._disconnect()
        await self._reap()

    async def _supervise(self) -> None:
        attempt, loop = 0, asyncio.get_running_loop()
        began = loop.time()
        while True:
            await self._lost.wait()
            if loop.time() - began >= LASTING_S:
                attempt = 0
            logger.warning("The voice process is gone; starting it again")
            for stream in sorted(self._streams):
                self._on_event(SoundWarning(stream, SoundProblem.MEDIA_GONE, False, GONE))
            self._streams.clear()
            notes, self._notes = self._notes, {}
            for note in notes.values():
                self._on_event(note_failed(note, GONE))
            await self._reap()
            while self.ready is None:
                await asyncio.sleep(BACKOFF_S[min(attempt, len(BACKOFF_S) - 1)])
                attempt += 1
                try:
                    self._on_event(await self._connect())
                except MediaUnavailableError as error:
                    logger.warning("%s", error)
            began = loop.time()

    async def _connect(self) -> MediaReady:
        self._lost.clear()
        path = self._socket_path
        sock = await self._spawn() if path is None else _connected(path)
        loop = asyncio.get_running_loop()
        self._socket, self._ready = sock, loop.create_future()
        loop.add_reader(sock, self._readable, sock)
        try:
            async with asyncio.timeout(READY_S):
                ready = await self._ready
        except (TimeoutError, MediaUnavailableError) as error:
            self._disconnect()
            await self._reap()
            raise MediaUnavailableError("The voice process does not start.") from error
        if ready.version != MEDIA_VERSION:
            self._disconnect()
            await self._reap()
            raise MediaUnavailableError("The voice process is of another version; restart it.")
        self.ready = ready
        if self._choice is not None:
            await self.send(self._choice)
        return ready

    async def _spawn(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        root = str(Path(appliance.__file__).parent.parent)
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        environment.pop("NOTIFY_SOCKET", None)  # Who is ready there is the daemon.
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "appliance.media",
                "--fd",
                str(theirs.fileno()),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                env=environment,
            )
        except OSError as error:
            ours.close()
            raise MediaUnavailableError(f"The voice process does not start: {error}.") from error
        finally:
            theirs.close()
        return ours

    def _readable(self, sock: socket.socket) -> None:
        for _ in range(BURST):
            if self._socket is not sock:
                return
            try:
                data = sock.recv(MAX_FRAME_BYTES + 1)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._disconnect()
                return
            try:
                event = decode_event(data)
            except MediaWireError:
                logger.warning("The voice process said something that nobody understands")
                continue
            self._take(event)

    def _take(self, event: MediaEvent) -> None:
        if isinstance(event, MediaReady) and self._ready is not None:
            if not self._ready.done():
                self._ready.set_result(event)
            return
        if isinstance(event, StreamClosed | StreamFailed):
            self._streams.discard(event.stream)
        elif isinstance(event, RecordingEnded):
            self._notes.pop(event.recording, None)
        elif isinstance(event, PlaybackEnded):
            self._notes.pop(event.playback, None)
        self._on_event(event)

    def _disconnect(self) -> None:
        sock, self._socket = self._socket, None
        self.ready = None
        if sock is not None:
            asyncio.get_running_loop().remove_reader(sock)
            sock.close()
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(MediaUnavailableError(RETRY))
        self._lost.set()

    async def _reap(self) -> None:
        """Wait for the child, which ends by itself; then by force."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _connected(path: Path) -> socket.socket:
    """A connection to a service; raises `MediaUnavailableError`."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.setblocking(False)
    try:
        sock.connect(str(path))
    except OSError as error:
        sock.close()
        raise MediaUnavailableError(
            f"The voice process can't be reached at {path}: {error.strerror}."
        ) from error
    return sock


def command_name(command: StartRecording | StartPlayback) -> str:
    """What a voice message is called between the two processes."""
    return command.recording if isinstance(command, StartRecording) else command.playback


def note_failed(
    command: StartRecording | StartPlayback, detail: str
) -> RecordingEnded | PlaybackEnded:
    """The last event of a voice message that the voice process can't say itself."""
    if isinstance(command, StartRecording):
        return RecordingEnded(command.recording, NoteEnd.FAILED, detail)
    return PlaybackEnded(command.playback, NoteEnd.FAILED, command.from_ms, detail)


def _files_of_note(command: StartRecording | StartPlayback) -> list[int]:
    """The files to play from and to write to, in this order, opened; raises `WavError`."""
    play, record = (
        (command.play, command.path)
        if isinstance(command, StartRecording)
        else (command.path, command.record)
    )
    files: list[int] = []
    try:
        if play is not None:
            files.append(open_to_play(Path(play)))
        if record is not None:
            files.append(open_to_record(Path(record)))
    except WavError:
        for descriptor in files:
            os.close(descriptor)
        raise
    return files


def _with_files(command: StartStream | SetTalk) -> tuple[StartStream | SetTalk, list[int]]:
    """The command with its files opened, in the order of its fields, or why they are not."""
    files: list[int] = []
    if command.play is not None:
        try:
            files.append(open_to_play(Path(command.play)))
        except WavError as error:
            command = replace(command, play_problem=str(error))
    if command.record is not None:
        try:
            files.append(open_to_record(Path(command.record)))
        except WavError as error:
            command = replace(command, record_problem=str(error))
    return command, files
