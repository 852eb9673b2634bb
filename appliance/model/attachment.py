"""Attachments: what a message says of a file that goes with it, and how large that is on its way.

The bytes themselves travel as a blob (`protocol.chunks`), which carriers know as a `BlobRef` and
can check but not read.  Only this description, inside the message, names the file and holds its
key.  As a list: root, size, name, media type, key or null, preview, duration.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from appliance.model.codec import FormatError
from appliance.model.record import BlobRef

ROOT_SIZE: Final = 32
KEY_SIZE: Final = 32
MAX_NAME_BYTES: Final = 255
"""What file systems take (NAME_MAX)."""

MAX_MEDIA_TYPE_CHARS: Final = 127
MAX_PREVIEW_CHARS: Final = 400
MAX_DURATION_MS: Final = 24 * 3600 * 1000

CHUNK: Final = 256 * 1024
"""Bytes of each piece of a blob on its way, but for the last: each can be checked on its own."""

TAG: Final = 16
"""Of that, what sealing adds (RFC 8439 section 2.8)."""

MAX_BLOB: Final = 1 << 30
"""Bytes on their way: no operator can set a higher limit."""

UNNAMED: Final = "file"
OCTETS: Final = "application/octet-stream"

_MEDIA_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*")
"""RFC 6838 section 4.2, lower case, without parameters."""


def padded_size(size: int) -> int:
    """Return to what a sealed file is filled up, so that its size tells little of what it is.

    Padmé (Nikitin et al. 2019): at most 12 % more, and less the larger it is.
    """
    exponent = max(size.bit_length() - 1, 1)
    free_bits = exponent - exponent.bit_length()
    mask = (1 << max(free_bits, 0)) - 1
    return (size + mask) & ~mask


def travelling_size(size: int, *, sealed: bool) -> int:
    """Return how many bytes a file of `size` has on its way."""
    if not sealed:
        return size
    padded = padded_size(size)
    return padded + TAG * -(-padded // (CHUNK - TAG))


@dataclass(frozen=True)
class Attachment:
    """A file that goes with a message."""

    root: bytes
    """32 bytes: names the blob, and lets anybody check it."""

    size: int
    """Bytes of the file."""

    name: str
    """Of the file; at most 255 bytes of UTF-8, no path, nothing invisible."""

    media_type: str = OCTETS
    """What the author says that it is; it may be anything."""

    key: bytes | None = field(default=None, repr=False)
    """32 bytes with which it is sealed; None: readable by all."""

    preview: str = field(default="", repr=False)
    """What can be said of it in text before it is here; at most 400 characters."""

    duration_ms: int = 0
    """Voice messages: how long the author says that it takes; else 0."""

    @property
    def blob(self) -> BlobRef:
        """What the record says of it to everybody."""
        return BlobRef(self.root, travelling_size(self.size, sealed=self.key is not None))

    def encode(self) -> list[object]:
        """Return the list that stands in the message."""
        return [
            self.root,
            self.size,
            self.name,
            self.media_type,
            self.key,
            self.preview,
            self.duration_ms,
        ]

    @classmethod
    def decode(cls, item: object) -> Attachment:
        """Read such a list; raises FormatError."""
        if type(item) is not list or len(item) != 7:
            raise FormatError("attachment: not a list of seven")
        root, size, name, media_type, key, preview, duration_ms = item
        if type(root) is not bytes or len(root) != ROOT_SIZE:
            raise FormatError("attachment: a root that none can have")
        if key is not None and (type(key) is not bytes or len(key) != KEY_SIZE):
            raise FormatError("attachment: a key that none can have")
        if type(size) is not int or not 0 < size <= MAX_BLOB:
            raise FormatError("attachment: a size that none can have")
        if type(duration_ms) is not int or not 0 <= duration_ms <= MAX_DURATION_MS:
            raise FormatError("attachment: a duration that none can have")
        if type(name) is not str or not is_file_name(name):
            raise FormatError("attachment: a name that no file can have")
        if type(media_type) is not str or not is_media_type(media_type):
            raise FormatError("attachment: no media type")
        if type(preview) is not str or preview != preview_of(preview):
            raise FormatError("attachment: a preview that can't be shown")
        attachment = cls(root, size, name, media_type, key, preview, duration_ms)
        if attachment.blob.size > MAX_BLOB:
            raise FormatError("attachment: it is too large when it is sealed")
        return attachment


def is_file_name(name: str) -> bool:
    """Tell whether a file can be saved under a name, in any directory, as it is shown."""
    return (
        0 < len(name.encode(errors="replace")) <= MAX_NAME_BYTES
        and name.isprintable()
        and not set(name) & {"/", "\\"}
        and not name.startswith(".")
        and name == name.strip()
    )


def file_name_of(name: str) -> str:
    """Make what a file is called here fit to be sent: the last part of a path, all of it visible.

    What is too long loses its middle, not its ending.
    """
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    shown = "".join(c if c.isprintable() else "_" for c in last).strip().lstrip(". ")
    stem, dot, ending = shown.rpartition(".")
    if not dot or len(ending) > 16:
        stem, dot, ending = shown, "", ""
    room = MAX_NAME_BYTES - len((dot + ending).encode())
    kept = stem.encode()[:room].decode(errors="ignore").strip()
    return kept + dot + ending if kept else UNNAMED


def is_media_type(text: str) -> bool:
    """Tell whether this is a media type, such as ``audio/ogg``."""
    return len(text) <= MAX_MEDIA_TYPE_CHARS and _MEDIA_TYPE.fullmatch(text) is not None


def preview_of(text: str) -> str:
    """Return the beginning of a text as a preview: lines kept, nothing invisible in them."""
    lines = text[: 4 * MAX_PREVIEW_CHARS].replace("\r\n", "\n").replace("\t", " ").split("\n")
    shown = ("".join(c for c in line if c.isprintable()).rstrip() for line in lines)
    return "\n".join(shown).strip()[:MAX_PREVIEW_CHARS].rstrip()
