"""What stations tell each other about a group: the content of records of kind GROUP.

Sealed to one station each, like a message to it.  A note is a map:

    0  group                    3  the newest changes that the sender knows, if it asks
    1  changes, oldest first    4  ids of keys that it asks for
    2  keys: list of [key, whom it was made for]
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from appliance.model.codec import Fields, FormatError, decode, encode
from appliance.model.group import GROUP_SIZE, GroupId
from appliance.model.group_change import HASH_SIZE, MAX_CHANGE, MAX_SUBJECTS
from appliance.model.identity import StationId, hash_for
from appliance.model.record import PREKEY_ID_SIZE
from appliance.model.secret import Secret

GROUP_KEY_SIZE: Final = 32
MAX_NOTE: Final = 72 * 1024 - 4
"""Bytes: the longest content that can be sealed."""

MAX_MEMBERS: Final = MAX_SUBJECTS + 1
MAX_CHANGES: Final = 512
MAX_KEYS: Final = 16
MAX_HEADS: Final = 64
MAX_WANTED: Final = 16
"""In one note."""

_SHORT_SIZE: Final = 8


def _place_of(station: StationId, joined: bytes) -> bytes:
    return hash_for("group-place", station.key + joined)[:_SHORT_SIZE]


def audience_of(members: Iterable[tuple[StationId, bytes]], moves: Iterable[bytes]) -> bytes:
    """Return for whom a key is made: members, each with the change that brought it in.

    Who left and came back has destroyed its keys, so these must not fit it again.  `moves` are all
    changes by which anybody came or went: who was in for a while may have been given keys of before
    it came, so they must not fit again when the members are the same as before.
    """
    places = sorted(_place_of(station, joined) for station, joined in members)
    return b"".join((*places, hash_for("group-moves", b"".join(sorted(moves)))[:_SHORT_SIZE]))


@dataclass(frozen=True)
class GroupKey:
    """A key to which messages of a group are sealed."""

    secret: Secret
    """32 random bytes."""

    audience: bytes
    """Whom it was made for (`audience_of`)."""

    def made_for(self, station: StationId, joins: Iterable[bytes]) -> bool:
        """Tell whether a station was to have it that was brought in by one of these changes."""
        starts = range(0, len(self.audience) - _SHORT_SIZE, _SHORT_SIZE)
        places = {self.audience[start : start + _SHORT_SIZE] for start in starts}
        return any(_place_of(station, joined) in places for joined in joins)

    def id_in(self, group: GroupId) -> bytes:
        """Return the 8 bytes that name it in records."""
        return hash_for("group-key", group.value + self.secret.value)[:PREKEY_ID_SIZE]

    def as_list(self) -> list[object]:
        """Return what is encoded."""
        return [self.secret.value, self.audience]

    @classmethod
    def from_list(cls, item: object) -> GroupKey:
        """Read it; raises FormatError."""
        if type(item) is not list or len(item) != 2:
            raise FormatError("group key: not a key and whom it is for")
        secret, audience = item
        if type(secret) is not bytes or len(secret) != GROUP_KEY_SIZE:
            raise FormatError("group key: wrong size")
        if type(audience) is not bytes or len(audience) % _SHORT_SIZE:
            raise FormatError("group key: whom it is for is not clear")
        if len(audience) > (MAX_MEMBERS + 1) * _SHORT_SIZE:
            raise FormatError("group key: for more than a group can have")
        return cls(Secret(secret), audience)


@dataclass(frozen=True)
class GroupNote:
    """What one station tells another about a group."""

    group: GroupId
    """Which."""

    changes: tuple[bytes, ...] = ()
    """Encoded changes that the other may not know, oldest first."""

    keys: tuple[GroupKey, ...] = ()
    """Keys for it."""

    heads: tuple[bytes, ...] = ()
    """If it asks for what was made upon or beside these: the newest changes that it knows."""

    wanted: tuple[bytes, ...] = ()
    """Ids of keys that it asks for."""

    def encode(self) -> bytes:
        """Return the content, not sealed."""
        fields: dict[int, object] = {0: self.group.value}
        if self.changes:
            fields[1] = list(self.changes)
        if self.keys:
            fields[2] = [key.as_list() for key in self.keys]
        if self.heads:
            fields[3] = list(self.heads)
        if self.wanted:
            fields[4] = list(self.wanted)
        return encode(fields)

    @classmethod
    def decode(cls, data: bytes) -> GroupNote:
        """Read the content, but not the changes; raises FormatError."""
        fields = Fields(decode(data, limit=MAX_NOTE), "group note")
        group = GroupId(fields.data(0, size=GROUP_SIZE))
        changes: tuple[bytes, ...] = ()
        if fields.has(1):
            items = fields.items(1, limit=MAX_CHANGES)
            changes = tuple(
                item for item in items if type(item) is bytes and len(item) <= MAX_CHANGE
            )
            if len(changes) != len(items):
                raise FormatError("group note: something is no change")
        keys = fields.items(2, limit=MAX_KEYS) if fields.has(2) else []
        heads = fields.items(3, limit=MAX_HEADS) if fields.has(3) else []
        wanted = fields.items(4, limit=MAX_WANTED) if fields.has(4) else []
        note = cls(
            group,
            changes,
            tuple(GroupKey.from_list(key) for key in keys),
            hashes(heads, MAX_HEADS),
            hashes(wanted, MAX_WANTED, size=PREKEY_ID_SIZE),
        )
        fields.end()
        if not (changes or keys or heads or wanted):
            raise FormatError("group note: it says nothing")
        return note


def hashes(items: object, limit: int, *, size: int = HASH_SIZE) -> tuple[bytes, ...]:
    """Check a list of at most `limit` byte strings of one size; raises FormatError."""
    if type(items) is not list or len(items) > limit:
        raise FormatError(f"not a list of at most {limit}")
    found = tuple(item for item in items if type(item) is bytes and len(item) == size)
    if len(found) != len(items):
        raise FormatError("something in a list has a wrong size")
    return found
