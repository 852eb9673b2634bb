"""The one way in which a station key signs anything.

The same Ed25519 key also signs the station's X.509 certificate and its TLS handshakes.  So that no
signature made for one purpose can pass for another, every signature of ours covers a context that
starts with ``fencewire/`` and unambiguous lengths; a certificate starts with 0x30 and TLS 1.3 with
64 spaces (RFC 8446 section 4.4.3), so neither can be mistaken for ours.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

CONTEXT_PREFIX: Final = "fencewire/"
RECORD_CONTEXT: Final = "fencewire/record/1"
SESSION_CONTEXT: Final = "fencewire/session/1"

SIGNATURE_SIZE: Final = 64
"""Bytes of an Ed25519 signature (RFC 8032)."""


def signed_bytes(context: str, *parts: bytes) -> bytes:
    """Return what is signed: the context, a zero byte, each part behind its 8-byte length."""
    if not context.startswith(CONTEXT_PREFIX) or "\0" in context:
        raise ValueError(f"a signing context starts with {CONTEXT_PREFIX!r}: {context!r}")
    framed = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    return context.encode() + b"\0" + framed


def sign(key: Ed25519PrivateKey, context: str, *parts: bytes) -> bytes:
    """Sign `parts` for the purpose that `context` names; 64 bytes."""
    return key.sign(signed_bytes(context, *parts))


def verify(public_key: bytes, signature: bytes, context: str, *parts: bytes) -> bool:
    """Tell whether `signature` over `parts` in `context` was made by the holder of `public_key`."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(
            signature, signed_bytes(context, *parts)
        )
    except (InvalidSignature, ValueError):
        return False
    return True
