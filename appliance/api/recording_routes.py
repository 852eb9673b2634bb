"""The endpoints of the local API that are about voice messages."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from appliance.api.backend import Backend
from appliance.api.recordings import (
    MAX_RECORDING_S,
    ChangePlayback,
    NewRecording,
    StartPlayback,
)
from appliance.api.routing import Route, bad_request, body, check_sound_files

_MAX_MS: Final = 24 * 3_600_000


async def _recordings(backend: Backend, _request: web.Request) -> object:
    return await backend.recordings.all()


async def _start(backend: Backend, request: web.Request) -> object:
    new = await body(request, NewRecording)
    check_sound_files(new.play)
    if not 0 < new.max_s <= MAX_RECORDING_S:
        raise bad_request(
            f"max_s should be above 0 and at most {MAX_RECORDING_S:g}.", "Change max_s."
        )
    return await backend.recordings.start(new)


async def _recording(backend: Backend, request: web.Request) -> object:
    return await backend.recordings.find(request.match_info["recording"])


async def _stop(backend: Backend, request: web.Request) -> object:
    return await backend.recordings.stop(request.match_info["recording"])


async def _cancel(backend: Backend, request: web.Request) -> object:
    await backend.recordings.cancel(request.match_info["recording"])
    return None


async def _sound(backend: Backend, request: web.Request) -> object:
    sound = await backend.recordings.sound(request.match_info["recording"])
    return web.Response(body=sound, content_type="audio/ogg")


async def _playback(backend: Backend, _request: web.Request) -> object:
    return backend.recordings.playback()


async def _play(backend: Backend, request: web.Request) -> object:
    start = await body(request, StartPlayback)
    check_sound_files(start.record)
    if (start.recording is None) == (start.message is None):
        raise bad_request("Either recording or message says what to play.", "Give one of them.")
    if not 0 <= start.from_ms <= _MAX_MS or not 0 <= start.attachment < 1_000:
        raise bad_request("from_ms and attachment are 0 or more.", "Change them.")
    return await backend.recordings.play(start)


async def _change(backend: Backend, request: web.Request) -> object:
    change = await body(request, ChangePlayback)
    return backend.recordings.change_playback(paused=change.paused)


async def _end(backend: Backend, _request: web.Request) -> object:
    return backend.recordings.stop_playback()


RECORDING_ROUTES: Final = (
    Route(
        "GET",
        "/v1/recordings",
        "List voice messages that are not sent yet, latest first: a list of Recording.",
        _recordings,
    ),
    Route(
        "POST",
        "/v1/recordings",
        "Record a voice message, unless there is a call: NewRecording → Recording.",
        _start,
    ),
    Route("GET", "/v1/recordings/{recording}", "Find one: Recording.", _recording),
    Route(
        "POST",
        "/v1/recordings/{recording}/stop",
        "End and keep it; answers when it is on disk: Recording.",
        _stop,
    ),
    Route("DELETE", "/v1/recordings/{recording}", "Throw it away.", _cancel),
    Route(
        "GET",
        "/v1/recordings/{recording}/sound",
        "Return the file, which is no JSON but Opus in Ogg.",
        _sound,
    ),
    Route("GET", "/v1/playback", "Tell what is played, or was last: Playback.", _playback),
    Route(
        "POST",
        "/v1/playback",
        "Play a recording or an attachment, unless there is a call: StartPlayback → Playback.",
        _play,
    ),
    Route("PATCH", "/v1/playback", "Hold it or go on: ChangePlayback → Playback.", _change),
    Route("DELETE", "/v1/playback", "End what is played: Playback.", _end),
)
