"""The endpoints of the local API that are about what is kept: pages, search, recipients, room."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from appliance.api import requests as ask
from appliance.api.backend import Backend
from appliance.api.routing import Route, bad_request, body, integer
from appliance.api.storage import MAX_RECIPIENTS, MAX_SEARCH_CHARS, SetStorage

_MAX_INTEGER: Final = 2**63 - 1
"""What SQLite can compare."""

_ID_CHARS: Final = 64


def _place(request: web.Request, where: str) -> tuple[int | None, str | None]:
    """Read where to go on: order and id of a message."""
    order = integer(request, where, least=0, most=_MAX_INTEGER)
    message = request.query.get(f"{where}_id")
    if message is not None:
        if order is None:
            raise bad_request(f"{where}_id goes with {where}.", "Give both.")
        if len(message) != _ID_CHARS or set(message) - set("0123456789abcdef"):
            raise bad_request(f"{where}_id should be the id of a message.", f"Change {where}_id.")
    return order, message


async def _messages(backend: Backend, request: web.Request) -> object:
    limit = integer(request, "limit", least=1, most=ask.MAX_PAGE)
    before, before_id = _place(request, "before")
    after, after_id = _place(request, "after")
    if before is not None and after is not None:
        raise bad_request("before and after don't go together.", "Give one of them.")
    return await backend.messages(
        request.query.get("with"),
        before=before,
        before_id=before_id,
        after=after,
        after_id=after_id,
        limit=limit or ask.DEFAULT_PAGE,
    )


async def _search(backend: Backend, request: web.Request) -> object:
    limit = integer(request, "limit", least=1, most=ask.MAX_PAGE)
    words = request.query.get("words", "")
    if not words.strip() or len(words) > MAX_SEARCH_CHARS:
        raise bad_request(
            f"words should be 1 to {MAX_SEARCH_CHARS} characters to look for.", "Change words."
        )
    before, before_id = _place(request, "before")
    return await backend.search(
        words,
        request.query.get("with"),
        before=before,
        before_id=before_id,
        limit=limit or ask.DEFAULT_PAGE,
    )


async def _recipients(backend: Backend, request: web.Request) -> object:
    limit = integer(request, "limit", least=1, most=MAX_RECIPIENTS)
    return await backend.recipients(
        request.match_info["message"],
        after=request.query.get("after"),
        limit=limit or MAX_RECIPIENTS,
    )


async def _storage(backend: Backend, _request: web.Request) -> object:
    return await backend.storage()


async def _set_storage(backend: Backend, request: web.Request) -> object:
    return await backend.set_storage(await body(request, SetStorage))


STORAGE_ROUTES: Final = (
    Route(
        "GET",
        "/v1/messages",
        "Page back through ?with= one conversation, or all; ?before= an order and ?before_id= an"
        " id, those of the oldest message that you have; or forwards, ?after= and ?after_id= those"
        " of the newest; ?limit= 1 to 200: MessagePage.",
        _messages,
    ),
    Route(
        "GET",
        "/v1/messages/search",
        "Look for all of ?words= in any case, latest first, ?with= one conversation, or all; stops"
        " after a while, and goes on from ?before= and ?before_id= of its answer: FoundMessages.",
        _search,
    ),
    Route(
        "GET",
        "/v1/messages/{message}/recipients",
        "Tell how far a message of ours came with whom, ?after= an id, ?limit= 1 to 200:"
        " Recipients.",
        _recipients,
    ),
    Route("GET", "/v1/storage", "Tell how much is kept, and what had to go: Storage.", _storage),
    Route(
        "PUT",
        "/v1/storage",
        "Choose how much is kept at most: SetStorage → Storage.",
        _set_storage,
    ),
)
"""To be tried before those with an id in the place of ``search``."""
