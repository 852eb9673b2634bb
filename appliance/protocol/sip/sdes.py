"""SRTP keys in SDP: the ``a=crypto`` attribute (RFC 4568, suites of RFC 7714).

Keys are `Secret`, so that no repr shows them.  What an attribute asks for beyond a suite and one
key (an MKI, unencrypted streams) is not served: such an attribute is passed over, as section 5.1.2
wants it.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from appliance.model.secret import Secret


class Suite(StrEnum):
    """An SRTP crypto suite, by its registered name."""

    AEAD_AES_128_GCM = "AEAD_AES_128_GCM"
    """RFC 7714: 16 bytes of key, 12 of salt."""

    AES_CM_128_HMAC_SHA1_80 = "AES_CM_128_HMAC_SHA1_80"
    """RFC 4568 section 6.2.1: 16 bytes of key, 14 of salt; everybody has it."""


KEY_BYTES: Final = {Suite.AEAD_AES_128_GCM: 28, Suite.AES_CM_128_HMAC_SHA1_80: 30}
"""Master key and master salt together."""

PREFERRED: Final = (Suite.AEAD_AES_128_GCM, Suite.AES_CM_128_HMAC_SHA1_80)

_ATTRIBUTE: Final = re.compile(
    r"([0-9]{1,9}) +([A-Za-z0-9_]{1,64}) +inline:([A-Za-z0-9+/]{1,128}={0,2})(?:\|([0-9^]{1,12}))?"
)


@dataclass(frozen=True)
class Crypto:
    """One ``a=crypto`` attribute."""

    tag: int
    """Its number; an answer repeats that of the offer."""

    suite: Suite
    """Which transform."""

    key: Secret
    """Master key and salt that the sender of this attribute sends under."""

    def to_attribute(self) -> str:
        """Return the attribute's value, with its key: for the wire alone."""
        key = base64.b64encode(self.key.value).decode()
        return f"{self.tag} {self.suite} inline:{key}"

    @classmethod
    def parse(cls, value: str) -> Crypto | None:
        """Read an attribute's value; None: it can't be served or is malformed."""
        match = _ATTRIBUTE.fullmatch(value.strip())
        if match is None or match[2] not in KEY_BYTES:
            return None
        suite = Suite(match[2])
        try:
            key = base64.b64decode(match[3], validate=True)
        except binascii.Error:
            return None
        if len(key) != KEY_BYTES[suite]:
            return None
        return cls(int(match[1]), suite, Secret(key))
