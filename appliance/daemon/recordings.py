"""Voice messages between clients, the voice process and the disk (`api.recordings` answered).

One recording at most is made at a time, and one thing played.  What is recorded belongs to the
operator until it is attached to a message: `take` it for that, and say `sent` when the message
holds it, or `give_back`.  A daemon that dies in between still has it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from appliance.api.backend import ApiError
from appliance.api.recordings import NewRecording, Playback, Recording, StartPlayback
from appliance.daemon.lookup import check_files
from appliance.daemon.recording_shelf import Kept, Shelf, ShelfError
from appliance.model.media import MediaCommand
from appliance.model.note import (
    NoteEvent,
    PausePlayback,
    PlaybackEnded,
    PlaybackMoved,
    RecordingEnded,
    RecordingHeard,
    StopPlayback,
    StopRecording,
)
from appliance.model.note import StartPlayback as Play
from appliance.model.note import StartRecording as Record

log = logging.getLogger(__name__)

SILENT_DB: Final = -100.0
PRUNE_EVERY_S: Final = 600.0
END_WITHIN_S: Final = 10.0
"""For the voice process to complete a file; then it is taken as it is."""

MAX_IN_MEMORY: Final = 16 * 1024 * 1024
"""Bytes of an attachment that are opened for playing; as much is read of a file."""


class VoiceProcess(Protocol):
    """What this needs of `daemon.sound.Sound`."""

    on_note: Callable[[NoteEvent], None]
    """Called for all that is said about voice messages."""

    @property
    def ready(self) -> object | None:
        """None while there is none."""

    def command(self, command: MediaCommand) -> None:
        """Give a command."""


@dataclass(frozen=True)
class Opened:
    """An attachment that can be played."""

    descriptor: int
    """A file to read from; closed when it has been played."""

    duration_ms: int
    """As its author claims; 0: not known."""


@dataclass
class _Live:
    """What is being recorded."""

    path: Path
    info: Recording
    ended: asyncio.Future[Recording]
    unwanted: bool = False


Publish = Callable[[Literal["recording", "playback"], Recording | Playback], None]


class Recordings:
    """Answers `api.recordings.RecordingBackend`."""

    def __init__(
        self,
        folder: Path,
        sound: VoiceProcess,
        *,
        publish: Publish,
        awake_s: Callable[[], float],
        in_call: Callable[[], bool],
        open_attachment: Callable[[str, int], Awaitable[Opened]] | None = None,
    ) -> None:
        """``open_attachment``: of a message, by id and number; raises `ApiError`."""
        self.open_attachment = open_attachment
        self._shelf = Shelf(folder)
        self._sound = sound
        self._publish = publish
        self._awake_s = awake_s
        self._in_call = in_call
        self._loaded = asyncio.Event()
        self._live: _Live | None = None
        self._gone: Recording | None = None
        """The latest that is gone, so that whoever asks for it hears why."""
        self._taken: set[str] = set()
        self._playback: Playback | None = None
        self._plays = 0
        self._descriptors: dict[str, int] = {}
        self._work: set[asyncio.Task[Any]] = set()
        sound.on_note = self._heard

    async def run(self) -> None:
        """Find what is there, and throw away what is too old, until cancelled."""
        try:
            await asyncio.to_thread(self._shelf.load, self._awake_s())
        except OSError as error:
            log.warning("recordings can't be kept: %s", error.strerror)
        self._loaded.set()
        while True:
            await asyncio.sleep(PRUNE_EVERY_S)
            for kept in self._shelf.prune(self._awake_s(), frozenset(self._taken)):
                self._say_gone(_info(kept), "It was not sent within a day.")

    # -- Recording

    async def all(self) -> tuple[Recording, ...]:
        """See `RecordingBackend`."""
        await self._loaded.wait()
        live = [self._live.info] if self._live is not None else []
        return (*live, *map(_info, reversed(tuple(self._shelf.kept.values()))))

    async def start(self, new: NewRecording) -> Recording:
        """See `RecordingBackend`."""
        await self._loaded.wait()
        self._check_free()
        check_files(new.play, None)
        try:
            recording, path = self._shelf.new(self._awake_s())
        except ShelfError as error:
            raise ApiError(507, error.code, str(error), error.fix) from None
        except OSError as error:
            raise _disk(error) from None
        info = Recording(recording, "recording", 0, 0, SILENT_DB, None, "")
        self._live = _Live(path, info, asyncio.get_running_loop().create_future())
        self._sound.command(Record(recording, str(path), new.max_s, new.play))
        self._publish("recording", info)
        return info

    async def find(self, recording: str) -> Recording:
        """See `RecordingBackend`."""
        for one in await self.all():
            if one.id == recording:
                return one
        if self._gone is not None and self._gone.id == recording:
            return self._gone
        raise ApiError(404, "unknown-recording", "There is no such recording.")

    async def stop(self, recording: str) -> Recording:
        """See `RecordingBackend`."""
        live = self._live
        if live is None or live.info.id != recording:
            return await self.find(recording)
        self._sound.command(StopRecording(recording))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_WITHIN_S):
                return await asyncio.shield(live.ended)
        await self._complete(live, live.info, "The voice process has not answered.")
        return await live.ended

    async def cancel(self, recording: str) -> None:
        """See `RecordingBackend`."""
        live = self._live
        if live is not None and live.info.id == recording:
            live.unwanted = True
        info = await self.stop(recording)
        if recording in self._taken:
            raise ApiError(409, "being-sent", "This recording is being sent.", "Wait a moment.")
        if recording in self._shelf.kept:
            await asyncio.to_thread(self._shelf.remove, recording)
            self._say_gone(info, "")

    async def sound(self, recording: str) -> bytes:
        """See `RecordingBackend`."""
        kept = await self._ready(recording)
        try:
            return await asyncio.to_thread(kept.path.read_bytes)
        except OSError as error:
            raise _disk(error) from None

    # -- Attaching

    async def take(self, recording: str) -> Kept:
        """Hold a recording for a message that it is to be attached to; raises `ApiError`."""
        kept = await self._ready(recording)
        if recording in self._taken:
            raise ApiError(409, "being-sent", "This recording is being sent.", "Wait a moment.")
        self._taken.add(recording)
        return kept

    async def sent(self, recording: str) -> None:
        """What was taken is in a message, on the disk: it is not needed here any more."""
        self._taken.discard(recording)
        kept = self._shelf.kept.get(recording)
        if kept is not None:
            await asyncio.to_thread(self._shelf.remove, recording)
            self._say_gone(_info(kept), "")

    def give_back(self, recording: str) -> None:
        """What was taken could not be sent."""
        self._taken.discard(recording)

    # -- Playing

    def playback(self) -> Playback:
        """See `RecordingBackend`."""
        if self._playback is None:
            raise ApiError(404, "no-playback", "Nothing was played yet.")
        return self._playback

    async def play(self, start: StartPlayback) -> Playback:
        """See `RecordingBackend`."""
        self._check_free()
        check_files(None, start.record)
        if start.recording is not None:
            kept = await self._ready(start.recording)
            path, duration_ms, descriptor = str(kept.path), kept.duration_ms, None
        else:
            opened = await self._opened(start)
            try:
                self._check_free()  # what began meanwhile must not end for this
            except ApiError:
                os.close(opened.descriptor)
                raise
            descriptor, duration_ms = opened.descriptor, opened.duration_ms
            path = f"/proc/self/fd/{descriptor}"
        self._plays += 1
        name = f"p{self._plays}"
        if descriptor is not None:
            self._descriptors[name] = descriptor
        self._playback = Playback(
            id=name,
            recording=start.recording,
            message=start.message,
            attachment=start.attachment,
            state="playing",
            position_ms=start.from_ms,
            duration_ms=duration_ms,
            level_db=SILENT_DB,
            ended=None,
            text="",
        )
        self._sound.command(Play(name, path, start.from_ms, start.record))
        self._publish("playback", self._playback)
        return self._playback

    def change_playback(self, *, paused: bool) -> Playback:
        """See `RecordingBackend`."""
        playback = self.playback()
        if playback.state != "over":
            self._sound.command(PausePlayback(playback.id, paused))
            self._playback = replace(playback, state="paused" if paused else "playing")
        return self.playback()

    def stop_playback(self) -> Playback:
        """See `RecordingBackend`."""
        playback = self.playback()
        if playback.state != "over":
            self._sound.command(StopPlayback(playback.id))
        return playback

    async def _opened(self, start: StartPlayback) -> Opened:
        if self.open_attachment is None or start.message is None:
            raise ApiError(404, "unknown-attachment", "There is no such attachment.")
        return await self.open_attachment(start.message, start.attachment)

    # -- Parts

    def _check_free(self) -> None:
        if self._in_call():
            raise ApiError(
                409, "call-first", "There is a call, which comes first.", "Hang up, then try again."
            )
        if self._live is not None:
            raise ApiError(
                409, "recording", "A voice message is being recorded.", "Stop that one first."
            )
        if self._sound.ready is None:
            raise ApiError(
                503, "no-media", "The voice process does not run.", "Run: fencewire doctor"
            )

    async def _ready(self, recording: str) -> Kept:
        info = await self.find(recording)
        if info.state == "recording":
            raise ApiError(409, "recording", "It is still being recorded.", "Stop it first.")
        kept = self._shelf.kept.get(recording)
        if kept is None:
            raise ApiError(404, "unknown-recording", "There is no such recording any more.")
        return kept

    def _heard(self, event: NoteEvent) -> None:
        match event:
            case RecordingHeard() | RecordingEnded():
                self._recording_heard(event)
            case PlaybackMoved() | PlaybackEnded():
                self._playback_heard(event)

    def _recording_heard(self, event: RecordingHeard | RecordingEnded) -> None:
        live = self._live
        if live is None or live.info.id != event.recording:
            return
        if isinstance(event, RecordingHeard):
            live.info = replace(
                live.info,
                duration_ms=event.recorded_ms,
                level_db=event.level_db,
                text=event.detail,
            )
            self._publish("recording", live.info)
            return
        ended = replace(live.info, ended=event.end.value)
        task = asyncio.get_running_loop().create_task(self._complete(live, ended, event.detail))
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _complete(self, live: _Live, ended: Recording, text: str) -> None:
        """It is not recorded any more: keep what there is."""
        if live.ended.done():
            return
        kept = await asyncio.to_thread(self._shelf.complete, ended.id, live.path)
        if live.ended.done():
            return
        if kept is not None and live.unwanted:
            await asyncio.to_thread(self._shelf.remove, ended.id)
            kept = None
        if self._live is live:
            self._live = None
        if kept is not None:
            info = replace(_info(kept), ended=ended.ended, text=text)
            self._publish("recording", info)
        else:
            nothing = "" if live.unwanted else "Nothing was recorded."
            info = self._say_gone(ended, " ".join(filter(None, (text, nothing))))
        if not live.ended.done():
            live.ended.set_result(info)

    def _say_gone(self, info: Recording, text: str) -> Recording:
        self._gone = replace(info, state="gone", level_db=SILENT_DB, text=text)
        self._publish("recording", self._gone)
        return self._gone

    def _playback_heard(self, event: PlaybackMoved | PlaybackEnded) -> None:
        if isinstance(event, PlaybackEnded):
            descriptor = self._descriptors.pop(event.playback, None)
            if descriptor is not None:
                os.close(descriptor)
        playback = self._playback
        if playback is None or playback.id != event.playback:
            return
        playback = replace(playback, position_ms=event.position_ms, level_db=SILENT_DB)
        if isinstance(event, PlaybackMoved):
            state: Literal["paused", "playing"] = "paused" if event.paused else "playing"
            playback = replace(playback, state=state, level_db=event.level_db)
        else:
            playback = replace(playback, state="over", ended=event.end.value, text=event.detail)
        self._playback = playback
        self._publish("playback", playback)


def in_memory(sound: bytes) -> int:
    """A file that is only memory, for an attachment that lies sealed on the disk.

    Raises `ApiError` when it is too large to be played.
    """
    if len(sound) > MAX_IN_MEMORY:
        raise ApiError(413, "too-large", "This sound is too long to be played here.", "Save it.")
    descriptor = os.memfd_create("attachment", os.MFD_CLOEXEC)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(sound)
    return descriptor


def _info(kept: Kept) -> Recording:
    return Recording(kept.id, "ready", kept.duration_ms, kept.bytes, SILENT_DB, None, "")


def _disk(error: OSError) -> ApiError:
    return ApiError(
        507,
        "disk",
        f"The disk refuses: {error.strerror}.",
        "Make room, or try another disk.",
    )
