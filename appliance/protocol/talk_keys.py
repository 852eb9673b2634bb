"""Channels of talk groups and the keys of spurts.

A spurt has a key of its own, made of the group's and of random bytes that its speaker chose: two
senders never use one, nor one sender one twice (RFC 3711 section 9.1).  In an open channel
everybody can compute it: that keeps spurts apart and hides nothing.
"""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from appliance.model.group import GroupId
from appliance.model.identity import hash_for
from appliance.model.secret import Secret
from appliance.protocol.sip.sdes import KEY_BYTES, Suite
from appliance.protocol.talk import CHANNEL_SIZE, Claim

SUITE: Final = Suite.AEAD_AES_128_GCM
OPEN_SECRET: Final = Secret(hash_for("talk-open", b""))
"""What stands for a group's key in the channel of everyone; known to everybody."""


def channel_of(group: GroupId | None) -> bytes:
    """Return the 16 bytes that name a channel on the way; None: everyone's.

    Whoever does not know the group can't tell whose it is.
    """
    return hash_for("talk-channel", b"" if group is None else group.value)[:CHANNEL_SIZE]


def spurt_key(secret: Secret, claim: Claim) -> Secret:
    """Return SRTP master key and salt of a spurt, by HKDF (RFC 5869) from the group's key."""
    info = b"fencewire/talk-key/1\0" + claim.channel + claim.speaker.key + bytes([claim.form])
    derived = HKDF(SHA256(), KEY_BYTES[SUITE], claim.nonce, info)
    return Secret(derived.derive(secret.value))
