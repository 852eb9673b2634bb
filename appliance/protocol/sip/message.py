"""Building SIP messages: requests, the responses to them, and the two requests made from others.

Headers of a request that come back in its responses are copied as text: `sipmessage` would
rewrite parameters that it has parsed (an IPv6 address in ``received``, a quoted string).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from sipmessage import URI, Address, CSeq, Request, Response

RandomBytes: TypeAlias = Callable[[int], bytes]
"""Gives so many unpredictable bytes; the daemon passes the kernel's."""

MAGIC_COOKIE: Final = "z9hG4bK"
"""RFC 3261 section 8.1.1.7."""

MAX_FORWARDS: Final = 70
"""RFC 3261 section 8.1.1.6."""

SDP: Final = "application/sdp"
ROSTER: Final = "application/vnd.fencewire.conference"
"""What an INFO (RFC 6086) brings: who is in a conference.

RFC 4575 says it in XML by SUBSCRIBE and NOTIFY, which for 16 people is 4 KiB a time and wants a
dialog usage beside the call's; the same facts in 600 bytes, by whom they concern alone, do here.
"""
METHODS: Final = ("INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "INFO")

PHRASES: Final = {
    100: "Trying",
    180: "Ringing",
    183: "Session Progress",
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    415: "Unsupported Media Type",
    416: "Unsupported URI Scheme",
    420: "Bad Extension",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    491: "Request Pending",
    500: "Server Internal Error",
    503: "Service Unavailable",
    603: "Decline",
}

INFO_PACKAGE: Final = "fencewire-conference"
"""RFC 6086 section 4.2: what an INFO is about."""

_KEY: Final = re.compile(r"(inline:)[^\s;]*", re.IGNORECASE)


@dataclass(frozen=True)
class Origin:
    """What a request says about the element that sends it."""

    transport: str
    """Transport of the Via header: ``WSS`` in a session, ``UDP`` to phones."""

    host: str
    """Host of the Via header (sent-by)."""

    user_agent: str = "Fencewire"
    """Product of the User-Agent header."""


def new_branch(random_bytes: RandomBytes) -> str:
    """Return a branch that no other transaction has."""
    return MAGIC_COOKIE + random_bytes(12).hex()


def new_tag(random_bytes: RandomBytes) -> str:
    """Return a From or To tag (RFC 3261 section 19.3 wants 32 bits of randomness)."""
    return random_bytes(8).hex()


def new_request(
    method: str,
    uri: URI,
    *,
    origin: Origin,
    branch: str,
    from_: str,
    to: str,
    call_id: str,
    cseq: int,
    contact: str | None = None,
    routes: Sequence[str] = (),
    body: bytes = b"",
) -> Request:
    """Make a request; a body is SDP, an INFO's is a `ROSTER`.

    `from_`, `to`, `contact` and `routes` are header texts.
    """
    request = Request(method, uri, body)
    headers = request.headers
    headers.add("Via", f"SIP/2.0/{origin.transport} {origin.host};branch={branch}")
    headers.add("Max-Forwards", str(MAX_FORWARDS))
    for route in routes:
        headers.add("Route", route)
    headers.add("From", from_)
    headers.add("To", to)
    headers.add("Call-ID", call_id)
    headers.add("CSeq", str(CSeq(cseq, method)))
    if contact is not None:
        headers.add("Contact", contact)
    if method in {"INVITE", "OPTIONS"}:
        headers.add("Allow", ", ".join(METHODS))
    if method == "INFO":
        headers.add("Info-Package", INFO_PACKAGE)
    headers.add("User-Agent", origin.user_agent)
    _finish(request)
    return request


def new_response(
    request: Request,
    code: int,
    *,
    to_tag: str | None = None,
    contact: str | None = None,
    body: bytes = b"",
    extra: Sequence[tuple[str, str]] = (),
) -> Response:
    """Make a response (RFC 3261 section 8.2.6); `to_tag` is added where the request has none."""
    response = Response(code, PHRASES[code], body)
    headers = response.headers
    for name in ("Via", "Record-Route", "From"):
        for value in request.headers.getlist(name):
            headers.add(name, value)
    to = request.headers["To"]
    if to_tag is not None and "tag" not in request.to_address.parameters:
        to = f"{to};tag={to_tag}"
    headers.add("To", to)
    headers.add("Call-ID", request.call_id)
    headers.add("CSeq", request.headers["CSeq"])
    if contact is not None:
        headers.add("Contact", contact)
    if code == 405 or (request.method in {"INVITE", "OPTIONS"} and code == 200):
        headers.add("Allow", ", ".join(METHODS))
    for name, value in extra:
        headers.add(name, value)
    _finish(response)
    return response


def _finish(message: Request | Response) -> None:
    if message.body:
        is_info = isinstance(message, Request) and message.method == "INFO"
        message.headers.add("Content-Type", ROSTER if is_info else SDP)
    message.headers.add("Content-Length", str(len(message.body)))


def _from_invite(invite: Request, method: str, to: str) -> Request:
    request = Request(method, invite.uri)
    headers = request.headers
    headers.add("Via", invite.headers["Via"])
    headers.add("Max-Forwards", str(MAX_FORWARDS))
    for route in invite.headers.getlist("Route"):
        headers.add("Route", route)
    headers.add("From", invite.headers["From"])
    headers.add("To", to)
    headers.add("Call-ID", invite.call_id)
    headers.add("CSeq", str(CSeq(invite.cseq.sequence, method)))
    _finish(request)
    return request


def ack_for_failure(invite: Request, response: Response) -> Request:
    """Make the ACK of a 300-699 response (RFC 3261 section 17.1.1.3)."""
    return _from_invite(invite, "ACK", response.headers["To"])


def cancel_for(invite: Request) -> Request:
    """Make the CANCEL of an INVITE (RFC 3261 section 9.1)."""
    return _from_invite(invite, "CANCEL", invite.headers["To"])


def tag_of(address: Address) -> str:
    """Return the tag of a From or To header; empty where there is none."""
    return address.parameters.get("tag") or ""


def redact(text: str) -> str:
    """Return a message's text without its SRTP keys (RFC 4568), fit for a log."""
    return _KEY.sub(r"\1(secret)", text)
