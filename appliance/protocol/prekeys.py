"""The half of a prekey that others get, from the one that opens (X25519, RFC 7748)."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from appliance.model.card import Prekey
from appliance.model.secret import Secret


def public_half(prekey_id: bytes, secret: Secret) -> Prekey:
    """Return what others are told of a prekey; raises ValueError where the secret is none."""
    private = X25519PrivateKey.from_private_bytes(secret.value)
    return Prekey(prekey_id, private.public_key().public_bytes_raw())
