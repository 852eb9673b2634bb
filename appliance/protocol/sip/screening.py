"""Which requests a user agent refuses before it looks at what they mean (RFC 3261 section 8.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sipmessage import Request

from appliance.protocol.sip.message import METHODS, ROSTER, SDP, tag_of

EXTENSIONS: Final[frozenset[str]] = frozenset()
"""Option tags that a request may Require: none so far."""


@dataclass(frozen=True)
class Refusal:
    """How to answer a request that can't be served."""

    code: int
    """Status code."""

    extra: tuple[tuple[str, str], ...] = ()
    """Headers of the response."""


def screen(request: Request, *, merged: bool) -> Refusal | None:
    """Return why a request is refused, or None.  `merged`: it came by another way before."""
    if request.method not in METHODS:
        return Refusal(405)
    if request.uri.scheme not in {"sip", "sips"}:
        return Refusal(416)
    if merged and not tag_of(request.to_address):
        return Refusal(482)
    if request.method == "CANCEL":  # section 8.2.2.3: Require does not count here
        return None
    unknown = sorted(set(request.require) - EXTENSIONS - {""})
    if unknown:
        return Refusal(420, (("Unsupported", ", ".join(unknown)),))
    content_type = request.content_type
    wanted = ROSTER if request.method == "INFO" else SDP
    if request.body and (content_type is None or content_type.mime_type.lower() != wanted):
        return Refusal(415, (("Accept", wanted),))
    if request.method == "INVITE" and not request.contact:
        return Refusal(400)
    return None
