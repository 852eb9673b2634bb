"""Requests about voice messages, made beside the screen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from appliance.api.errors import ClientError
from appliance.api.recordings import Playback, Recording
from appliance.tui.actions import Action, PlaybackCame, RecordingCame
from appliance.tui.client import StationClient


class Voice:
    """What records and plays."""

    def __init__(
        self,
        client: StationClient,
        *,
        dispatch: Callable[[Action], None],
        say: Callable[[str, bool], None],
        start: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._client = client
        self._dispatch = dispatch
        self._say = say
        self._start = start

    def took(self, recording: Recording) -> None:
        """Take what the daemon told of a recording."""
        self._dispatch(RecordingCame(recording))

    def plays(self, playback: Playback) -> None:
        """Take what the daemon told of what is played."""
        self._dispatch(PlaybackCame(playback))

    def stop(self, recording: str) -> None:
        """End a recording and keep it."""
        self._start(self._took(self._client.stop_recording(recording)))

    def throw_away(self, recording: str) -> None:
        """End a recording and delete it."""
        self._start(self._throw_away(recording))

    async def _throw_away(self, recording: str) -> None:
        try:
            await self._client.cancel_recording(recording)
        except ClientError as error:
            self._say(str(error), True)

    async def _took(self, request: Awaitable[Recording]) -> None:
        try:
            self.took(await request)
        except ClientError as error:
            self._say(str(error), True)

    def pause(self, *, paused: bool) -> None:
        """Hold what is played, or go on."""
        self._start(self._plays(self._client.pause_playback(paused=paused)))

    def stop_playing(self) -> None:
        """End what is played."""
        self._start(self._plays(self._client.stop_playback()))

    async def _plays(self, request: Awaitable[Playback]) -> None:
        try:
            self.plays(await request)
        except ClientError as error:
            self._say(str(error), True)
