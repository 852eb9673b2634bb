"""Bytes from a peer to a SIP message that can be relied on.

`sipmessage` knows the grammar of single headers but neither header folding, bare line feeds nor
``Contact: *``, parses headers only when they are asked for, and answers bad ones with several kinds
of exception.  This reader stands in front of it: it is bounded, tolerates what real phones send,
and looks at every header that the code behind it uses.  Finding messages in a TCP stream
stays out: sessions and datagrams deliver them one by one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias, TypeVar

from sipmessage import URI, Request, Response
from sipmessage.message import COMPACT_FORMS

T = TypeVar("T")
Message: TypeAlias = Request | Response

MAX_MESSAGE_BYTES: Final = 16_384
"""Ours: the largest message; a long SDP of a phone with video is about 4 KiB."""

MAX_HEADERS: Final = 64
"""Ours: header lines of one message, after unfolding."""

MAX_LINE_CHARS: Final = 2_048
"""Ours: one header line after unfolding; the longest regular expression input there is."""

MAX_CSEQ: Final = 2**31 - 1
"""RFC 3261 section 8.1.1.5."""

_BLANK_LINE: Final = re.compile(rb"\r?\n\r?\n")
_LINE_END: Final = re.compile(r"\r?\n")
_TOKEN: Final = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+")
_REQUEST_LINE: Final = re.compile(r"([A-Za-z0-9\-.!%*_+`'~]{1,32}) ([^ ]+) SIP/2\.0", re.IGNORECASE)
_STATUS_LINE: Final = re.compile(r"SIP/2\.0 ([1-6][0-9][0-9])(?: (.*))?", re.IGNORECASE)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029]")
_NUMBER: Final = re.compile(r"[0-9]{1,10}")
_SCHEME: Final = re.compile(r"[A-Za-z]+:")
_BARE_RECEIVED: Final = re.compile(
    r"(;\s*received\s*=\s*)([0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)", re.IGNORECASE
)

_ONCE: Final = frozenset(
    {"call-id", "content-length", "content-type", "cseq", "from", "max-forwards", "to"}
)
_NEEDED: Final = frozenset({"call-id", "cseq", "from", "to", "via"})
_LISTS: Final = ("contact", "record_route", "route", "via")
_LONG_NAMES: Final = {name.lower(): name for name in COMPACT_FORMS.values()}


class SipError(ValueError):
    """A peer sent bytes that are no SIP message; the message says what is wrong with them."""


def read_message(data: bytes) -> Message:
    """Read one whole message.

    On return these accessors are known to work: `via` (not empty, with a branch in the first),
    `from_address`, `to_address`, `call_id`, `cseq`, `contact`, `record_route`, `route`, `require`,
    `max_forwards`, `content_type`; a request has a From tag.  ``Contact: *`` is let through in a
    REGISTER, as the raw header alone.  Raises SipError, and nothing else.
    """
    if len(data) > MAX_MESSAGE_BYTES:
        raise SipError(f"a message of {len(data)} bytes is too long")
    data = data.lstrip(b"\r\n")  # RFC 3261 section 7.5
    end = _BLANK_LINE.search(data)
    if end is None:
        raise SipError("no blank line ends the headers")
    try:
        head = data[: end.start()].decode()
    except UnicodeDecodeError:
        raise SipError("the headers are not UTF-8") from None
    first, *rest = _unfold(head)
    message = _start(first)
    if len(rest) > MAX_HEADERS:
        raise SipError(f"{len(rest)} headers are too many")
    for line in rest:
        _add_header(message, line)
    _check(message)
    message.body = _body(message, data[end.end() :])
    return message


def is_star_contact(message: Message) -> bool:
    """Tell whether a REGISTER asks to forget every contact (RFC 3261 section 10.2.2)."""
    return message.headers.getlist("Contact") == ["*"]


def _unfold(head: str) -> list[str]:
    lines: list[str] = []
    for line in _LINE_END.split(head):
        if line[:1] in {" ", "\t"} and lines:
            lines[-1] = f"{lines[-1].rstrip()} {line.strip()}"
        else:
            lines.append(line)
        if len(lines[-1]) > MAX_LINE_CHARS:
            raise SipError("a header is too long")
    if any(_CONTROL.search(line) for line in lines):
        raise SipError("a header has a control character")
    return lines


def _start(line: str) -> Message:
    if match := _REQUEST_LINE.fullmatch(line):
        uri = _SCHEME.sub(lambda scheme: scheme[0].lower(), match[2], count=1)
        return Request(match[1], _parsed("request URI", partial(URI.parse, uri)))
    if match := _STATUS_LINE.fullmatch(line):
        return Response(int(match[1]), match[2] or "")
    raise SipError("the first line is neither a request's nor a response's")


def _add_header(message: Message, line: str) -> None:
    name, colon, value = line.partition(":")
    name = name.strip()
    if not colon or not _TOKEN.fullmatch(name):
        raise SipError("a header has no name")
    name = COMPACT_FORMS.get(name.lower(), name)
    name = _LONG_NAMES.get(name.lower(), name)
    if name.lower() in _ONCE and message.headers.get(name) is not None:
        raise SipError(f"{name} is there twice")
    if name == "Via":  # RFC 5118 section 4.5: an IPv6 address comes with brackets or without
        value = _BARE_RECEIVED.sub(r"\1[\2]", value)
    message.headers.add(name, value.strip())


def _check(message: Message) -> None:
    headers = message.headers
    present = {key.lower() for key in headers.keys()}  # noqa: SIM118 - not a mapping
    if missing := sorted(_NEEDED - present):
        raise SipError(f"{missing[0]} is missing")
    if not headers["Call-ID"]:
        raise SipError("call-id is empty")
    for name in _LISTS:
        if name == "contact" and is_star_contact(message):
            if not isinstance(message, Request) or message.method != "REGISTER":
                raise SipError("only a REGISTER has the contact *")
            continue
        _parsed(name, partial(getattr, message, name))
    _parsed("from", lambda: message.from_address)
    _parsed("to", lambda: message.to_address)
    _parsed("content-type", lambda: message.content_type)
    if (hops := headers.get("Max-Forwards")) is not None and not _NUMBER.fullmatch(hops):
        raise SipError("max-forwards is no number")
    if not message.via or not message.via[0].parameters.get("branch"):
        raise SipError("the first via has no branch")
    _check_cseq(message)
    if isinstance(message, Request) and not message.from_address.parameters.get("tag"):
        raise SipError("from has no tag")


def _check_cseq(message: Message) -> None:
    number, _, method = " ".join(message.headers["CSeq"].split()).partition(" ")
    if not _NUMBER.fullmatch(number) or int(number) > MAX_CSEQ or not _TOKEN.fullmatch(method):
        raise SipError("cseq is not a number and a method")
    if isinstance(message, Request) and method != message.method:
        raise SipError("cseq names another method than the request")


def _parsed(what: str, parse: Callable[[], T]) -> T:
    """Call a parser of sipmessage; its TypeError is a parameter with the name ``self``."""
    try:
        return parse()
    except (ValueError, TypeError, KeyError) as error:
        raise SipError(f"{what}: {error}") from None


def _body(message: Message, data: bytes) -> bytes:
    """Cut the body to Content-Length; what follows is ignored (RFC 3261 section 18.3)."""
    length = message.headers.get("Content-Length")
    if length is None:
        return data
    if not _NUMBER.fullmatch(length):
        raise SipError("content-length is no number")
    if int(length) > len(data):
        raise SipError("the body is shorter than content-length")
    return data[: int(length)]
