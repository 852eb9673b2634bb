"""The bodies of requests to the local API, version 1.

A field that the daemon does not know is refused, so that a request never means less than its
author thought.  `schema` holds what comes back.
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.api.schema import Precedence

MAX_BODY_BYTES = 128 * 1024
"""Room for 16,000 characters in UTF-8 (64 kB at most) or as escapes of six bytes (96 kB); only
emoji written as pairs of escapes are too large before they are too long."""

MAX_TEXT_CHARS = 16_000
"""Of one message."""

MAX_PEER_TIMEOUT_S = 60.0
MAX_PAGE = 200
"""Messages in one answer."""

DEFAULT_PAGE = 50


@dataclass(frozen=True)
class SetName:
    """PUT /v1/name."""

    name: str
    """1 to 40 visible characters."""


@dataclass(frozen=True)
class AddPeer:
    """POST /v1/peers."""

    host: str
    """Name or address; an IPv6 address without brackets, with its scope where it needs one."""

    port: int | None = None
    """None: the usual one."""

    timeout_s: float = 10.0
    """At most 60."""


@dataclass(frozen=True)
class NewMessage:
    """POST /v1/messages."""

    to: str
    """A station's id or the first 4 characters of it, its name or number; or ``everyone``."""

    text: str
    """1 to 16,000 characters; none are needed where files come with it."""

    line: str = "console"
    """Line at the recipient."""

    precedence: Precedence = "routine"
    """How urgent it is."""

    lifetime_s: int | None = None
    """After that it is not delivered any more; None: as long as such messages usually live."""

    attachments: tuple[str, ...] = ()
    """Ids of uploads or of recordings, at most 16; they belong to the message then."""


@dataclass(frozen=True)
class MarkRead:
    """POST /v1/messages/read."""

    conversation: str
    """Station id, or ``everyone``."""

    up_to: int
    """`Message.order` of the latest that was seen."""


@dataclass(frozen=True)
class MarkedRead:
    """What POST /v1/messages/read answers."""

    count: int
    """How many of them had been unread."""


@dataclass(frozen=True)
class Draft:
    """GET and PUT /v1/drafts/CONVERSATION."""

    text: str
    """What was begun; empty: nothing."""


@dataclass(frozen=True)
class PlaceCall:
    """POST /v1/calls."""

    to: str
    """As in `NewMessage`, but never ``everyone``."""

    line: str = "console"
    """Line at the other side."""

    play: str | None = None
    """Absolute path of a WAV file in place of the microphone, as the daemon sees it."""

    record: str | None = None
    """Absolute path of a WAV file in place of the speaker, as the daemon sees it."""


@dataclass(frozen=True)
class Answer:
    """POST /v1/calls/ID/answer."""

    play: str | None = None
    """As in `PlaceCall`."""

    record: str | None = None
    """As in `PlaceCall`."""


@dataclass(frozen=True)
class ChangeCall:
    """PATCH /v1/calls/ID; what is None stays as it is."""

    muted: bool | None = None
    """Our microphone is off."""

    volume_pct: int | None = None
    """0 to 200."""

    push_to_talk: bool | None = None
    """The microphone is heard only while the key is held."""

    talking: bool | None = None
    """With `push_to_talk`: the key is held.  It counts as let go after a minute."""


@dataclass(frozen=True)
class StartVerification:
    """POST /v1/stations/STATION/verify."""

    id: str | None = None
    """The whole id as its operator read it out; None: compare six digits live."""


@dataclass(frozen=True)
class FinishVerification:
    """POST /v1/verifications/ID."""

    match: bool
    """Both operators saw the same digits."""


@dataclass(frozen=True)
class SetSound:
    """PUT /v1/sound; None: the system's default device."""

    input: str | None = None
    """One of `SoundSettings.inputs`."""

    output: str | None = None
    """One of `SoundSettings.outputs`."""

    handset: bool | None = None
    """As in `SoundSettings`; None: as it is."""

    talk_key: str | None = None
    """One of `SoundSettings.talk_keys`, or empty for none; None: as it is."""


@dataclass(frozen=True)
class Endpoint:
    """One line of GET /v1."""

    method: str
    """Such as ``GET``."""

    path: str
    """With ``{placeholders}``."""

    text: str
    """What it does, in a sentence."""


@dataclass(frozen=True)
class Index:
    """GET /v1."""

    version: int
    """Of the API."""

    endpoints: tuple[Endpoint, ...]
    """All there are."""
