"""The part of the local API that is about attachments: files that come with messages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from appliance.api.schema import Message

AttachmentState: TypeAlias = Literal["here", "fetching", "waiting", "refused"]

MAX_ATTACHMENTS = 16
"""Of one message."""

UPLOAD_KEPT_S = 24 * 3600.0
"""For so long what was uploaded waits for its message, and until the daemon ends."""


@dataclass(frozen=True)
class Attachment:
    """A file that comes with a message."""

    index: int
    """Its place in the message, from 0 on."""

    name: str
    """Of the file, without a path."""

    bytes: int
    """How large it is."""

    media_type: str
    """What its author says that it is; it may be anything."""

    preview: str
    """What can be said of it in text; at most 400 characters."""

    duration_ms: int
    """Voice messages: how long its author says that it takes; else 0."""

    state: AttachmentState
    """waiting: for somebody who has it, or for the operator's wish; refused: it is larger than is
    allowed here."""

    have_bytes: int
    """About how much of it is here."""

    problem: str | None
    """Why it is not here, and what can be done."""


@dataclass(frozen=True)
class Upload:
    """POST /v1/attachments: a file that a message may take along."""

    id: str
    """For `NewMessage.attachments`."""

    name: str
    """Under which it is sent."""

    bytes: int
    """How large it is."""

    media_type: str
    """What it is sent as."""

    preview: str
    """What is said of it to those who do not have it yet."""


@dataclass(frozen=True)
class Opened:
    """An attachment that can be read."""

    size: int
    """Bytes."""

    pieces: AsyncIterator[bytes]
    """All of it, each piece checked; raises ApiError where it is damaged."""


class Body(Protocol):
    """A request's body as it comes."""

    async def read(self, size: int) -> bytes:
        """Return 1 to so many bytes, none at its end; raises OSError when it breaks off."""


class AttachmentBackend(Protocol):
    """The part of the daemon that answers; raises `ApiError`."""

    async def upload(self, name: str, media_type: str, size: int, body: Body) -> Upload:
        """Keep a file for a message to come."""

    async def discard(self, upload: str) -> None:
        """No message will take this one along."""

    async def open(self, message: str, index: int) -> Opened:
        """Open an attachment that is here."""

    async def fetch(self, message: str, index: int) -> Message:
        """Get an attachment that is not fetched by itself."""
