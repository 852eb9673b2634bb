"""Files and voice messages of a daemon in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from appliance.api.attachments import Attachment, Upload
from appliance.api.recordings import MAX_RECORDING_S, Playback, Recording, StartPlayback
from appliance.api.schema import EventType, Message


class FakeFiles:
    """The part of the fake daemon that is about them."""

    stored: list[Message]

    def __init__(self) -> None:
        self.files: dict[str, Upload] = {}
        self.uploading: asyncio.Event | None = None
        """Uploads wait for it."""
        self.recorded: dict[str, Recording] = {}
        self.plays: list[StartPlayback] = []
        self.played: Playback | None = None

    def tell(self, kind: EventType, data: object = None) -> None:
        """Let an event happen."""
        raise NotImplementedError

    def _check(self) -> None:
        raise NotImplementedError

    def attached(self, ids: Sequence[str]) -> tuple[Attachment, ...]:
        """Return what a message has that is sent with these."""
        return tuple(
            Attachment(n, self.files[one].name, self.files[one].bytes, "", "", 0, "here", 0, None)
            if one in self.files
            else Attachment(n, "voice.ogg", 4_000, "audio/ogg", "", 1_500, "here", 0, None)
            for n, one in enumerate(ids)
        )

    async def upload(
        self, path: Path, *, name: str | None = None, media_type: str | None = None
    ) -> Upload:
        self._check()
        if self.uploading is not None:
            await self.uploading.wait()
        content = await asyncio.to_thread(path.read_bytes)
        found = Upload(f"u{len(self.files)}", path.name, len(content), "", "")
        self.files[found.id] = found
        return found

    async def discard(self, upload: str) -> None:
        self._check()
        del self.files[upload]

    async def fetch(self, message: str, index: int) -> Message:
        self._check()
        found = next(one for one in self.stored if one.id == message)
        coming = tuple(
            replace(one, state="fetching") if one.index == index else one
            for one in found.attachments
        )
        return replace(found, attachments=coming)

    async def download(self, message: str, index: int, path: Path) -> int:
        self._check()
        with path.open("xb") as file:
            return file.write(b"what came")

    async def start_recording(
        self, *, max_s: float = MAX_RECORDING_S, play: str | None = None
    ) -> Recording:
        self._check()
        number = f"r{len(self.recorded)}"
        self.recorded[number] = Recording(number, "recording", 0, 0, -100.0, None, "")
        return self.recorded[number]

    async def stop_recording(self, recording: str) -> Recording:
        self._check()
        found = self.recorded[recording]
        return self.record(
            replace(found, state="ready", duration_ms=1_500, bytes=4_000, ended="done")
        )

    async def cancel_recording(self, recording: str) -> None:
        self._check()
        self.record(replace(self.recorded[recording], state="gone"))

    def record(self, recording: Recording) -> Recording:
        """Bring a recording further."""
        self.recorded[recording.id] = recording
        self.tell("recording", recording)
        return recording

    async def play(self, start: StartPlayback) -> Playback:
        self._check()
        self.plays.append(start)
        number = f"p{len(self.plays)}"
        return self.play_on(
            Playback(
                number,
                start.recording,
                start.message,
                start.attachment,
                "playing",
                0,
                1_500,
                -20.0,
                None,
                "",
            )
        )

    def play_on(self, playback: Playback) -> Playback:
        """Bring what is played further."""
        self.played = playback
        self.tell("playback", playback)
        return playback

    async def pause_playback(self, *, paused: bool) -> Playback:
        self._check()
        assert self.played is not None
        return self.play_on(replace(self.played, state="paused" if paused else "playing"))

    async def stop_playback(self) -> Playback:
        self._check()
        assert self.played is not None
        return self.play_on(replace(self.played, state="over", ended="done"))
