"""Voice messages that are only memory: the fake of `RecordingBackend`."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

from appliance.api.backend import ApiError
from appliance.api.event_log import EventLog
from appliance.api.recordings import (
    NewRecording,
    Playback,
    Recording,
    RecordingBackend,
    StartPlayback,
)


class MemoryRecordings(RecordingBackend):
    """Whatever is recorded is 1.5 s long; what is played stands still until a test pushes it."""

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self.kept: dict[str, Recording] = {}
        self.asked: list[NewRecording | StartPlayback] = []
        self.played: Playback | None = None

    def push_recording(self, recording: Recording) -> Recording:
        """Bring a recording into a state."""
        self.kept[recording.id] = recording
        self.log.publish("recording", recording)
        return recording

    def push_playback(self, playback: Playback) -> Playback:
        """Bring what is played into a state."""
        self.played = playback
        self.log.publish("playback", playback)
        return playback

    async def all(self) -> tuple[Recording, ...]:
        return tuple(reversed(self.kept.values()))

    async def start(self, new: NewRecording) -> Recording:
        self.asked.append(new)
        number = f"{len(self.asked):016x}"
        return self.push_recording(Recording(number, "recording", 0, 0, -100.0, None, ""))

    async def find(self, recording: str) -> Recording:
        if recording not in self.kept:
            raise ApiError(404, "unknown-recording", "There is no such recording.")
        return self.kept[recording]

    async def stop(self, recording: str) -> Recording:
        found = await self.find(recording)
        return self.push_recording(
            replace(found, state="ready", duration_ms=1_500, bytes=4_000, ended="done")
        )

    async def cancel(self, recording: str) -> None:
        self.push_recording(replace(await self.find(recording), state="gone"))
        del self.kept[recording]

    async def sound(self, recording: str) -> bytes:
        await self.find(recording)
        return b"OggS\xff\x00"

    def playback(self) -> Playback:
        if self.played is None:
            raise ApiError(404, "no-playback", "Nothing was played yet.")
        return self.played

    async def play(self, start: StartPlayback) -> Playback:
        self.asked.append(start)
        return self.push_playback(
            Playback(
                id=f"p{len(self.asked)}",
                recording=start.recording,
                message=start.message,
                attachment=start.attachment,
                state="playing",
                position_ms=start.from_ms,
                duration_ms=1_500,
                level_db=-20.0,
                ended=None,
                text="",
            )
        )

    def change_playback(self, *, paused: bool) -> Playback:
        return self.push_playback(replace(self.playback(), state="paused" if paused else "playing"))

    def stop_playback(self) -> Playback:
        return self.push_playback(replace(self.playback(), state="over", ended="done"))


class WithRecordings:
    """The part of a backend that has them."""

    log: EventLog
    other_recordings: RecordingBackend | None = None
    """In place of those in memory."""

    @cached_property
    def memory_recordings(self) -> MemoryRecordings:
        return MemoryRecordings(self.log)

    @property
    def recordings(self) -> RecordingBackend:
        return self.other_recordings or self.memory_recordings
