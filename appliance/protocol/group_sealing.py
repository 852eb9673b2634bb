"""Sealing what is written to a group: ChaCha20-Poly1305 (RFC 8439) with the group's key.

Under one key many stations write, so each message has a random nonce of 12 bytes in front: with
2^32 of them two meet with less than one chance in 2^32.  The associated data binds who wrote it, in
which group, under which key and what kind of record it is.  Beside the content lies how much of the
group's changes its author knew, so that whoever knows less can ask.  Lengths are padded as those of
other sealed contents are.  Every member can write in this group in its own name alone: the record's
signature says whose it is.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from appliance.model.codec import FormatError, decode, encode
from appliance.model.group import GroupId
from appliance.model.group_note import GroupKey, hashes
from appliance.model.identity import StationId
from appliance.model.record import RecordKind
from appliance.protocol.sealing import BUCKETS, OpenError, pad, unpad

NONCE_SIZE: Final = 12
MAX_TOLD: Final = 8
"""Changes that an author tells to know."""

SHORT_SIZE: Final = 8
"""Bytes of a change's hash that say which it is, to those who know the group."""


def _bound(author: StationId, group: GroupId, kind: RecordKind, key_id: bytes) -> bytes:
    return b"fencewire/group-seal/1\0" + author.key + group.value + bytes([kind]) + key_id


def seal_to_group(
    content: bytes,
    *,
    author: StationId,
    group: GroupId,
    kind: RecordKind,
    key: GroupKey,
    heads: tuple[bytes, ...],
    nonce: bytes,
) -> bytes:
    """Seal `content`; `heads` are the newest changes that the author knows.

    Raises ValueError when it is too long.
    """
    known = [head[:SHORT_SIZE] for head in heads[:MAX_TOLD]]
    bound = _bound(author, group, kind, key.id_in(group))
    padded = pad(encode([known, content]))
    return nonce + ChaCha20Poly1305(key.secret.value).encrypt(nonce, padded, bound)


def open_to_group(
    sealed: bytes, *, author: StationId, group: GroupId, kind: RecordKind, key: GroupKey
) -> tuple[bytes, tuple[bytes, ...]]:
    """Return the content, and the first bytes of the newest changes that its author knew.

    Raises OpenError or FormatError.
    """
    bound = _bound(author, group, kind, key.id_in(group))
    nonce, encrypted = sealed[:NONCE_SIZE], sealed[NONCE_SIZE:]
    try:
        padded = ChaCha20Poly1305(key.secret.value).decrypt(nonce, encrypted, bound)
    except (InvalidTag, ValueError):
        raise OpenError("the content can't be opened") from None
    both = decode(unpad(padded), limit=BUCKETS[-1])
    if type(both) is not list or len(both) != 2 or type(both[1]) is not bytes:
        raise FormatError("sealed to a group: not changes and a content")
    return both[1], hashes(both[0], MAX_TOLD, size=SHORT_SIZE)
