"""The endpoints of the local API that are about talk groups."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from appliance.api.backend import Backend
from appliance.api.routing import Route, bad_request, body, check_sound_files
from appliance.api.talking import MAX_REPLAY_S, Listen, Press, Replay


def _named(request: web.Request) -> str:
    return request.match_info["channel"]


async def _channels(backend: Backend, _request: web.Request) -> object:
    return backend.talk.all()


async def _listen(backend: Backend, request: web.Request) -> object:
    wanted = await body(request, Listen)
    check_sound_files(wanted.record)
    return await backend.talk.listen(_named(request), wanted)


async def _press(backend: Backend, request: web.Request) -> object:
    wanted = await body(request, Press)
    check_sound_files(wanted.play)
    return await backend.talk.press(_named(request), wanted)


async def _release(backend: Backend, request: web.Request) -> object:
    return await backend.talk.release(_named(request))


async def _replay(backend: Backend, request: web.Request) -> object:
    wanted = await body(request, Replay)
    if not 0 < wanted.from_s <= MAX_REPLAY_S:
        raise bad_request(
            f"from_s should be above 0 and at most {MAX_REPLAY_S:g}.", "Change from_s."
        )
    return backend.talk.replay(_named(request), wanted)


_ONE: Final = "/v1/talk/{channel}"

TALKING_ROUTES: Final = (
    Route("GET", "/v1/talk", "List channels of push to talk: a list of TalkInfo.", _channels),
    Route("POST", f"{_ONE}/listen", "Hear a channel, or no more: Listen → TalkInfo.", _listen),
    Route(
        "POST",
        f"{_ONE}/press",
        "Press the key: speak, or wait for our turn: Press → TalkInfo.",
        _press,
    ),
    Route("POST", f"{_ONE}/release", "Let the key go: TalkInfo.", _release),
    Route(
        "POST",
        f"{_ONE}/replay",
        "Play again what was said in the last 2 minutes, or stop: Replay → TalkInfo.",
        _replay,
    ),
)
