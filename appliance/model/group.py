"""Groups: what names one, and what a conversation is.

A group's id is the hash of the change that founded it (`group_change`), so that nobody can make a
second group with the id of another.  Its name is a label and may be that of others too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeAlias

from appliance.model.codec import FormatError
from appliance.model.identity import KEY_SIZE, TAG_CHARS, IdentityError, StationId, hash_for

GROUP_SIZE: Final = 32
_MARK: Final = "g"
"""Begins the text form, which is one character longer than that of a station."""

_KEY_MARK: Final = b"g"
_CHECK_BYTES: Final = 3
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_HEARD_AS: Final = str.maketrans({"i": "1", "l": "1", "o": "0", "u": "v"})
_CHARS: Final = (GROUP_SIZE + _CHECK_BYTES) * 8 // 5


@dataclass(frozen=True, order=True)
class GroupId:
    """The identity of a group."""

    value: bytes
    """Hash of what founded it, 32 bytes."""

    def __post_init__(self) -> None:
        if len(self.value) != GROUP_SIZE:
            raise IdentityError(f"a group id has {GROUP_SIZE} bytes, not {len(self.value)}")

    @cached_property
    def text(self) -> str:
        """The id as ``g`` and 56 characters that can be spelled aloud; the end is a checksum."""
        number = int.from_bytes(self.value + _check(self.value), "big")
        return _MARK + "".join(_ALPHABET[number >> 5 * i & 31] for i in reversed(range(_CHARS)))

    @property
    def tag(self) -> str:
        """Four characters that tell two groups of one name apart; they prove nothing."""
        return self.text[1 : 1 + TAG_CHARS]

    @classmethod
    def parse(cls, text: str) -> GroupId:
        """Read a text form as people write it: any case, spaces or hyphens, o for 0, l for 1.

        Raises IdentityError when it is none.
        """
        plain = "".join(text[: 8 * _CHARS].lower().split()).replace("-", "").translate(_HEARD_AS)
        if len(text) > 8 * _CHARS or len(plain) != 1 + _CHARS or plain[0] != _MARK:
            raise IdentityError(f"a group id has {_MARK!r} and {_CHARS} characters")
        number = 0
        for character in plain[1:]:
            value = _ALPHABET.find(character)
            if value < 0:
                raise IdentityError(f"no group id has the character {character!r}")
            number = number << 5 | value
        data = number.to_bytes(GROUP_SIZE + _CHECK_BYTES, "big")
        if _check(data[:GROUP_SIZE]) != data[GROUP_SIZE:]:
            raise IdentityError("this group id has a wrong character: compare it once more")
        return cls(data[:GROUP_SIZE])

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"GroupId({self.tag}…)"


def _check(value: bytes) -> bytes:
    return hash_for("group-id-check", value)[:_CHECK_BYTES]


Conversation: TypeAlias = StationId | GroupId | None
"""With whom: a station, a group, or (None) everyone."""


def conversation_key(conversation: Conversation) -> bytes:
    """Return the bytes under which a store keeps a conversation."""
    match conversation:
        case None:
            return b""
        case GroupId(value):
            return _KEY_MARK + value
        case StationId(key):
            return key


def conversation_of(key: bytes) -> Conversation:
    """Return the conversation that is kept under `key`; raises FormatError when there is none."""
    if not key:
        return None
    if len(key) == KEY_SIZE:
        return StationId(key)
    if len(key) == 1 + GROUP_SIZE and key[:1] == _KEY_MARK:
        return GroupId(key[1:])
    raise FormatError("a conversation is a station, a group or everyone")
