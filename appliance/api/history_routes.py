"""The endpoints of the local API that are about the record of calls."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from appliance.api import requests as ask
from appliance.api.backend import Backend
from appliance.api.calls import MAX_PAST_CALLS, SeeCalls
from appliance.api.routing import Route, bad_request, body, integer

_MAX_NUMBER: Final = 2**63 - 1
"""What SQLite can compare."""


async def _past_calls(backend: Backend, request: web.Request) -> object:
    missed = request.query.get("missed", "0")
    if missed not in {"0", "1"}:
        raise bad_request("missed should be 0 or 1.", "Change missed.")
    return await backend.history.page(
        request.query.get("with"),
        missed=missed == "1",
        before=integer(request, "before", least=0, most=_MAX_NUMBER),
        limit=integer(request, "limit", least=1, most=MAX_PAST_CALLS) or ask.DEFAULT_PAGE,
    )


async def _see(backend: Backend, request: web.Request) -> object:
    wanted = await body(request, SeeCalls)
    if not 0 <= wanted.up_to <= _MAX_NUMBER:
        raise bad_request("up_to should be the number of a call.", "Change up_to.")
    return await backend.history.see(wanted)


HISTORY_ROUTES: Final = (
    Route(
        "GET",
        "/v1/calls/history",
        "Page back through the record of calls, latest first: ?with= one station, ?missed=1 missed"
        " ones only, ?before= the number of the earliest that you have, ?limit= 1 to 200:"
        " CallPage.",
        _past_calls,
    ),
    Route(
        "POST",
        "/v1/calls/seen",
        "Note that missed calls were looked at: SeeCalls → SeenCalls.",
        _see,
    ),
)
