"""Comparing two stations by six digits that their operators read to each other.

The initiator commits to a random number before it knows the responder's, and reveals it after:

    initiator → responder   commit   SHA-256(tag ‖ idA ‖ idB ‖ rA)
    responder → initiator   nonce    rB
    initiator → responder   reveal   rA
    both                    digits   SHA-256(tag ‖ idA ‖ idB ‖ rA ‖ rB)

Whoever stands in the middle has to choose before it knows what both ends will show, so it has one
guess in a million per attempt, and an attempt that is given up is seen.  Forty bits without the
commitment were matched in a minute of computing.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from appliance.model.codec import Fields, FormatError, decode, encode
from appliance.model.identity import StationId

NONCE_SIZE: Final = 32
ATTEMPT_SIZE: Final = 8
DIGITS: Final = 6
_COMMIT_TAG: Final = b"fencewire/sas-commit/1\0"
_DIGITS_TAG: Final = b"fencewire/sas-digits/1\0"


class SasKind(IntEnum):
    """Messages of the VERIFY channel."""

    COMMIT = 0
    NONCE = 1
    REVEAL = 2
    ABANDON = 3


@dataclass(frozen=True)
class SasMessage:
    """One message of the exchange."""

    kind: SasKind
    """Which."""

    attempt: bytes
    """8 random bytes that name the attempt."""

    value: bytes = b""
    """Commitment or random number, 32 bytes; empty when abandoned."""

    def encode(self) -> bytes:
        """Return the bytes that are sent."""
        return encode({0: int(self.kind), 1: self.attempt, 2: self.value})

    @classmethod
    def decode(cls, data: bytes) -> SasMessage:
        """Read one; raises FormatError."""
        fields = Fields(decode(data, limit=256), "verify")
        kind = fields.uint(0)
        if kind not in set(SasKind):
            raise FormatError("verify: a message of an unknown kind")
        size = 0 if kind == SasKind.ABANDON else NONCE_SIZE
        message = cls(SasKind(kind), fields.data(1, size=ATTEMPT_SIZE), fields.data(2, size=size))
        fields.end()
        return message


def commitment(initiator: StationId, responder: StationId, nonce: bytes) -> bytes:
    """Return what the initiator commits with."""
    return hashlib.sha256(_COMMIT_TAG + initiator.key + responder.key + nonce).digest()


def commitment_holds(
    committed: bytes, initiator: StationId, responder: StationId, nonce: bytes
) -> bool:
    """Tell whether a revealed number is the one that was committed to."""
    return hmac.compare_digest(committed, commitment(initiator, responder, nonce))


def digits(
    initiator: StationId, responder: StationId, *, initiator_nonce: bytes, responder_nonce: bytes
) -> str:
    """Return the six digits that both operators should see."""
    digest = hashlib.sha256(
        _DIGITS_TAG + initiator.key + responder.key + initiator_nonce + responder_nonce
    ).digest()
    return f"{int.from_bytes(digest[:8], 'big') % 10**DIGITS:0{DIGITS}d}"
