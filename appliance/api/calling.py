"""How the client library asks the daemon: one request, one answer, in the API's shapes."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

from appliance.api import unix_http
from appliance.api.errors import RequestError
from appliance.api.jsonable import JsonShapeError, from_json, to_json
from appliance.api.paths import default_api_path
from appliance.api.schema import ErrorBody

T = TypeVar("T")
TIMEOUT_S: Final = 30.0
"""For an answer; the daemon answers from memory or its disk."""


class Caller:
    """The daemon behind one socket."""

    def __init__(self, path: Path | None = None, *, timeout_s: float = TIMEOUT_S) -> None:
        self.path = path or default_api_path()
        self._timeout_s = timeout_s

    async def _call(
        self, method: str, target: str, body: object = None, *, timeout_s: float | None = None
    ) -> object:
        content = None
        if body is not None:
            text = json.dumps(_asked(body), ensure_ascii=False)
            try:
                content = text.encode()
            except UnicodeEncodeError:
                raise RequestError(
                    400, "bad-request", "This text has bytes that are no characters.", "Send UTF-8."
                ) from None
        answer = await self._bytes(method, target, content, timeout_s=timeout_s)
        return parsed(answer)

    async def _bytes(
        self,
        method: str,
        target: str,
        content: bytes | None = None,
        *,
        timeout_s: float | None = None,
    ) -> bytes:
        status, answer = await unix_http.fetch(
            self.path, method, target, content, timeout_s=timeout_s or self._timeout_s
        )
        if status != 200:
            raise refusal(status, answer)
        return answer


def _asked(body: object) -> object:
    """What is to be said of a request: what has its usual value is left out, so that a daemon of an
    earlier version understands it unless it is asked for something new."""
    if not is_dataclass(body) or isinstance(body, type):
        return to_json(body)
    unusual = (f for f in fields(body) if getattr(body, f.name) != f.default)
    return {field.name: to_json(getattr(body, field.name)) for field in unusual}


def quoted(part: str) -> str:
    """One part of a path."""
    return quote(part, safe="", errors="replace")


def _foreign(error: Exception) -> RequestError:
    return RequestError(
        502,
        "bad-answer",
        f"The daemon's answer is not understood: {error}.",
        "Use a client and a daemon of the same version.",
    )


def parsed(content: bytes) -> object:
    """JSON of the daemon; raises RequestError."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _foreign(error) from None


def shaped(cls: type[T], data: object) -> T:
    """What came as `cls`; raises RequestError."""
    try:
        return from_json(cls, data)
    except JsonShapeError as error:
        raise _foreign(error) from None


def listed(cls: type[T], data: object) -> tuple[T, ...]:
    """What came as many `cls`; raises RequestError."""
    if not isinstance(data, list):
        raise _foreign(JsonShapeError("should be a list"))
    return tuple(shaped(cls, item) for item in data)


def refusal(status: int, content: bytes) -> RequestError:
    """What the daemon says when it does not do as asked."""
    data = parsed(content)
    body = shaped(ErrorBody, data.get("error") if isinstance(data, dict) else None)
    return RequestError(status, body.code, body.text, body.fix)
