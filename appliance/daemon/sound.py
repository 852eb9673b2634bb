"""The voice process, as the daemon uses it: commands in order, answers awaited, figures kept."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, TypeVar

from appliance.adapters.media_client import (
    MediaClient,
    MediaUnavailableError,
    note_failed,
)
from appliance.api.paths import media_path
from appliance.daemon.call_quality import Quality
from appliance.model.media import (
    FileStarted,
    MediaCommand,
    MediaEvent,
    MediaReady,
    OpenStream,
    SoundProblem,
    StreamFailed,
    StreamStats,
)
from appliance.model.note import NoteEvent, StartPlayback, StartRecording
from appliance.model.sound_device import DeviceList, Levels

log = logging.getLogger(__name__)

MAX_STATS: Final = 64
MAX_COMMANDS: Final = 256
START_AGAIN_S: Final = 5.0

A = TypeVar("A")


class Sound:
    """Talks to the voice process and starts it until it runs."""

    def __init__(
        self, *, on_event: Callable[[MediaEvent], None], on_change: Callable[[], None]
    ) -> None:
        """`on_change`: it came or went."""
        self.stats: dict[str, StreamStats] = {}
        """Latest figures by call."""

        self.quality = Quality()
        """How calls sound."""

        self.on_note: Callable[[NoteEvent], None] = lambda _event: None
        """Who hears of voice messages; calls do not."""

        self._on_event = on_event
        self._on_change = on_change
        self._client = MediaClient(self._event, socket_path=media_path())
        self._waiters: list[tuple[type[Any], asyncio.Future[Any]]] = []
        self._commands: asyncio.Queue[MediaCommand] = asyncio.Queue(MAX_COMMANDS)
        self._opening: set[str] = set()
        """Streams whose opening still waits in `_commands`."""

    @property
    def ready(self) -> MediaReady | None:
        """What the voice process is; None while there is none."""
        return self._client.ready

    async def run(self) -> None:
        """Start the voice process and give it the commands."""
        while True:
            try:
                ready = await self._client.start()
                break
            except MediaUnavailableError as error:
                log.warning("%s", error)
                self._on_change()
                await asyncio.sleep(START_AGAIN_S)
        self._event(ready)
        while True:
            command = await self._commands.get()
            if isinstance(command, OpenStream):
                self._opening.discard(command.stream)
            try:
                await self._client.send(command)
            except MediaUnavailableError as error:
                if isinstance(command, OpenStream):
                    failed = StreamFailed(command.stream, SoundProblem.MEDIA_GONE, str(error))
                    self._on_event(failed)
                elif isinstance(command, StartRecording | StartPlayback):
                    self.on_note(note_failed(command, str(error)))

    async def stop(self) -> None:
        """End the voice process, if it is ours."""
        await self._client.stop()

    def command(self, command: MediaCommand) -> None:
        """Give a command, after those before it."""
        try:
            self._commands.put_nowait(command)
            if isinstance(command, OpenStream):
                self._opening.add(command.stream)
        except asyncio.QueueFull:
            log.error("the voice process takes no commands")

    async def ask(self, command: MediaCommand, answer: type[A], timeout_s: float) -> A:
        """Give a command and wait for its answer.

        Raises MediaUnavailableError or TimeoutError.
        """
        waiter: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        entry = (answer, waiter)
        self._waiters.append(entry)
        try:
            await self._client.send(command)
            async with asyncio.timeout(timeout_s):
                return await waiter
        finally:
            with contextlib.suppress(ValueError):
                self._waiters.remove(entry)

    def _event(self, event: MediaEvent) -> None:
        if isinstance(event, MediaReady):
            # A call that begins while the process starts has lost nothing: it is still to come.
            event = replace(event, streams=(*event.streams, *self._opening))
        if isinstance(event, NoteEvent):
            self.on_note(event)
            return
        for kind, waiter in list(self._waiters):
            if isinstance(event, kind) and not waiter.done():
                waiter.set_result(event)
                self._waiters.remove((kind, waiter))
        if isinstance(event, StreamStats):
            self.stats[event.stream] = event
            self.quality.measured(event)
            while len(self.stats) > MAX_STATS:
                del self.stats[next(iter(self.stats))]
        if isinstance(event, FileStarted):
            verb = "record" if event.recording else "play"
            log.info("call %s: the file to %s begins at %.6f s", event.stream, verb, event.at_s)
        if isinstance(event, MediaReady):
            self._on_change()
        if not isinstance(event, DeviceList | Levels):
            self._on_event(event)
