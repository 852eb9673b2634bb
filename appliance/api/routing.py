"""How an endpoint of the local API is written down, and how it reads what it is asked."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from aiohttp import web

from appliance.api.backend import ApiError, Backend
from appliance.api.jsonable import JsonShapeError, from_json

T = TypeVar("T")
Action: TypeAlias = Callable[[Backend, web.Request], Awaitable[object]]
"""Answers a request with a dataclass, a tuple of them, None for an empty object, or what is no JSON
as a response of its own."""


@dataclass(frozen=True)
class Route:
    """One endpoint."""

    method: str
    """Such as ``GET``."""

    path: str
    """With ``{placeholders}``."""

    text: str
    """What it does, in a sentence."""

    action: Action
    """What it does."""

    streams: bool = False
    """It reads the body itself, as it comes."""

    body_bytes: int | None = None
    """What the body of a request may have; None: as much as most."""


async def body(request: web.Request, cls: type[T]) -> T:
    """Read a request's JSON body as `cls`; an empty body is an empty object."""
    raw = await request.read()
    try:
        data = json.loads(raw) if raw.strip() else {}
    except (ValueError, RecursionError):
        raise bad_request("The body is no JSON.", "Send one JSON object in UTF-8.") from None
    try:
        return from_json(cls, data, reject_unknown=True)
    except JsonShapeError as error:
        raise bad_request(
            f"The request is not as it should be: {error}.", "GET /v1 lists what there is."
        ) from None


def bad_request(text: str, fix: str) -> ApiError:
    """Return the error of a request that is malformed, whatever the daemon would say to it."""
    return ApiError(400, "bad-request", text, fix)


def integer(request: web.Request, name: str, *, least: int, most: int) -> int | None:
    """Read a number of the query; None where it is not given."""
    text = request.query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
        raise bad_request(f"{name} should be a whole number, {least} to {most}.", f"Change {name}.")
    return int(text)


def check_sound_files(*paths: str | None) -> None:
    """Refuse paths that mean nothing to the daemon."""
    for path in paths:
        if path is not None and (not path.startswith("/") or "\0" in path):
            raise bad_request(
                "A sound file should be given by its whole path, which begins with /.",
                "Give the whole path: the daemon does not know where you are.",
            )
