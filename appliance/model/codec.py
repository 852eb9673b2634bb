"""Deterministic CBOR (RFC 8949 section 4.2) and strict reading of what others encoded.

Everything that is signed or sent is a CBOR map with small integer keys.  Keys below 64 belong to
the format's version and unknown ones are refused; keys from 64 on may be added by newer stations
and are ignored, so that a format can grow without a new version.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import cbor2

FIRST_IGNORABLE_KEY: Final = 64
MAX_DEPTH: Final = 8

_TAGS_WITH_DECODERS: Final = (
    *(0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100),
    *(256, 258, 260, 261, 1004, 43000, 55799),
)
"""What cbor2 would turn into dates, regular expressions, mail and the like.  No format of ours has
tags, and a stranger shall not choose what is compiled or computed here."""


class FormatError(ValueError):
    """Bytes from somebody else do not have the shape that their format demands."""


def encode(value: object) -> bytes:
    """Encode deterministically."""
    return cbor2.dumps(value, canonical=True)


def decode(data: bytes, *, limit: int) -> object:
    """Decode `data` of at most `limit` bytes; raises FormatError unless it is deterministic CBOR.

    That equal content has equal bytes is what makes a hash an identity, so whatever would not be
    encoded in just these bytes is refused: other integer widths, indefinite lengths, floats that
    could be shorter, duplicate keys, bytes behind the end.
    """
    if len(data) > limit:
        raise FormatError(f"{len(data)} bytes where at most {limit} are allowed")
    try:
        value: object = cbor2.loads(
            data,
            max_depth=MAX_DEPTH,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            tag_hook=_refuse_tag,
            semantic_decoders=_NO_TAGS,
        )
        if encode(value) != data:
            raise FormatError("not in the deterministic encoding")
    except (cbor2.CBORError, ValueError, OverflowError, RecursionError, TypeError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"not CBOR: {type(error).__name__}") from None
    return value


def _refuse_tag(*_: object) -> object:
    raise ValueError("a tag")


_NO_TAGS: Final = dict.fromkeys(_TAGS_WITH_DECODERS, _refuse_tag)


class Fields:
    """A decoded map, read key by key with the types and bounds that its format states."""

    def __init__(self, value: object, what: str) -> None:
        """`what` names the thing in errors."""
        if not isinstance(value, Mapping) or not all(type(key) is int for key in value):
            raise FormatError(f"{what}: not a map with integer keys")
        self._left: dict[int, object] = dict(value)
        self._what = what

    def _take(self, key: int) -> object:
        if key not in self._left:
            raise FormatError(f"{self._what}: key {key} is missing")
        return self._left.pop(key)

    def has(self, key: int) -> bool:
        """Tell whether an optional key is there."""
        return key in self._left

    def uint(self, key: int, *, below: int = 1 << 63) -> int:
        """Take a number that is at least 0 and less than `below`."""
        value = self._take(key)
        if type(value) is not int or not 0 <= value < below:
            raise FormatError(f"{self._what}: key {key} is not a number in its range")
        return value

    def data(self, key: int, *, size: int | None = None, limit: int | None = None) -> bytes:
        """Take bytes of exactly `size`, or of at most `limit`."""
        value = self._take(key)
        if type(value) is not bytes:
            raise FormatError(f"{self._what}: key {key} is not bytes")
        if (size is not None and len(value) != size) or (limit is not None and len(value) > limit):
            raise FormatError(f"{self._what}: key {key} has {len(value)} bytes")
        return value

    def text(self, key: int, *, limit: int) -> str:
        """Take text of at most `limit` characters."""
        value = self._take(key)
        if type(value) is not str or len(value) > limit:
            raise FormatError(f"{self._what}: key {key} is not text of at most {limit} characters")
        return value

    def items(self, key: int, *, limit: int) -> list[object]:
        """Take a list of at most `limit` things."""
        value = self._take(key)
        if type(value) is not list or len(value) > limit:
            raise FormatError(f"{self._what}: key {key} is not a list of at most {limit}")
        return value

    def inner(self, key: int) -> Fields:
        """Take a map."""
        return Fields(self._take(key), f"{self._what}, key {key}")

    def end(self) -> None:
        """Check that nothing is left but what may be ignored."""
        unknown = [key for key in self._left if key < FIRST_IGNORABLE_KEY]
        if unknown:
            raise FormatError(f"{self._what}: unknown key {min(unknown)}")
