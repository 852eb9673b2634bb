"""The endpoints of the local API that are about records handed on by file."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from appliance.api.backend import Backend
from appliance.api.records import MAX_RECORDS, MAX_RECORDS_BYTES, FindRecords, HandRecords
from appliance.api.routing import Route, bad_request, body

_MAX_CURSOR_CHARS: Final = 100
_MAX_AGE_S: Final = 2**53


async def _hand_in(backend: Backend, request: web.Request) -> object:
    brought = await body(request, HandRecords)
    if len(brought.records) > MAX_RECORDS:
        raise _too_many()
    if any(not 0 <= one.age_s <= _MAX_AGE_S for one in brought.records):
        raise bad_request("age_s should be 0 or more.", "Change age_s or leave it out.")
    return await backend.records.hand_in(brought)


async def _handed_on(backend: Backend, request: web.Request) -> object:
    after = request.query.get("after")
    if after is not None and len(after) > _MAX_CURSOR_CHARS:
        raise bad_request("after should be `next` of an answer.", "Change after.")
    return await backend.records.handed_on(after)


async def _find(backend: Backend, request: web.Request) -> object:
    wanted = await body(request, FindRecords)
    if len(wanted.ids) > MAX_RECORDS:
        raise _too_many()
    return await backend.records.find(wanted.ids)


def _too_many() -> Exception:
    return bad_request(f"These are more than {MAX_RECORDS} records.", "Send fewer at once.")


RECORD_ROUTES: Final = (
    Route(
        "GET",
        "/v1/records",
        "List what this station has for others, to be taken there by hand: ?after= `next` of the"
        " answer before: HandedOn.",
        _handed_on,
    ),
    Route(
        "POST",
        "/v1/records",
        "Take records that somebody brought by hand; answers when they are on disk: HandRecords →"
        " HandedIn.",
        _hand_in,
        body_bytes=MAX_RECORDS_BYTES,
    ),
    Route(
        "POST",
        "/v1/records/find",
        "Find messages as their authors signed them: FindRecords → FoundRecords.",
        _find,
    ),
)
