"""The endpoint of the local API that is about conferences."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from appliance.api.backend import Backend
from appliance.api.conferences import AddToCall
from appliance.api.routing import Route, body


async def _add(backend: Backend, request: web.Request) -> object:
    wanted = await body(request, AddToCall)
    call = request.match_info["call"]
    await backend.conferences.add(call, wanted.to)
    return next(one for one in backend.calls() if one.id == call)


CONFERENCE_ROUTES: Final = (
    Route(
        "POST",
        "/v1/calls/{call}/add",
        "Have another station join a call, up to 16: AddToCall → CallInfo.",
        _add,
    ),
)
