"""The endpoints of the local API that are about attachments: bytes come and go in pieces."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from appliance.api.attachments import MAX_ATTACHMENTS
from appliance.api.backend import Backend
from appliance.api.routing import Route, bad_request

STALLED_S: Final = 30.0
"""After which a client that neither sends nor takes anything is given up."""


class _Body:
    def __init__(self, request: web.Request) -> None:
        self._content = request.content

    async def read(self, size: int) -> bytes:
        try:
            async with asyncio.timeout(STALLED_S):
                return await self._content.read(size)
        except TimeoutError:
            raise OSError(0, "nothing more came") from None
        except web.PayloadAccessError as error:
            raise OSError(0, "it broke off") from error
        except Exception as error:
            if isinstance(error, OSError):
                raise
            raise OSError(0, "it broke off") from error


async def _upload(backend: Backend, request: web.Request) -> object:
    size = request.content_length
    if size is None:
        raise bad_request("An upload has to say how large it is.", "Send a Content-Length.")
    name = request.query.get("name", "")
    media_type = request.query.get("type", "")
    return await backend.attachments.upload(name, media_type, size, _Body(request))


async def _discard(backend: Backend, request: web.Request) -> object:
    await backend.attachments.discard(request.match_info["upload"])
    return None


def _index(request: web.Request) -> int:
    text = request.match_info["index"]
    if not (text.isascii() and text.isdigit() and len(text) < 4 and int(text) < MAX_ATTACHMENTS):
        raise bad_request("An attachment is a number from 0 on.", "Look at the message.")
    return int(text)


async def _fetch(backend: Backend, request: web.Request) -> object:
    return await backend.attachments.fetch(request.match_info["message"], _index(request))


async def _download(backend: Backend, request: web.Request) -> object:
    opened = await backend.attachments.open(request.match_info["message"], _index(request))
    response = web.StreamResponse()
    response.content_length = opened.size
    # What its author calls it is for programs to judge that know where it comes from.
    response.content_type = "application/octet-stream"
    response.force_close()
    await response.prepare(request)
    try:
        async for piece in opened.pieces:
            async with asyncio.timeout(STALLED_S):
                await response.write(piece)
    except BaseException:
        # A short answer must not look like a whole one.
        if request.transport is not None:
            request.transport.abort()
        raise
    await response.write_eof()
    return response


ATTACHMENT_ROUTES: Final = (
    Route(
        "POST",
        "/v1/attachments",
        "Keep the body, ?name= of a file and of a media ?type=, for a message to come: Upload.",
        _upload,
        streams=True,
    ),
    Route(
        "DELETE",
        "/v1/attachments/{upload}",
        "Throw an upload away that no message takes along.",
        _discard,
    ),
    Route(
        "GET",
        "/v1/messages/{message}/attachments/{index}",
        "Return the file, which is no JSON; 409 not-here while not all of it is here.",
        _download,
    ),
    Route(
        "POST",
        "/v1/messages/{message}/attachments/{index}/fetch",
        "Get an attachment that is not fetched by itself: Message.",
        _fetch,
    ),
)
