"""What a station takes from the kernel, taken from the seed; and what others say read only once.

Sealing draws a key inside the library.  Here the same is computed from a seeded source, so that
every record has the same id in each run; what was sealed is opened by the real thing.
"""

from __future__ import annotations

import hashlib
import hmac
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from appliance.model import signing
from appliance.model.card import read_card
from appliance.model.record import read_record, record_id_of
from appliance.protocol import acks, carrying, sealing

REMEMBERED: Final = 1 << 16
"""Of each kind: every card and receipt is read and checked by every station."""

READERS: Final = (
    read_record,
    read_card,
    record_id_of,
    acks.decode_acks,
    carrying.decode_parcels,
)
"""What always gives the same for the same bytes, that nobody can change."""

_KEM: Final = b"KEM" + (0x20).to_bytes(2, "big")
_HPKE: Final = b"HPKE" + b"".join(part.to_bytes(2, "big") for part in (0x20, 1, 3))


def _extract(suite: bytes, salt: bytes, label: bytes, key: bytes) -> bytes:
    """LabeledExtract (RFC 9180 section 4)."""
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + key, "sha256")


def _expand(suite: bytes, secret: bytes, label: bytes, info: bytes, length: int) -> bytes:
    """LabeledExpand, up to one block."""
    labeled = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return hmac.digest(secret, labeled + b"\x01", "sha256")[:length]


class SeededSuite:
    """HPKE in base mode (RFC 9180 sections 4.1, 5.1 and 6.1) whose sender's key is seeded."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._real = sealing._SUITE

    def encrypt(self, plain: bytes, public: X25519PublicKey, info: bytes) -> bytes:
        """Seal, as the library's suite does."""
        private = X25519PrivateKey.from_private_bytes(self._rng.randbytes(32))
        ours, theirs = private.public_key().public_bytes_raw(), public.public_bytes_raw()
        first = _extract(_KEM, b"", b"eae_prk", private.exchange(public))
        shared = _expand(_KEM, first, b"shared_secret", ours + theirs, 32)
        context = b"\x00" + _extract(_HPKE, b"", b"psk_id_hash", b"")
        context += _extract(_HPKE, b"", b"info_hash", info)
        secret = _extract(_HPKE, shared, b"secret", b"")
        nonce = _expand(_HPKE, secret, b"base_nonce", context, 12)
        key = _expand(_HPKE, secret, b"key", context, 32)
        return ours + ChaCha20Poly1305(key).encrypt(nonce, plain, b"")

    def decrypt(self, sealed: bytes, private: X25519PrivateKey, info: bytes) -> bytes:
        """Open by the library."""
        return self._real.decrypt(sealed, private, info)


@contextmanager
def _remembered(function: Callable[..., Any]) -> Iterator[None]:
    """Within, a function is called once for each value, wherever it was imported.

    What raises is not remembered.
    """
    remembering = lru_cache(REMEMBERED)(function)
    places = [
        (vars(module), name)
        for path, module in list(sys.modules.items())
        if path.startswith("appliance.")
        for name, value in vars(module).items()
        if value is function
    ]
    for names, name in places:
        names[name] = remembering
    try:
        yield
    finally:
        for names, name in places:
            names[name] = function


@contextmanager
def seeded(seed: object, *, shared: bool = True) -> Iterator[None]:
    """Within, sealing follows the seed, and no signature is checked twice.

    `shared`: nothing is read twice either, and stations have one copy of it between them.
    """
    suite = sealing._SUITE
    sealing.__dict__["_SUITE"] = SeededSuite(random.Random(f"sealing/{seed}"))
    with ExitStack() as stack:
        for function in (signing.verify, *(READERS if shared else ())):
            stack.enter_context(_remembered(function))
        try:
            yield
        finally:
            sealing.__dict__["_SUITE"] = suite


def key_of(*parts: object) -> bytes:
    """Return 32 bytes that follow from a name."""
    return hashlib.sha256("/".join(map(str, parts)).encode()).digest()
