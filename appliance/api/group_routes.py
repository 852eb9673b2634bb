"""The endpoints of the local API that are about groups."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from appliance.api.backend import Backend
from appliance.api.groups import NewGroup, NewGroupName, NewHistory, OfStation
from appliance.api.routing import Route, body


def _named(request: web.Request) -> str:
    return request.match_info["group"]


async def _groups(backend: Backend, _request: web.Request) -> object:
    return backend.groups.all()


async def _group(backend: Backend, request: web.Request) -> object:
    return backend.groups.find(_named(request))


async def _make(backend: Backend, request: web.Request) -> object:
    return await backend.groups.make(await body(request, NewGroup))


async def _invite(backend: Backend, request: web.Request) -> object:
    return await backend.groups.invite(_named(request), (await body(request, OfStation)).station)


async def _remove(backend: Backend, request: web.Request) -> object:
    return await backend.groups.remove(_named(request), (await body(request, OfStation)).station)


async def _appoint(backend: Backend, request: web.Request) -> object:
    return await backend.groups.appoint(_named(request), (await body(request, OfStation)).station)


async def _rename(backend: Backend, request: web.Request) -> object:
    return await backend.groups.rename(_named(request), (await body(request, NewGroupName)).name)


async def _history(backend: Backend, request: web.Request) -> object:
    chosen = await body(request, NewHistory)
    return await backend.groups.choose_history(_named(request), chosen.history)


async def _leave(backend: Backend, request: web.Request) -> object:
    return await backend.groups.leave(_named(request))


async def _accept(backend: Backend, request: web.Request) -> object:
    return await backend.groups.accept(_named(request))


async def _decline(backend: Backend, request: web.Request) -> object:
    return await backend.groups.decline(_named(request))


_ONE: Final = "/v1/groups/{group}"

GROUP_ROUTES: Final = (
    Route("GET", "/v1/groups", "List groups: a list of Group.", _groups),
    Route("POST", "/v1/groups", "Make a group: NewGroup → Group.", _make),
    Route("GET", _ONE, "Find one by id, the start of it, or name: Group.", _group),
    Route("POST", f"{_ONE}/invite", "Bring a station in: OfStation → Group.", _invite),
    Route("POST", f"{_ONE}/remove", "Take a station out: OfStation → Group.", _remove),
    Route("POST", f"{_ONE}/admin", "Make a member an admin: OfStation → Group.", _appoint),
    Route("POST", f"{_ONE}/rename", "Give it another name: NewGroupName → Group.", _rename),
    Route(
        "POST",
        f"{_ONE}/history",
        "Choose what new members get of what was written before: NewHistory → Group.",
        _history,
    ),
    Route("POST", f"{_ONE}/leave", "Leave it: Group.", _leave),
    Route("POST", f"{_ONE}/accept", "Say yes to an invitation: Group.", _accept),
    Route("POST", f"{_ONE}/decline", "Say no to an invitation: Group.", _decline),
)
