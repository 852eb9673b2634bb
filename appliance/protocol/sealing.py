"""Sealing a message's content to its recipient: HPKE (RFC 9180), base mode.

Suite: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305, since small boards have no AES
instructions.  The info string binds who wrote it, to whom, what kind of record it is and which
prekey was used, so that a sealed content means nothing anywhere else.  Lengths are padded to a few
sizes, so that they tell little.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from appliance.model.card import Prekey
from appliance.model.codec import FormatError
from appliance.model.identity import StationId
from appliance.model.record import RecordKind
from appliance.model.secret import Secret

_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
_LENGTH_SIZE: Final = 4
BUCKETS: Final = (256, 1024, 4096, 16 * 1024, 72 * 1024)
"""Padded sizes in bytes; the last holds 16,000 characters of 4 bytes each."""


class OpenError(Exception):
    """A sealed content was not sealed to this prekey, or by this author, or was damaged."""


def _info(author: StationId, recipient: StationId, kind: RecordKind, prekey_id: bytes) -> bytes:
    return b"fencewire/seal/1\0" + author.key + recipient.key + bytes([kind]) + prekey_id


def pad(data: bytes) -> bytes:
    """Fill up to the next bucket; the length stands in front."""
    length = _LENGTH_SIZE + len(data)
    for bucket in BUCKETS:
        if length <= bucket:
            return len(data).to_bytes(_LENGTH_SIZE, "big") + data + bytes(bucket - length)
    raise ValueError(f"nothing longer than {BUCKETS[-1]} bytes can be sealed")


def unpad(data: bytes) -> bytes:
    """Take the padding off; raises FormatError when it is not ours."""
    length = int.from_bytes(data[:_LENGTH_SIZE], "big")
    end = _LENGTH_SIZE + length
    if len(data) not in BUCKETS or end > len(data) or any(data[end:]):
        raise FormatError("sealed content: wrong padding")
    return data[_LENGTH_SIZE:end]


def seal(
    content: bytes, *, author: StationId, recipient: StationId, kind: RecordKind, prekey: Prekey
) -> bytes:
    """Seal `content` so that only the holder of the prekey's secret can read it."""
    public = X25519PublicKey.from_public_bytes(prekey.public)
    return _SUITE.encrypt(pad(content), public, _info(author, recipient, kind, prekey.id))


def open_sealed(
    sealed: bytes,
    *,
    author: StationId,
    recipient: StationId,
    kind: RecordKind,
    prekey_id: bytes,
    secret: Secret,
) -> bytes:
    """Read what was sealed to us; raises OpenError or FormatError."""
    private = X25519PrivateKey.from_private_bytes(secret.value)
    try:
        padded = _SUITE.decrypt(sealed, private, _info(author, recipient, kind, prekey_id))
    except (InvalidTag, ValueError):
        raise OpenError("the content can't be opened") from None
    return unpad(padded)
