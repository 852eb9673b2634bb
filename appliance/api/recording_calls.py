"""The part of the client library that is about voice messages."""

from __future__ import annotations

from appliance.api.calling import Caller, listed, quoted, shaped
from appliance.api.recordings import (
    MAX_RECORDING_S,
    ChangePlayback,
    NewRecording,
    Playback,
    Recording,
    StartPlayback,
)


class RecordingCalls(Caller):
    """Recording and playing."""

    async def recordings(self) -> tuple[Recording, ...]:
        """List recordings that are not sent yet, latest first."""
        return listed(Recording, await self._call("GET", "/v1/recordings"))

    async def start_recording(
        self, *, max_s: float = MAX_RECORDING_S, play: str | None = None
    ) -> Recording:
        """Begin to record; `play` is a WAV file in place of the microphone."""
        new = NewRecording(max_s, play)
        return shaped(Recording, await self._call("POST", "/v1/recordings", new))

    async def recording(self, recording: str) -> Recording:
        """Find one."""
        return shaped(Recording, await self._call("GET", f"/v1/recordings/{quoted(recording)}"))

    async def stop_recording(self, recording: str) -> Recording:
        """End it and keep it; returns when it is on the disk."""
        target = f"/v1/recordings/{quoted(recording)}/stop"
        return shaped(Recording, await self._call("POST", target))

    async def cancel_recording(self, recording: str) -> None:
        """Throw it away."""
        await self._call("DELETE", f"/v1/recordings/{quoted(recording)}")

    async def recording_sound(self, recording: str) -> bytes:
        """Return the file: Opus in Ogg."""
        return await self._bytes("GET", f"/v1/recordings/{quoted(recording)}/sound")

    async def playback(self) -> Playback:
        """Tell what is played, or was last."""
        return shaped(Playback, await self._call("GET", "/v1/playback"))

    async def play(self, start: StartPlayback) -> Playback:
        """Begin to play a recording or an attachment."""
        return shaped(Playback, await self._call("POST", "/v1/playback", start))

    async def pause_playback(self, *, paused: bool) -> Playback:
        """Hold it, or go on."""
        answer = await self._call("PATCH", "/v1/playback", ChangePlayback(paused))
        return shaped(Playback, answer)

    async def stop_playback(self) -> Playback:
        """End what is played."""
        return shaped(Playback, await self._call("DELETE", "/v1/playback"))
