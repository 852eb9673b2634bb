"""Changes of a group: who founded it, who came, who went.  Each is signed by who made it.

A change names those that it was made upon, as a commit does, so what its maker knew can't be
altered afterwards.  What all of them together come to is told by `node/group_log.py`.  A change is
a list of body and signature; the body is a map:

    0  kind       2  hashes of the changes upon    4  stations, in order    6  history policy
    1  maker         which it was made, in order   5  name                  7  random bytes (found)
                  3  depth: one above the highest                           8  group (all others)
                     of those, 0 without any
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from appliance.model import signing
from appliance.model.codec import Fields, FormatError, decode, encode
from appliance.model.group import GROUP_SIZE, GroupId
from appliance.model.identity import (
    KEY_SIZE,
    MAX_NAME_CHARS,
    IdentityError,
    StationId,
    StationKey,
    clean_name,
    hash_for,
)

GROUP_CONTEXT: Final = "fencewire/group/1"
HASH_SIZE: Final = 32
NONCE_SIZE: Final = 16
MAX_PARENTS: Final = 64
"""Everybody may have left at once, and each leaves beside the others."""

MAX_SUBJECTS: Final = 63
"""All others of the largest group."""

MAX_CHANGE: Final = 5120
"""Bytes of an encoded change: 63 stations have 2142, 64 parents 2176."""

MAX_DEPTH: Final = 1 << 16


class ChangeKind(IntEnum):
    """What a change does.  All but LEAVE are for admins."""

    FOUND = 0
    INVITE = 1
    REMOVE = 2
    LEAVE = 3
    RENAME = 4
    APPOINT = 5
    DISMISS = 6
    POLICY = 7


class History(IntEnum):
    """What new members get of what was written before."""

    NONE = 0
    ALL = 1


_WITH_SUBJECTS: Final = frozenset(
    {ChangeKind.INVITE, ChangeKind.REMOVE, ChangeKind.APPOINT, ChangeKind.DISMISS}
)
_WITH_NAME: Final = frozenset({ChangeKind.FOUND, ChangeKind.RENAME})
_WITH_HISTORY: Final = frozenset({ChangeKind.FOUND, ChangeKind.POLICY})


@dataclass(frozen=True)
class Change:
    """One change, its signature checked."""

    hash: bytes
    """SHA-256 of the body."""

    group: GroupId
    """Of which group."""

    kind: ChangeKind
    """What it does."""

    maker: StationId
    """Who made and signed it."""

    parents: tuple[bytes, ...]
    """Hashes of the changes upon which it was made; none: it founds the group."""

    depth: int
    """How many changes are below it, at the longest way down."""

    subjects: tuple[StationId, ...]
    """Whom it is about."""

    name: str
    """The group's name from now on; empty if this is about something else."""

    history: History
    """The group's choice from now on, if this is about it."""

    raw: bytes
    """Body and signature as they travel."""


def make_change(
    key: StationKey,
    kind: ChangeKind,
    *,
    group: GroupId | None = None,
    parents: tuple[bytes, ...] = (),
    depth: int = 0,
    subjects: tuple[StationId, ...] = (),
    name: str = "",
    history: History = History.NONE,
    nonce: bytes = b"",
) -> Change:
    """Write and sign a change.  `nonce` (16 random bytes) is for founding, `group` for the rest."""
    fields: dict[int, object] = {
        0: int(kind),
        1: key.id.key,
        2: sorted(parents),
        3: depth,
    }
    if kind in _WITH_SUBJECTS:
        fields[4] = sorted(subject.key for subject in subjects)
    if kind in _WITH_NAME:
        fields[5] = name
    if kind in _WITH_HISTORY:
        fields[6] = int(history)
    if kind is ChangeKind.FOUND:
        fields[7] = nonce
    elif group is not None:
        fields[8] = group.value
    body = encode(fields)
    return read_change(encode([body, key.sign(GROUP_CONTEXT, body)]))


def read_change(raw: bytes, *, signature_checked: bool = False) -> Change:
    """Read a change and check its signature, unless that was done before; raises FormatError.

    Whether its maker might do this is not looked at.
    """
    body, signature = _body_and_signature(raw)
    fields = Fields(decode(body, limit=MAX_CHANGE), "group change")
    try:
        kind = ChangeKind(fields.uint(0))
        maker = StationId(fields.data(1, size=KEY_SIZE))
        parents = _in_order(fields.items(2, limit=MAX_PARENTS), HASH_SIZE)
        subjects: tuple[bytes, ...] = ()
        if kind in _WITH_SUBJECTS:
            subjects = _in_order(fields.items(4, limit=MAX_SUBJECTS), KEY_SIZE)
        name = fields.text(5, limit=MAX_NAME_CHARS) if kind in _WITH_NAME else ""
        if name and clean_name(name) != name:
            raise FormatError("group change: a name with spare spaces")
        history = History(fields.uint(6)) if kind in _WITH_HISTORY else History.NONE
        depth = fields.uint(3, below=MAX_DEPTH)
    except (ValueError, IdentityError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"group change: {error}") from None
    if kind is ChangeKind.FOUND:
        fields.data(7, size=NONCE_SIZE)
        group = GroupId(hash_for("group", body))
    else:
        group = GroupId(fields.data(8, size=GROUP_SIZE))
    fields.end()
    founds = kind is ChangeKind.FOUND
    if founds is bool(parents) or founds is not (depth == 0):
        raise FormatError("group change: founding, and nothing else, is made upon nothing")
    if (kind in _WITH_SUBJECTS) is not bool(subjects) or (kind in _WITH_NAME) is not bool(name):
        raise FormatError("group change: it says nothing")
    if not signature_checked and not signing.verify(maker.key, signature, GROUP_CONTEXT, body):
        raise FormatError("group change: its signature is wrong")
    return Change(
        hash=hashlib.sha256(body).digest(),
        group=group,
        kind=kind,
        maker=maker,
        parents=parents,
        depth=depth,
        subjects=tuple(StationId(key) for key in subjects),
        name=name,
        history=history,
        raw=raw,
    )


def change_hash_of(raw: bytes) -> bytes:
    """Return the hash of an encoded change, of which nothing else is checked."""
    return hashlib.sha256(_body_and_signature(raw)[0]).digest()


def _body_and_signature(raw: bytes) -> tuple[bytes, bytes]:
    outer = decode(raw, limit=MAX_CHANGE)
    if type(outer) is not list or len(outer) != 2:
        raise FormatError("group change: not a body and a signature")
    body, signature = outer
    if type(body) is not bytes or type(signature) is not bytes:
        raise FormatError("group change: not a body and a signature")
    return body, signature


def _in_order(items: list[object], size: int) -> tuple[bytes, ...]:
    """Check a list of different byte strings in ascending order."""
    found = tuple(item for item in items if type(item) is bytes and len(item) == size)
    if len(found) != len(items) or list(found) != sorted(set(found)):
        raise FormatError("group change: a list is not in order")
    return found
